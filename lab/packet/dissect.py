"""Bytes to layers, for people: what the interface and `Packet` show of a frame.

It stands beside the packet's way, not on it: plain Python over the protocols' own `check` and `show`, so a layer is
there exactly when `parse` takes its fields. It never raises, whatever the bytes; where they stop making sense, it stops.
Behind the headers of a tunnel, layers begin anew, up to so many tunnels within each other.
"""
from collections.abc import Iterator
from dataclasses import dataclass

from lab.packet.headers import arp, ethernet, geneve, gre, icmp, icmpv6, ipv4, ipv6, mpls, sctp, tcp, udp, vlan, vxlan
from lab.packet.text import memory_of

TAGS, LABELS = 2, 3  # VLAN tags and MPLS entries that a flow key has room for
TUNNELS, TUNNEL_LABELS = 4, 16  # tunnels within each other that are looked at, and labels of one
GRE_PROTO, MPLS_PORT = 47, 6635
_ICMP = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMPV6 = {1: "unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request", 129: "echo reply", 133: "router solicitation",
           134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One header: what it is, one line of it, where it lies in the packet, and its fields as (name, offset, length, text)."""

    key: str
    name: str
    head: str
    off: int
    len: int
    fields: list

    def __str__(self):
        return f"{self.name} {self.head}".strip()

    def get(self, field):
        """The text of a field, or None."""
        return next((said for name, _, _, said in self.fields if name == field), None)


def dissect(data, *, tags=TAGS):
    """The layers of a frame, from the outside in; `tags` is how many VLAN tags are looked at.

    >>> [str(layer) for layer in dissect(bytes.fromhex("ffffffffffff 020000000001 0800"))]
    ['Ethernet 02:00:00:00:00:01 → ff:ff:ff:ff:ff:ff']
    """
    return list(_link(bytes(data), 0, tags, TUNNELS))


def _layer(key, name, head, off, data, end):
    """A layer up to `end`, or to the last of its fields (neighbour discovery has options); fields count from the packet's start."""
    shown = [(field, off + at, n, said) for field, at, n, said in _SHOW[key](data)]
    end = max([end, *(at + n for _, at, n, _ in shown)])
    return Layer(key, name, head({field: said for field, _, _, said in shown}), off, end - off, shown)


def _link(data, start, tags, deep) -> Iterator[Layer]:
    memory = memory_of(data)
    off = start + ethernet.check(memory, start, len(data) - start)
    if off == start:
        return
    kind = ethernet.get_type(memory, start)
    named = ethernet.snap_type(memory, off, len(data) - off) if kind < ethernet.TYPE_MIN else 0
    off += ethernet.SNAP_LENGTH if named else 0
    yield _layer("eth", "Ethernet", lambda f: f"{f['dl_src']} → {f['dl_dst']}", start, data[start:], off)
    while kind in (ethernet.VLAN, ethernet.VLAN_SERVICE) and tags > 0 and vlan.check(memory, off, len(data) - off):
        yield _layer("vlan", "VLAN", _tag, off, data[off:], off + vlan.LENGTH)
        kind, tags = vlan.get_type(memory, off), tags - 1
        off += vlan.LENGTH
        if kind < ethernet.TYPE_MIN:
            named = ethernet.snap_type(memory, off, len(data) - off)
            off += ethernet.SNAP_LENGTH if named else 0
    yield from _network(data, off, named or kind, deep)


def _network(data, off, kind, deep) -> Iterator[Layer]:
    if kind == ethernet.IPV4:
        yield from _ipv4(data, off, deep)
    elif kind == ethernet.IPV6:
        yield from _ipv6(data, off, deep)
    elif kind in (ethernet.ARP, ethernet.RARP) and arp.check(memory_of(data), off, len(data) - off):
        yield _layer("arp", "ARP" if kind == ethernet.ARP else "RARP", _question, off, data[off:], off + arp.LENGTH)
    elif kind in (ethernet.MPLS, ethernet.MPLS_MULTICAST):
        yield from _mpls(data, off, LABELS, 0)


def _mpls(data, off, most, deep) -> Iterator[Layer]:
    """A stack of labels; in a tunnel (`deep`) what follows the last one tells by its first bits what it is."""
    memory = memory_of(data)
    for _ in range(most):
        if mpls.check(memory, off, len(data) - off) == 0:
            return
        yield _layer("mpls", "MPLS", lambda f: f["mpls_label"], off, data[off:], off + mpls.LENGTH)
        off += mpls.LENGTH
        if mpls.get_lse(memory, off - mpls.LENGTH) & mpls.BOTTOM:
            version = data[off] >> 4 if deep and off < len(data) else 0
            yield from _network(data, off, {4: ethernet.IPV4, 6: ethernet.IPV6}.get(version), deep)
            return


def _ipv4(data, off, deep) -> Iterator[Layer]:
    memory = memory_of(data)
    length = ipv4.check(memory, off, len(data) - off)
    if length == 0:
        return
    yield _layer("ip", "IPv4", lambda f: f"{f['nw_src']} → {f['nw_dst']}", off, data[off:], off + length)
    frag = ipv4.get_frag(memory, off)
    if frag & ipv4.OFFSET_MASK == 0:
        deep = 0 if frag & ipv4.MORE_FRAGMENTS else deep
        yield from _transport(data[:off + ipv4.get_total(memory, off)], off + length, ipv4.get_proto(memory, off), deep)


def _ipv6(data, off, deep) -> Iterator[Layer]:
    memory = memory_of(data)
    if ipv6.check(memory, off, len(data) - off) == 0:
        return
    end = off + ipv6.LENGTH + ipv6.get_payload(memory, off)
    length, proto, frag = ipv6.check_chain(memory, off, end - off)
    yield _layer("ip6", "IPv6", lambda f: f"{f['ipv6_src']} → {f['ipv6_dst']}", off, data[off:], off + (length or ipv6.LENGTH))
    if length != 0 and frag != ipv6.LATER:
        yield from _transport(data[:end], off + length, proto, 0 if frag else deep)


def _transport(data, off, proto, deep) -> Iterator[Layer]:
    if proto == GRE_PROTO and deep:
        yield from _tunnel("gre", data, off, deep - 1)
    if proto not in _TRANSPORT:
        return
    key, name, head, check = _TRANSPORT[proto]
    length = check(memory_of(data), off, len(data) - off)
    if length != 0:
        yield _layer(key, name, head, off, data[off:], off + length)
    if length == 0 or key != "udp" or deep == 0:
        return
    port = udp.get_dst(memory_of(data), off)
    if port == MPLS_PORT:
        yield from _mpls(data, off + length, TUNNEL_LABELS, deep)
    elif port in _PORTS:
        yield from _tunnel(_PORTS[port], data, off + length, deep - 1)


def _tunnel(key, data, off, deep) -> Iterator[Layer]:
    """The header of a tunnel, and the layers of what it carries."""
    name, module = _TUNNELS[key]
    memory = memory_of(data)
    length = module.check(memory, off, len(data) - off)
    if length == 0:
        return
    yield _layer(key, name, lambda f: f.get("tun_id", ""), off, data[off:], off + length)
    kind = geneve.BRIDGED if module is vxlan else module.get_protocol(memory, off)
    if kind == geneve.BRIDGED:
        yield from _link(data, off + length, TAGS, deep)
    elif kind in (ethernet.MPLS, ethernet.MPLS_MULTICAST):
        yield from _mpls(data, off + length, TUNNEL_LABELS, deep)
    else:
        yield from _network(data, off + length, kind, deep)


def _tag(f):
    return f["vlan_vid"] + (f" pcp {f['vlan_pcp']}" if f["vlan_pcp"] != "0" else "")


def _question(f):
    if f["arp_op"] == "1":
        return f"who has {f['arp_tpa']}? tell {f['arp_spa']}"
    if f["arp_op"] == "2":
        return f"{f['arp_spa']} is at {f['arp_sha']}"
    return f"op {f['arp_op']}"


def _ports(f):
    return f"{f['tp_src']} → {f['tp_dst']}"


def _message(names, kind):
    def head(f):
        number = int(f[kind + "_type"])
        said = names.get(number, f"type {number}")
        if "nd_target" in f:
            return f"{said} {f['nd_target']}"
        return said + (f" code {f[kind + '_code']}" if f[kind + "_code"] != "0" else "")
    return head


_SHOW = {"eth": ethernet.show, "vlan": vlan.show, "arp": arp.show, "mpls": mpls.show, "ip": ipv4.show, "ip6": ipv6.show,
         "icmp": icmp.show, "icmp6": icmpv6.show, "tcp": tcp.show, "udp": udp.show, "sctp": sctp.show,
         "vxlan": vxlan.show, "geneve": geneve.show, "gre": gre.show}
_TUNNELS = {"vxlan": ("VXLAN", vxlan), "geneve": ("Geneve", geneve), "gre": ("GRE", gre)}
_PORTS = {vxlan.PORT: "vxlan", geneve.PORT: "geneve"}
_TRANSPORT = {  # as parse has it: the protocol decides, not the version of IP below it
    ipv4.TCP: ("tcp", "TCP", _ports, tcp.check),
    ipv4.UDP: ("udp", "UDP", _ports, udp.check),
    ipv4.SCTP: ("sctp", "SCTP", _ports, sctp.check),
    ipv4.ICMP: ("icmp", "ICMP", _message(_ICMP, "icmp"), icmp.check),
    ipv6.ICMPV6: ("icmp6", "ICMPv6", _message(_ICMPV6, "icmpv6"), icmpv6.check),
}
