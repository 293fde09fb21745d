"""What a match and the actions before it prove of a packet, so that an action writes no field that is not there.

Checked when a rule is added, as OpenFlow 1.3 wants it. A push or a pop changes what is proven for the actions behind
it. Whether the packet has the header after all is asked again when it comes (`lab.translate.places`).
"""
from typing import NamedTuple

from lab.flow.key import FRAG_LATER, VLAN_PRESENT
from lab.openflow.matching.fields import BY_NAME, PORTS, SHORTHANDS

PROVING = [BY_NAME[name] for name in ("dl_type", "nw_proto", "icmp_type")]
TAG, CODE, FRAGMENT = BY_NAME["vlan_tci"], BY_NAME["icmp_code"], BY_NAME["nw_frag"]
BEHIND_IP = {*PORTS}  # what a later fragment does not have
PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}


class Proof(NamedTuple):
    """Ethernet type, protocol and ICMP type, None where any may be; whether there is a VLAN tag; whether it is a later fragment."""

    kind: int | None
    proto: int | None
    icmp: int | None
    tag: bool
    later: bool = False

    def pushed(self, kind):
        """Behind another Ethernet type: what it covers is not seen."""
        return Proof(kind, None, None, self.tag)

    def lacking(self, row):
        """What a field lacks to be there, in words; empty when nothing."""
        if row.key == "vlan_tci" and row.name != "vlan_tci" and not self.tag:
            return "dl_vlan, or push_vlan before it"
        needs = row.needs if row.write_needs is None else row.write_needs
        if needs and not self.shorthands() & set(needs):
            *others, last = needs
            return f"one of {', '.join(others)} or {last}" if others else last
        if self.later and needs and set(needs) <= BEHIND_IP:
            return "nw_frag=not_later"
        if row.kinds and self.icmp not in row.kinds:
            return " or ".join(f"icmp_type={kind}" for kind in row.kinds)
        return ""

    def shorthands(self):
        """The shorthands that hold."""
        return {name for name, (kind, proto) in SHORTHANDS.items() if kind == self.kind and proto in (None, self.proto)}


def proof_of(match):
    """What a match proves; None without a match, which means that nothing is checked."""
    if match is None:
        return None
    kind, proto, icmp = (row.gather(match.value) if row.gather(match.mask) == row.full else None for row in PROVING)
    if CODE.gather(match.mask & match.value):
        icmp = None  # neighbour discovery has code 0
    later = FRAGMENT.gather(match.mask & match.value) & FRAG_LATER != 0
    return Proof(kind, proto, icmp, TAG.gather(match.mask & match.value) & VLAN_PRESENT != 0, later)
