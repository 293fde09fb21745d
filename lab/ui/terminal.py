"""The stepper's frame as text: for IPython in a terminal, for text/plain in a notebook, for whoever does not see pictures.

One frame (plain data) in, lines out; colour only adds to what marks say already: [stage] is where the packet stands,
≠ and + stand before what changed and what is new.
"""
_STYLES = {"bold": "1", "dim": "2", "under": "1;4", "now": "1;7", "hot": "36", "warn": "33", "bad": "1;31"}


def text(frame, colour=True):
    """All of a frame, as lines of text."""
    ink = _paint if colour else _plain
    parts = [_headline(frame), pipeline(frame, colour), *_reason(frame, ink)]
    if frame.get("line"):
        parts += _source(frame, ink)
    if frame["tree"]:
        parts += _layers(frame, ink)
        parts += _bytes(frame, ink)
        parts.append(_chain(frame))
    parts += _held(frame, ink)
    if frame["ledger"] and not frame["line"]:
        parts += [frame["mega"], *ledger(frame["ledger"], frame["causes"], ink)]
    return "\n".join(parts)


def pipeline(frame, colour=True):
    """The stages on one line, the packet's place in brackets; the slow path in parentheses."""
    ink = _paint if colour else _plain
    words = [_ports(frame, "in", ink), *(_stage(stage, ink) for stage in frame["stages"]), _ports(frame, "out", ink)]
    return " ─ ".join(words)


def _paint(words, style):
    return f"\x1b[{_STYLES[style]}m{words}\x1b[0m" if words and style else words


def _plain(words, _style):
    return words


def _headline(frame):
    words = f"step {frame['step']} of {frame['steps']}" + (f", core {frame['core']}" if frame["cores"] > 1 and frame["core"] else "")
    if not frame["dots"]:
        return words
    words += f"   packet {frame['packet']}   {frame['length']} B"
    if frame["dots"] > 1:
        words += f"   {frame['dots']} in hand"
    return words + (f"   gso_size {frame['gso']}" if frame["gso"] else "")


def _ports(frame, side, ink):
    names = ", ".join(port["name"] for port in frame["ports"] if port["side"] == side) or "?"
    here = frame["dots"] and frame["at"] == ("rx" if side == "in" else "tx")
    return ink(f"[{names}]", "now") if here else ink(names, "bold")


def _stage(stage, ink):
    name, state = stage["name"], stage["state"]
    if stage["group"] == "slow path":
        name = f"({name})"
    if state == "now":
        return ink(f"[{name}]", "now")
    if state == "done":
        out = stage.get("out", stage["n"])
        return ink(f"✓{name}" + (f" {stage['n']}→{out}" if out != stage["n"] else ""), "hot")
    return ink(f"–{name}–", "dim") if state == "skip" else ink(name, "dim")


def _reason(frame, ink):
    lines = [ink(frame["reason"], "bad" if frame["drop"] else "bold") + "  " + frame["words"]]
    if frame["cure"]:
        lines.append("    " + ink(frame["cure"], "under"))
    if frame["note"]:
        lines.append("    " + ink(frame["note"], "dim"))
    count = len(changed_bytes(frame))
    touched = ", ".join(table["name"] for table in frame["tables"])
    lines.append("    " + (ink(f"≠ {count} bytes", "warn") if count else "bytes unchanged") + (f", {touched}" if touched else ""))
    return lines


def _source(frame, ink):
    line = frame["line"]
    rows = [f"{line['file']}:{line['at']}"]
    for number, words in enumerate(line["text"], line["first"]):
        here = number == line["at"]
        rows.append(ink(f"{'▶' if here else ' '}{number:4}  {words}", "now" if here else ""))
    # A stage's own tables are the same at every line.
    rows.append("    " + ", ".join(f"{name} = {value}" for name, value in line["locals"].items() if not value.startswith("<Table ")))
    return rows


def _layers(frame, ink):
    rows = []
    for layer in frame["tree"]:
        rows.append(ink(layer["name"], "bold") + "  " + layer["head"] + (ink("  + new", "warn") if layer["new"] else ""))
        for field in layer["fields"]:
            if "was" in field:
                rows.append(f"  {ink('≠', 'warn')} {field['name']:<12} {field['was']} → {ink(field['value'], 'bold')}")
            elif layer["new"]:
                rows.append(f"  {ink('+', 'warn')} {field['name']:<12} {ink(field['value'], 'bold')}")
    return rows


def changed_bytes(frame):
    """{offset: the byte before, two hex digits, or "" where it was inserted} of the bytes that differ."""
    changed, now = {}, frame["hex"]
    for start, length, old in frame["changed"]:
        for offset in range(start, start + length):
            was = old[(offset - start) * 2:(offset - start) * 2 + 2]
            if was != now[offset * 2:offset * 2 + 2]:
                changed[offset] = was
    return changed


def _bytes(frame, ink):
    """Rows of 16 that hold headers or differences; a changed byte has ≠ (or + if it is new) before it."""
    changed, raw = changed_bytes(frame), bytes.fromhex(frame["hex"])
    last = min(len(raw), max([frame["headers"], *(offset + 1 for offset in changed)]))
    rows = []
    for start in range(0, last, 16):
        row = f"{start:04x} "
        for offset in range(start, min(start + 16, len(raw))):
            mark = "" if offset not in changed else "≠" if changed[offset] else "+"
            row += (ink(mark, "warn") or " ") + ink(f"{raw[offset]:02x}", "under" if mark else "")
        rows.append(row)
    return rows


def _chain(frame):
    words = [f"mbuf {m['i']}: {m['head']}+{m['len']} of {m['room']}" + (" external" if m["ext"] else "") for m in frame["chain"]]
    if len(words) > 4:
        words = [*words[:2], f"{len(words) - 3} more", words[-1]]
    return " → ".join(words)


def _held(frame, ink):
    rows = [f"  {h['flow']}: {h['packets']} packets, {h['bytes']} B, since {h['since']} us, goes {h['goes']}" for h in frame["held"]]
    return [ink("held by GRO", "bold"), *rows] if rows else []


def ledger(rows, causes, ink=_plain):
    """A mask's ledger: a letter for each bit, the highest first, or a dot where nobody asked for it; then whose letters they are."""
    asked, there = sum(cause["bits"] for cause in causes), sum(row["bits"] for row in rows)
    lines = [f"{asked} of {there} bits asked for"]
    for row in rows:
        letters = "".join(n * (key[:1] or "·") for n, key in row["cells"])
        if letters.strip("·"):
            lines.append(f"  {row['field']:<12} {_octets(letters, row['lead'])}")
    free = [row["field"] for row in rows if not any(key for _, key in row["cells"])]
    lines += [f"  any: {', '.join(free)}"] if free else []
    return lines + [f"  {ink(cause['key'], 'bold')} {cause['text']}: {cause['bits']}" for cause in causes]


def _octets(letters, lead):
    """Letters in groups of eight, as the bits lie in bytes; groups that are all alike are told once."""
    text = " " * lead + letters
    groups = [text[at:at + 8] for at in range(0, len(text), 8)]
    return f"{groups[0]} ×{len(groups)}" if len(groups) > 1 and len({*groups}) == 1 else " ".join(groups)
