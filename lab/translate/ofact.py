"""OpenFlow actions as compiled code reads them: a rule, a bucket or an action set is a range of these records.

The parsers of lab.openflow write them, translation runs them. Nothing here is an action on a packet: those are the
datapath's (`lab.flow.actions`), which translation makes of these.

A *place* in the flow is `word`, `low` and `bits`: a word of the wide key, its lowest bit there, how many bits.
A place of more than 64 bits begins in `word`, the high half first, `low` 0, and ends in the next word(s).
`header` is the datapath's code of the header field that lies there (`lab.flow.actions`, ETH_DST and kin), 0 for
what is no header (registers, metadata). Values and masks stand *in place*: shifted to where the bits lie.
"""

from lab.memory.record import Layout

ofact_t = Layout(
    "ofact",
    op="u2",
    header="u2",
    n="u4",
    word="u1",
    low="u1",
    bits="u2",
    src_word="u1",
    src_low="u1",
    reason="u2",
    v0="u8",
    v1="u8",
    m0="u8",
    m1="u8",
)

(
    O_OUTPUT,  # n: port number, or one of OFPP below; m0: most bytes to send (0 = all)
    O_OUTPUT_REG,  # the port number stands at src_word, src_low, `bits` bits; m0: most bytes to send (0 = all)
    O_CONTROLLER,  # n: most bytes; reason: why (OFPR_ACTION 1, ...); v0: controller id
    O_SET,  # place word, low, bits; v0, v1 value and m0, m1 mask in place (v1, m1 for the second word of a wide one)
    O_MOVE,  # `bits` bits from src_word, src_low to word, low
    O_STACK_PUSH,  # src_word, src_low, bits
    O_STACK_POP,  # word, low, bits
    O_PUSH_VLAN,  # n: TPID
    O_POP_VLAN,
    O_SET_VID,  # v0: VLAN number; a tag is added if there is none
    O_SET_PCP,  # v0: priority; a tag is added if there is none
    O_PUSH_MPLS,  # n: Ethernet type
    O_POP_MPLS,  # n: Ethernet type of what lies below
    O_DEC_MPLS_TTL,
    O_DEC_TTL,  # v0: controller id
    O_RESUBMIT,  # n: in_port for the lookup (OFPP_IN_PORT: as it is); v0: table, 255: the same
    O_GOTO,  # n: table
    O_WRITE_ACTIONS,  # the next n records are its body
    O_CLEAR_ACTIONS,
    O_GROUP,  # n: record of the group
    O_METER,  # n: record of the meter
    O_CLONE,  # the next n records are its body
    O_NOTE,  # nothing; any bytes live in the text of the rule
    O_CHECK_LARGER,  # n: length; word, low: the one bit that is set when the packet is longer
    O_EXIT,
) = range(1, 26)

# port numbers that mean something (OpenFlow 1.0's)
OFPP_MAX, OFPP_IN_PORT, OFPP_TABLE, OFPP_NORMAL, OFPP_FLOOD, OFPP_ALL, OFPP_CONTROLLER, OFPP_LOCAL, OFPP_NONE = (
    0xFF00, 0xFFF8, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF,
)
SAME_TABLE = 255

# groups
ALL, SELECT, INDIRECT, FAST_FAILOVER = range(4)
