"""A scene for tunnels: lane 1 of an arena with port 2 towards the far end, port 3 for guests and tunnel port 9.

`Scene(kind, ...)` sets tunnel port 9 up; `push` puts frames into its batch and gives back what then waits at the other ports,
as bytes; `pop` brings frames in at port 2. All in both tempos, and every mbuf must be accounted for.
"""
import ipaddress

from tempo import LANE_OF_TESTS, Tempo

from lab.memory.record import NULL
from lab.offload.records import NEIGHBOURS, STATIC, TP_V6
from lab.stages.pop import pop
from lab.stages.push import push
from lab.stages.regions import PORTS, TUNNEL_KIND

UNDERLAY, GUEST, TUNNEL_PORT = 2, 3, 9
OWN_MAC, FAR_MAC, GUEST_MAC, PORT_MAC = 0x02AA00000002, 0x02BB00000001, 0x02CC00000003, 0x02DD00000009
OWN4, FAR4, OWN6, FAR6 = "10.0.0.1", "10.0.0.9", "fd00::1", "fd00::9"


def words(address):
    """An address as records hold it."""
    number = int(ipaddress.ip_address(address))
    return (number >> 64, number & (1 << 64) - 1)


class Scene(Tempo):
    """One tunnel port and its way."""

    def __init__(self, kind, *, v=4, marks=0, key=0, **settings):
        super().__init__()
        self.v = v
        for port, mac in ((UNDERLAY, OWN_MAC), (GUEST, GUEST_MAC), (TUNNEL_PORT, PORT_MAC)):
            row = self.table("ports")[port]
            row.kind, row.up, row.mtu, row.mac = (TUNNEL_KIND if port == TUNNEL_PORT else 1), 1, 1500, mac
        t = self.array("tunnel_ports")[TUNNEL_PORT]
        t["kind"], t["marks"], t["key"], t["ttl"] = kind, marks | (TP_V6 if v == 6 else 0), key, 64
        t["dst_port"] = (0, 4789, 6081, 0, 6635)[kind]
        t["remote"] = words(FAR4 if v == 4 else FAR6)
        for name, value in settings.items():
            t[name] = value
        self.settings = t
        own = self.array("addresses")[UNDERLAY]
        own["ip"], own["ip6"] = words(OWN4)[1], words(OWN6)
        self.route(0, "10.0.0.0/24")
        self.route(1, "fd00::/64")
        self.neighbour(0, FAR4, FAR_MAC)
        self.neighbour(1, FAR6, FAR_MAC)
        self.table("lane")[0].out = TUNNEL_PORT

    def route(self, place, prefix, port=UNDERLAY, gateway=None):
        """Write a route."""
        net = ipaddress.ip_network(prefix)
        row = self.array("routes")[place]
        row["prefix"], row["v"], row["length"], row["used"], row["port"] = words(net[0]), net.version, net.prefixlen, 1, port
        row["has_gateway"], row["gateway"] = gateway is not None, words(gateway or "::")

    def neighbour(self, place, address, mac, *, state=STATIC, port=UNDERLAY, used=0):
        """Write a neighbour."""
        row = self.array("neighbours")[place]
        row["ip"], row["mac"], row["v"], row["port"] = words(address), mac, ipaddress.ip_address(address).version, port
        row["state"], row["used"] = state, used

    def asked(self):
        """The rows that the lane has written: [(address, mac, state)]."""
        rows = self.array("neighbours")[LANE_OF_TESTS * NEIGHBOURS:(LANE_OF_TESTS + 1) * NEIGHBOURS]
        found = [row for row in rows if row["v"]]
        kinds = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
        return [(str(kinds[int(r["v"])](int(r["ip"][0]) << 64 | int(r["ip"][1]))), int(r["mac"]), int(r["state"])) for r in found]

    def bytes_of(self, i):
        """The bytes of a packet."""
        found, mbufs = b"", self.table("mbufs")
        assert mbufs[i].nb_segs == len(list(self.segments(i)))
        for j in self.segments(i):
            at = mbufs[j].buf + mbufs[j].data_off
            found += bytes(self.arena.bytes[at:at + mbufs[j].data_len])
        assert len(found) == mbufs[i].pkt_len
        return found

    def segments(self, i):
        """The mbufs of a chain."""
        while i != NULL:
            yield i
            i = self.table("mbufs")[i].next

    def waiting(self, port):
        """The packets in the batch of a port."""
        batch = self.table("outs")[port]
        return [batch.pkt[k] for k in range(batch.n)]

    def reasons(self):
        """The drops of the burst in hand: {place: reason}."""
        burst = self.table("bursts")[0]
        mbufs = self.table("mbufs")
        return {k: mbufs[burst.pkt[k]].reason for k in range(burst.n) if int(burst.dropped) >> k & 1}

    def counted(self, reason):
        """How often a reason was counted."""
        return self.table("reasons")[reason].count

    def set_up(self, frames, port, cuts, change):
        """Put frames into the burst in hand."""
        self.load(frames, port=port, cuts=cuts)
        self.table("bursts")[0].port = port
        if change:
            for i in self.packets:
                change(self.table("mbufs")[i], self.table("tunnels")[i])

    def push(self, frames, *, cuts=(), change=None, tempo="both"):
        """Send frames to the tunnel port; what waits at the port of the route, as bytes."""
        self.set_up(frames, GUEST, cuts, change)
        getattr(self, tempo)(push)
        self.account()
        return [self.bytes_of(i) for i in self.waiting(UNDERLAY)]

    def pop(self, frames, *, cuts=(), change=None, tempo="both"):
        """Let frames come in; what the burst holds then, as bytes."""
        self.set_up(frames, UNDERLAY, cuts, change)
        getattr(self, tempo)(pop)
        self.account()
        burst = self.table("bursts")[0]
        return [self.bytes_of(burst.pkt[k]) for k in range(burst.n) if not int(burst.dropped) >> k & 1]

    def account(self):
        """Every mbuf is free or in a packet that a batch or the burst holds, once."""
        head, burst = self.table("pool").head[0], self.table("bursts")[0]
        free = {self.table("pool").free[k].index for k in range(head.n)}
        held = [burst.pkt[k] for k in range(burst.n) if int(burst.dropped) >> k & 1 or burst.first == 0 or k >= burst.first]
        for port in range(PORTS):
            held += self.waiting(port)
        mbufs = [j for i in held for j in self.segments(i)]
        assert len(mbufs) == len(set(mbufs)) and not free & set(mbufs)
        assert len(free) + len(mbufs) == len(self.array("mbufs"))

    def clear(self):
        """Take all packets back."""
        self.unload()
        self.array("outs")["n"] = 0
        self.array("outs")["wants"] = 0
        self.table("lane")[0].pending = 0
