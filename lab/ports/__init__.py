"""Floor 6: where packets come from and go to; the only sockets, ioctls and mmaps."""
