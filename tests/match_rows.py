"""Random sound matches for tests: which fields go together under a protocol, and settings of them as text."""
from hypothesis import strategies as st

from lab.openflow.matching.fields import BY_NAME

FREE = ["dl_src", "dl_dst", "in_port", "pkt_mark", "metadata", "reg0", "reg7", "reg11", "xreg2", "xxreg3", "tun_id", "tun_src", "tun_dst",
        "tun_ipv6_src", "tun_ipv6_dst", "tun_gbp_id", "tun_flags", "ct_state", "ct_zone", "ct_mark", "ct_label", "dp_hash", "recirc_id"]
ANY_IP = ["nw_ttl", "nw_tos", "nw_ecn", "nw_frag"]
IP4, IP6 = ["nw_src", "nw_dst", *ANY_IP], ["ipv6_src", "ipv6_dst", "ipv6_label", *ANY_IP]
PER_PROTOCOL = {
    "": [], "ip": IP4, "ipv6": IP6, "tcp": [*IP4, "tp_src", "tp_dst", "tcp_flags"], "udp6": [*IP6, "tp_src", "tp_dst"],
    "sctp": [*IP4, "tp_src"], "icmp": [*IP4, "icmp_type", "icmp_code"], "icmp6": [*IP6, "icmp_type", "icmp_code"],
    "icmp6,icmp_type=135,icmp_code=0": ["nd_target", "nd_sll"], "icmp6,icmp_type=136": ["nd_target", "nd_tll"],
    "arp": ["arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"], "rarp": ["arp_op", "arp_sha"],
    "mpls": ["mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"]}
MASKABLE = {"dl_src", "dl_dst", "pkt_mark", "metadata", "reg0", "reg7", "reg11", "xreg2", "xxreg3", "tun_id", "tun_src", "tun_dst",
            "tun_ipv6_src", "tun_ipv6_dst", "tun_gbp_id", "ct_state", "ct_mark", "ct_label", "dp_hash", "nw_src", "nw_dst", "ipv6_src",
            "ipv6_dst", "ipv6_label", "tp_src", "tp_dst", "tcp_flags", "nd_target", "nd_sll", "nd_tll",
            "arp_spa", "arp_tpa", "arp_sha", "arp_tha"}
TAGS = ["dl_vlan=0", "dl_vlan=7", "dl_vlan=4095", "dl_vlan_pcp=3", "dl_vlan=7,dl_vlan_pcp=0", "vlan_tci=0x1000/0x1000", "vlan_tci=0/0x1000",
        "vlan_tci=0x1005/0x100f", "vlan_vid=0x1003", "vlan_vid=0x1001/0x1001", "vlan_tci=0x1123/0x1fff"]


def setting(name):
    """A strategy for settings of one field."""
    row = BY_NAME[name]
    if name == "in_port":
        return st.integers(1, 0xFEFF).map(lambda value: f"in_port={value}")
    if name == "nw_frag":
        return st.sampled_from(["no", "yes", "first", "later", "not_later"]).map(lambda word: f"nw_frag={word}")
    number = st.integers(0, row.full).map(lambda value: value & row.full)
    bits = number.filter(bool)
    if "ipv6_" in name or name == "nd_target":  # ovs-ofctl takes a mask such as ::/12:: for a prefix of 12 bits
        bits = number.map(lambda value: (value | 0xFFFF << 112) & row.full).filter(bool)
    masks = st.one_of(st.just(row.full), bits) if name in MASKABLE else st.just(row.full)
    return st.builds(lambda value, mask: f"{name}={row.show(value & mask, mask, row.full)}", number, masks)


@st.composite
def matches(draw):
    """A strategy for texts of sound matches, over all fields."""
    protocol = draw(st.sampled_from(list(PER_PROTOCOL)))
    names = draw(st.lists(st.sampled_from(PER_PROTOCOL[protocol] + FREE), unique=True, max_size=5))
    tag = draw(st.sampled_from(["", "", *TAGS]))
    words = [draw(setting(name)) for name in names]
    if any(word.startswith(("tp_", "tcp_")) for word in words):
        words = [word for word in words if word != "nw_frag=later"]  # a later fragment has no such header
    return ",".join(filter(None, draw(st.permutations([protocol, tag, *words]))))
