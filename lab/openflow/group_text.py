"""Groups as ovs-ofctl writes them: `group_id=1,type=select,bucket=weight:2,actions=output:1,bucket=output:2`.

A line becomes a `GroupOrder`, which knows where each of its words stood, so that whoever finds out later that it cannot be
done can point at the word. What a group does to packets, and which groups there are, is not known here: see `groups.py`.
"""
from dataclasses import dataclass, field

from lab.flow.actions import show_port
from lab.openflow.actions import Actions, parse_actions
from lab.openflow.acts.tables import MOST_GROUP
from lab.openflow.acts.value import OPENFLOW_10, OPENFLOW_15
from lab.openflow.matching import values
from lab.openflow.matching.match import unknown_port
from lab.openflow.text import Text, Word, as_text
from lab.translate import groups as by
from lab.translate.ofact import ALL, FAST_FAILOVER, INDIRECT, OFPP_MAX, SELECT

ADD, MODIFY, ADD_OR_MODIFY, DELETE, INSERT, REMOVE, FIND = (
    "add", "modify", "add_or_mod", "delete", "insert_bucket", "remove_bucket", "find",
)
KINDS = {"all": ALL, "select": SELECT, "indirect": INDIRECT, "ff": FAST_FAILOVER, "fast_failover": FAST_FAILOVER}
KIND_NAMES = {ALL: "all", SELECT: "select", INDIRECT: "indirect", FAST_FAILOVER: "ff"}
EVERY, FIRST, LAST = "all", "first", "last"  # words for a group, or for the place of buckets
SETTINGS = ("type", "selection_method", "selection_method_param", "fields")
KNOWN = {ADD: ("group_id", *SETTINGS), INSERT: ("group_id", "command_bucket_id"), FIND: ("group_id",)}
KNOWN |= {MODIFY: KNOWN[ADD], ADD_OR_MODIFY: KNOWN[ADD], REMOVE: KNOWN[INSERT], DELETE: KNOWN[FIND]}
OF_A_BUCKET = ("bucket_id", "weight", "watch_port", "watch_group", "actions")
# what a hash may take: OVS's name, in OVS's order, and the bit that stands for it
HASHED = {
    "eth_src": by.F_DL_SRC, "eth_dst": by.F_DL_DST, "vlan_vid": by.F_VLAN, "ip_src": by.F_NW_SRC, "ip_dst": by.F_NW_DST,
    "ipv6_src": by.F_NW_SRC, "ipv6_dst": by.F_NW_DST, "nw_proto": by.F_PROTO, "tcp_src": by.F_TP_SRC, "tcp_dst": by.F_TP_DST,
    "udp_src": by.F_TP_SRC, "udp_dst": by.F_TP_DST, "sctp_src": by.F_TP_SRC, "sctp_dst": by.F_TP_DST,
}
OTHER_NAMES = {"dl_src": "eth_src", "dl_dst": "eth_dst", "nw_src": "ip_src", "nw_dst": "ip_dst", "ip_proto": "nw_proto",
               "tp_src": "tcp_src", "tp_dst": "tcp_dst"}


@dataclass(frozen=True)
class Bucket:
    """One bucket as it was given; `number` is its bucket_id, None before it has one."""

    number: int | None
    weight: int
    watch_port: int | None
    watch_group: int | None
    actions: Actions


@dataclass
class GroupOrder:
    """What a line says of a group: `number` is None for all of them, `place` a bucket_id or one of the words for it."""

    what: str
    text: Text
    number: int | None = None
    kind: int | None = None
    method: str = ""
    param: int = 0
    fields: tuple = ()
    place: int | str | None = None
    buckets: tuple = ()
    said: dict = field(default_factory=dict)  # name: Word

    def error(self, name, problem, choices=()):
        """The error for a setting of this line: at its value, or at the whole when the line does not say it."""
        word = self.said.get(name)
        if word is None:
            return self.text.error(problem, self.text.text, 0, choices)
        return self.text.error(problem, word.value or word.name, word.value_at if word.value else word.at, choices)


def parse_group(text, ports=None, what=ADD):
    """The order that a line gives.

    >>> parse_group("group_id=1,type=all,bucket=output:1").buckets[0].actions
    <actions output:1>
    """
    text = as_text(text)
    words = text.words()
    begin = [at for at, word in enumerate(words) if word.name == "bucket"]
    order = GroupOrder(what, text)
    for word in words[: begin[0] if begin else len(words)]:
        _setting(order, word)
    _check_settings(order)
    if begin and what not in (ADD, MODIFY, ADD_OR_MODIFY, INSERT):
        raise text.error("no bucket is needed here", "bucket", words[begin[0]].at)
    ends = [*begin[1:], len(words)]
    order.buckets = tuple(_bucket(order, words[at:end], ports or {}) for at, end in zip(begin, ends, strict=False))
    if order.kind is not None:
        check_buckets(order, order.kind, len(order.buckets))
    return order


def check_buckets(order, kind, total):
    """Refuse buckets that a kind of group cannot have; `total` is how many it will have with them."""
    first = order.said.get("bucket")
    for bucket in order.buckets:
        watches = bucket.watch_port is not None or bucket.watch_group is not None
        if kind == FAST_FAILOVER and not watches:
            raise order.error("bucket", "a bucket of a fast failover group needs a watch_port or a watch_group")
        if kind in (ALL, INDIRECT) and watches:
            raise order.error("bucket", f"buckets of type={KIND_NAMES[kind]} watch nothing: type=ff or type=select does",
                              ("type=ff",))
    if kind != SELECT and "weight" in order.said:
        raise order.error("weight", f"only select groups have weights, not type={KIND_NAMES[kind]}")
    if kind == INDIRECT and total != 1:
        raise order.error("bucket" if first else "type", f"an indirect group has one bucket, not {total}")


# --- before the buckets -----------------------------------------------------------------------------


def _setting(order, word):
    known = KNOWN[order.what]
    if word.name not in known:
        if word.name in (*KNOWN[ADD], *KNOWN[INSERT]):
            raise order.text.error(f"{word.name} is not needed here", word.name, word.at)
        raise order.text.error(f"a group has no {word.name!r}: there are {', '.join((*known, 'bucket'))}", word.name, word.at,
                               (*known, "bucket"))
    if not word.value:
        raise order.text.error(f"{word.name} needs a value", word.name, word.at)
    if word.name in order.said:
        raise order.text.error(f"{word.name} stands there twice", word.name, word.at)
    order.said[word.name] = word
    if word.name == "group_id":
        order.number = _group_number(order, word)
    elif word.name == "type":
        if word.value not in KINDS:
            raise order.error("type", f"{word.value!r} is no type of group: there are {', '.join(KINDS)}", KINDS)
        order.kind = KINDS[word.value]
    elif word.name == "selection_method":
        if word.value not in ("hash", "dp_hash"):
            raise order.error("selection_method", f"{word.value!r} is no selection method: there are hash and dp_hash", ("hash", "dp_hash"))
        order.method = word.value
    elif word.name == "selection_method_param":
        order.param = _number(order, word, 64)
    elif word.name == "fields":
        order.fields = _fields(order, word)
    else:
        order.place = word.value if word.value in (FIRST, LAST, EVERY) else _number(order, word, 32)


def _number(order, word, bits):
    try:
        return values.number(word.value, bits)
    except ValueError as error:
        raise order.text.error(f"{word.name}: {error}", word.value, word.value_at) from None


def _group_number(order, word):
    """The number of a group; None for `all`, where that may stand."""
    if word.value == EVERY:
        if order.what in (DELETE, FIND):
            return None
        raise order.text.error("one group is meant here, not all", word.value, word.value_at)
    number = _number(order, word, 32)
    if number > MOST_GROUP:
        raise order.text.error(f"groups are numbered from 0 to {MOST_GROUP}", word.value, word.value_at)
    return number


def _fields(order, word):
    part = order.text.part(word.value_at, word.value_at + len(word.value))
    found = []
    for one in part.words():
        name = OTHER_NAMES.get(one.name, one.name)
        if name not in HASHED:
            raise part.error(f"a hash does not take {one.name!r}: it takes {', '.join(HASHED)}", one.name, one.at, (*HASHED, *OTHER_NAMES))
        if one.value:
            raise part.error(f"{one.name}: a hash takes fields whole here, without masks", one.value, one.value_at)
        if name in found:
            raise part.error(f"{one.name} stands there twice", one.name, one.at)
        found.append(name)
    return tuple(name for name in HASHED if name in found)


def _check_settings(order):
    said, what = order.said, order.what
    if "group_id" not in said and what not in (DELETE, FIND):
        raise order.error("", "it needs a group_id=NUMBER")
    if what in (ADD, MODIFY, ADD_OR_MODIFY) and "type" not in said:
        raise order.error("", f"it needs a type: type={', type='.join(KIND_NAMES.values())}")
    if "selection_method" in said and order.kind != SELECT:
        raise order.error("selection_method", "only a group of type=select selects")
    if "fields" in said and order.method != "hash":
        raise order.error("fields", "fields go with selection_method=hash")
    if "selection_method_param" in said and not order.method:
        raise order.error("selection_method_param", "it goes with a selection_method")
    if what == INSERT and order.place is None:
        raise order.error("", "it needs a command_bucket_id: first, last, or the bucket behind which the new ones go")
    if what == INSERT and order.place == EVERY:
        raise order.error("command_bucket_id", "buckets go to one place, not to all: first, last, or behind a bucket", (FIRST, LAST))


# --- buckets -----------------------------------------------------------------------------------------


def _bucket(order, words, ports):
    """A bucket: its settings may stand anywhere among its actions."""
    head, text = words[0], order.text
    if text.text[head.at + len(head.name) : head.value_at] != "=":
        raise text.error("a bucket is written bucket=ACTIONS", head.name, head.at)
    order.said.setdefault("bucket", Word(head.name, head.at, None, head.value_at))
    inside = [_moved(word, head.value_at) for word in text.part(head.value_at, head.value_at + len(head.value)).words()]
    given, pieces = {}, []
    for word in (*inside, *words[1:]):
        if word.name in ("action", "actions"):
            pieces += [(word.value_at, word.value_at + len(word.value))] if word.value else []
        elif word.name in OF_A_BUCKET:
            if not word.value:
                raise text.error(f"{word.name} needs a value", word.name, word.at)
            order.said.setdefault(word.name, word)
            given[word.name] = _of_bucket(order, word, ports)
        else:
            bracket = word.value is not None and text.text[word.value_at - 1] == "("
            pieces.append((word.at, word.at + len(word.name) if word.value is None else word.value_at + len(word.value) + bracket))
    if not pieces:
        raise text.error("a bucket needs actions: bucket=output:1, or bucket=actions=drop", head.name, head.at)
    said = _joined([text.part(start, end) for start, end in pieces])
    return Bucket(given.get("bucket_id"), given.get("weight", 1), given.get("watch_port"), given.get("watch_group"),
                  parse_actions(said, ports, where="bucket"))


def _moved(word, by_letters):
    return word._replace(at=word.at + by_letters, value_at=word.value_at + by_letters)


def _joined(parts):
    """Pieces of a text as one, a comma between them, each letter where it was."""
    spots = [spot for part in parts for spot in part.spots]
    return Text(",".join(part.text for part in parts), parts[0].command, spots)


def _of_bucket(order, word, ports):
    text, name = order.text, word.name
    if name == "watch_port":
        if word.value == "any":
            return None
        plain = word.value.strip('"')
        if not plain[:1].isdigit():
            if plain not in ports:
                raise unknown_port(text, word.value, word.value_at, ports)
            return ports[plain]
    number = _number(order, word, 16 if name in ("weight", "watch_port") else 32)
    if name == "watch_port" and number >= OFPP_MAX:
        raise text.error(f"{word.value} is no port: they are numbered from 1 to {OFPP_MAX - 1}", word.value, word.value_at)
    if name in ("watch_group", "bucket_id") and number > MOST_GROUP:
        raise text.error(f"{name} is at most {MOST_GROUP}", word.value, word.value_at)
    return number


# --- printing ------------------------------------------------------------------------------------------


def show_group(entry, port_name=None, version=OPENFLOW_10):
    """A group as dump-groups prints it: OpenFlow 1.1 to 1.4 know neither bucket_ids nor selection methods."""
    whole = version == OPENFLOW_10 or version >= OPENFLOW_15
    said = [f"group_id={entry.number}", f"type={KIND_NAMES[entry.kind]}"]
    if whole and entry.method:
        said.append(f"selection_method={entry.method}")
        said += [f"selection_method_param={entry.param}"] if entry.param else []
        if entry.fields:
            said.append(f"fields={entry.fields[0]}" if len(entry.fields) == 1 else f"fields({','.join(entry.fields)})")
    return ",".join([*said, *(_show_bucket(entry.kind, bucket, port_name, version, whole) for bucket in entry.buckets)])


def _show_bucket(kind, bucket, port_name, version, whole):
    said = [f"bucket_id:{bucket.number}"] if whole else []
    said += [f"weight:{bucket.weight}"] if kind == SELECT and bucket.weight != 1 else []
    said += [f"watch_port:{show_port(bucket.watch_port, port_name)}"] if bucket.watch_port is not None else []
    said += [f"watch_group:{bucket.watch_group}"] if bucket.watch_group is not None else []
    return "bucket=" + ",".join([*said, f"actions={bucket.actions.show(port_name, version)}"])
