"""Which words of a list of actions each of its records is: what a story says when a record is run.

A list prints as one text; compiled code runs it record by record. Here the text is cut where one action ends, inside
`clone(...)` and `write_actions(...)` as well, and laid beside the records. Used by `ofproto/trace`, on no packet's way.
"""

from lab.openflow.action_set import WITH_BODY, in_set_order
from lab.openflow.rule import top_level

VERSIONS = (10, 15)  # a list whose words stand for several records in one version of OpenFlow may not in another


def texts_of(actions, port_name=None):
    """The words of each record: {its place in the list: text}.

    >>> from lab.openflow.actions import parse_actions
    >>> texts_of(parse_actions("clone(mod_vlan_vid:7,2),dec_ttl"))
    {0: 'clone(mod_vlan_vid:7,output:2)', 1: 'mod_vlan_vid:7', 2: 'output:2', 3: 'dec_ttl'}
    """
    for version in VERSIONS:
        said = actions.show(port_name, version)
        found = _beside(actions.records, said)
        if found is not None:
            return found
    return dict.fromkeys(range(len(actions.records)), said)


def _beside(records, said):
    """Words beside records, or None when there are not as many of one as of the other."""
    if not records:
        return {}
    found, at = {}, 0
    for piece in top_level(said):
        if at >= len(records):
            return None
        found[at], record = piece, records[at]
        at += 1
        if int(record.op) in WITH_BODY:
            inner = _beside(records[at : at + int(record.n)], piece[piece.find("(") + 1 : -1])
            if inner is None:
                return None
            found |= {at + place: text for place, text in inner.items()}
            at += int(record.n)
    return found if at == len(records) else None


def texts_in_set_order(actions, port_name=None):
    """The words of a bucket's records, which are those of its actions in the order of an action set."""
    texts, left = texts_of(actions, port_name), list(enumerate(actions.records))
    found = []
    for record in in_set_order(actions.records):
        place = next(place for place, (_, one) in enumerate(left) if one is record or one == record)
        found.append(texts[left.pop(place)[0]])
    return found


def set_in_words(items):
    """An action set as it stands; `items` are (place, record, words) in the order in which they were written."""
    if not items:
        return "empty"
    words = {id(record): text for _, record, text in items}
    records = [record for _, record, _ in items]
    return ",".join(words[id(record)] for record in in_set_order(records) or records)
