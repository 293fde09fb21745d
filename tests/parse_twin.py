"""The slow, obvious twin of parse: OVS's rules for a flow key, field by field, in plain Python that shares nothing with the stage."""
import struct


def twin(frame, *, port=1, limit=1, first=None):
    """The fields of a frame's key that are not zero; `first` is the length of the first segment."""
    key = {"in_port": port}
    data = frame[:first]
    size = len(frame)
    if len(data) < 14:
        return key
    key["dl_dst"], key["dl_src"] = int.from_bytes(data[:6], "big"), int.from_bytes(data[6:12], "big")
    data, size = data[12:], size - 12
    for n in range(min(limit, 2)):
        if data[:2] not in (b"\x81\x00", b"\x88\xa8") or len(data) < 6:
            break
        tpid, tci = struct.unpack(">HH", data[:4])
        suffix = "1" if n else ""
        key["vlan_tpid" + suffix], key["vlan_tci" + suffix] = tpid, tci | 0x1000
        data, size = data[4:], size - 4
    kind = int.from_bytes(data[:2], "big")
    data, size = data[2:], size - 2
    if kind < 0x600:
        kind = 0x05FF
        if len(data) >= 8 and data[:6] == b"\xaa\xaa\x03\0\0\0" and int.from_bytes(data[6:8], "big") >= 0x600:
            kind = int.from_bytes(data[6:8], "big")
            data, size = data[8:], size - 8
    key["dl_type"] = kind
    if kind in (0x8847, 0x8848):
        twin_mpls(key, data)
    elif kind in (0x0806, 0x8035):
        twin_arp(key, data)
    elif kind == 0x0800:
        twin_ipv4(key, data, size)
    elif kind == 0x86DD:
        twin_ipv6(key, data, size)
    return {name: value for name, value in key.items() if value}


def twin_mpls(key, data):
    for n in range(3):
        entry = data[4 * n:4 * n + 4]
        if len(entry) < 4:
            return
        key[f"mpls_lse{n}"] = int.from_bytes(entry, "big")
        if entry[2] & 1:
            return


def twin_arp(key, data):
    if len(data) < 28 or data[:6] != bytes.fromhex("000108000604"):
        return
    op, sha, spa, tha, tpa = struct.unpack(">H6s4s6s4s", data[6:28])
    key["nw_src"], key["nw_dst"] = int.from_bytes(spa, "big"), int.from_bytes(tpa, "big")
    key["arp_sha"], key["arp_tha"] = int.from_bytes(sha, "big"), int.from_bytes(tha, "big")
    key["nw_proto"] = op if op <= 255 else 0


def twin_ipv4(key, data, size):
    if len(data) < 20:
        return
    length, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    if length < 20 or length > len(data) or total > size or length > total or size - total > 65535:
        return
    data = data[:total]
    place = int.from_bytes(data[6:8], "big")
    key["nw_tos"], key["nw_ttl"], key["nw_proto"] = data[1], data[8], data[9]
    key["nw_src"], key["nw_dst"] = int.from_bytes(data[12:16], "big"), int.from_bytes(data[16:20], "big")
    if place & 0x3FFF:
        key["nw_frag"] = 3 if place & 0x1FFF else 1
    if not place & 0x1FFF:
        twin_transport(key, data[length:])


def twin_ipv6(key, data, size):
    if len(data) < 40:
        return
    word, payload, proto, ttl = struct.unpack(">IHBB", data[:8])
    if payload + 40 > size or size - payload - 40 > 65535:
        return
    key["ipv6_src"], key["ipv6_dst"] = int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big")
    data, frag = data[40:40 + payload], 0
    while proto in (0, 43, 60, 51, 44):
        if len(data) < 8:
            return
        at_fragment = proto == 44
        step = {44: 8, 51: (data[1] + 2) * 4}.get(proto, (data[1] + 1) * 8)
        if step > len(data):
            return
        proto = data[0]
        if at_fragment and data[2:4] != b"\0\0":
            frag = 1
            if int.from_bytes(data[2:4], "big") & 0xFFF8:
                frag, proto = 3, 44
                break
        data = data[step:]
    key["ipv6_label"], key["nw_tos"], key["nw_ttl"] = word & 0xFFFFF, word >> 20 & 255, ttl
    key["nw_proto"], key["nw_frag"] = proto, frag
    if frag != 3:
        twin_transport(key, data)


def twin_transport(key, data):
    proto = key["nw_proto"]
    if proto == 6 and len(data) >= 20 and 20 <= (data[12] >> 4) * 4 <= len(data):
        key["tp_src"], key["tp_dst"] = struct.unpack(">HH", data[:4])
        key["tcp_flags"] = int.from_bytes(data[12:14], "big") & 0xFFF
    elif (proto == 17 and len(data) >= 8) or (proto == 132 and len(data) >= 12):
        key["tp_src"], key["tp_dst"] = struct.unpack(">HH", data[:4])
    elif proto in (1, 2, 58) and len(data) >= 8:
        key["tp_src"], key["tp_dst"] = data[0], data[1]
        if proto == 58 and data[0] in (135, 136) and data[1] == 0 and len(data) >= 24:
            twin_neighbour(key, data)


def twin_neighbour(key, data):
    found, options = {1: 0, 2: 0}, data[24:]
    while len(options) >= 8:
        length = options[1] * 8
        if length == 0 or length > len(options):
            break
        if options[0] in found and length == 8:
            if found[options[0]]:
                return
            found[options[0]] = int.from_bytes(options[2:8], "big")
        options = options[length:]
    key["nd_target"], key["arp_sha"], key["arp_tha"] = int.from_bytes(data[8:24], "big"), found[1], found[2]
