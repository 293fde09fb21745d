"""Reasons: why a decision fell, as a code in the arena and a sentence for people.

A stage writes a code and two figures; the engine fills the sentence. `{a}` and `{b}` are the figures, `{port}`
the port the packet came from or goes to, `{stage}` the stage; `cure` is the command that changes the decision.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its number, its code in words, its sentence, whether the packet is lost by it, and the cure."""

    number: int
    code: str
    sentence: str
    drop: bool = False
    cure: str = ""


_ROWS = (
    ("none", "nothing to say"),
    ("received", "{port} handed over a burst of {a}; this frame has {b} B"),
    ("parsed", "headers up to {layer}; {a} of 32 key words in use"),
    ("emc hit", "the whole key stands at place {a} of 2"),
    ("emc miss", "neither of the two places holds this key"),
    ("emc off", "the exact-match cache is off"),
    ("smc hit", "the signature points at a megaflow with this masked key"),
    ("smc miss", "no signature of its bucket leads to a megaflow with this masked key"),
    ("megaflow hit", "subtable {a} of {b} by rank holds the masked key"),
    ("megaflow miss", "none of {a} subtables holds the masked key"),
    ("megaflow installed", "{rule} decides; the megaflow's mask has {b} bits"),
    ("megaflow found", "another packet of this burst has just installed it"),
    ("not installed: table full", "the table of megaflows is full: {rule} decides, and nothing is remembered"),
    ("executed", "{actions}"),
    ("sent", "left through {port} in a batch of {a}, {b} B"),
    ("cached", "megaflow entered into the exact-match cache"),
)
_DROPS = (
    ("dropped: no rule", "no rule matches and the switch has no default", "sw.ofctl('add-flow priority=0,actions=flood')"),
    ("dropped: rule says so", "{rule} has no output", ""),
    ("dropped: nowhere to go", "the output port is the port it came from", "sw.ofctl('... actions=in_port')"),
    ("dropped: no such port", "{rule} sends to a port that is not there", "sw.ports"),
    ("dropped: mempool empty", "no mbuf is free for a copy", "sw.mempool"),
    ("dropped: ring full", "{port} has {a} packets waiting already", "sw.run()"),
    ("dropped: too large", "{a} B do not fit port {port} (mtu {b})", "sw.ports[{port!r}].mtu = {a}"),
    ("dropped: stage failed", "stage {stage} raised, so its burst is gone", "sw.stages[{stage!r}].swap(None)"),
    ("dropped: stage looped", "stage {stage} never ended, so its burst is gone", "sw.stages[{stage!r}].swap(None)"),
    ("dropped: stage faulted", "stage {stage} touched memory that is not mapped, so its burst is gone", "sw.stages[{stage!r}].swap(None)"),
    ("dropped: by stage", "stage {stage} says so", "sw.stages[{stage!r}].swap(None)"),
    ("dropped: port removed", "{port} went away with the packet in flight", ""),
    ("dropped: link down", "{port} is not up", ""),
    ("dropped: impaired", "the wrapper lost it: seed {a}, loss {b} in a thousand", ""),
    ("dropped: empty frame", "a frame without a single byte", ""),
    ("dropped: too many outputs", "{rule} has more outputs to one port than a batch holds", ""),
)
REASONS = tuple(Reason(i, code, sentence) for i, (code, sentence) in enumerate(_ROWS))
REASONS += tuple(Reason(len(_ROWS) + i, code, sentence, True, cure) for i, (code, sentence, cure) in enumerate(_DROPS))

(
    NONE,
    RECEIVED,
    PARSED,
    EMC_HIT,
    EMC_MISS,
    EMC_OFF,
    SMC_HIT,
    SMC_MISS,
    MEGAFLOW_HIT,
    MEGAFLOW_MISS,
    MEGAFLOW_INSTALLED,
    MEGAFLOW_FOUND,
    NOT_INSTALLED,
    EXECUTED,
    SENT,
    CACHED,
) = range(len(_ROWS))
(
    NO_RULE,
    RULE_DROPS,
    NOWHERE,
    NO_PORT,
    POOL_EMPTY,
    RING_FULL,
    TOO_LARGE,
    STAGE_FAILED,
    STAGE_LOOPED,
    STAGE_FAULTED,
    BY_STAGE,
    PORT_REMOVED,
    LINK_DOWN,
    IMPAIRED,
    EMPTY_FRAME,
    TOO_MANY_OUTPUTS,
) = range(len(_ROWS), len(_ROWS) + len(_DROPS))
LIMIT = 256  # how many the arena counts
