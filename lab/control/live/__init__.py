"""The switch's tables as live objects: they read the arena when looked at."""
