"""The records of translation: rules, groups and meters that control publishes, and the desk at which a core translates.

`rules` exists twice (`rules`, `rules_b`): readers use the one that `config.active_rules` names. All of it is
written by control alone. `ofacts` is shared by both copies: a range of it is written before a rule names it and
freed when no core can be in it any more. The desk (`xlate`, `frames`, `saved`, `draft`, `frozen`) is a lane's own.
"""

from lab.flow.actions import act_t
from lab.flow.classifier import hash_slot_t
from lab.flow.key import WIDE
from lab.memory.record import Group, Layout

TABLES = 255
WATCHES_NOTHING = 0xFFFFFFFF
MOST_BANDS = 4

wide_t = Layout("wide", line=True, w=("u8", WIDE))

# --- what control publishes ------------------------------------------------------------------

# what a copy of the rules keeps of itself: rules found by a hash (`count`), masks, entries of `partials`, nodes in use;
# the first free subtable and node, and from where on none was ever used
rule_head_t = Layout(
    "rule_head",
    line=True,
    slot_mask="i8",
    limit="i8",
    count="i8",
    subtables="i8",
    partials="i8",
    nodes="i8",
    free_subtable="u4",
    free_node="u4",
    top_subtable="u4",
    top_node="u4",
)
# a table: its subtables by falling priority, a list through `next`
rule_table_t = Layout("rule_table", line=True, first="u4", rules="u4", subtables="u4")
# a mask of a table. `words`: which words of the mask have bits, `picks`: which blocks behind the first have; `priority`: the highest
# of its rules; `dst`, `src`, `ports`: the trees of what its rules have there, `tops`: that of their priorities (see trees.py)
rule_subtable_t = Layout(
    "rule_subtable",
    line=True,
    seed="u8",
    words="u8",
    digest="u8",
    priority="i4",
    picks="u4",
    next="u4",
    before="u4",
    table="u4",
    flows="u4",
    dst="u4",
    src="u4",
    ports="u4",
    tops="u4",
    mask=("u8", WIDE),
)
rule_t = Layout(
    "rule",
    line=True,
    acts="u4",
    n_acts="u4",
    subtable="u4",
    next="u4",
    priority="i4",
    number="u4",
    alive="u2",
    table="u2",
    reason="u2",
    marks="u2",
    cookie="u8",
    gap=("u8", 3),
    w=("u8", WIDE),
)
# staged lookup: how many matches begin with these bits (`subtable` NULL); or which subtable a mask has
partial_t = Layout("partial", tag="u8", count="u4", subtable="u4")
# of a tree: a fork at bit `fork` - 1 of the value, or a leaf (`fork` 0) with how often its value is there
node_t = Layout("node", value="u8", left="u4", right="u4", fork="u4", count="u4")
group_t = Layout("group", number="u4", kind="u2", alive="u2", first="u4", n="u4", method="u2", fields="u2", basis="u4")
bucket_t = Layout("bucket", acts="u4", n_acts="u4", weight="u4", watch_port="u4", watch_group="u4", number="u4")

rules_g = Group(
    "rules",
    head=rule_head_t,
    tables=rule_table_t,
    subtables=rule_subtable_t,
    slots=hash_slot_t,
    flows=rule_t,
    partials=partial_t,
    nodes=node_t,
    groups=group_t,
    buckets=bucket_t,
)

# one change that control asks `enter_rules` to make to the copy that nobody reads
ENTER, LEAVE, REWRITE = 1, 2, 3
inbox_t = Layout(
    "inbox",
    line=True,
    what="u4",
    index="u4",
    table="u4",
    priority="i4",
    acts="u4",
    n_acts="u4",
    number="u4",
    reason="u4",
    cookie="u8",
    marks="u4",
    done="u4",
    mask=("u8", WIDE),
    w=("u8", WIDE),
)

# meters: the setting is control's, the buckets of tokens a lane's. A setting has a new `version` each time it changes:
# by it a lane knows that its buckets are full and its statistics zero again
meter_t = Layout(
    "meter", line=True, number="u4", alive="u2", kbps="u2", n="u4", version="u4", rate=("u8", MOST_BANDS), burst=("u8", MOST_BANDS)
)
meter_state_t = Layout(
    "meter_state", line=True, version="i8", used="i8", packets="i8", bytes_="i8", level=("u8", MOST_BANDS), band_packets=("u8", MOST_BANDS),
    band_bytes=("u8", MOST_BANDS),
)

# --- the desk of a lane ------------------------------------------------------------------------

MOST_FRAMES, MOST_SAVED, MOST_SET, MOST_STACK, MOST_DRAFT, MOST_FROZEN = 512, 66, 64, 64, 4096, 256
TUNNEL = 7  # words of the key that hold a tunnel
FREEZABLE = 32  # frames that a frozen translation may have

xlate_t = Layout(
    "xlate",
    line=True,
    edition="u4",  # which copy of the rules this translation reads
    table="u4",
    rule="u4",  # the rule that decided last
    n_acts="u4",
    n_credits="u4",
    n_frames="u4",
    n_saved="u4",
    n_set="u4",
    n_stack="u4",
    depth="i8",
    resubmits="i8",
    changes="i8",  # actions so far that change the packet
    error="i8",  # a reason, or 0
    program="u4",  # a list of actions to run instead of the tables
    program_n="u4",
    has_program="u4",
    learns="i8",  # 1: what is learned on the way (MAC addresses) is kept
    in_port="i8",
    exit_="i8",
    next_id="i8",  # the last recirculation id that was given
    frozen="i8",  # 1 when the rest of the translation waits for recirculation
    unparsed="i8",  # 1: a label was popped, and what lies below has not been parsed
    watches="i8",  # 1: the MAC table had a say
    why="i8",  # why an output did not happen, or 0
    now="i8",
    salt="u8",
    action_set=("u4", 2 * MOST_SET),  # as it was written; from MOST_SET on in the order of execution
    stack=("u8", MOST_STACK),
)
frame_t = Layout("frame", pc="u4", end="u4", rule="u4", table="u2", kind="u2", mark="u4", deep="u4", a="u4", b="u4")
# the flow as it was before a clone or a bucket: its words and which of their bits the packet does not decide any more;
# before a clone the stack and the action set as well
saved_t = Layout(
    "saved",
    line=True,
    w=("u8", WIDE),
    known=("u8", WIDE),
    n_set="u4",
    n_stack="u4",
    exit_="i8",
    action_set=("u4", MOST_SET),
    stack=("u8", MOST_STACK),
)
frozen_t = Layout(
    "frozen",
    line=True,
    alive="u4",
    number="u4",  # its id; none is ever given twice
    epoch="i8",  # of the rules that it was frozen under
    named="u4",  # whether a megaflow names it (see sweep_frozen)
    n_frames="u4",
    n_set="u4",
    table="u4",
    rule="u4",
    group="u4",
    digest="u8",
    depth="i8",
    resubmits="i8",
    n_stack="u4",
    w=("u8", WIDE),
    tunnel=("u8", TUNNEL),  # which bits of the tunnel's words were written
    stack=("u8", MOST_STACK),
    frames=("u8", 4 * FREEZABLE),
    action_set=("u4", 2 * MOST_SET),
)
desk_g = Group("desk", xlate=xlate_t, flows=wide_t, frames=frame_t, saved=saved_t, draft=act_t, frozen=frozen_t)
# desk.flows: the flow now; its bits that are no longer the packet's; the mask so far; the key that is to be translated
FLOW, KNOWN, ASKED, REQUEST = range(4)

# --- the ledger ----------------------------------------------------------------------------------

# who asked for bits of the mask, and what happened in which order: the story that people read. Record 0: `on`, and `n` records used
ledger_t = Layout(
    "ledger", line=True, on="u4", n="u4", lost="u4", kind="u2", depth="u2", table="u4", a="i8", b="i8", c="i8", w=("u8", WIDE)
)
