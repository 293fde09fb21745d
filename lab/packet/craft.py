"""Craft: what a person injects becomes bytes, here, before the packet's way begins.

Scapy, when it builds a packet, asks the host for what the author left open: a route, an address of ours, a MAC by
ARP. A switch in a notebook must do no such thing, so what is open is filled from the port first. Scapy is never
imported here: who hands over a scapy packet has it already.
"""
import ipaddress
import sys

from lab.packet.packet import Packet

BROADCAST = "ff:ff:ff:ff:ff:ff"


def craft(frame, *, mac, ip, mac_of):
    """The bytes of a frame: bytes, a Packet or a scapy packet, whose open fields become the sender's `mac` and `ip`.

    `mac_of(address)` gives the MAC of an IP address, or None: then the frame goes to everybody.

    >>> craft(b"abc", mac="02:00:00:00:00:01", ip="10.0.0.1", mac_of=lambda ip: None)
    b'abc'
    """
    if isinstance(frame, bytes | bytearray | memoryview):
        return bytes(frame)
    if isinstance(frame, Packet):
        return frame.bytes()
    scapy = sys.modules.get("scapy.packet")
    if scapy is not None and isinstance(frame, scapy.Packet):
        return bytes(_filled(frame.copy(), mac, ip, mac_of))
    raise TypeError(f"a frame is bytes, a Packet or a scapy packet, not {type(frame).__name__}: try bytes.fromhex(...) or Ether()/IP()")


def _filled(frame, mac, ip, mac_of):
    """The scapy packet with nothing left to ask for."""
    if _is(frame, "IP", "IPv6", "ARP"):
        frame = sys.modules["scapy.layers.l2"].Ether() / frame
    layers = list(_layers(frame))
    for k, layer in enumerate(layers):
        if _is(layer, "Ether", "Dot3"):
            _fill(layer, "src", mac)
            _fill(layer, "dst", lambda behind=layers[k + 1:]: _destination(behind, mac_of))
        elif _is(layer, "IP"):
            _fill(layer, "src", ip)
        elif _is(layer, "IPv6"):
            _fill(layer, "src", lambda: link_local(mac))
        elif _is(layer, "ARP"):
            _fill(layer, "hwsrc", mac)
            _fill(layer, "psrc", ip)
    return frame


def _is(layer, *names):
    """Whether a layer is one of scapy's classes or made from it, as the copy of a header in an ICMP error is."""
    return any(kind.__name__ in names for kind in type(layer).__mro__)


def _layers(frame):
    while frame.name != "NoPayload":
        yield frame
        frame = frame.payload


def _is_open(layer, field):
    return layer.fields.get(field, layer.overloaded_fields.get(field)) is None


def _fill(layer, field, value):
    if _is_open(layer, field):
        layer.setfieldval(field, value() if callable(value) else value)


def _destination(behind, mac_of):
    """Where a frame goes, told by the first layer that has an address; an ARP request goes to everybody."""
    for layer in behind:
        if _is(layer, "ARP"):
            if layer.op == 1:
                return BROADCAST
            return layer.fields.get("hwdst") or _known(mac_of, layer.fields.get("pdst"))
        if _is(layer, "IP", "IPv6"):
            return _known(mac_of, layer.getfieldval("dst"))
        if _is(layer, "Ether"):
            break
    return BROADCAST


def _known(mac_of, address):
    return (mac_of(str(address)) if address is not None else None) or BROADCAST


def link_local(mac):
    """The IPv6 address that a MAC implies (RFC 4291).

    >>> link_local("02:00:00:00:00:01")
    'fe80::ff:fe00:1'
    """
    octets = bytes.fromhex(mac.replace(":", ""))
    octets = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + octets))
