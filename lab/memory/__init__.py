"""Floor 0: the arena and everything that turns an offset into a value."""
