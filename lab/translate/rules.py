"""The best rule of a table for a flow, and which bits of the flow it takes to know it.

Translation asks here. A table is a list of subtables, one for each mask, the one with the highest priority first;
a subtable is looked into by one hash of the masked flow. One that has no rule for the flow is proven not to have one
by as few bits as there are in, in this order: the words of a stage of lookup (metadata, L2, L3, transport ports),
alone or with those before it; the prefix of an address; the prefix of the ports. So a mask is as wide as OVS's, which
has the same stages, or wider. Writing rules is not done here but in lab.stages.enter, on the copy that nobody reads.
"""

import numpy as np

from lab.flow.classifier import MIX, finish
from lab.flow.key import W_IPV4, W_IPV6_DST, W_IPV6_SRC, W_L4, WIDE
from lab.memory.raw import add, apart, i64, low_bit, mul, picked_join, picked_same, picked_sum, u64
from lab.memory.record import NULL
from lab.translate.ledger import L_SUBTABLE, L_TREE, ask, tell
from lab.translate.records import ASKED, FLOW, KNOWN
from lab.translate.trees import first_difference

ZERO, ONE, ALL_BITS = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
HIGH_HALF, LOW_HALF = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF)
METADATA, L2, L3, L4, STAGES = 0, 1, 2, 3, 4
WHOLE = 255  # the stage of a subtable that was compared to its end
# the words of each stage: Ethernet, VLAN and MPLS; IP and what lies in it; the ports; all others come first
L2_WORDS = np.uint64(sum(1 << j for j in (2, 3, 4, 17, 18)))
L3_WORDS = np.uint64(sum(1 << j for j in (5, 6, *range(8, 17))))
L4_WORDS = np.uint64(1 << W_L4)
FIRST_WORDS = np.uint64((1 << WIDE) - 1) & ~(L2_WORDS | L3_WORDS | L4_WORDS)
STAGE_SALT = np.uint64(0x8EBC6AF09C88C6E3)
NW_SRC, NW_DST, PORTS_TREE, IPV6_SRC, IPV6_DST = range(5)  # trees, as L_TREE names them


@apart
def find_rule(rules, table, flow):
    """The rule of highest priority that matches a flow, or NULL. The plain answer: tests and benchmarks hold the other beside it."""
    best = NULL
    top = -1
    s = rules.tables[table].first
    while s != NULL:
        sub = rules.subtables[s]
        if sub.priority <= top:
            break
        f = probe(rules, s, flow)
        if f != NULL and rules.flows[f].priority > top:
            best = f
            top = rules.flows[f].priority
        s = sub.next
    return best


@apart
def find_rule_asking(rules, table, desk, ledger):
    """The same rule for the flow on the desk; every bit that it took to find it is asked for."""
    flow = desk.flows[FLOW]
    best = NULL
    top = -1
    s = rules.tables[table].first
    while s != NULL:
        sub = rules.subtables[s]
        if sub.priority <= top:
            break
        f = probe(rules, s, flow)
        if f == NULL:
            ask_for_miss(rules, s, desk, ledger)
        else:
            ask_for_all(s, sub, desk, ledger)
            if rules.flows[f].priority > top:
                best = f
                top = rules.flows[f].priority
        s = sub.next
    return best


def probe(rules, s, flow):
    """The rule of subtable `s` that a flow matches, the first of its chain, or NULL."""
    sub = rules.subtables[s]
    tag = i64(whole_hash(sub, flow) >> np.uint64(32))
    last = rules.head[0].slot_mask
    at = tag & last
    while True:
        slot = rules.slots[at]
        f = slot.flow
        if f == NULL:
            return NULL
        if slot.tag == tag:
            rule = rules.flows[f]
            if rule.subtable == s and picked_same(rule.w, flow.w, sub.mask, sub.picks):
                return f
        at = (at + 1) & last


def whole_hash(sub, flow):
    """The hash of a flow's bits under the mask of a subtable."""
    return finish(add(sub.seed, picked_sum(flow.w, sub.mask, sub.picks)))


# --- what was asked for ------------------------------------------------------------------------


def ask_for_all(s, sub, desk, ledger):
    """A subtable was compared to its end: every bit of its mask decided."""
    if ledger[0].on != 0:
        note(desk, ledger, L_SUBTABLE, (s, WHOLE, 0))
        ask_words(desk, ledger, sub, sub.words)
    else:
        picked_join(desk.flows[ASKED].w, sub.mask, desk.flows[KNOWN].w, sub.picks)


@apart
def ask_for_miss(rules, s, desk, ledger):
    """Ask for few bits that prove that no rule of subtable `s` matches, which is known to be so."""
    sub = rules.subtables[s]
    flow = desk.flows[FLOW]
    so_far = sub.seed
    seen = ZERO
    for stage in range(STAGES):
        here = sub.words & words_of(stage)
        if here == ZERO:
            continue
        if stage == L3 and ask_addresses(rules, s, desk, ledger):
            return
        if stage == L4 and ask_ports(rules, s, desk, ledger):
            return
        so_far = hash_words(so_far, here, flow, sub)
        alone = seen == ZERO
        seen = seen | here
        if seen == sub.words or there(rules, stage_tag(so_far, stage)) == 0:
            if not alone and stage != L4 and there(rules, alone_tag(sub, here, flow, stage)) == 0:
                seen = here
            failed = stage
            if seen == sub.words:
                failed = WHOLE
            note(desk, ledger, L_SUBTABLE, (s, failed, 0))
            ask_words(desk, ledger, sub, seen)
            return


def ask_addresses(rules, s, desk, ledger):
    """Whether the prefix of an address says that no rule of the subtable matches; of two the one with fewer new bits is asked for."""
    sub = rules.subtables[s]
    dst = decides(rules, sub.dst, sub, desk.flows[FLOW], dst_place(sub))
    src = decides(rules, sub.src, sub, desk.flows[FLOW], src_place(sub))
    if dst < 0 and src < 0:
        return False
    if src < 0 or (dst >= 0 and new_bits(desk, sub, dst, dst_place(sub)) <= new_bits(desk, sub, src, src_place(sub))):
        ask_prefix(s, sub, desk, ledger, (dst, dst_place(sub)))
    else:
        ask_prefix(s, sub, desk, ledger, (src, src_place(sub)))
    return True


def new_bits(desk, sub, bit, place):
    """How many bits of a prefix nobody has asked for yet."""
    j = tree_word(place)
    left = prefix_bits(sub, bit, place) & ~desk.flows[KNOWN].w[j] & ~desk.flows[ASKED].w[j]
    n = 0
    while left != ZERO:
        left = left & (left - ONE)
        n += 1
    return n


def ask_ports(rules, s, desk, ledger):
    """Whether the transport ports alone say that no rule of the subtable matches; then the bits that say so are asked for."""
    sub = rules.subtables[s]
    bit = decides(rules, sub.ports, sub, desk.flows[FLOW], PORTS_TREE)
    if bit < 0:
        return False
    ask_prefix(s, sub, desk, ledger, (bit, PORTS_TREE))
    return True


def decides(rules, root, sub, flow, place):
    """The lowest bit of the prefix that proves that no rule has the flow's value at the place of a tree; -1 when it does not."""
    if root == NULL:
        return -1
    return first_difference(rules.nodes, root, value_at(flow, sub, place))


@apart
def ask_prefix(s, sub, desk, ledger, decided):
    """Ask for the bits of the mask at the place of a tree from the highest down to the one that decides."""
    bit, place = decided
    note(desk, ledger, L_TREE, (place, width_of(bit, place), s))
    ask(ledger, desk.flows[KNOWN], desk.flows[ASKED], tree_word(place), prefix_bits(sub, bit, place))


def prefix_bits(sub, bit, place):
    """The bits of a mask at the place of a tree, down to one."""
    return sub.mask[tree_word(place)] & tree_bits(place) & (ALL_BITS << u64(bit))


@apart
def ask_words(desk, ledger, sub, words):
    """Ask for all bits of some words of a mask."""
    left = words
    while left != ZERO:
        j = low_bit(left)
        left = left & (left - ONE)
        ask(ledger, desk.flows[KNOWN], desk.flows[ASKED], j, sub.mask[j])


def note(desk, ledger, kind, figures):
    """Begin an event of the ledger, where the translation is."""
    a, b, c = figures
    tell(ledger, (kind, desk.xlate[0].depth, desk.xlate[0].table, a, b, c))


# --- stages and trees, for reading and for writing ---------------------------------------------


def words_of(stage):
    """The words of a stage of lookup, as a set of bits."""
    if stage == METADATA:
        return FIRST_WORDS
    if stage == L2:
        return L2_WORDS
    if stage == L3:
        return L3_WORDS
    return L4_WORDS


@apart
def hash_words(so_far, words, flow, sub):
    """A hash taken on over some words of a flow under a mask."""
    h = so_far
    left = words
    while left != ZERO:
        j = low_bit(left)
        left = left & (left - ONE)
        h = mul(h ^ (flow.w[j] & sub.mask[j]), MIX)
        h = h ^ (h >> np.uint64(32))
    return h


def stage_tag(so_far, stage):
    """Under what the words of all stages up to this one are counted."""
    return finish(add(so_far, mul(u64(stage + 1), STAGE_SALT)))


def alone_tag(sub, words, flow, stage):
    """Under what the words of one stage, not the first, are counted."""
    return stage_tag(hash_words(sub.seed, words, flow, sub), stage + STAGES)


@apart
def there(rules, tag):
    """Whether something is counted under a tag."""
    last = len(rules.partials) - 1
    at = i64(tag) & last
    while True:
        entry = rules.partials[at]
        if entry.count == 0:
            return 0
        if entry.tag == tag and entry.subtable == NULL:
            return 1
        at = (at + 1) & last


def dst_place(sub):
    """Which destination a subtable has a tree of: IPv4, or else the first half of IPv6."""
    if sub.mask[W_IPV4] & LOW_HALF != ZERO:
        return NW_DST
    return IPV6_DST


def src_place(sub):
    """The same for the source."""
    if sub.mask[W_IPV4] & HIGH_HALF != ZERO:
        return NW_SRC
    return IPV6_SRC


def tree_word(place):
    """The word in which the values of a tree lie."""
    if place == IPV6_SRC:
        return W_IPV6_SRC
    if place == IPV6_DST:
        return W_IPV6_DST
    if place == PORTS_TREE:
        return W_L4
    return W_IPV4


def tree_bits(place):
    """The bits of that word."""
    if place == NW_SRC:
        return HIGH_HALF
    if place == NW_DST:
        return LOW_HALF
    return ALL_BITS


def value_at(flow, sub, place):
    """What a flow, or a rule, has at the place of a tree."""
    j = tree_word(place)
    return flow.w[j] & sub.mask[j] & tree_bits(place)


def width_of(bit, place):
    """How long the prefix is that ends in a bit."""
    if place == NW_DST:
        return 32 - bit
    return 64 - bit


# --- control's side --------------------------------------------------------------------------------


def set_up_rules(arena, copy):
    """Make a copy (`rules` or `rules_b`) empty; control calls this, compiled code does not. Groups stay as they are."""
    head, slots = arena.table(copy).head[0], arena.array(copy, None, "slots")
    for part in ("tables", "head"):
        arena.array(copy, None, part).view(np.uint8)[:] = 0
    slots["flow"] = NULL
    arena.array(copy, None, "tables")["first"] = NULL
    for part, field in (("flows", "alive"), ("partials", "count")):  # only what is not zero yet: what nobody wrote needs no memory
        column = arena.array(copy, None, part)[field]
        column[np.flatnonzero(column)] = 0
    head.slot_mask, head.limit = len(slots) - 1, len(arena.array(copy, None, "flows"))
    head.free_subtable = head.free_node = NULL
