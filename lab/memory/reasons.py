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
    ("recirculated", "goes back to parse with recirculation id {a}, for the {b}th time"),
    ("metered", "meter {a} let it pass"),
    ("to controller", "a copy of up to {a} B goes to sw.controller"),
    ("truncated", "cut to {a} of {b} B for this output"),
    ("learned", "NORMAL learned where its source address is"),
    ("revalidated", "its rules still say the same"),
    ("megaflow changed", "its rules say something else now, under the same mask"),
    ("megaflow deleted: mask", "its rules look at more bits now than its mask holds"),
    ("megaflow deleted: idle", "no packet for the idle time"),
    ("megaflow deleted: flushed", "somebody flushed it"),
    ("packet-out", "its own actions decide; nothing is remembered"),
    ("not installed: flow limit", "{a} megaflows are the flow limit: {rule} decides, and nothing is remembered"),
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
    ("dropped: not forwarded", "{port} forwards nothing (no-forward)", "sw.ofctl('mod-port {port} forward')"),
    ("dropped: port receives nothing", "{port} receives nothing (no-receive)", "sw.ofctl('mod-port {port} receive')"),
    ("dropped: too many actions", "the rules ask for more actions than a megaflow holds", "sw.appctl('ofproto/trace ...')"),
    ("dropped: too deep", "resubmits lead deeper than 64 levels: the rules call each other in a circle", "sw.appctl('ofproto/trace ...')"),
    ("dropped: too many resubmits", "more than 4096 resubmits for one packet", "sw.appctl('ofproto/trace ...')"),
    ("dropped: stack empty", "pop found an empty stack", ""),
    ("dropped: stack full", "push found a full stack", ""),
    ("dropped: action set full", "the action set holds no more", ""),
    ("dropped: no room to recirculate", "no recirculation id is free", ""),
    ("dropped: recirculated too often", "it was recirculated {a} times already", ""),
    ("dropped: recirculation forgotten", "the rules changed while it was on its way back to parse", ""),
    ("dropped: meter", "meter {a}: more than its rate", "sw.meters"),
    ("dropped: time to live is over", "its TTL is {a}", ""),
    ("dropped: no live bucket", "no bucket of the group is live", "sw.groups"),
    ("dropped: VLAN", "{port} is not in the packet's VLAN {a}", "sw.vsctl('set port ...')"),
    ("dropped: reserved address", "a bridge does not forward its destination address", ""),
    ("dropped: actions say so", "the actions send it nowhere", ""),
    ("dropped: no copy", "nested too deep to copy", ""),
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
    RECIRCULATED,
    METERED,
    TO_CONTROLLER,
    TRUNCATED,
    LEARNED,
    REVALIDATED,
    MEGAFLOW_CHANGED,
    MEGAFLOW_NARROWER,
    MEGAFLOW_IDLE,
    MEGAFLOW_FLUSHED,
    PACKET_OUT_RUN,
    FLOW_LIMIT,
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
    NOT_FORWARDED,
    NOT_RECEIVED,
    TOO_MANY_ACTIONS,
    TOO_DEEP,
    TOO_MANY_RESUBMITS,
    STACK_EMPTY,
    STACK_FULL,
    SET_FULL,
    NO_RECIRC,
    RECIRC_LIMIT,
    RECIRC_GONE,
    METER_DROPS,
    TTL_OVER,
    NO_BUCKET,
    VLAN_DROPS,
    RESERVED,
    NO_ACTIONS,
    NESTED_TOO_DEEP,
) = range(len(_ROWS), len(_ROWS) + len(_DROPS))
LIMIT = 256  # how many the arena counts
