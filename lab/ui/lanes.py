"""The picture of a timeline: its steps in order, each in the row of the core that took it, so that one sees a packet change cores.

With one core it is one row. What a core hands over goes down (or up) to the next row where the other core takes it.
"""

from html import escape

from lab.live import many

SHOWN = 60  # the last steps
STYLE = """<style>
.gwo .lanes { display: grid; gap: 4px 3px; align-items: center; justify-content: start;
  font: 11px/15px var(--code); overflow-x: auto; padding-bottom: 4px; }
.gwo .lanes b { color: var(--dim); font: 600 11px/15px var(--ui); grid-column: 1; padding-right: 8px; white-space: nowrap; }
.gwo .lanes u { text-decoration: none; border: 1px solid var(--edge); border-radius: 3px; padding: 0 4px; white-space: nowrap; }
.gwo .lanes u.over { border-color: var(--tcp); box-shadow: inset 0 0 0 1px var(--tcp); }
</style>"""
OVER = ("handover", "take_over")


def lanes(timeline):
    """The HTML of a timeline's rows, a core each."""
    steps = timeline[-SHOWN:]
    cores = sorted({step.lane for step in steps})
    cells = "".join(f'<b style="grid-row:{row}">core {core}</b>' for row, core in enumerate(cores, 1))
    for column, step in enumerate(steps, 2):
        kind = ' class="over"' if step.stage in OVER else ""
        words = escape(f"step {step.number}, core {step.lane}: {step.sentence or step.reason}", quote=True)
        name = escape(step.stage.rsplit(".", 1)[-1])
        cells += f'<u{kind} style="grid-row:{cores.index(step.lane) + 1};grid-column:{column}" title="{words}">{name}</u>'
    title = f"timeline of {many(len(timeline), 'step')} on {many(len(cores), 'core')}"
    last = f", the last {SHOWN}" if len(timeline) > SHOWN else ""
    return f'{STYLE}<div class="title">{title}{last}</div><div class="lanes" role="img" aria-label="{title}{last}">{cells}</div>'
