"""The frame: everything the picture of one step needs, as plain data of a few kilobytes.

The widget, the saved page, the terminal and the tests read it and nothing else. `docs/frame.md` has the schema.
"""

from lab.engine.steps.asked import asked_of
from lab.engine.steps.tree import SHOWN_BYTES, changed, of_key, tree_of, tunnels
from lab.memory.reasons import CSUM_WRONG, PARSED, PUSHED
from lab.offload.capabilities import NAMES

SHOWN_HELD = 8


def frame_of(switch, step):
    """The frame of a step, or of a switch at rest."""
    frame = _at_rest(switch) if step is None else _of_step(switch, step)
    frame["core"], frame["cores"] = step.lane if step else 0, switch.engine.cores
    frame["drops"] = sum(place.counts().drops for place in switch.engine.pipeline.places)
    frame["ports"] = _ports(switch, step)
    frame["stages"] = _stages(switch, step)
    frame["held"] = _held(switch)
    frame["steps"] = len(switch.timeline) + len(switch.timeline.future)
    return frame


def _at_rest(switch):
    ports = [port for port in switch.ports.in_order() if port.waiting]
    waiting = next((port for port in ports if port.due), next(iter(ports), None))
    words = "No frame waits: inject one, for example sw.ports['vm1'].inject(bytes(60))."
    if waiting:
        frames = "frame waits" if waiting.waiting == 1 else "frames wait"
        what = "STEP takes the first burst" if waiting.due else "their time comes with the clock, sw.clock.warp(1000)"
        words = f"{waiting.waiting} {frames} at {waiting.name}: {what}."
    return {
        "v": 1,
        "step": 0,
        "packet": 0,
        "stage": "rx",
        "at": "rx",
        "length": 0,
        "dots": 0,
        "gso": 0,
        "reason": "at rest",
        "words": words,
        "cure": "",
        "drop": False,
        "before": {"length": 0, "dots": 0},
        "hex": "",
        "changed": [],
        "tree": [],
        "headers": 0,
        "chain": [],
        "burst": [],
        "tables": [],
        "ledger": [],
        "causes": [],
        "mega": "",
        "line": None,
        "note": "",
    }


def _of_step(switch, step):
    at = _where(step)
    shown, was = step.shown, step.was
    main = step.main
    drop = bool(main and main.reason.drop) or bool(step.error)
    new, old = (shown.bytes() if shown else b""), (was.bytes() if was else b"")
    tree, headers = tree_of(shown, was)
    flow = _flow(switch, step)
    ledger, causes = asked_of(switch, step, flow, tree)
    return {
        "v": 1,
        "step": step.number,
        "packet": shown.serial if shown else 0,
        "stage": step.stage,
        "at": at,
        "length": len(new),
        "dots": max(step.before, step.after),
        "gso": shown.gso_size if shown else 0,
        "reason": step.reason,
        "words": step.sentence,
        "cure": step.cure,
        "drop": drop,
        "before": {"length": len(old), "dots": step.before},
        "hex": new[:SHOWN_BYTES].hex(),
        "changed": changed(shown, was) if shown and was else [],
        "tree": tree,
        "headers": headers,
        "chain": [
            {"i": s.mbuf, "head": s.headroom, "len": s.length, "room": s.room, "ref": s.refcnt, "ext": s.external} for s in shown.segments
        ]
        if shown
        else [],
        "burst": _burst(step),
        "tables": _tables(step),
        "ledger": ledger,
        "causes": causes,
        "mega": _megaflow(step, flow),
        "line": step.line,
        "note": _note(step),
    }


def _where(step):
    """The key of the place where the packet stands: a stage's, or rx, tx."""
    if step.stage in ("receive", "replay"):
        return "rx"
    return "tx" if step.stage in ("transmit", "sink") else _key(step.stage, step.turn)


def _key(name, turn):
    """A place's key: its name, and on an arc that has it twice, which of them."""
    return f"{name} {turn + 1}" if turn else name


LOW = 0xFFFFFFFF  # of a figure that holds two


def sentence_of(switch, step):
    """What the step decided, with its figures, as a sentence."""
    if step.error:
        return f"stage {step.stage}: {step.error}; its burst is dropped"
    if step.line:
        return f"line {step.line['at']} of {step.line['file']} comes next"
    main = step.main
    if main is None:
        return ""
    return fill(switch, step, main, main.reason.sentence)


def cure_of(switch, step):
    """The command that changes the decision, if there is one."""
    if step.error:
        return f"sw.stages[{step.stage!r}].swap(None)"
    return fill(switch, step, step.main, step.main.reason.cure) if step.main and step.main.reason.cure else ""


def fill(switch, step, told, text):
    """A reason's text with the figures of one decision."""
    port = step.output if step.output is not None else step.port
    rule = switch.rule_text(told.a) if "{rule}" in text else ""
    flow = _flow(switch, step) if "{actions}" in text else None
    words = text.format(
        a=told.a,
        b=told.b,
        a_low=told.a & LOW,
        b_low=told.b & LOW,
        b_high=told.b >> 32,
        lack=NAMES[(told.a >> 32) % len(NAMES)] if "{lack" in text else "",
        port=switch.port_name(port) or f"port {port}",
        stage=told.stage,
        rule=rule,
        layer=_layer(step.shown, told),
        actions=flow.actions if flow else f"{told.a} actions",
    )
    return words.replace(" 1 packets", " 1 packet")


def _layer(packet, told):
    """The layer that a reason means: of a tunnel that was pushed its header, of a wrong checksum its own, of parse the last of its key."""
    layers = packet.layers if packet else []
    if told.number == PUSHED:
        named = [layers[begins].name for begins, _ in tunnels([layer.key for layer in layers])]
        return named[0] if named else "tunnel"
    if told.number == CSUM_WRONG:
        wrong = next((c for c in packet.checksums if c.state == "bad" and c.found == told.a), None) if packet else None
        return next((layer.name for layer in layers if wrong and layer.off <= wrong.offset < layer.off + layer.len), "innermost")
    known = of_key(layers) if told.number == PARSED else layers
    return known[-1].name if known else "nothing"


def _ports(switch, step):
    """The port that the packet came through and the one it goes to (or the next best)."""
    ports = switch.ports.in_order()
    if not ports:
        return []
    first = _origin(switch, step) or next((p for p in ports if p.waiting), ports[0])
    goal = _goal(switch, step)
    second = switch.ports[goal] if goal in switch.ports else next((p for p in ports if p is not first), first)
    return [
        {"name": p.name, "kind": p.kind, "side": side, "rx": p.rx_packets, "tx": p.tx_packets, "note": note}
        for p, side, note in ((first, "in", " ".join(first.offloads) or "no offloads"), (second, "out", f"mtu {second.mtu}"))
    ]


def _origin(switch, step):
    """The port whose ingress arc the packet has passed, or None: what another core handed over came through the packet's own."""
    number = step.port if step else None
    if step and number not in switch.ports and step.shown is not None:
        number = step.shown.in_port
    return switch.ports.get(number)


def _goal(switch, step):
    """The port that the packet in hand goes to, as far as it is known."""
    if step is None:
        return None
    if step.output is not None:
        return step.output
    pending = int(switch.engine.array("lane", step.lane)["pending"][0])
    if pending:
        return (pending & -pending).bit_length() - 1
    return next((number for number in reversed(switch.last_outputs())), None)


def _stages(switch, step):
    """Every stage of this packet's way with its state: done, now, next or skip."""
    rows, places, now = [], _places(switch, step), _where(step) if step else None
    passed = _passed(switch, step)
    order = [key for key, _, _ in places]
    at = len(order) if now == "tx" else order.index(now) if now in order else -1
    for k, (key, place, group) in enumerate(places):
        counts = place.counts()
        state = "now" if k == at else "done" if key in passed else "skip" if k < at or _idle(switch, place) else "next"
        rows.append(
            {
                "key": key,
                "name": place.name.rsplit(".", 1)[-1],
                "group": group,
                "state": state,
                "n": counts.packets_in,
                "out": counts.packets_out,
                "cycles": round(counts.cycles),
            }
        )
    return rows


def _places(switch, step):
    """(key, place, group) of each place on the way, the arcs of its two ports with it."""
    pipeline, origin, goal = switch.engine.pipeline, _origin(switch, step), _goal(switch, step)
    found = [(place, f"ingress {origin.name}") for place in (origin.ingress if origin else ())]
    if step and (step.stage == "take_over" or "take_over" in _passed(switch, step)):
        found.append((pipeline.place("take_over"), f"core {step.lane}"))
    found += [(place, place.group) for place in pipeline.main]
    if goal in switch.ports:
        port = switch.ports[goal]
        last = [pipeline.place("push")] if port.transmit_stage == "push" else []
        found += [(place, f"egress {port.name}") for place in [*port.egress, *last]]
    before = [(place.name, group) for place, group in found]
    return [(_key(place.name, before[:k].count((place.name, group))), place, group) for k, (place, group) in enumerate(found)]


def _idle(switch, place):
    """Whether a stage of the main way is turned off."""
    return place.name == "smc" and not switch.smc.on


def _passed(switch, step):
    """The stages that this burst has been through since it was received."""
    passed = set()
    for earlier in reversed(switch.timeline):
        if step is None or earlier.number > step.number:
            continue
        passed.add(_key(earlier.stage, earlier.turn))
        if _where(earlier) == "rx":
            break
    return passed


def _burst(step):
    """Every packet in hand with what was decided about it."""
    said = {}
    for told in step.explanations:
        if said.get(told.packet) is None or not said[told.packet].reason.drop:
            said[told.packet] = told
    return [
        {"serial": serial, "length": length, "reason": said[serial].reason.code if serial in said else ""}
        for serial, length in zip(step.serials, step.lengths, strict=True)
    ]


def _held(switch):
    """What GRO holds now, the oldest first: nobody has it in hand."""
    return [
        {"flow": held.flow, "port": held.port, "packets": held.packets, "bytes": held.total, "since": held.age, "goes": held.goes}
        for held in switch.gro[:SHOWN_HELD]
    ]


def _tables(step):
    """The tables that the step changed, each with a few of the fields."""
    found = {}
    for name, _, part, record, key, _, _ in step.changes():
        if name == "memory":
            continue
        rows = found.setdefault(f"{name}.{part}" if part else name, {})
        rows.setdefault(record, []).append(key)
    return [
        {"name": name, "rows": len(rows), "fields": ", ".join(f"[{record}].{key}" for record, keys in rows.items() for key in keys)[:120]}
        for name, rows in found.items()
        if name not in ("counters", "reasons", "lane")
    ]


def _megaflow(step, flow):
    """The megaflow of the packet shown, in words."""
    if flow is None:
        return "" if step.stage in ("megaflow", "upcall") else "not looked up yet"
    return f"ufid {flow.ufid[:4]}…{flow.ufid[-2:]}, {flow.bits} bits: {flow.match or 'any'} → {flow.actions}"


def _flow(switch, step):
    """The megaflow of the packet shown, or None."""
    if step.shown is None or not step.shown.segments:
        return None
    return switch.megaflow_of(step.shown.segments[0].mbuf, step.lane)


def _note(step):
    if step.tempo == "into":
        return "Inside the stage, before this line: INTO goes to the next line, BACK to the line before, STEP to the stage's end."
    return ""
