"""Internet checksums: in full, of pseudo-headers, and updated in place (RFC 1071, RFC 1624, RFC 8200).

A *sum* is a ones' complement sum folded to 16 bits; a *checksum* is its complement, as it stands in a header. Sums add,
in any order, and fold again. An update changes a checksum by what a field changed, so one that was wrong stays wrong.
All of it is called from stages; UDP's rule for zero (`lab/offload/checksums.py`) and SCTP's CRC32c (`crc32c.py`) are not here.
"""
from lab.memory.raw import load16, sum16
from lab.memory.record import NULL
from lab.packet.headers.ipv4 import SRC as IPV4_SRC
from lab.packet.headers.ipv6 import SRC as IPV6_SRC

ONES = 0xFFFF


def fold(total):
    """Any count to 16 bits, the carries added back."""
    while total > ONES:
        total = (total & ONES) + (total >> 16)
    return total


def finish(total):
    """The checksum that a header holds for a sum."""
    return ~fold(total) & ONES


def swap16(total):
    """A sum as it counts where it begins at an odd offset."""
    return (total & 0xFF) << 8 | total >> 8


def sum_chain(memory, mbufs, i, off, n):
    """The sum of `n` bytes from offset `off` of a packet, segments of odd length included; of what there is, if there are fewer."""
    total = 0
    odd = 0
    while i != NULL and n > 0:
        m = mbufs[i]
        if off < m.data_len:
            length = m.data_len - off
            if length > n:
                length = n
            part = sum16(memory, m.buf + m.data_off + off, length)
            if odd != 0:
                part = swap16(part)
            total += part
            odd = odd ^ (length & 1)
            n -= length
            off = 0
        else:
            off -= m.data_len
        i = m.next
    return fold(total)


def pseudo_ipv4(memory, at, proto, n):
    """The sum of the pseudo-header of `n` bytes of a protocol behind the IPv4 header at `at`."""
    return fold(sum16(memory, at + IPV4_SRC, 8) + proto + n)


def pseudo_ipv6(memory, at, proto, n):
    """The sum of the pseudo-header of `n` bytes of a protocol behind the IPv6 header at `at` (a routing header is not looked at)."""
    return fold(sum16(memory, at + IPV6_SRC, 32) + proto + n)


def checksum_of(memory, at, n, field):
    """The checksum that `n` bytes at `at` should have, whatever their field (at `at + field`) holds now."""
    return finish(sum16(memory, at, n) + (~load16(memory, at + field) & ONES))


def update16(checksum, old, new):
    """The checksum after 16 bits changed; `old` and `new` may as well be the sums of whatever changed (RFC 1624, equation 3)."""
    return ~fold((~checksum & ONES) + (~old & ONES) + (new & ONES)) & ONES


def update32(checksum, old, new):
    """The checksum after 32 aligned bits changed."""
    return update16(update16(checksum, old >> 16, new >> 16), old & ONES, new & ONES)
