"""Trees of values: which prefix of a value decides that no rule of a subtable has it there.

All rules of a subtable share a mask, so the values at one place of it (an address, both transport ports) form a binary
tree of forks, each at the highest bit in which the values below it differ. A walk ends at the value that agrees with
the one sought for the longest; the bits down to the first difference prove that it is not there, and no other is asked
for. A tree of a subtable's own never asks for more than one that all subtables share. The priorities of a subtable's
rules hang in such a tree too: the highest is found at once when the one above it goes.
"""

import numpy as np

from lab.memory.raw import apart, high_bit, u64
from lab.memory.record import NULL

ZERO, ONE = np.uint64(0), np.uint64(1)
COMES, GOES = 1, 2


@apart
def first_difference(nodes, root, value):
    """The highest bit in which a value differs from the one of the tree that agrees with it for the longest; -1 if it is there."""
    return high_bit(nodes[_nearest(nodes, root, value)].value ^ value) - 1


def highest(nodes, root):
    """The greatest value of a tree."""
    at = root
    while nodes[at].fork != 0:
        at = nodes[at].right
    return nodes[at].value


def tree_change(rules, root, value, way):
    """Have a value in a tree once more or once less: the root then."""
    if way == COMES:
        return tree_enter(rules, root, value)
    return tree_leave(rules, root, value)


@apart
def tree_enter(rules, root, value):
    """Have a value in a tree once more: the root then."""
    nodes = rules.nodes
    if root == NULL:
        return _leaf(rules, value)
    near = _nearest(nodes, root, value)
    fork = high_bit(nodes[near].value ^ value)
    if fork == 0:
        nodes[near].count += 1
        return root
    above = NULL
    at = root
    while nodes[at].fork > fork:
        above = at
        at = _below(nodes[at], value)
    made = _take(rules)
    leaf = _leaf(rules, value)
    node = nodes[made]
    node.fork = fork
    if _goes_right(fork, value):
        node.left = at
        node.right = leaf
    else:
        node.left = leaf
        node.right = at
    if above == NULL:
        return made
    _hang(nodes[above], at, made)
    return root


@apart
def tree_leave(rules, root, value):
    """Have a value, which is there, in a tree once less: the root then, NULL when nothing is left."""
    nodes = rules.nodes
    over = NULL
    above = NULL
    at = root
    while nodes[at].fork != 0:
        over = above
        above = at
        at = _below(nodes[at], value)
    nodes[at].count -= 1
    if nodes[at].count != 0:
        return root
    _give(rules, at)
    if above == NULL:
        return NULL
    other = nodes[above].left
    if other == at:
        other = nodes[above].right
    _give(rules, above)
    if over == NULL:
        return other
    _hang(nodes[over], above, other)
    return root


def _nearest(nodes, root, value):
    """The leaf to which the bits of a value lead."""
    at = root
    while nodes[at].fork != 0:
        at = _below(nodes[at], value)
    return at


def _goes_right(fork, value):
    return (value >> u64(fork - 1)) & ONE != ZERO


def _below(node, value):
    """The branch of a fork that a value takes."""
    if _goes_right(node.fork, value):
        return node.right
    return node.left


def _hang(node, old, new):
    """Put a node in the place of another below a fork."""
    if node.left == old:
        node.left = new
    else:
        node.right = new


def _leaf(rules, value):
    made = _take(rules)
    node = rules.nodes[made]
    node.value = value
    node.fork = 0
    node.count = 1
    return made


def _take(rules):
    """A node that is in no tree; whoever enters a rule has seen that there are enough."""
    head = rules.head[0]
    head.nodes += 1
    n = head.free_node
    if n != NULL:
        head.free_node = rules.nodes[n].left
        return n
    head.top_node += 1
    return head.top_node - 1


def _give(rules, n):
    head = rules.head[0]
    head.nodes -= 1
    rules.nodes[n].left = head.free_node
    head.free_node = n
