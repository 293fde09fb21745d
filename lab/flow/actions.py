"""Actions, as compiled code runs them: a range of small records.

`op` says what to do, `detail` which header field a SET changes, `arg` a port or a tag's Ethernet type, `v0` and `v1`
the value. What a person reads is made of the same records by `describe`, in ovs-ofctl's words.
"""

import json
import re
import socket

from lab.memory.record import Layout

act_t = Layout("act", op="u2", detail="u2", arg="u4", v0="u8", v1="u8", m0="u8", m1="u8")

(
    OUTPUT,  # arg: port (NULL-free: translation has resolved it)
    SET,  # detail: header field; v0, v1: value; m0, m1: mask of the bits that change, aligned to the field (128 bits: v0 the high half)
    PUSH_VLAN,  # arg: TPID; v0: TCI without the bit 0x1000
    POP_VLAN,
    PUSH_MPLS,  # arg: Ethernet type; v0: label stack entry
    POP_MPLS,  # arg: Ethernet type of what lies below
    TRUNC,  # arg: most bytes of the next OUTPUT
    CLONE,  # arg: how many of the following acts run on a copy, which is then gone
    METER,  # arg: record of the meter
    CONTROLLER,  # arg: most bytes; v0: cookie; v1: reason << 32 | table << 24 | record of the rule (24 bits)
    RECIRC,  # arg: id under which the packet is parsed and looked up again
    HASH,  # arg: basis; the packet gets a dp_hash from its addresses and ports
    CHECK_LEN,  # arg: length; v0: recirculation id when the packet is longer, v1: when it is not
    # behind the acts of a megaflow, `n_credits` of these: who gets its statistics
    CREDIT_RULE,  # arg: record of the rule
    CREDIT_GROUP,  # arg: record of the group
    CREDIT_BUCKET,  # arg: record of the bucket
    CREDIT_MAC,  # v0: key of the MAC table, v1: its value: the address is refreshed while packets come
    CREDIT_TABLE,  # arg: table; v0: 1 when a rule matched
) = range(1, 19)
# fields of SET
(
    ETH_DST, ETH_SRC, IP_SRC, IP_DST, IP_TOS, IP_TTL, IPV6_SRC, IPV6_DST, TP_SRC, TP_DST,
    VLAN_TCI,  # of the outermost tag, which is there
    MPLS_LSE,  # the outermost entry
    IPV6_LABEL, ARP_OP, ARP_SPA, ARP_TPA, ARP_SHA, ARP_THA, ND_TARGET, ND_SLL, ND_TLL, ICMP_TYPE, ICMP_CODE,
    PKT_MARK, SKB_PRIORITY, TUN_ID, TUN_SRC, TUN_DST, TUN_IPV6_SRC, TUN_IPV6_DST, TUN_TOS, TUN_TTL, TUN_FLAGS, TCP_FLAGS,
) = range(1, 35)
SET_NAMES = {
    ETH_DST: "mod_dl_dst",
    ETH_SRC: "mod_dl_src",
    IP_SRC: "mod_nw_src",
    IP_DST: "mod_nw_dst",
    IP_TOS: "mod_nw_tos",
    IP_TTL: "mod_nw_ttl",
    IPV6_SRC: "ipv6_src",
    IPV6_DST: "ipv6_dst",
    TP_SRC: "mod_tp_src",
    TP_DST: "mod_tp_dst",
}
LAST = 1 << 0  # in `detail` of OUTPUT: nothing follows, so the packet itself goes, not a copy
IN_PORT = 0xFFF8  # `arg` of OUTPUT: back through the port the packet came from (OFPP_IN_PORT)
ALL = 0xFFFC  # `arg` of FLOOD when a person wrote `all` (OFPP_ALL); no port is left out of floods, so both do the same


def show_port(number, port_name=None):
    """A port by its name, quoted unless it is letters and digits; by number when it has none."""
    name = port_name(number) if port_name else None
    if not name:
        return str(number)
    return name if re.fullmatch("[A-Za-z][A-Za-z0-9]*", name) else json.dumps(name)


def address(value, bits):
    """An IP address of 32 or 128 bits as the system's library writes it, and so every tool."""
    return socket.inet_ntop(socket.AF_INET if bits == 32 else socket.AF_INET6, value.to_bytes(bits // 8, "big"))


def describe(acts, port_name=None):
    """A list of actions in ovs-ofctl's words; `acts` are (op, field, arg, v0, v1), `port_name` turns a number into a name.

    >>> describe([(SET_VID, 0, 0, 7, 0), (OUTPUT, LAST, 2, 0, 0)])
    'mod_vlan_vid:7,output:2'
    """
    return ",".join(_say(*(int(part) for part in act), port_name) for act in acts) or "drop"


def _say(op, field, arg, v0, v1, port_name):
    if op == OUTPUT:
        return "IN_PORT" if arg == IN_PORT else f"output:{show_port(arg, port_name)}"
    if op == SET:
        return _say_set(field, v0, v1)
    said = {
        FLOOD: "ALL" if arg == ALL else "FLOOD",
        PUSH_VLAN: f"push_vlan:0x{arg:04x}",
        POP_VLAN: "strip_vlan",
        SET_VID: f"mod_vlan_vid:{v0}",
        SET_PCP: f"mod_vlan_pcp:{v0}",
    }
    return said.get(op, f"unknown:{op}")


def _say_set(field, v0, v1):
    name = SET_NAMES[field]
    if field in (IPV6_SRC, IPV6_DST):
        return f"set_field:{address(v0 << 64 | v1, 128)}->{name}"
    if field in (ETH_SRC, ETH_DST):
        return f"{name}:{v0.to_bytes(6, 'big').hex(':')}"
    if field in (IP_SRC, IP_DST):
        return f"{name}:{address(v0, 32)}"
    return f"{name}:{v0}"
