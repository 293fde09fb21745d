"""A pair of switches with the same rules: what comes in is stepped through one and run through the other, and both must be left the same.

    pair.rules("ip,actions=dec_ttl,output:2")
    assert pair.send(IPV4) == {2: [aged(IPV4)]}

Frames are IPv4 and UDP unless they say otherwise; `made` lets scapy compute what changed, so expected bytes are not our own.
"""
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from walks import differences, memory

from lab import Switch

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
ETHER = bytes.fromhex("02000000000b" "02000000000a")
PAYLOAD = bytes(range(18))


def udp(*, tags=(), ttl=64, tos=0, src="10.0.0.1", dst="10.0.0.2", sport=1000, dport=53, dl_src=A, dl_dst=B, payload=PAYLOAD):
    """A UDP frame; `tags` are (VLAN, priority), the outermost first."""
    packet = Ether(src=dl_src, dst=dl_dst)
    for vlan, priority in tags:
        packet /= Dot1Q(vlan=vlan, prio=priority)
    return bytes(packet / IP(src=src, dst=dst, ttl=ttl, tos=tos, id=1) / UDP(sport=sport, dport=dport) / payload)


def udp6(*, ttl=64, src="2001:db8::1", dst="2001:db8::2", sport=1000, dport=53, label=0, tos=0):
    """A UDP frame over IPv6."""
    return bytes(Ether(src=A, dst=B) / IPv6(src=src, dst=dst, hlim=ttl, fl=label, tc=tos) / UDP(sport=sport, dport=dport) / PAYLOAD)


def tcp(*, sport=1000, dport=80, src="10.0.0.1", dst="10.0.0.2", flags="S"):
    """A TCP frame."""
    return bytes(Ether(src=A, dst=B) / IP(src=src, dst=dst, id=1) / TCP(sport=sport, dport=dport, flags=flags) / PAYLOAD)


def labelled(frame, *labels, kind=0x8847):
    """A frame with label stack entries in front of what its Ethernet type announced: (label, priority, TTL), the outermost first."""
    stack = b"".join((label << 12 | priority << 9 | (n == len(labels)) << 8 | ttl).to_bytes(4, "big")
                     for n, (label, priority, ttl) in enumerate(labels, 1))
    return frame[:12] + kind.to_bytes(2, "big") + stack + frame[14:]


class Pair:
    """Two switches with ports vm1 to vm4: one is stepped, the other runs."""

    def __init__(self, ports=4, **options):
        self.both = [Switch(fail_mode="secure", **options) for _ in range(2)]
        for sw in self.both:
            for n in range(1, ports + 1):
                sw.add_port(f"vm{n}", mtu=9000)

    def ofctl(self, line):
        """The same command for both; what it prints."""
        return [sw.ofctl(line) for sw in self.both].pop()

    def appctl(self, line):
        """The same command for both; what it prints."""
        return [sw.appctl(line) for sw in self.both].pop()

    def rules(self, *rules):
        """Have just these rules."""
        self.ofctl("del-flows")
        for rule in rules:
            self.ofctl(f"add-flow {rule}")

    def groups(self, *groups):
        """Have just these groups."""
        self.ofctl("del-groups")
        for group in groups:
            self.ofctl(f"add-group {group}")

    def begin(self):
        """Nothing is left of the test before."""
        for command in ("del-flows", "del-groups -O OpenFlow13", "del-meters -O OpenFlow13"):
            self.ofctl(command)
        self.appctl("fdb/flush")
        for sw in self.both:
            for port in sw.ports.values():
                port.up = True
                port.sent.clear()
            sw.controller.clear()

    def send(self, *frames, port=1):
        """Let frames in at a port; what left, {port: [bytes]}."""
        stepped, ran = self.both
        for sw in self.both:
            sw.ports[port].inject(list(frames))
        while stepped.step() is not None:
            pass
        ran.run()
        assert differences(memory(stepped), memory(ran)) == []
        left = [{p.ofport: [one.bytes() for one in p.sent] for p in sw.ports.values() if len(p.sent)} for sw in self.both]
        assert left[0] == left[1]
        for sw in self.both:
            for one in sw.ports.values():
                one.sent.clear()
        return left[1]

    def why(self, *frames, port=1):
        """Which reasons of drops were counted for some frames, which left nowhere."""
        before = dict(self.both[1].counters)
        assert self.send(*frames, port=port) == {}
        return {code: n - before.get(code, 0) for code, n in self.both[1].counters.items()
                if n != before.get(code, 0) and code.startswith("dropped")}

    def megaflow(self):
        """The one megaflow, as (match, actions)."""
        (flow,) = self.both[1].megaflows
        return flow.match, flow.actions

    def close(self):
        """Let both go."""
        for sw in self.both:
            sw.close()
