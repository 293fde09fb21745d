"""Parse: the first look at a packet. Its headers become a flow key, header lengths and a hash.

The key is the one OVS's miniflow_extract would give, quirks included: a field that is not wholly there is
not there, a length that lies leaves dl_type alone, padding is never payload. Only the first segment is read;
a header that its end cuts counts as truncated. Nothing is judged or dropped here, and no checksum is looked at.
"""
import numpy as np

from lab.flow.key import (
    FRAG_ANY, FRAG_LATER, NO_TYPE, VLAN_PRESENT, W_ARP_SHA, W_ARP_THA, W_DST, W_IP, W_IPV4, W_IPV6_DST, W_IPV6_SRC, W_L4, W_LABEL, W_MARK,
    W_MPLS, W_ND_TARGET, W_PORT, W_SRC, W_VLAN, WORDS)
from lab.memory.raw import add, clear, i64, load8, load16, load32, load64, mul, u64
from lab.memory.reasons import PARSED
from lab.packet import ethernet as eth
from lab.packet import icmpv6 as nd
from lab.packet import ipv4 as ip
from lab.packet import ipv6 as ip6
from lab.packet import mpls, sctp, tcp, udp
from lab.packet.arp import LENGTH as ARP_LENGTH
