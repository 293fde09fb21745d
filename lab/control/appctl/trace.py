"""`ofproto/trace`: the way of a packet through the tables, told in OVS's words, and behind it the ledger.

A flow is given in ovs-ofctl's words, or a packet in hexadecimal besides, which stage parse reads. The story is made in
`told.py` of what the `Oracle` asked the tables; nothing is learned, counted or installed.
"""

from lab.control.appctl.commands import appctl
from lab.control.ofctl.tool import namer, numbers
from lab.control.reading.parsed import parse_frame
from lab.control.reading.passes import passes_of
from lab.control.reading.told import Teller, lines_of
from lab.flow.key import FIELDS, FRAG_LATER, VLAN_PRESENT, W_ACTSET, WIDE, WORDS, get, put
from lab.live import many
from lab.memory import reasons as why
from lab.openflow.matching.fields import SHORTHANDS
from lab.openflow.matching.match import parse_match
from lab.openflow.matching.show import format_match
from lab.packet.headers.ethernet import LENGTH

PACKET_FIELDS = ("skb_priority", "pkt_mark", "recirc_id", "dp_hash", "in_port", "tun_id", "tun_src", "tun_dst", "tun_ipv6_src",
                 "tun_ipv6_dst", "tun_tos", "tun_ttl", "metadata", *(f"reg{n}" for n in range(16)))  # told unless zero
OF_IP, OF_PORTS = ("nw_proto", "nw_tos", "nw_ttl", "nw_frag"), ("tp_src", "tp_dst")
OF_TYPE = {
    0x0800: ("nw_src", "nw_dst", *OF_IP), 0x86DD: ("ipv6_src", "ipv6_dst", "ipv6_label", *OF_IP),
    **dict.fromkeys((0x0806, 0x8035), ("nw_src", "nw_dst", "nw_proto", "arp_sha", "arp_tha")),
}  # fmt: skip
FAILED = {
    why.TOO_DEEP: "Recursion too deep", why.TOO_MANY_RESUBMITS: "Too many resubmits", why.STACK_FULL: "Stack too deep",
    why.NO_RECIRC: "No recirculation context", why.RECIRC_GONE: "Recirculation conflict",
}  # fmt: skip
BOTTOM = 1 << 8  # of a label stack entry


@appctl.command("ofproto/trace", "[BRIDGE] FLOW [PACKET | -generate]")
def trace(call):
    """Tell what would happen to a packet of this flow."""
    names = namer(call)
    told = Teller(call.sw, names)
    said = []
    for one in passes_of(call.sw.oracle, key_of(call)):
        if one.number:
            line = "=" * 79
            said.append(f"\n\n{line}\nrecirc({one.number:#x}){f' - {one.given}' if one.given else ''}\n{line}\n")
        said.append(pass_text(call.sw, told, one.ledger))
    return "\n".join(said)


def pass_text(sw, told, ledger):
    """One translation in OVS's words, with its ledger."""
    before, after = flow_line(ledger.begun, told.port_name), flow_line(ledger.final, told.port_name)
    title = f'bridge("{sw.name}")'
    values = [word & mask for word, mask in zip(ledger.begun, ledger.mask, strict=True)]
    lines = [f"Flow: {before}", "", title, "-" * len(title), *lines_of(told.tell(ledger)), ""]
    lines.append(f"Final flow: {'unchanged' if _same(ledger.begun, ledger.final) else after}")
    lines.append(f"Megaflow: {format_match(values, ledger.mask, told.port_name)}")
    lines.append(f"Datapath actions: {ledger.show_actions(told.port_name)}")
    if ledger.error:
        lines.append(f"Translation failed ({FAILED.get(ledger.why, ledger.error)}), packet is dropped.")
    elif ledger.why:
        lines.append(f"Dropped: {why.REASONS[ledger.why].code.removeprefix('dropped: ')}")
    return "\n".join([*lines, "", *ledger_lines(ledger)])


def ledger_lines(ledger):
    """Who asked for each bit, a line each: field, bits, who."""
    rows = [(name, many(bits.bit_count(), "bit"), text) for name, bits, text in ledger.rows()]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)] if rows else (0, 0)
    return ["Ledger:", *(f"  {name:<{wide[0]}}  {bits:>{wide[1]}}  {text}" for name, bits, text in rows)]


def _same(begun, final):
    return all(a == b for j, (a, b) in enumerate(zip(begun, final, strict=True)) if j != W_ACTSET)


# --- flows ---------------------------------------------------------------------------------------


def flow_line(words, port_name=None):
    """A packet's flow as OVS prints it: every field that such a packet has; what comes from no header only if it is there.

    >>> flow_line(parse_match("in_port=1,udp,tp_dst=53").value_words)[:42]
    'udp,in_port=1,vlan_tci=0x0000,dl_src=00:00'
    """
    return format_match(words, mask_of(words), port_name)


def mask_of(words):
    """A mask of every field that a packet with this flow has."""
    mask = [0] * WIDE
    for name in ("dl_src", "dl_dst", "dl_type", "vlan_tci", *(name for name in PACKET_FIELDS if get(words, name)), *_behind(words)):
        put(mask, name, (1 << FIELDS[name][2]) - 1)
    return mask


def _behind(words):
    """The fields that a packet has besides its addresses, by its types."""
    kind, proto = get(words, "dl_type"), get(words, "nw_proto")
    found = ["vlan_tci1"] if get(words, "vlan_tci") & VLAN_PRESENT else []
    if kind in (0x8847, 0x8848):
        for n in range(3):
            found.append(f"mpls_lse{n}")
            if get(words, f"mpls_lse{n}") & BOTTOM:
                break
    found += OF_TYPE.get(kind, ())
    if kind not in (0x0800, 0x86DD) or get(words, "nw_frag") & FRAG_LATER:
        return found
    if proto in (1, 2, 6, 17, 58, 132):
        found += [*OF_PORTS, *(["tcp_flags"] if proto == 6 else [])]
    if (kind, proto) == (0x86DD, 58) and get(words, "tp_src") in (135, 136) and not get(words, "tp_dst"):
        found += ["nd_target", "arp_sha", "arp_tha"]
    return found


# --- what is typed ---------------------------------------------------------------------------------


def key_of(call):
    """The key that a command line means."""
    words = list(call.words)
    if not words:
        raise call.error("ofproto/trace needs a flow, such as ofproto/trace in_port=1,tcp,tp_dst=80")
    packet = words.pop() if len(words) > 1 else None
    first = words[0]
    if _is_name(first.text) and packet is not None:
        raise call.error(f"there is no bridge {first.text!r}: this is {call.sw.name}", first, [call.sw.name])
    if len(words) > 1:
        raise call.error(f"{call.verb.text} takes a flow and a packet, no {words[1].text!r}", words[1])
    key = flow_key(call, first)
    if packet is None:
        return key
    return parse_frame(call.sw.engine, frame_of(call, packet), get(key, "in_port"), get(key, "recirc_id"), get(key, "pkt_mark"))


def _is_name(text):
    """Whether a word can be no flow, so that it is meant for a bridge."""
    return not set(text) & set("=,:(") and text not in SHORTHANDS


def flow_key(call, word):
    """The 32 words of a flow in ovs-ofctl's words."""
    match = parse_match(word, numbers(call.sw))
    values = list(match.value_words)
    if any(match.mask_words[WORDS:]):
        name = next(name for name in FIELDS if FIELDS[name][0] >= WORDS and get(match.mask_words, name))
        raise call.error(f"no packet brings {name}: it is zero when the tables begin", word)
    if get(values, "vlan_tci") & VLAN_PRESENT and not get(values, "vlan_tpid"):
        put(values, "vlan_tpid", 0x8100)
    return tuple(values[:WORDS])


def frame_of(call, word):
    """The bytes of a packet in hexadecimal."""
    try:
        data = bytes.fromhex(word.text)
    except ValueError:
        raise call.error("a packet is written in hexadecimal, two digits a byte", word) from None
    if len(data) < LENGTH:
        raise call.error(f"a packet has at least the {LENGTH} B of an Ethernet header, not {len(data)}", word)
    return data

