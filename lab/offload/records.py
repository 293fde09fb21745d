"""The records of the offload floor: what GSO is cutting, what GRO holds, tunnels, routes and neighbours.

Read and written by stages in both tempos; what people set in them (tunnels, routes) control writes. Nothing here decides.
"""

from lab.memory.record import Group, Layout

# --- where a packet's headers lie, as `layers.look` finds them ------------------------------------------------

sight_t = Layout(
    "sight",
    line=True,
    # the tunnel around the packet, if it has one: IP version (0 for none), where its IP and transport headers begin
    outer_v="i4",
    outer_ip="i4",
    outer_ip_len="i4",
    outer_proto="i4",
    outer_l4="i4",
    # the packet itself: IP version (0 when there is no IP), offsets from the frame's first byte, lengths
    l2_len="i4",  # all that lies before `ip`
    v="i4",
    ip="i4",
    ip_len="i4",  # with IPv4 options or IPv6 extension headers
    proto="i4",
    frag="i4",  # nw_frag of the key
    l4="i4",
    l4_len="i4",  # 0 when the transport header is not wholly there, or none that offloads know
    payload="i4",  # where the payload begins
    end="i4",  # where the packet ends, as IP says; what lies behind is padding
    need="i4",  # more than 0: so many bytes must lie together before one can say more
)

# --- GSO ------------------------------------------------------------------------------------------------------

CUTS = 64  # packets of a batch
cut_t = Layout(
    "cut",
    line=True,
    n="i4",
    first="i4",  # the packet that is being cut
    done="i8",  # bytes of its payload that have been given to segments
    seg="u4",  # mbuf where the next payload byte lies, and how far into it
    seg_off="u4",
    made="u4",  # segments made of it so far
    payload="i8",  # of the packet that is being cut: bytes in all, and what leaves in one
    step="i8",
    pkt=("u4", CUTS),
)

# --- GRO ------------------------------------------------------------------------------------------------------

BUCKETS, WAYS = 64, 8  # of each bucket the oldest goes first
ITEMS = BUCKETS * WAYS
READY = 256
INGRESS_SIDE, EGRESS_SIDE = 0, 1
item_t = Layout(
    "item",
    line=True,
    hash="u8",
    since="i8",  # lane clock, microseconds
    order="i8",  # counts up with every item that is begun: the lowest is the oldest
    first="u4",  # mbufs: the packet, and the last of its chain
    last="u4",
    next_seq="u4",
    ack="u4",
    first_len="u4",  # payload of the first segment
    total="u4",  # payload so far
    packets="u4",
    port="u2",  # whose arc it stands on
    side="u1",
    at="u1",  # stages of the arc that lie behind, `gro` with them
    kind="u1",  # which protocol and profile: gro/table.py
    id_rule="u1",  # 0 undecided, 1 fixed, 2 counting
    outer_id_rule="u1",
    why="u1",
    # the second line: what else must be equal, in the words of the profile
    w=("u8", 8),
)
GRO_OFF, GRO_LINUX, GRO_DPDK = range(3)  # `ports[n].gro`
# packets in order, in parts that go on from different places: `port` and `at` are those of the first part, see stages/gro.py
ready_t = Layout("ready", line=True, n="i4", port="u4", at="u4", pkt=("u4", READY))
gro_head_t = Layout(
    "gro_head",
    line=True,
    held="i8",  # items in use
    order="i8",
    packets="i8",  # packets that came
    merged="i8",  # of them those that went into others
    flushed="i8",  # large ones that left
    evicted="i8",
    used="u8",  # a bit for each bucket in which something may be held
)
gro_g = Group("gro", head=gro_head_t, items=item_t, ready=ready_t)  # ready[INGRESS_SIDE], ready[EGRESS_SIDE]

# --- tunnels --------------------------------------------------------------------------------------------------

(NO_TUNNEL, VXLAN, GENEVE, GRE, MPLSOUDP) = range(5)
TUNNEL_NAMES = ("", "vxlan", "geneve", "gre", "mplsoudp")
# what a packet's tunnel is: words of the flow key, from W_TUN_ID on, for the mbuf of the same number
tunnel_t = Layout("tunnel", line=True, w=("u8", 7), opt0="u8")  # opt0: Geneve options that the key knows, see tunnel/options.py
# settings of the tunnel port with the same number; kind 0 for ports that are none
TP_CSUM, TP_DF, TP_KEY_FLOW, TP_REMOTE_FLOW, TP_TOS_INHERIT, TP_TTL_INHERIT = 1, 2, 4, 8, 16, 32
TP_HAS_KEY, TP_V6, TP_PMTUD, TP_SEQ = 64, 128, 256, 512
tunnel_port_t = Layout(
    "tunnel_port",
    line=True,
    kind="u2",
    marks="u2",  # TP_*
    dst_port="u2",
    tos="u1",
    ttl="u1",
    key="u8",
    remote=("u8", 2),  # IPv6, or IPv4 in the low 32 bits of the second word
    local=("u8", 2),  # all zero: the address of the port that the route leads to
    n_options="u4",  # bytes of Geneve options that are always pushed
    sequence="u4",
    options=("u8", 8),
)
address_t = Layout("address", ip6=("u8", 2), ip="u4", spare="u4")  # the switch's own, of each port: tunnels end here
ROUTES, NEIGHBOURS = 64, 64
# the longest prefix wins; in the order of their length, so the first that matches does
ip_route_t = Layout("ip_route", line=True, prefix=("u8", 2), gateway=("u8", 2), v="u1", length="u1", has_gateway="u1", used="u1", port="u4")
neighbour_t = Layout("neighbour", line=True, ip=("u8", 2), mac="u8", used="i8", v="u1", fixed="u1", port="u2", state="u4")
STATIC, LEARNED, ASKED = 1, 2, 3  # `state`; 0 is an empty place
