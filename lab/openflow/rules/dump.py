"""Rules as the tool prints them: `dump-flows`, `parse-flow`, `diff-flows`, each in the words of an OpenFlow version.

What is printed can be read again by `line.py`. Matches and actions show themselves; here stand the settings of the rule.
"""
from lab.openflow.matching.match import format_match

# as OpenFlow 1.3 numbers them
SEND_FLOW_REM, CHECK_OVERLAP, RESET_COUNTS, NO_PACKET_COUNTS, NO_BYTE_COUNTS = (1 << bit for bit in range(5))
FLAGS = {"send_flow_rem": SEND_FLOW_REM, "check_overlap": CHECK_OVERLAP, "reset_counts": RESET_COUNTS,
         "no_packet_counts": NO_PACKET_COUNTS, "no_byte_counts": NO_BYTE_COUNTS}
KEPT = ("send_flow_rem", "no_packet_counts", "no_byte_counts")  # the others mean the moment when a rule is added
ORDINARY = 32768  # a priority that goes without saying
OF10, OF11, OF12, OF13, OF14, OF15 = range(10, 16)
ALL_ONES = (1 << 64) - 1


def matching(entry, port_name=None):
    """Priority and match, as every line of the tool has them."""
    said = [f"priority={entry.priority}"] * (entry.priority != ORDINARY) + [format_match(entry.match.value, entry.match.mask, port_name)]
    return ",".join(filter(None, said))


def rule_words(entry, port_name=None):
    """A rule in ovs-ofctl's words: `table=1,priority=10,tcp actions=output:2`; what is as usual goes without saying."""
    said = [f"table={entry.table}"] * bool(entry.table) + [matching(entry, port_name)]
    said += [f"{name}={getattr(entry, name)}" for name in ("idle_timeout", "hard_timeout", "importance") if getattr(entry, name)]
    said += [name for name, bit in FLAGS.items() if entry.flags & bit and name in KEPT]
    head = ",".join(filter(None, said))
    return f"{head}{' ' if head else ''}actions={entry.actions.show(port_name)}"


def seconds(value):
    """A duration as OVS prints it: whole seconds, or with milliseconds."""
    milliseconds = int(value * 1000 + 1e-6)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03d}s" if rest else f"{whole}s"


def flag_words(flags):
    """Flags, each with a space behind it."""
    return "".join(f"{name} " for name, bit in FLAGS.items() if flags & bit)


def dumped(entry, seen, ages, how):
    """A line of dump-flows; `seen` is None without statistics, `ages` are (duration, idle_age, hard_age) in seconds."""
    version, port_name, show_ages = how
    said = ""
    if seen is not None or entry.cookie:
        said += f"cookie=0x{entry.cookie:x}, "
    if seen is not None:
        said += f"duration={seconds(ages[0])}, "
    if seen is not None or entry.table:
        said += f"table={entry.table}, "
    if seen is not None:
        said += f"n_packets={seen[0]}, n_bytes={seen[1]}, "
    said += "".join(f"{name}={value}, " for name in ("idle_timeout", "hard_timeout") if (value := getattr(entry, name)))
    said += flag_words(entry.flags) if version >= OF13 else ""
    said += f"importance={entry.importance}, " if entry.importance and version >= OF14 else ""
    if seen is not None and show_ages:
        said += f"idle_age={ages[1]}, " + (f"hard_age={ages[2]}, " if ages[2] != int(ages[0]) else "")
    words = matching(entry, port_name)
    return f" {said}{words}{' ' if words else ''}actions={entry.actions.show(port_name, version)}"


def compared(entry, port_name=None):
    """A line of diff-flows, without the sign."""
    said = [f"table={entry.table}"] * bool(entry.table) + list(filter(None, [matching(entry, port_name)]))
    said += [f"cookie=0x{entry.cookie:x}"] * bool(entry.cookie)
    said += [f"{name}={value}" for name in ("idle_timeout", "hard_timeout", "importance") if (value := getattr(entry, name))]
    return " ".join([*said, f"actions={entry.actions.show(port_name)}"])


def parsed(order, version, port_name=None):
    """A line of parse-flow: the message that the tool would send."""
    kinds = {"add": "ADD", "modify": "MOD", "modify_strict": "MOD_STRICT", "delete": "DEL", "delete_strict": "DEL_STRICT"}
    said = [kinds[order.kind]] + [f"table:{order.table}"] * bool(order.table)
    said += filter(None, [matching(order.as_said(), port_name)])
    if order.has_cookie is not None:
        said.append("cookie:0x{:x}/0x{:x}".format(*order.has_cookie))
    if order.cookie and order.cookie != ALL_ONES:  # which stands for none there
        said.append(f"cookie:0x{order.cookie:x}")
    said += [f"idle:{order.idle_timeout}"] * bool(order.idle_timeout) + [f"hard:{order.hard_timeout}"] * bool(order.hard_timeout)
    said += [f"out_port:{order.out_port}"] * (order.out_port is not None) + [f"out_group:{order.out_group}"] * (order.out_group is not None)
    said += [f"importance:{order.importance}"] * bool(order.importance and version >= OF14)
    said += flag_words(order.flags).split()
    if order.actions is not None:
        said.append(f"actions={order.actions.show(port_name, version)}")
    return f"OFPT_FLOW_MOD{f' (OF1.{version - 10})' if version > OF10 else ''}: {' '.join(said)}"
