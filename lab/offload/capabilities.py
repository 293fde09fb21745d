"""What a port accepts, as bits of `ports[n].offloads`, in the order of OFFLOADS in `lab/ports/port.py`."""

import numpy as np

CSUM, TSO4, TSO6, ECN, USO, SCTP_CSUM, TUNNEL_GSO, TUNNEL_CSUM, CHAINS = (np.uint64(1 << n) for n in range(9))
NAMES = ("csum", "tso4", "tso6", "ecn", "uso", "sctp", "tunnel", "tunnel-csum", "chains")
# gso_type, as virtio has it
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 3, 4, 5
GSO_ECN, GSO_KIND = 0x80, 0x07
MOST_UDP, MOST_TCP = 128, 1024  # segments that one packet may be cut into
