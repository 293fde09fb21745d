"""The picture of a cut: the large packet as one bar, and below it each segment, its headers and the part of the payload it carries.

Payload stands where it lay in the large packet, so one sees which bytes went where; alternate segments have alternate tints.
"""

from html import escape

SHOWN = 12  # segments; of more, the first ten and the last
STYLE = """<style>
.gwo .cut { display: grid; grid-template-columns: max-content 1fr max-content; gap: 2px 10px; align-items: center;
  font: 11px/16px var(--code); }
.gwo .cut .row { position: relative; height: 14px; }
.gwo .cut .row u { position: absolute; top: 0; bottom: 0; text-decoration: none; border-radius: 2px;
  background: var(--c); }
.gwo .cut .row.all u { opacity: .55; } .gwo .cut .row.all u.h { opacity: 1; }
.gwo .cut .odd { opacity: .55; }
.gwo .cut span { color: var(--dim); white-space: nowrap; text-align: left; }
.gwo .cut span:nth-child(3n + 1) { text-align: right; }
.gwo .cut .rest { text-align: center; }
</style>"""
HEADERS, PAYLOAD = "--c:var(--tcp)", "--c:var(--data)"
LEFT = 12.0  # per cent of the width that headers have, whatever their length


def cut(thing):
    """The HTML of a cut."""
    total = max(1, max((part.ends for part in thing.parts), default=1), thing.payload)
    rows = _row(f"{len(thing.whole)} B", [(0, thing.payload, 0)], total, f"headers {thing.headers} B, payload {thing.payload} B", "all")
    parts = list(enumerate(thing.parts))
    hidden = len(parts) - SHOWN
    if hidden > 0:
        parts = [*parts[: SHOWN - 1], parts[-1]]
    for n, part in parts:
        if hidden > 0 and n == len(thing) - 1:
            rows += f'<span></span><span class="rest">⋮ and {hidden} more</span><span></span>'
        rows += _row(f"{n}: {len(part.packet)} B", [(part.begins, part.ends, n % 2)], total, f"payload {part.begins} to {part.ends}", "")
    words = escape(repr(thing).strip("<>"))
    return f'{STYLE}<div class="title">{words}</div><div class="cut" role="img" aria-label="{words}">{rows}</div>'


def _row(left, spans, total, right, kind):
    bars = f'<u class="h" style="left:0;width:{LEFT - 1}%;{HEADERS}"></u>'
    for begins, ends, odd in spans:
        at, width = LEFT + begins * (100 - LEFT) / total, max(0.3, (ends - begins) * (100 - LEFT) / total)
        bars += f'<u class="{"odd" if odd else ""}" style="left:{at:.2f}%;width:{width:.2f}%;{PAYLOAD}"></u>'
    return f'<span>{escape(left)}</span><div class="row {kind}">{bars}</div><span>{escape(right)}</span>'
