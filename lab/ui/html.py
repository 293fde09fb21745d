"""How live objects look in a notebook: small tables, all alike, and a drawing of their own for a packet, a step and a ledger.

An object says what is to be seen (`facts()`: title, columns, rows, note), this file how. It is imported when somebody looks,
and knows classes by name only, so that it stays cheap. The stepper's picture is not drawn here.
"""
from functools import cache
from html import escape

from lab.engine.steps.asked import drawn
from lab.engine.steps.tree import was_before
from lab.live import Live, pictures
from lab.ui.cut import cut
from lab.ui.lanes import lanes
from lab.ui.page import style

LETTERS = {
    "eth": "E", "vlan": "V", "mpls": "M", "arp": "A", "ip": "I", "ip6": "6", "icmp": "C", "icmp6": "C", "tcp": "T", "udp": "U", "sctp": "S",
    "vxlan": "X", "geneve": "N", "gre": "G",
}  # fmt: skip
FAMILY = {
    "mpls": "vlan", "arp": "ip", "ip6": "ip", "udp": "tcp", "sctp": "tcp", "icmp": "tcp", "icmp6": "tcp",
    "vxlan": "vlan", "geneve": "vlan", "gre": "vlan",
}  # fmt: skip
MOST_ROWS, MOST_BYTES, LEAST_WIDTH = 60, 96, 26
STYLE = """<style>
.gwo { --line: var(--jp-border-color2, #e0e0e0); --edge: var(--jp-border-color1, #bdbdbd); --dim: var(--jp-ui-font-color2, #616161);
  --warn: var(--jp-warn-color1, #c77700); --code: var(--jp-code-font-family, monospace);
  --ui: var(--jp-ui-font-family, system-ui, sans-serif);
  --eth: #2f6fc4; --vlan: #8a4bc4; --ip: #0f7d6b; --tcp: #b5610c; --data: #6b7280; --tint: 20%;
  color: var(--jp-ui-font-color1, #212121); font: 13px/1.45 var(--ui); max-width: 1000px; overflow-x: auto; }
:is([data-jp-theme-light="false"], [data-vscode-theme-kind$="dark"], .gw-dark) .gwo {
  --eth: #5b9bea; --vlan: #b583e6; --ip: #35b8a0; --tcp: #e89a4a; --data: #9aa1ab; --tint: 24%; --on: #10151c; }
.gwo table { border-collapse: collapse; margin: 4px 0; font: 12px/19px var(--code); color: inherit; border: 0; }
.gwo :is(caption, .title) { caption-side: top; text-align: left; font: 600 13px var(--ui); color: inherit; padding: 0 0 4px;
  min-width: 400px; }
.gwo th { font: 600 11px var(--ui); color: var(--dim); letter-spacing: .04em; }
.gwo.gwo :is(th, td) { text-align: left; padding: 1px 14px 1px 0; border: 0; border-bottom: 1px solid var(--line); background: none;
  vertical-align: top; max-width: 520px; overflow-wrap: break-word; }
.gwo :is(p, .dim, del) { color: var(--dim); }
.gwo p { margin: 2px 0; }
.gwo p b { color: var(--jp-ui-font-color0, #000); font-family: var(--code); }
.gwo.gwo .n { text-align: right; }
.gwo ins { text-decoration: none; font-weight: 700; }
.gwo .mk { color: var(--warn); font-weight: 700; }
.gwo .tag { display: inline-block; width: 16px; border-radius: 3px; color: var(--on, #fff); background: var(--c);
  font: 700 10px/15px var(--code); text-align: center; margin-right: 6px; }
.gwo .chain { display: flex; gap: 3px; margin: 6px 0; font: 11px/16px var(--code); color: var(--dim); }
.gwo .mb { flex: 1 1 0; min-width: 0; }
.gwo .mb.rest { flex: none; align-self: center; }
.gwo .buf { display: flex; height: 20px; border: 1px solid var(--edge); border-radius: 3px; overflow: hidden; }
.gwo .buf.ext { border-style: dashed; }
.gwo .buf u { background: var(--c); text-decoration: none; }
.gwo .buf .head { background: repeating-linear-gradient(45deg, transparent 0 3px, var(--edge) 3px 4px); }
.gwo .hex { font: 12px/19px var(--code); white-space: pre; overflow-x: auto; margin: 4px 0; }
.gwo .hex s { text-decoration: none; background: color-mix(in srgb, var(--c) var(--tint), transparent); padding: 1px 0; }
</style>"""


@pictures(Live)
def picture(thing):
    """The HTML of a live object: its own drawing if its class has one, else its facts, else its text."""
    own = next((DRAWINGS[kind.__name__] for kind in type(thing).__mro__ if kind.__name__ in DRAWINGS), None)
    body = own(thing) if own else table(thing.facts()) if hasattr(thing, "facts") else f"<pre>{escape(repr(thing))}</pre>"
    return f'{STYLE}<div class="gwo" role="group" aria-label="{escape(repr(thing), quote=True)}">{body}</div>'


def table(facts):
    """A table of {"title", "columns", "rows", "note"}: columns of numbers to the right, and how many rows are not shown."""
    rows, title, note = list(facts["rows"]), facts.get("title", ""), facts.get("note", "")
    kinds = [' class="n"' if any(facts["columns"]) and all(map(_is_number, each)) else "" for each in zip(*rows, strict=False)]
    kinds = kinds or [""] * len(facts["columns"])
    head = "".join(f'<th scope="col"{kind}>{escape(str(name))}</th>' for kind, name in zip(kinds, facts["columns"], strict=False))
    body = "".join("<tr>" + "".join(map(_cell, row, kinds)) + "</tr>" for row in rows[:MOST_ROWS])
    more = f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    empty = "" if rows else "<p>nothing yet</p>"
    said = f"<p>{escape(str(note))}</p>" if note else ""
    caption = f"<caption>{escape(str(title))}</caption>" if title else ""
    header = f"<thead><tr>{head}</tr></thead>" if any(facts["columns"]) else ""
    return f"<table>{caption}{header}<tbody>{body}</tbody></table>{empty}{more}{said}"


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value, kind):
    if isinstance(value, bool) or value is None:
        return f"<td>{ {True: 'yes', False: 'no', None: ''}[value] }</td>"
    if _is_number(value):
        return f"<td{kind}>{value:,}</td>".replace(",", "\u202f")
    if isinstance(value, bytes | bytearray):
        value = bytes(value).hex(" ")
    return f"<td>{escape(str(value))}</td>"


def colour(key):
    """The style that gives an element its layer's colour."""
    return f"--c:var(--{FAMILY.get(key, key)})"


def packet(thing):
    """A packet: where its bytes lie, its headers, its first bytes."""
    layers = thing.layers
    rows = "".join(
        f'<tr><td><span class="tag" style="{colour(layer.key)}">{LETTERS.get(layer.key, "·")}</span><b>{escape(layer.name)}</b></td>'
        f"<td>{escape(layer.head)}</td><td class='n'>{layer.off}</td><td class='n'>{layer.len}</td></tr>" for layer in layers)
    head = '<tr><th scope="col">layer</th><th scope="col"></th><th scope="col">at</th><th scope="col">bytes</th></tr>'
    title = escape(repr(thing).strip("<>"))
    return f'<div class="title">{title}</div><table><thead>{head}</thead><tbody>{rows}</tbody></table>{chain(thing)}{first_bytes(thing)}'


def chain(thing):
    """The packet's segments: headroom hatched, layers where they lie, payload, what is free."""
    start, drawn = 0, []
    for segment in thing.segments:
        drawn.append(_segment(thing, segment, start))
        start += segment.length
    if not drawn:
        return ""
    if len(drawn) > 4:
        drawn = [*drawn[:2], f'<div class="mb rest">→ {len(drawn) - 3} more →</div>', drawn[-1]]
    words = f"{len(thing.segments)} in the chain, mbufs " + ", ".join(str(segment.mbuf) for segment in thing.segments[:8])
    return f'<div class="chain" role="img" aria-label="{words}">{"".join(drawn)}</div>'


def _segment(thing, segment, start):
    left, parts = segment.length, [f'<u class="head" style="flex:{segment.headroom}" title="headroom {segment.headroom} B"></u>']
    for layer in thing.layers:
        part = min(start + segment.length, layer.off + layer.len) - max(start, layer.off)
        if part > 0:
            parts.append(f'<u style="flex:{max(part, LEAST_WIDTH)};{colour(layer.key)}" title="{escape(layer.name)} {part} B"></u>')
            left -= part
    free = segment.room - segment.headroom - segment.length
    if left > 0:
        parts.append(f'<u style="flex:{left};{colour("data")}" title="payload {left} B"></u>')
    if free > 0:
        parts.append(f'<u style="flex:{free};--c:transparent" title="free {free} B"></u>')
    words = f"mbuf {segment.mbuf}, head {segment.headroom}" + (", external" if segment.external else "")
    size = f"{segment.length} B" + (f", ref {segment.refcnt}" if segment.refcnt > 1 else "")
    kind = "buf ext" if segment.external else "buf"
    return f'<div class="mb"><div class="{kind}">{"".join(parts)}</div>{words}<br>{size}</div>'


def first_bytes(thing):
    """The first bytes, 16 a row, each tinted by its layer."""
    data, rows = thing.bytes()[:MOST_BYTES], []
    for start in range(0, len(data), 16):
        cells = [f'<s style="{colour(_layer_at(thing, at))}">{data[at]:02x} </s>' for at in range(start, min(start + 16, len(data)))]
        rows.append(f'<span class="dim">{start:04x}  </span>{"".join(cells)}')
    return f'<div class="hex" role="img" aria-label="the first {len(data)} of {len(thing.bytes())} bytes">' + "\n".join(rows) + "</div>"


def _layer_at(thing, offset):
    return next((layer.key for layer in thing.layers if layer.off <= offset < layer.off + layer.len), "data")


def step(thing):
    """A step: the reason, the packet's fields that changed, and what else in memory did."""
    cure = thing.cure
    title = f"step {thing.number}: {thing.stage}, {thing.before} in, {thing.after} out"
    why = f"<p><b>{escape(thing.reason)}</b> {escape(thing.sentence)}</p>" + (f"<p><code>{escape(cure)}</code></p>" if cure else "")
    rows = "".join(_changed(*change) for change in field_changes(thing.was, thing.shown))
    fields = f"<table><tbody>{rows}</tbody></table>" if rows else "<p>no field of the packet changed</p>"
    touched = {}
    for region, _, part, record, name, *_ in thing.changes():
        if region != "memory":
            touched.setdefault(f"{region}.{part}" if part else region, []).append(f"[{record}].{name}" if name else f"at {record}")
    tables = [[region, len(names), ", ".join(names[:6]) + (", …" if len(names) > 6 else "")] for region, names in touched.items()]
    memory = table({"title": "", "columns": ["table", "fields", "which"], "rows": tables}) if tables else ""
    return f'<div class="title">{escape(title)}</div>{why}{fields}{memory}'


def _changed(layer, name, old, new):
    mark = "+" if old is None else "≠"
    before = "" if old is None else f"<del>{escape(old)}</del> → "
    what = f'<td>{escape(layer)}</td><td class="dim">{escape(name)}</td>'
    return f'<tr><td class="mk">{mark}</td>{what}<td>{before}<ins>{escape(new)}</ins></td></tr>'


def field_changes(was, now):
    """(layer, field, old text or None, new text) of what differs between two packets, layer by layer."""
    if now is None or was is None:
        return []
    changes, before = [], was_before(was.layers, now.layers)
    for n, layer in enumerate(now.layers):
        old = {name: said for name, _, _, said in before[n].fields} if n in before else {}
        changes += [(layer.name, name, old.get(name), said) for name, _, _, said in layer.fields if old.get(name) != said]
    return changes


def timeline(thing):
    """A timeline: a row for each core, then the steps in words."""
    return lanes(thing) + table({**thing.facts(), "title": ""}) if len(thing) else table(thing.facts())


CELLS = """<style>
.gwo { --brand: var(--jp-brand-color1, #1976d2); --l1: var(--jp-layout-color1, #fff); --f2: var(--dim); --rose: #b3365f; }
:is([data-jp-theme-light="false"], [data-vscode-theme-kind$="dark"], .gw-dark) .gwo { --rose: #f08fae; }
.gwo .mask td:first-child { white-space: nowrap; }
.gwo .bits { --line: var(--edge); max-width: 420px; padding: 2px 0; }
%s</style>"""


@cache
def _cells_style():
    """The stepper's rules for the cells of a mask."""
    rules = style().split("/* cells of a mask")[1].split("*/", 1)[1].split("/*")[0]
    return CELLS % rules.replace(".gw ", ".gwo ")


def ledger(thing):
    """Who asked for each bit of a mask: a cell for each bit with the hatch of its cause, and the causes in words."""
    rows, causes = drawn(thing)
    hatches = {cause["key"]: cause["hatch"] for cause in causes}
    fields = "".join(f"<tr><td>{row['field']}</td><td>{_cells(row, hatches)}</td><td><b>{_letters(row)}</b></td></tr>" for row in rows)
    said = "".join(
        f'<tr><td><u class="swatch h{cause["hatch"]}"></u></td><td><b>{cause["key"]}</b></td>'
        f"<td>{escape(cause['text'])}</td><td class='n'>{cause['bits']}</td></tr>" for cause in causes)
    words = f"<p>{escape(thing.match or 'any')} → {escape(thing.actions)}</p>" + (f"<p>{escape(thing.error)}</p>" if thing.error else "")
    title = escape(repr(thing).strip("<>"))
    head = '<tr><th scope="col">field</th><th scope="col">bits</th><th scope="col">asked for by</th></tr>'
    who = '<tr><th scope="col" colspan="3">who asked</th><th scope="col" class="n">bits</th></tr>'
    return (f'{_cells_style()}<div class="title">{title}</div>{words}'
            f'<table class="mask"><thead>{head}</thead><tbody>{fields}</tbody></table>'
            f'<table class="who"><thead>{who}</thead><tbody>{said}</tbody></table>')


def _letters(row):
    return " ".join(dict.fromkeys(key for _, key in row["cells"] if key))


def _cells(row, hatches):
    """The cells of a field, the highest bit first; octets that are all alike are drawn once."""
    keys = [key for n, key in row["cells"] for _ in range(n)]
    octets = [keys[at:at + 8] for at in range(0, len(keys), 8)]
    alike = len(octets) > 1 and all(octet == octets[0] for octet in octets)
    cells = ["".join(f'<q class="h{hatches[key]}"></q>' if key else "<q></q>" for key in octet) for octet in octets]
    shown = "".join(f"<span>{octet}</span>" for octet in (cells[:1] if alike else cells)) + (f"<i>×{len(octets)}</i>" if alike else "")
    asked = sum(n for n, key in row["cells"] if key)
    return f'<div class="bits" role="img" aria-label="{asked} of {row["bits"]} bits asked for">{shown}</div>'


DRAWINGS = {"Packet": packet, "Step": step, "Ledger": ledger, "Cut": cut, "Timeline": timeline}
