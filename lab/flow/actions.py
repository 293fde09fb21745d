"""Actions, as compiled code runs them: a range of small records.

`op` says what to do, `field` which header field a SET changes, `arg` a port, `v0` and `v1` the value.
What a person reads is made of the same records by `describe`.
"""
from lab.memory.record import Layout

act_t = Layout("act", op="u2", field="u2", arg="u4", v0="u8", v1="u8")

OUTPUT, FLOOD, SET, PUSH_VLAN, POP_VLAN, SET_VID, SET_PCP = range(1, 8)
# fields of SET
ETH_DST, ETH_SRC, IP_SRC, IP_DST, IP_TOS, IP_TTL, IPV6_SRC, IPV6_DST, TP_SRC, TP_DST = range(1, 11)
SET_NAMES = {ETH_DST: "mod_dl_dst", ETH_SRC: "mod_dl_src", IP_SRC: "mod_nw_src", IP_DST: "mod_nw_dst", IP_TOS: "mod_nw_tos", IP_TTL: "mod_nw_ttl",
             IPV6_SRC: "set_field:ipv6_src", IPV6_DST: "set_field:ipv6_dst", TP_SRC: "mod_tp_src", TP_DST: "mod_tp_dst"}
LAST = 1 << 0  # in `field` of OUTPUT: nothing follows, so the packet itself goes, not a copy
IN_PORT = 0xFFF8  # `arg` of OUTPUT: back through the port the packet came from (OFPP_IN_PORT)
