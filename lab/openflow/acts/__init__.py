"""What `actions=` says: each kind of action, how it is read, checked against the match, and printed."""
