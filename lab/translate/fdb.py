"""The MAC table: which port a MAC address of a VLAN was seen at.

Every lane writes entries of its own and reads those of all; the most recent one counts, so a station that moves to
a port of another core is found there. A place in the table is told by the hash of (VLAN, MAC): WAYS entries.
"""

from lab.memory.record import Group, Layout

WAYS = 8
BUCKETS = 2048
WAYS_IN_ALL = WAYS * BUCKETS
# key: 1 << 60 | vlan << 48 | mac, 0 for an empty one; port, `used` in microseconds, `fixed` for an entry that a person made
fdb_entry_t = Layout("fdb_entry", key="u8", used="i8", port="u4", fixed="u4")
# `changes` counts what makes translations untrue: an address that is new, has moved or is gone
fdb_head_t = Layout("fdb_head", line=True, count="i8", changes="i8", learned="i8", moved="i8", expired="i8", evicted="i8")
fdb_g = Group("fdb", head=fdb_head_t, entries=fdb_entry_t)
