"""Capture files: frames out of a pcap or pcapng file, and into one, one at a time.

The pcap port, the taps on a stage and `inject("file.pcap")` read and write through this file. It knows pcap with
microseconds and nanoseconds and pcapng with its sections, interfaces and comments, each in both byte orders; time is
always nanoseconds since 1970, as an int. It knows nothing of mbufs, ports or pacing, and takes Ethernet only.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""
import os
import struct
from dataclasses import dataclass

MAX_FRAME = 262_144      # as libpcap and Wireshark: nothing longer is a frame
MAX_BLOCK = 1 << 24      # other pcapng blocks (names, statistics, keys) are read whole and passed over
ETHERNET = 1
SECOND = 10**9
_MICRO, _NANO = 0xA1B2C3D4, 0xA1B23C4D
_PCAP = {struct.pack(order + "I", magic): (order, SECOND // ticks)
         for order in "<>" for magic, ticks in ((_MICRO, 10**6), (_NANO, SECOND))}
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_COMMENT, _IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 1, 2, 9, 14
_LOOKS_LIKE = (
    (b"\x1f\x8b", "gzip: unpack it first"), (b"\x28\xb5\x2f\xfd", "zstd: unpack it first"), (b"PK", "a zip archive: unpack it first"),
    (b"\x34\xcd\xb2\xa1", "a pcap of Kuznetzov's variant: convert it with editcap"), (b"snoop", "a snoop file: convert it with editcap"),
    (b"\x7fELF", "a program"), (b"<", "a page of HTML or XML"))


class CaptureError(ValueError):
    """What is wrong with a capture file, at which byte, and how many frames were whole before it."""

    def __init__(self, path, offset, frames, what):
        self.path, self.offset, self.frames = os.fspath(path), offset, frames
        super().__init__(f"{self.path}: {what} (at byte {offset}, after {frames} whole frame{'s' * (frames != 1)})")


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: its bytes, when, its length on the wire, and where it was seen.

    >>> Frame(b"abc", 1_000_000_000, 60, "vm1")
    <Frame 3 of 60 B at 1.000000000 on vm1>
    """

    data: bytes
    ns: int
    length: int
    interface: str = ""
    comment: str = ""

    def __repr__(self):
        whole = f"{self.length} B" if self.length == len(self.data) else f"{len(self.data)} of {self.length} B"
        where = f" on {self.interface}" if self.interface else ""
        note = f": {self.comment}" if self.comment else ""
        return f"<Frame {whole} at {self.ns // SECOND}.{self.ns % SECOND:09d}{where}{note}>"


def read(path):
    """The frames of a capture file, in its order. A file cut in the middle gives its whole frames, then CaptureError."""
    with open(path, "rb") as file:
        source = _Source(file, path)
        magic = file.read(4)
        if magic in _PCAP:
            yield from _frames_of_pcap(source, *_PCAP[magic])
        elif magic == _SECTION.to_bytes(4, "big"):
            yield from _frames_of_pcapng(source)
        else:
            raise source.wrong(_what_it_is(magic + file.read(28)))


def _what_it_is(start):
    """Why these first bytes begin no capture."""
    if not start:
        return "not a capture: the file is empty"
    for prefix, name in _LOOKS_LIKE:
        if start.startswith(prefix):
            return f"not a capture: it looks like {name}"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"not a capture: it looks like text, {start.decode()[:24]!r}"
    return f"not a capture: it begins with {start[:8].hex(' ')}, neither pcap (a1 b2 c3 d4) nor pcapng (0a 0d 0d 0a)"


class _Source:
    """An open file with what an error must say: where the record in hand began, how many frames were whole."""

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.offset = self.frames = 0

    def begin(self, n):
        """The first bytes of the next record, or None at the end of the file."""
        self.offset = self.file.tell()
        head = self.file.read(n)
        if not head:
            return None
        return head if len(head) == n else self._cut(len(head), n)

    def take(self, n):
        """The next `n` bytes of the record in hand."""
        data = self.file.read(n)
        return data if len(data) == n else self._cut(len(data), n)

    def _cut(self, there, wanted):
        raise self.wrong(f"cut in the middle: {there} of {wanted} bytes are there; the frames before it are good")

    def wrong(self, what):
        """The error to raise."""
        return CaptureError(self.path, self.offset, self.frames, what)

    def frame(self, *fields):
        """A frame that is whole, counted."""
        self.frames += 1
        return Frame(*fields)


def _frames_of_pcap(source, order, tick):
    header = struct.Struct(order + "IIII")
    *_, link = struct.unpack(order + "HHiIII", source.take(20))
    _must_be_ethernet(source, link & 0xFFFF)
    while head := source.begin(16):
        seconds, fraction, captured, length = header.unpack(head)
        if captured > MAX_FRAME:
            raise source.wrong(f"a frame of {captured} bytes: more than {MAX_FRAME} is no frame, so the file is damaged here")
        data = source.take(captured)
        yield source.frame(data, seconds * SECOND + fraction * tick, length)


def _must_be_ethernet(source, link):
    if link != ETHERNET:
        raise source.wrong(f"link type {link}: frames must be Ethernet, link type {ETHERNET}")


def _frames_of_pcapng(source):
    source.file.seek(0)
    order, interfaces = "<", []
    while head := source.begin(8):
        if head.startswith(b"\x0a\x0d\x0d\x0a"):
            order, interfaces = _begin_section(source, head), []
            continue
        kind, size = struct.unpack(order + "II", head)
        body = _rest_of_block(source, order, size, 8)
        try:
            if kind == _INTERFACE:
                interfaces.append(_Interface(body, order))
            elif kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
                yield _packet(source, interfaces, kind, (order, body))
        except struct.error:
            raise source.wrong(f"a block of type {kind} is too short for what it says") from None


def _begin_section(source, head):
    """Read a section header block; its byte order."""
    mark = source.take(4)
    order = {struct.pack(o + "I", _BYTE_ORDER): o for o in "<>"}.get(mark)
    if order is None:
        raise source.wrong(f"a section without a byte order: {mark.hex(' ')} where 1a 2b 3c 4d is due")
    size = struct.unpack(order + "I", head[4:])[0]
    body = _rest_of_block(source, order, size, 12)
    major = struct.unpack_from(order + "H", body.ljust(2, b"\0"))[0]
    if major != 1:
        raise source.wrong(f"pcapng of version {major}: only version 1 is known")
    return order


def _rest_of_block(source, order, size, had):
    """The body of a block whose first `had` bytes are read, without the length that closes it."""
    if not had + 4 <= size <= MAX_BLOCK or size % 4:
        raise source.wrong(f"a block of {size} bytes: no block has that length, so the file is damaged here")
    rest = source.take(size - had)
    if rest[-4:] != struct.pack(order + "I", size):
        raise source.wrong(f"a block begins with length {size} and ends with {struct.unpack(order + 'I', rest[-4:])[0]}")
    return rest[:-4]


def _options(body, at, order):
    """(code, value) of each option of a block."""
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            return
        if at + 4 + size > len(body):
            raise struct.error
        yield code, body[at + 4:at + 4 + size]
        at += 4 + size + -size % 4


class _Interface:
    """One interface of a section: its name, how it counts time, how much of a frame it keeps."""

    def __init__(self, body, order):
        self.link, self.snaplen = struct.unpack_from(order + "HxxI", body)
        self.name, self.ticks, self.offset = "", 10**6, 0
        for code, value in _options(body, 8, order):
            if code == _IF_NAME:
                self.name = _text(value)
            elif code == _IF_TSRESOL and value:
                self.ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == _IF_TSOFFSET:
                self.offset = struct.unpack(order + "q", value)[0]

    def ns(self, high, low):
        """Nanoseconds since 1970 of a timestamp in this interface's ticks."""
        return (high << 32 | low) * SECOND // self.ticks + self.offset * SECOND


def _text(value):
    return value.decode("utf-8", "replace").rstrip("\0")


def _packet(source, interfaces, kind, block):
    """The frame of a packet block, enhanced, simple or obsolete."""
    order, body = block
    if kind == _SIMPLE_PACKET:
        number, high, low, start = 0, 0, 0, 4
        length = struct.unpack_from(order + "I", body)[0]
        captured = min(length, (interfaces[0].snaplen if interfaces else 0) or length)
    else:
        number, high, low, captured, length = struct.unpack_from(order + ("IIIII" if kind == _PACKET else "HxxIIII"), body)
        start = 20
    if number >= len(interfaces):
        raise source.wrong(f"a frame on interface {number}, and {len(interfaces)} are declared")
    if captured > MAX_FRAME or start + captured > len(body):
        raise source.wrong(f"a frame of {captured} bytes in a block with room for {len(body) - start}")
    interface = interfaces[number]
    _must_be_ethernet(source, interface.link)
    ns = interface.ns(high, low) if kind != _SIMPLE_PACKET else 0  # a simple packet has no time
    after = start + captured + -captured % 4
    notes = [_text(value) for code, value in _options(body, after, order) if code == _COMMENT] if kind != _SIMPLE_PACKET else []
    return source.frame(body[start:start + captured], ns, length, interface.name, "\n".join(notes))


class Writer:
    """A capture file being written; a context manager.

    `kind` is "pcap" (nanoseconds), "pcap-us" (microseconds, for old readers) or "pcapng", which alone keeps interfaces
    and comments. A frame longer than `snaplen` is cut to it, and its length on the wire stays.

    >>> with Writer(os.devnull, "pcapng") as out:
    ...     out.write(bytes(60), 1_000, interface="vm1", comment="after parse")
    """

    KINDS = ("pcap", "pcap-us", "pcapng")

    def __init__(self, path, kind="pcap", snaplen=MAX_FRAME, order="<"):
        if kind not in self.KINDS:
            raise ValueError(f"{kind!r} is no kind of capture file; there are {', '.join(self.KINDS)}")
        if not 1 <= snaplen <= MAX_FRAME:
            raise ValueError(f"snaplen {snaplen}: 1 to {MAX_FRAME} bytes of a frame can be kept")
        self.path, self.kind, self.snaplen, self.frames = path, kind, snaplen, 0
        self._order, self._numbers = order, {}
        self._file = open(path, "wb")
        if kind == "pcapng":
            self._block(_SECTION, struct.pack(order + "IHHq", _BYTE_ORDER, 1, 0, -1))
        else:
            magic = _MICRO if kind == "pcap-us" else _NANO
            self._file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, ETHERNET))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return f"<Writer of {self.kind} {os.fspath(self.path)}: {self.frames} frames{', closed' if self._file.closed else ''}>"

    def close(self):
        """Finish the file; again does nothing."""
        self._file.close()

    def write(self, data, ns=0, interface="", comment="", length=None):
        """Append a frame. `length` is the one it had on the wire, where `data` is only its beginning."""
        length = max(len(data), length or 0)
        kept = bytes(data[:self.snaplen])
        seconds, fraction = divmod(ns, SECOND)
        if not 0 <= seconds < 1 << 32 or length >= 1 << 32:
            raise self._wrong(f"time {ns} ns or length {length} does not fit into a capture file")
        if self.kind == "pcapng":
            self._packet_block(kept, ns, length, interface, comment)
        else:
            fraction = fraction // 1000 if self.kind == "pcap-us" else fraction
            self._file.write(struct.pack(self._order + "IIII", seconds, fraction, len(kept), length) + kept)
        self.frames += 1

    def flush(self):
        """Hand what is written to the system, so that another program can read it."""
        self._file.flush()

    def _wrong(self, what):
        return CaptureError(self.path, self._file.tell(), self.frames, what)

    def _packet_block(self, kept, ns, length, interface, comment):
        options = self._option(_COMMENT, comment.encode("utf-8", "replace")) if comment else b""
        if interface not in self._numbers:
            self._interface(interface)
        head = struct.pack(self._order + "IIIII", self._numbers[interface], ns >> 32, ns & 0xFFFFFFFF, len(kept), length)
        self._block(_PACKET, head + kept + bytes(-len(kept) % 4) + options + (bytes(4) if options else b""))

    def _interface(self, name):
        named = self._option(_IF_NAME, name.encode("utf-8", "replace")) if name else b""
        options = named + self._option(_IF_TSRESOL, b"\x09") + bytes(4)
        self._block(_INTERFACE, struct.pack(self._order + "HHI", ETHERNET, 0, self.snaplen) + options)
        self._numbers[name] = len(self._numbers)

    def _option(self, code, value):
        if len(value) > 0xFFFF:
            raise self._wrong(f"a text of {len(value)} bytes: a comment or a name holds 65535")
        return struct.pack(self._order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    def _block(self, kind, body):
        size = struct.pack(self._order + "I", len(body) + 12)
        self._file.write(struct.pack(self._order + "I", kind) + size + body + size)
