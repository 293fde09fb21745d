"""The flow key: 32 words of 64 bits, and where in them each field lies.

`parse` writes it, the EMC compares it whole, the classifier masks it. A field that the packet does not
have is zero. Field names and meanings are those of OVS; a VLAN TCI carries the bit 0x1000 when there is a tag.
"""

from lab.memory.record import Layout

WORDS = 32
BLOCK = 8  # words that one comparison takes; TCP, UDP and ICMP over IPv4 with a tag lie in the first block
key_t = Layout("key", line=True, w=("u8", WORDS))

# word numbers, for code that runs a packet at a time
W_PORT, W_MARK, W_DST, W_SRC, W_VLAN, W_IP, W_IPV4, W_L4, W_LABEL = range(9)
W_IPV6_SRC, W_IPV6_DST, W_ND_TARGET, W_ARP_SHA, W_ARP_THA = 9, 11, 13, 15, 16
W_MPLS, W_TUN_ID, W_TUN_IPV4, W_TUN_IPV6_SRC, W_TUN_IPV6_DST, W_TUN = 17, 19, 20, 21, 23, 25
W_CT, W_CT_LABEL, W_HASH, W_TUN_OPT = 26, 27, 29, 30

# the *wide* key of translation: behind the 32 words of the packet what only tables know. No packet brings these.
WIDE = 48
W_METADATA, W_REGS, W_ACTSET = 32, 33, 41  # reg0 is the high half of the first word of registers

VLAN_PRESENT = 0x1000
FRAG_ANY, FRAG_LATER = 1, 2  # nw_frag, as OVS: any fragment; not the first
NO_TYPE = 0x05FF  # dl_type of a frame with a length and no SNAP header

# name: (word, lowest bit, bits); wider than 64 bits goes on in the next word, the high half first
FIELDS = {
    "in_port": (W_PORT, 32, 32),
    "recirc_id": (W_PORT, 0, 32),
    "pkt_mark": (W_MARK, 32, 32),
    "skb_priority": (W_MARK, 0, 32),
    "dl_dst": (W_DST, 0, 48),
    "dl_type": (W_DST, 48, 16),
    "dl_src": (W_SRC, 0, 48),
    "vlan_tci": (W_VLAN, 32, 16),
    "vlan_tpid": (W_VLAN, 48, 16),
    "vlan_tci1": (W_VLAN, 0, 16),
    "vlan_tpid1": (W_VLAN, 16, 16),
    "nw_proto": (W_IP, 0, 8),
    "nw_tos": (W_IP, 8, 8),
    "nw_ttl": (W_IP, 16, 8),
    "nw_frag": (W_IP, 24, 8),
    "tcp_flags": (W_IP, 32, 12),
    "nw_src": (W_IPV4, 32, 32),
    "nw_dst": (W_IPV4, 0, 32),
    "ipv6_label": (W_LABEL, 0, 20),
    "tp_src": (W_L4, 48, 16),
    "tp_dst": (W_L4, 32, 16),
    "ipv6_src": (W_IPV6_SRC, 0, 128),
    "ipv6_dst": (W_IPV6_DST, 0, 128),
    "nd_target": (W_ND_TARGET, 0, 128),
    "arp_sha": (W_ARP_SHA, 0, 48),
    "arp_tha": (W_ARP_THA, 0, 48),
    "mpls_lse0": (W_MPLS, 32, 32),
    "mpls_lse1": (W_MPLS, 0, 32),
    "mpls_lse2": (W_MPLS + 1, 32, 32),
    "tun_id": (W_TUN_ID, 0, 64),
    "tun_src": (W_TUN_IPV4, 32, 32),
    "tun_dst": (W_TUN_IPV4, 0, 32),
    "tun_ipv6_src": (W_TUN_IPV6_SRC, 0, 128),
    "tun_ipv6_dst": (W_TUN_IPV6_DST, 0, 128),
    "tun_flags": (W_TUN, 0, 16),
    "tun_tos": (W_TUN, 16, 8),
    "tun_ttl": (W_TUN, 24, 8),
    "tun_gbp_id": (W_TUN, 32, 16),
    "tun_gbp_flags": (W_TUN, 48, 8),
    "ct_state": (W_CT, 0, 8),
    "ct_zone": (W_CT, 16, 16),
    "ct_mark": (W_CT, 32, 32),
    "ct_label": (W_CT_LABEL, 0, 128),
    "dp_hash": (W_HASH, 0, 32),
    "tun_metadata0": (W_TUN_OPT, 0, 64),  # the Geneve option that is mapped, of at most 8 bytes
    "metadata": (W_METADATA, 0, 64),
    **{f"reg{n}": (W_REGS + n // 2, 32 * (1 - n % 2), 32) for n in range(16)},
    "actset_output": (W_ACTSET, 32, 32),
}
ALIASES = {  # other views of the same bits
    **{f"xreg{n}": (W_REGS + n, 0, 64) for n in range(8)},
    **{f"xxreg{n}": (W_REGS + 2 * n, 0, 128) for n in range(4)},
}


def get(words, name):
    """The value of a field in a sequence of key words.

    >>> get([7 << 32] + [0] * 31, "in_port")
    7
    """
    word, low, bits = FIELDS[name]
    if bits == 128:
        return int(words[word]) << 64 | int(words[word + 1])
    return int(words[word]) >> low & ((1 << bits) - 1)


def put(words, name, value):
    """Set a field in a list of ints that stands for key words."""
    word, low, bits = FIELDS[name]
    if bits == 128:
        words[word], words[word + 1] = value >> 64, value & ((1 << 64) - 1)
        return
    ones = ((1 << bits) - 1) << low
    words[word] = int(words[word]) & ~ones | value << low


def fields(words):
    """The fields that have a bit set, with their values, in the order of the packet."""
    return {name: value for name in FIELDS if (value := get(words, name))}


def names_of_bits(words):
    """Each field of a mask with its bits: what a mask asks of a packet."""
    return fields(words)
