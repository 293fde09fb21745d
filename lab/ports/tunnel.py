"""Tunnel ports: what is sent to one gets headers of its kind and goes on through the port that `sw.routes` leads to.

Nothing is received here: packets that come in at other ports and are for a tunnel become its packets there (`pop`, on their
ingress arcs). Here stand the settings, with ovs-vsctl's names and defaults, checked and written to the port's record in
`tunnel_ports`; they may be changed while packets flow. One key serves both directions.
"""

import ipaddress
from dataclasses import dataclass, fields

from lab.offload.capabilities import NAMES
from lab.offload.records import (
    TP_CSUM,
    TP_DF,
    TP_HAS_KEY,
    TP_KEY_FLOW,
    TP_PMTUD,
    TP_REMOTE_FLOW,
    TP_SEQ,
    TP_TOS_INHERIT,
    TP_TTL_INHERIT,
    TP_V6,
    TUNNEL_NAMES,
)
from lab.offload.tunnel.form import TP_L3
from lab.ports.addresses import words_of
from lab.ports.port import Port
from lab.stages.regions import TUNNEL_KIND

UDP_PORTS = {"vxlan": 4789, "geneve": 6081, "mplsoudp": 6635}
KEY_BITS = {"vxlan": 24, "geneve": 24, "gre": 32, "mplsoudp": 20}
CARRIES = {"vxlan": ("legacy_l2",), "geneve": ("legacy_l2",), "gre": ("legacy_l2", "legacy_l3"), "mplsoudp": ("legacy_l3",)}
MOST_OPTIONS = 56  # bytes of Geneve options that a port may push always; the last word of the record is the map of tun_metadata0
MTU = 65000  # as in OVS: so much that the path decides


@dataclass(frozen=True)
class Settings:
    """What a tunnel port was told, as it is used: None for a key or an address that there is not."""

    remote_ip: str
    local_ip: str | None = None
    key: int | str | None = None
    dst_port: int | None = None
    csum: bool = False
    tos: int | str = 0
    ttl: int | str = 64
    df: bool = True
    pmtud: bool = False
    seq: bool = False
    packet_type: str = "legacy_l2"
    options: tuple = ()

    @property
    def place(self):
        """What tells packets of one tunnel port from those of another."""
        return self.remote_ip, self.local_ip, self.key, self.dst_port

    @property
    def marks(self):
        """The settings that are yes or no, as the record has them."""
        v6 = ":" in self.remote_ip or ":" in (self.local_ip or "")
        told = {
            TP_CSUM: self.csum, TP_DF: self.df, TP_KEY_FLOW: self.key == "flow", TP_REMOTE_FLOW: self.remote_ip == "flow",
            TP_TOS_INHERIT: self.tos == "inherit", TP_TTL_INHERIT: self.ttl == "inherit", TP_HAS_KEY: self.key is not None,
            TP_V6: v6, TP_PMTUD: self.pmtud, TP_SEQ: self.seq, TP_L3: self.packet_type == "legacy_l3",
        }  # fmt: skip
        return sum(mark for mark, set_ in told.items() if set_)

    def said(self, kind):
        """What differs from the defaults, in ovs-vsctl's words: {"key": "100", "remote_ip": "10.0.0.2"}."""
        plain = Settings(self.remote_ip, dst_port=UDP_PORTS.get(kind), packet_type=CARRIES[kind][0])
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)}
        words = {"remote_ip": self.remote_ip, **changed}
        words.pop("options", None)
        if "df" in words:
            words["df_default"] = words.pop("df")
        return {name: str(value).lower() for name, value in sorted(words.items())}


class Reader:
    """Reads what people give for the settings of one port; every mistake names the port, the setting and what would do."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind

    def wrong(self, setting, value, need):
        """The error of a setting."""
        return ValueError(f"port {self.name}: {setting}={value!r} is {need}")

    def settings(self, *, remote_ip, local_ip, key, dst_port, options, **others):
        """All settings, checked."""
        if remote_ip is None:
            raise ValueError(f"port {self.name}: a {self.kind} port needs remote_ip, such as remote_ip='10.0.0.2', or 'flow'")
        remote, local = remote_ip, None
        if remote_ip != "flow":
            remote = self.address("remote_ip", remote_ip, " or 'flow'")
        if local_ip is not None:
            local = self.address("local_ip", local_ip)
        if local is not None and remote != "flow" and (":" in local) != (":" in remote):
            raise ValueError(f"port {self.name}: remote_ip {remote} and local_ip {local} are of different versions of IP")
        read = {"tos": self.number("tos", others["tos"], 0, 255, "inherit"), "ttl": self.number("ttl", others["ttl"], 1, 255, "inherit")}
        read |= {word: self.truth(word, others[word]) for word in ("csum", "df", "pmtud", "seq")}
        if read["seq"] and self.kind != "gre":
            raise self.wrong("seq", True, "for gre ports: no other kind has sequence numbers")
        read["packet_type"] = self.carried(others["packet_type"])
        key = None if key is None else self.number("key", key, 0, (1 << KEY_BITS[self.kind]) - 1, "flow")
        return Settings(remote, local, key, self.port(dst_port), options=self.options(options), **read)

    def address(self, setting, value, also=""):
        """An IP address as the system writes it."""
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            raise self.wrong(setting, value, f"no IP address{also}") from None
        if found.is_multicast or found.is_unspecified or found == ipaddress.IPv4Address("255.255.255.255"):
            raise self.wrong(setting, value, "no address that one host has")
        return str(found)

    def number(self, setting, value, low, high, word=None):
        """A number (or its digits), or the one word that may stand instead."""
        if word is not None and value == word:
            return word
        try:
            number = int(value, 0) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            ok = f"a number from {low} to {high}"
            raise self.wrong(setting, value, f"neither {ok} nor {word!r}" if word else f"not {ok}")
        return number

    def truth(self, setting, value):
        """True or False, or ovs-vsctl's words for them."""
        if value in (True, False):
            return bool(value)
        if value not in ("true", "false"):
            raise self.wrong(setting, value, "neither true nor false")
        return value == "true"

    def carried(self, value):
        """What travels in the tunnel: Ethernet frames (legacy_l2) or IP packets (legacy_l3); None is what the kind begins with."""
        known = CARRIES[self.kind]
        if value is not None and value not in known:
            raise self.wrong("packet_type", value, f"no type that a {self.kind} tunnel carries: {' or '.join(map(repr, known))}")
        return value or known[0]

    def port(self, value):
        """The UDP port of the far side; None for GRE."""
        if self.kind not in UDP_PORTS:
            if value is not None:
                raise self.wrong("dst_port", value, f"for tunnels over UDP: {self.kind} has no ports")
            return None
        return UDP_PORTS[self.kind] if value is None else self.number("dst_port", value, 1, 65535)

    def options(self, given):
        """Geneve options (class, type, bytes) that are pushed always, as a tuple."""
        if given and self.kind != "geneve":
            raise self.wrong("options", given, f"for geneve ports: {self.kind} has no options")
        found = []
        for one in given:
            try:
                kind, number, data = one
                data = bytes(data)
            except (TypeError, ValueError):
                raise self.wrong("options", one, "no (class, type, bytes), such as (0x102, 0x80, bytes(4))") from None
            for value, most, what in ((kind, 0xFFFF, "class"), (number, 0xFF, "type")):
                if not isinstance(value, int) or not 0 <= value <= most:
                    raise self.wrong("options", one, f"wrong: its {what} is no number from 0 to {most}")
            if len(data) % 4:
                raise self.wrong("options", one, f"wrong: {len(data)} bytes are no multiple of 4")
            found.append((kind, number, data))
        if (total := len(wire_of(found))) > MOST_OPTIONS:
            raise self.wrong("options", given, f"too long: {total} bytes with their headers, and {MOST_OPTIONS} is all there is room for")
        return tuple(found)


def wire_of(options):
    """Geneve options as they are sent."""
    return b"".join(kind.to_bytes(2, "big") + bytes((number, len(data) // 4)) + data for kind, number, data in options)


def _setting(name, doc):
    return property(lambda self: getattr(self.settings, name), lambda self, value: self.configure(**{name: value}), doc=doc)


class TunnelPort(Port):
    """A port whose packets travel in others.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> eth0 = sw.add_port("eth0")
    >>> sw.routes.add("10.0.0.0/24", "eth0")
    >>> vx0 = sw.add_port("vx0", type="vxlan", remote_ip="10.0.0.9", key=100)
    >>> vx0
    <port vx0: vxlan to 10.0.0.9, key 100, ofport 2, rx 0, tx 0>
    >>> vx0.key = "flow"
    >>> eth0.ingress
    <ingress arc of eth0: pop>
    """

    code = TUNNEL_KIND
    transmit_stage = "push"

    def __init__(
        self, switch, name, number, *, mtu=MTU, remote_ip=None, local_ip=None, key=None, in_key=None, out_key=None, dst_port=None,
        csum=False, tos=0, ttl=64, df=True, df_default=None, pmtud=False, seq=False, packet_type=None, options=(),
        **as_any_port,
    ):  # fmt: skip
        keys = {str(one): one for one in (key, in_key, out_key) if one is not None}
        if len(keys) > 1:
            raise ValueError(f"port {name}: one key serves both directions, not {' and '.join(keys)}: give key alone")
        settings = Reader(name, self.kind).settings(
            remote_ip=remote_ip, local_ip=local_ip, key=next(iter(keys.values()), None), dst_port=dst_port, csum=csum, tos=tos, ttl=ttl,
            df=df if df_default is None else df_default, pmtud=pmtud, seq=seq, packet_type=packet_type, options=options,
        )  # fmt: skip
        self.settings = self.alone(switch, name, settings)
        super().__init__(switch, name, number, mtu=int(mtu) if isinstance(mtu, str) and mtu.isdigit() else mtu, **as_any_port)
        self.write_addresses(0, 0)  # tunnels end at the ports that frames come in by
        self.engine.pipeline.ask("push", "pop")
        self._write()

    def settle_arcs(self):
        """A tunnel has no offload stages of its own: the port that its route leads to cuts, sums and merges what is inside too."""
        if self.gro_arc == "egress":
            self._arc_of_gro = "ingress"
            raise ValueError(f"port {self.name}: gro_arc='egress' is for the port that the tunnel's route leads to: set it there")
        if set(self.offloads) != self.can:
            self.row["offloads"] = sum(1 << at for at in range(len(NAMES)))
            raise ValueError(f"port {self.name}: a tunnel takes all; the port that its route leads to decides: change that one's offloads")
        super().settle_arcs()

    remote_ip = _setting("remote_ip", "The far end's address, or 'flow': the packet's tun_dst says it.")
    local_ip = _setting("local_ip", "The near end's address, or None: that of the port which the route leads to.")
    key = _setting("key", "The VNI, GRE key or label of both directions; 'flow': tun_id says it; None: there is none.")
    dst_port = _setting("dst_port", "The UDP port that packets are sent to and taken from; None for GRE.")
    csum = _setting("csum", "Whether the outer UDP or GRE header has a checksum.")
    tos = _setting("tos", "The outer TOS, or 'inherit': the inner one's. ECN is the inner one's always.")
    ttl = _setting("ttl", "The outer TTL, or 'inherit': the inner one's.")
    df = _setting("df", "Whether the outer IPv4 header forbids fragments.")
    pmtud = _setting("pmtud", "Whether senders are told when their packets are too large for the path.")
    seq = _setting("seq", "Whether GRE headers are numbered.")
    packet_type = _setting("packet_type", "What travels in it: 'legacy_l2', Ethernet frames, or 'legacy_l3', IP packets.")
    geneve_options = _setting("options", "Geneve options that are pushed always, as (class, type, bytes).")

    def alone(self, switch, name, settings):
        """The settings, unless packets of another tunnel port could not be told from those of this one."""
        for other in switch.ports.tunnels():
            if other.name != name and other.kind == self.kind and other.settings.place == settings.place:
                raise ValueError(f"port {name}: {other.name} has the same remote_ip, local_ip, key and dst_port: choose another key")
        return settings

    def configure(self, **changes):
        """Change settings, all at once or, when one is wrong, none."""
        with self.switch.lock:
            kept = {f.name: getattr(self.settings, f.name) for f in fields(Settings)}
            for name in changes:
                if name not in kept:
                    raise ValueError(f"port {self.name}: a {self.kind} port has no setting {name!r}; it has {', '.join(kept)}")
            settings = Reader(self.name, self.kind).settings(**{**kept, **changes})
            self.settings = self.alone(self.switch, self.name, settings)
            if self.switch.cores.running:
                self._write()
            else:
                self.switch.walk.act(f"set port {self.name}", ("tunnel_ports",), self._write, self._write)

    def _write(self):
        """Write the record while cores may read it: it is no tunnel's until it is whole."""
        row, settings = self.engine.array("tunnel_ports")[self.number], self.settings
        row["kind"] = 0
        row["marks"], row["dst_port"] = settings.marks, settings.dst_port or 0
        row["tos"] = 0 if settings.tos == "inherit" else settings.tos
        row["ttl"] = 64 if settings.ttl == "inherit" else settings.ttl
        row["key"] = settings.key if isinstance(settings.key, int) else 0
        row["remote"] = (0, 0) if settings.remote_ip == "flow" else words_of(settings.remote_ip)[1:]
        row["local"] = words_of(settings.local_ip)[1:] if settings.local_ip else (0, 0)
        wire = wire_of(settings.options)
        row["n_options"] = len(wire)
        wire = wire.ljust(MOST_OPTIONS, b"\0")
        row["options"][: MOST_OPTIONS // 8] = [int.from_bytes(wire[at : at + 8], "big") for at in range(0, MOST_OPTIONS, 8)]
        row["kind"] = TUNNEL_NAMES.index(self.kind)

    def leave(self):
        """The port goes, and no packet is its own any more."""
        row = self.engine.array("tunnel_ports")[self.number]
        row["kind"] = row["sequence"] = 0
        return super().leave()

    def inject(self, frame, **details):
        """Refused: what a tunnel brings comes in at another port, in its headers."""
        raise ValueError(f"port {self.name} is a tunnel, where nothing comes in by itself: inject what is in the tunnel at another port")

    def __repr__(self):
        settings = self.settings
        said = [f"{self.kind} to {settings.remote_ip}", *([] if settings.key is None else [f"key {settings.key}"]), f"ofport {self.number}"]
        said += [*self.said(), f"rx {self.rx_packets}", f"tx {self.tx_packets}"]
        dropped = self.rx_drops + self.tx_drops
        return f"<port {self.name}: {', '.join([*said, *([f'{dropped} dropped'] if dropped else [])])}>"

    def facts(self):
        """What the interface draws."""
        found = super().facts()
        found["rows"][1:1] = [[name, value] for name, value in self.settings.said(self.kind).items()]
        return found


class VxlanPort(TunnelPort):
    """A VXLAN tunnel (RFC 7348)."""

    kind = "vxlan"


class GenevePort(TunnelPort):
    """A Geneve tunnel (RFC 8926)."""

    kind = "geneve"


class GrePort(TunnelPort):
    """A GRE tunnel that carries Ethernet (RFC 2784, RFC 2890)."""

    kind = "gre"


class MplsUdpPort(TunnelPort):
    """An MPLS-over-UDP tunnel (RFC 7510): one label, which is its key."""

    kind = "mplsoudp"


TUNNELS = (VxlanPort, GenevePort, GrePort, MplsUdpPort)
