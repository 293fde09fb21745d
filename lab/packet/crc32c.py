"""CRC32c, SCTP's checksum, in full and updated in place (RFC 9260, appendix A).

In full it is one pass over the chain, by the processor's instruction where there is one. A change needs no pass: a CRC is
linear, and what two changed bytes do to it depends on how many bytes follow, not on which. So a changed port needs
neither the chunks nor the other segments, and a CRC that was wrong stays wrong. Called from stages.
"""

from lab.memory.raw import crc32c
from lab.memory.record import NULL

POLYNOMIAL = 0x82F63B78  # bits reflected, as everything here: x^0 is the highest bit
X0, X8 = 1 << 31, 1 << 23
BEGIN = 0xFFFFFFFF
FIELD, HEADER = 8, 12  # where the checksum lies in SCTP's header, and how long that is


def sctp_crc(memory, mbufs, i, off, n):
    """The checksum of `n` bytes of SCTP from offset `off` of a packet, whatever its field holds; its header lies in the first segment."""
    m = mbufs[i]
    crc = four_zeros(crc32c(memory, BEGIN, m.buf + m.data_off + off, FIELD))
    off += HEADER
    n -= HEADER
    while i != NULL and n > 0:
        m = mbufs[i]
        if off < m.data_len:
            length = m.data_len - off
            if length > n:
                length = n
            crc = crc32c(memory, crc, m.buf + m.data_off + off, length)
            n -= length
            off = 0
        else:
            off -= m.data_len
        i = m.next
    return in_header(crc ^ BEGIN)


def four_zeros(crc):
    """The register after four more bytes of zero: what the field counts as."""
    for _ in range(32):
        crc = crc >> 1 ^ POLYNOMIAL * (crc & 1)
    return crc


def in_header(crc):
    """A CRC as it stands in a header: its low byte first."""
    return (crc & 0xFF) << 24 | (crc >> 8 & 0xFF) << 16 | (crc >> 16 & 0xFF) << 8 | crc >> 24


def times(a, b):
    """The product of two polynomials, modulo CRC32c's."""
    product = 0
    for _ in range(32):
        if a & X0 != 0:
            product = product ^ b
        a = (a << 1) & 0xFFFFFFFF
        b = b >> 1 ^ POLYNOMIAL * (b & 1)
    return product


def behind(n):
    """What a CRC is multiplied by when `n` bytes follow."""
    power = X0
    square = X8
    while n > 0:
        if n & 1 != 0:
            power = times(power, square)
        square = times(square, square)
        n = n >> 1
    return power


def change16(old, new, n):
    """What a CRC32c, as it stands in a header, is xored with when 16 bits changed and `n` bytes follow them."""
    changed = (old ^ new) & 0xFFFF
    crc = times(behind(n + 2), changed >> 8 | (changed & 0xFF) << 8)  # reflected, the first byte is the low one
    return in_header(crc)
