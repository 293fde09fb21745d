"""`sw.ofctl(...)`: the commands on groups and meters, in the words of ovs-ofctl.

They print what the tool prints without the header of the reply. The groups are kept by `lab.openflow.groups`, the meters by
`lab.openflow.meters`; what is written is read by `group_text.py` and `meter_text.py`.
"""
from pathlib import Path

from lab.control.line import joined
from lab.control.ofctl.files import Named
from lab.control.ofctl.tool import namer, numbers, ofctl, version_of
from lab.openflow import group_text as groups
from lab.openflow import meter_text as meters
from lab.openflow.errors import CommandError
from lab.openflow.meter_text import show_meter
from lab.openflow.rules.dump import seconds
from lab.openflow.text import Text
from lab.translate.records import MOST_BANDS

IN_A_FILE = (groups.ADD, groups.MODIFY, groups.ADD_OR_MODIFY, groups.DELETE, groups.INSERT, groups.REMOVE)
ACTIONS_OF_A_BUCKET = "output group set_field strip_vlan push_vlan mod_nw_ttl dec_ttl set_mpls_ttl dec_mpls_ttl push_mpls pop_mpls"
EXAMPLES = {groups.INSERT: "group_id=1,command_bucket_id=last,bucket=output:1", groups.REMOVE: "group_id=1,command_bucket_id=all"}


def rest_of(call):
    """What stands behind the command, as one text; empty when nothing does."""
    return joined(call.words) if call.words else call.verb.part(len(call.verb.text), len(call.verb.text))


def told(call, do):
    """Do something; an error that is no word's is the command's."""
    try:
        do()
    except CommandError as error:
        raise call.error(error.problem) if not error.command else error from None


# --- groups -------------------------------------------------------------------------------------------


def _change(call, what):
    if not call.words and what != groups.DELETE:
        example = EXAMPLES.get(what, "group_id=1,type=all,bucket=output:1,bucket=output:2")
        raise call.error(f"{call.verb.text} needs a group, such as {call.verb.text} {example}")
    order = groups.parse_group(rest_of(call), numbers(call.sw), what)
    told(call, lambda: call.sw.groups.carry_out(order))


@ofctl.command("add-group", "GROUP")
def add_group(call):
    """Add a group."""
    _change(call, groups.ADD)


@ofctl.command("mod-group", "[--may-create] GROUP")
def mod_group(call):
    """Give a group another type and other buckets; with --may-create, add it if there is none."""
    _change(call, groups.ADD_OR_MODIFY if "--may-create" in call.options else groups.MODIFY)


@ofctl.command("del-groups", "[group_id=N]")
def del_groups(call):
    """Delete a group, or all, and the rules that use them."""
    _change(call, groups.DELETE)


@ofctl.command("insert-buckets", "group_id=N,command_bucket_id=WHERE,BUCKETS")
def insert_buckets(call):
    """Add buckets to a group: first, last, or behind the one with a bucket_id."""
    _change(call, groups.INSERT)


@ofctl.command("remove-buckets", "group_id=N,command_bucket_id=WHICH")
def remove_buckets(call):
    """Take a bucket out of a group: the first, the last, one by its bucket_id, or all."""
    _change(call, groups.REMOVE)


@ofctl.command("add-groups", "FILE")
def add_groups(call):
    """Do what a file says, a line each: one bad line and nothing is changed."""
    word = call.one("a file of groups")
    try:
        lines = Path(word.text).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise call.error(f"{word.text} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}", word) from None
    ports, found = numbers(call.sw), []
    for n, line in enumerate(lines, 1):
        said = line.partition("#")[0].rstrip()
        with Named(word, n, said):
            found += [(n, said, _line(said, ports))] if said.strip() else []
    with call.sw.groups.change() as plan:
        for n, said, order in found:
            with Named(word, n, said):
                plan.carry_out(order)


def _line(line, ports):
    """The order of a line of a file, which may begin with what is to be done."""
    start = len(line) - len(line.lstrip())
    first = line.split()[0]
    if first not in IN_A_FILE:
        return groups.parse_group(Text(line).part(start, len(line)), ports, groups.ADD)
    return groups.parse_group(Text(line).part(start + len(first), len(line)), ports, first)


@ofctl.command("dump-groups", "[GROUP]")
def dump_groups(call):
    """Print the groups."""
    call.at_most(1)
    version, name = version_of(call), namer(call)
    return "\n".join(f" {group.show(name, version)}" for group in _chosen(call))


def _chosen(call):
    """The groups that are meant: all, or the one whose number stands alone or behind group_id=."""
    if not call.words:
        return list(call.sw.groups.values())
    word = call.words[0]
    if not word.text.startswith("group_id") and not word.text.isdigit() and word.text != groups.EVERY:
        raise call.error(f"{word.text} is no number of a group", word, [str(number) for number in call.sw.groups])
    order = groups.parse_group(word if "=" in word.text else Text(f"group_id={word.text}"), {}, groups.FIND)
    if order.number is None:
        return list(call.sw.groups.values())
    return [call.sw.groups[order.number]] if order.number in call.sw.groups else []


@ofctl.command("dump-group-stats", "[group_id=N]")
def dump_group_stats(call):
    """Print what the groups and their buckets have seen."""
    call.at_most(1)
    lines = []
    for group in _chosen(call):
        whole, buckets = group.counts()
        said = [f" group_id={group.number},duration={seconds(group.duration)},ref_count={group.users}",
                f"packet_count={whole.packets},byte_count={whole.bytes}"]
        said += [f"bucket{at}:packet_count={count.packets},byte_count={count.bytes}" for at, count in enumerate(buckets)]
        lines.append(",".join(said))
    return "\n".join(lines)


@ofctl.command("dump-group-features")
def dump_group_features(call):
    """Print which groups there may be, and what their buckets may do."""
    call.at_most(0)
    lines = [" Group table:", "    Types:  0xf", "    Capabilities:  0x7"]
    for kind in ("all", "select", "indirect", "fast failover"):
        lines += [f"    {kind} group:", f"       max_groups={call.sw.groups.most:#x}", f"       actions: {ACTIONS_OF_A_BUCKET}"]
    return "\n".join(lines)


# --- meters -------------------------------------------------------------------------------------------


def _change_meter(call, what):
    if not call.words and what != meters.DELETE:
        raise call.error(f"{call.verb.text} needs a meter, such as {call.verb.text} meter=1,pktps,bands=type=drop,rate=1000")
    order = meters.parse_meter(rest_of(call), what)
    told(call, lambda: call.sw.meters.carry_out(order))


@ofctl.command("add-meter", "METER")
def add_meter(call):
    """Add a meter."""
    _change_meter(call, meters.ADD)


@ofctl.command("mod-meter", "METER")
def mod_meter(call):
    """Give a meter other rates; it counts anew."""
    _change_meter(call, meters.MODIFY)


@ofctl.command("del-meters", "[meter=N]")
def del_meters(call):
    """Delete a meter, or all, and the rules that use them."""
    _change_meter(call, meters.DELETE)


ofctl.command("del-meter", "[meter=N]")(del_meters)


def _chosen_meters(call):
    order = meters.parse_meter(rest_of(call), meters.FIND)
    if order.number is None:
        return list(call.sw.meters.values())
    if order.number not in call.sw.meters:
        raise order.error("meter", f"there is no meter {order.number}", [str(number) for number in call.sw.meters])
    return [call.sw.meters[order.number]]


@ofctl.command("dump-meters", "[meter=N]")
def dump_meters(call):
    """Print the meters."""
    return "\n\n".join(show_meter(meter.entry) for meter in _chosen_meters(call))


ofctl.command("dump-meter", "[meter=N]")(dump_meters)


@ofctl.command("meter-stats", "[meter=N]")
def meter_stats(call):
    """Print what came to the meters, and what each band dropped."""
    blocks = []
    for meter in _chosen_meters(call):
        whole, bands = meter.counts()
        lines = [f"meter:{meter.number} flow_count:{meter.users} packet_in_count:{whole.packets} byte_in_count:{whole.bytes} "
                 f"duration:{seconds(meter.duration)} bands:"]
        lines += [f"{at}: packet_count:{count.packets} byte_count:{count.bytes}" for at, count in enumerate(bands)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


@ofctl.command("meter-features")
def meter_features(call):
    """Print which meters there may be."""
    call.at_most(0)
    return f"max_meter:{call.sw.meters.most} max_bands:{MOST_BANDS} max_color:0\nband_types: drop\ncapabilities: kbps pktps burst stats"
