"""Floor 1: the headers of packets; checksums; the packet as people see it."""
