"""Floor 1: the headers of packets, one file a protocol, all alike; checksums; the packet as people see it."""
