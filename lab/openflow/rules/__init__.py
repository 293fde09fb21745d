"""What a table of rules is made of: orders, notes of changes, free records, counters, timeouts, printing."""
