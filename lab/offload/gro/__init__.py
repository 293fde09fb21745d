"""GRO: the table of a core, and what two profiles (`linux`, `dpdk`) merge and what ends a merge."""
