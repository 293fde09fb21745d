"""Actions, as compiled code runs them: a range of small records.

`op` says what to do, `detail` which header field a SET changes, `arg` a port or a tag's Ethernet type, `v0` and `v1`
the value. What a person reads is made of the same records by `describe`, in the words of `dpctl/dump-flows`. These are
the datapath's actions; those of OpenFlow, which translation makes them of, are in `lab.translate.ofact`.
"""

import json
import re
import socket
from itertools import islice

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
    CREDIT_RULE,  # arg: record of the rule; detail: its table
    CREDIT_GROUP,  # arg: record of the group
    CREDIT_BUCKET,  # arg: record of the bucket
    CREDIT_MAC,  # v0: key of the MAC table, arg: port: the address is refreshed while packets come
    CREDIT_TABLE,  # arg: table in which no rule matched
) = range(1, 19)
# fields of SET
(
    ETH_DST, ETH_SRC, IP_SRC, IP_DST, IP_TOS, IP_TTL, IPV6_SRC, IPV6_DST, TP_SRC, TP_DST,
    VLAN_TCI,  # of the outermost tag, which is there
    MPLS_LSE,  # the outermost entry
    IPV6_LABEL, ARP_OP, ARP_SPA, ARP_TPA, ARP_SHA, ARP_THA, ND_TARGET, ND_SLL, ND_TLL, ICMP_TYPE, ICMP_CODE,
    PKT_MARK, SKB_PRIORITY, TUN_ID, TUN_SRC, TUN_DST, TUN_IPV6_SRC, TUN_IPV6_DST, TUN_TOS, TUN_TTL, TUN_FLAGS, TUN_METADATA0, TCP_FLAGS,
) = range(1, 36)
LAST = 1 << 0  # in `detail` of OUTPUT: nothing follows, so the packet itself goes, not a copy

# how `describe` calls the fields of SET: header, name, how the value is written; a header's fields in OVS's order
_HEX, _DECIMAL, _MAC, _IPV4, _IPV6 = "hex", "decimal", "mac", "ipv4", "ipv6"
_SETS = {
    ETH_SRC: ("eth", "src", _MAC, 48),
    ETH_DST: ("eth", "dst", _MAC, 48),
    IP_SRC: ("ipv4", "src", _IPV4, 32),
    IP_DST: ("ipv4", "dst", _IPV4, 32),
    IPV6_SRC: ("ipv6", "src", _IPV6, 128),
    IPV6_DST: ("ipv6", "dst", _IPV6, 128),
    IPV6_LABEL: ("ipv6", "label", _HEX, 20),
    IP_TOS: ("ip", "tos", _HEX, 8),
    IP_TTL: ("ip", "ttl", _DECIMAL, 8),
    TP_SRC: ("tp", "src", _DECIMAL, 16),
    TP_DST: ("tp", "dst", _DECIMAL, 16),
    ICMP_TYPE: ("icmp", "type", _DECIMAL, 8),
    ICMP_CODE: ("icmp", "code", _DECIMAL, 8),
    VLAN_TCI: ("vlan", "", "tci", 16),
    MPLS_LSE: ("mpls", "", "lse", 32),
    ARP_SPA: ("arp", "sip", _IPV4, 32),
    ARP_TPA: ("arp", "tip", _IPV4, 32),
    ARP_OP: ("arp", "op", _DECIMAL, 16),
    ARP_SHA: ("arp", "sha", _MAC, 48),
    ARP_THA: ("arp", "tha", _MAC, 48),
    ND_TARGET: ("nd", "target", _IPV6, 128),
    ND_SLL: ("nd", "sll", _MAC, 48),
    ND_TLL: ("nd", "tll", _MAC, 48),
    PKT_MARK: ("skb_mark", "", _HEX, 32),
    SKB_PRIORITY: ("skb_priority", "", _HEX, 32),
    TUN_ID: ("tunnel", "tun_id", _HEX, 64),
    TUN_SRC: ("tunnel", "src", _IPV4, 32),
    TUN_DST: ("tunnel", "dst", _IPV4, 32),
    TUN_IPV6_SRC: ("tunnel", "ipv6_src", _IPV6, 128),
    TUN_IPV6_DST: ("tunnel", "ipv6_dst", _IPV6, 128),
    TUN_TOS: ("tunnel", "tos", _HEX, 8),
    TUN_TTL: ("tunnel", "ttl", _DECIMAL, 8),
    TUN_FLAGS: ("tunnel", "flags", "flags", 16),
    TUN_METADATA0: ("tunnel", "tun_metadata0", _HEX, 64),
}
_ORDER = list(_SETS)
_IN_IPV6 = {"tos": "tclass", "ttl": "hlimit"}
_TRANSPORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_TUNNEL_FLAGS = ("oam", "df", "csum", "key")  # from bit 0 on, as in OVS


def show_port(number, port_name=None):
    """A port by its name, quoted unless it is letters and digits; by number when it has none."""
    name = port_name(number) if port_name else None
    if not name:
        return str(number)
    return name if re.fullmatch("[A-Za-z][A-Za-z0-9]*", name) else json.dumps(name)


def address(value, bits):
    """An IP address of 32 or 128 bits as the system's library writes it, and so every tool."""
    return socket.inet_ntop(socket.AF_INET if bits == 32 else socket.AF_INET6, value.to_bytes(bits // 8, "big"))


def describe(acts, port_name=None, layers=(0x0800, 6)):
    """A list of actions in the words of `dpctl/dump-flows`; `acts` are (op, detail, arg, v0, v1, m0, m1).

    `port_name` turns a number into a name. `layers` are the Ethernet type and the protocol of the packets: they
    decide how fields are called that several protocols have, `ipv4(tos=...)` or `ipv6(tclass=...)`.

    >>> describe([(SET, IP_DST, 0, 0x0A000009, 0, 0xFFFFFFFF, 0), (OUTPUT, LAST, 2, 0, 0, 0, 0)])
    'set(ipv4(dst=10.0.0.9)),2'
    """
    left = iter([tuple(int(part) for part in act) for act in acts])
    said, sets = [], {}
    for op, detail, arg, v0, v1, m0, m1 in left:
        if sets and (op != SET or detail in sets or _header(sets, layers) != _header([*sets, detail], layers)):
            said.append(_say_sets(sets, layers))
            sets = {}
        if op == SET:
            sets[detail] = (v0 << 64 | v1, m0 << 64 | m1) if _SETS[detail][3] == 128 else (v0, m0)
        elif op == CLONE:
            said.append(f"clone({describe(islice(left, arg), port_name, layers)})")
        else:
            said.append(_say(op, arg, v0, v1, port_name))
    if sets:
        said.append(_say_sets(sets, layers))
    return ",".join(said) or "drop"


def _say(op, arg, v0, v1, port_name):
    """One action that is neither a SET nor a CLONE."""
    if op == OUTPUT:
        return (port_name(arg) if port_name else None) or str(arg)
    if op == CONTROLLER:
        to = f"reason={v1 >> 32},dont_send=0,continuation=0,recirc_id=0,rule_cookie={v0:#x},controller_id=0,max_len={arg}"
        return f"userspace(pid=0,controller({to}))".replace("rule_cookie=0x0,", "rule_cookie=0,")
    said = {
        PUSH_VLAN: f"push_vlan({'' if arg == 0x8100 else f'tpid=0x{arg:04x},'}vid={v0 & 0xFFF},pcp={v0 >> 13 & 7})",
        POP_VLAN: "pop_vlan",
        PUSH_MPLS: f"push_mpls({_label_entry(v0, 0xFFFFFFFF)},eth_type=0x{arg:x})",
        POP_MPLS: f"pop_mpls(eth_type=0x{arg:x})",
        TRUNC: f"trunc({arg})",
        METER: f"meter({arg})",
        RECIRC: f"recirc(0x{arg:x})",
        HASH: f"hash(l4({arg}))",
        CHECK_LEN: f"check_pkt_len(size={arg},gt(recirc(0x{v0:x})),le(recirc(0x{v1:x})))",
    }
    return said.get(op, f"unknown({op})")


def _header(fields, layers):
    """The header that SETs one after the other belong to, or None when they belong to several."""
    found = {_SETS[field][0] for field in fields}
    v6 = layers[0] == 0x86DD
    if found == {"ip"}:
        return "ipv6" if v6 else "ipv4"
    if found in ({"ip", "ipv4"}, {"ip", "ipv6"}):
        found.remove("ip")
    if len(found) > 1:
        return None
    name = found.pop()
    return {"tp": _TRANSPORTS.get(layers[1], "tcp"), "icmp": "icmpv6" if v6 else "icmp"}.get(name, name)


def _say_sets(sets, layers):
    """Fields of one header, {field: (value, mask)}, as one `set(...)`."""
    header = _header(sets, layers)
    parts = []
    for field in sorted(sets, key=_ORDER.index):
        _, name, how, bits = _SETS[field]
        if header == "ipv6":
            name = _IN_IPV6.get(name, name)
        text = _value(how, bits, *sets[field])
        parts.append(f"{name}={text}" if name and how != "flags" else text)
    return f"set({header}({','.join(parts)}))"


def _value(how, bits, value, mask):
    """A value, and its mask unless that is exact."""
    if how == "tci":
        return _tag(value, mask)
    if how == "lse":
        return _label_entry(value, mask)
    if how == "flags":
        return f"flags({'|'.join(name for at, name in enumerate(_TUNNEL_FLAGS) if value >> at & 1)})"
    write = {
        _HEX: lambda n: f"{n:#x}" if n or bits == 64 else "0",
        _DECIMAL: str,
        _MAC: lambda n: n.to_bytes(6, "big").hex(":"),
        _IPV4: lambda n: address(n, 32),
        _IPV6: lambda n: address(n, 128),
    }[how]
    if mask == (1 << bits) - 1:
        return write(value)
    return f"{write(value)}/{mask:#x}" if how in (_HEX, _DECIMAL) else f"{write(value)}/{write(mask)}"


def _tag(tci, mask):
    """What a tag says, without what the mask leaves alone."""
    parts = []
    for name, low, ones in (("vid", 0, 0xFFF), ("pcp", 13, 7)):
        part = mask >> low & ones
        if part:
            parts.append(f"{name}={tci >> low & ones}" + (f"/{part:#x}" if part != ones else ""))
    return ",".join(parts)


def _label_entry(lse, mask):
    """A label stack entry by its parts."""
    parts = []
    for name, low, ones, sign in (("label", 12, 0xFFFFF, "0x"), ("tc", 9, 7, ""), ("ttl", 0, 0xFF, "0x"), ("bos", 8, 1, "")):
        part = "" if mask == 0xFFFFFFFF else f"/{sign}{mask >> low & ones:x}"
        parts.append(f"{name}={lse >> low & ones}{part}")
    return ",".join(parts)
