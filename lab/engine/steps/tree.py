"""The layers of a packet as a frame shows them: which of them were there before a step, what changed in each, where tunnels end.

Layers are held against those of the packet before from the inside out, so that headers that were put in front are new, and
what they carry stays itself. Packets in, plain data out; the layers are those of `lab.packet.dissect`.
"""

SHOWN_BYTES = 160
TUNNELS = ("vxlan", "geneve", "gre")


def pairs(old, new):
    """[(place in `old`, place in `new`)] of what is in both lists in the same order: as many as can be, the last ones first.

    >>> pairs(["eth", "ip", "tcp"], ["eth", "ip", "gre", "ip", "tcp"])
    [(2, 4), (1, 3), (0, 0)]
    """
    most = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, had in enumerate(old, 1):
        for j, has in enumerate(new, 1):
            most[i][j] = most[i - 1][j - 1] + 1 if had == has else max(most[i - 1][j], most[i][j - 1])
    i, j, found = len(old), len(new), []
    while i and j:
        if old[i - 1] == new[j - 1]:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif most[i - 1][j] >= most[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found


def was_before(old, new):
    """{place in `new`: the layer of `old` that it is still} of two lists of layers."""
    return {j: old[i] for i, j in pairs([layer.key for layer in old], [layer.key for layer in new])}


def tree_of(now, was):
    """(rows, where the headers end) of a packet, with what each field was in the packet before; either may be None."""
    layers = now.layers if now else []
    before = was_before(was.layers if was else [], layers)
    rows = [_row(layer, before.get(n), bool(was)) for n, layer in enumerate(layers)]
    return rows, (layers[-1].off + layers[-1].len if layers else 0)


def _row(layer, was, compared):
    values = {name: said for name, _, _, said in was.fields} if was else {}
    fields = []
    for name, off, length, said in layer.fields:
        row = {"name": name, "off": off, "len": length, "value": said}
        if values.get(name, said) != said:
            row["was"] = values[name]
        fields.append(row)
    new = compared and was is None
    return {"key": layer.key, "name": layer.name, "head": layer.head, "off": layer.off, "len": layer.len, "new": new, "fields": fields}


def changed(now, was):
    """[offset, length, old bytes in hexadecimal] of what differs in the bytes shown; what was put in has no old bytes."""
    new, old, rows = now.bytes(), was.bytes(), []
    for start, length, from_old in _spans(now, was) if new != old else ():
        for at in range(start, min(start + length, SHOWN_BYTES)):
            there = from_old is not None and from_old + at - start < len(old)
            if not there or new[at] != old[from_old + at - start]:
                _extend(rows, at, f"{old[from_old + at - start]:02x}" if there else "")
    return rows


def _spans(now, was):
    """(offset, length, offset in the old bytes or None) of each layer, and of what lies behind and between."""
    found: list[tuple[int, int, int | None]] = []
    before, at, at_old = was_before(was.layers, now.layers), 0, 0
    for n, layer in enumerate(now.layers):
        same = before.get(n)
        kept = min(layer.len, same.len) if same else 0
        found += [(at, layer.off - at, at_old)] if layer.off > at else []
        found += [(layer.off, kept, same.off)] if same else []
        found += [(layer.off + kept, layer.len - kept, None)] if layer.len > kept else []
        at, at_old = layer.off + layer.len, (same.off + same.len if same else at_old)
    return [*found, (at, len(now) - at, was.layers[-1].off + was.layers[-1].len if was.layers else at)]


def _extend(rows, at, was):
    last = rows[-1] if rows else None
    if last and bool(last[2]) == bool(was) and last[0] + last[1] == at:
        last[1] += 1
        last[2] += was
    else:
        rows.append([at, 1, was])


def tunnels(keys):
    """[(where its header begins, where what it carries begins)] of each tunnel in a list of layers' keys, from the outside in.

    >>> tunnels(["eth", "ip", "udp", "mpls", "mpls", "ip", "tcp"]), tunnels(["eth", "mpls", "ip"])
    ([(3, 5)], [])
    """
    found, at = [], 0
    while at < len(keys):
        begins = at + (keys[at] == "udp")
        ends = begins + (keys[at] in TUNNELS)
        while keys[at] in ("udp", "gre") and keys[ends : ends + 1] == ["mpls"]:
            ends += 1
        found += [(begins, ends)] if ends > begins else []
        at = max(ends, at + 1)
    return found


def of_key(layers, pushed=0):
    """Those layers (or rows of a tree) that a flow key is of: behind tunnels that were pushed since, up to the next one's header."""
    pushed = max(0, pushed)  # of a copy that was cut, fewer tunnels may be left to see than were pushed
    ends = tunnels([layer["key"] if isinstance(layer, dict) else layer.key for layer in layers])
    first = ends[pushed - 1][1] if 0 < pushed <= len(ends) else 0
    return layers[first : ends[pushed][0] if pushed < len(ends) else len(layers)]
