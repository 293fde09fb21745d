"""CRC32c, SCTP's checksum, updated in place (RFC 9260, appendix A).

A CRC is linear: what two changed bytes do to it depends on how many bytes follow, not on which. So a changed port needs
neither the chunks nor the other segments, and a CRC that was wrong stays wrong. Called from stages; a CRC in full is not here.
"""

POLYNOMIAL = 0x82F63B78  # bits reflected, as everything here: x^0 is the highest bit
X0, X8 = 1 << 31, 1 << 23


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
    return (crc & 0xFF) << 24 | (crc >> 8 & 0xFF) << 16 | (crc >> 16 & 0xFF) << 8 | crc >> 24
