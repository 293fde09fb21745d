"""GRO as the Linux kernel does it: which packets go into one, in what order, and what ends a merge."""
