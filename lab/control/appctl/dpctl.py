"""`dpctl/...` and `dpif/...`: the datapath in the words of ovs-appctl: its megaflows, its ports, hits and misses.

How a flow is written is in `odp.py`; what a megaflow is, `sw.megaflows` knows. A switch is one datapath, `netdev@ovs-netdev`, and
one bridge. Ports stand by name unless `--no-names`.
"""

import numpy as np

from lab.control import membership
from lab.control.appctl.commands import appctl
from lab.control.ofctl.tool import namer
from lab.control.reading.odp import ufid_text
from lab.memory.reasons import EMC_HIT, FLOW_LIMIT, MEGAFLOW_FOUND, MEGAFLOW_HIT, MEGAFLOW_INSTALLED, NOT_INSTALLED, SMC_HIT

DATAPATH = "netdev@ovs-netdev"
NAMES = (DATAPATH, "ovs-netdev")
HITS, MISSES = (EMC_HIT, SMC_HIT, MEGAFLOW_HIT, MEGAFLOW_FOUND), (MEGAFLOW_INSTALLED, NOT_INSTALLED, FLOW_LIMIT)
SETTINGS = ("filter=", "pmd=", "type=")
TYPES = ("ovs", "all", "non-offloaded", "offloaded", "partially-offloaded", "tc", "dpdk")
STATISTICS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_drops", "tx_drops")


def operands(call):
    """The operands without the name of the datapath."""
    return [word for word in call.words if word.text not in NAMES]


def full(call):
    """Whether everything is wanted."""
    return "-m" in call.options or "--more" in call.options


def counted(sw, reasons):
    """How often several reasons were given, over all cores."""
    return int(sw.engine.reason_counts()[list(reasons)].sum())


# --- megaflows -----------------------------------------------------------------------------------


@appctl.command("dpctl/dump-flows", "[-m] [--names | --no-names] [filter=MATCH] [pmd=CORE]")
def dump_flows(call):
    """Print the megaflows: all, those whose packets a match takes, those of one core."""
    flows = list(call.sw.megaflows)
    for word in operands(call):
        name = next((name for name in SETTINGS if word.text.startswith(name)), None)
        if name is None:
            raise call.error(f"{call.verb.text} takes no {word.text!r}", word, SETTINGS)
        value = word.part(len(name), len(word.text))
        if name == "filter=":
            found = {flow.ufid for flow in call.sw.megaflows.find(value)}
            flows = [flow for flow in flows if flow.ufid in found]
        elif name == "pmd=":
            core = core_of(call, value)
            flows = [flow for flow in flows if core in flow.lanes]
        elif value.text not in TYPES:
            raise value.error(f"no flows are of type {value.text!r}: there are {', '.join(TYPES)}", value.text, 0, TYPES)
        elif value.text not in TYPES[:3]:
            flows = []  # no hardware has any
    names = namer(call)
    return "\n".join((f"ufid:{ufid_text(flow.ufid)}, " if full(call) else "") + flow.line(names, full(call)) for flow in flows)


@appctl.command("dpif/dump-flows", "[-m] [--names | --no-names] BRIDGE")
def dpif_dump_flows(call):
    """Print the megaflows of the bridge."""
    call.at_most(0)
    names, more = namer(call), full(call)
    return "\n".join((f"ufid:{ufid_text(flow.ufid)} " if more else "") + flow.line(names, more, "") for flow in call.sw.megaflows)


def core_of(call, word):
    """The core that a word names."""
    cores = [str(pmd.lane) for pmd in call.sw.pmds]
    if word.text not in cores:
        raise word.error(f"there is no core {word.text!r}: there {'is' if len(cores) == 1 else 'are'} {', '.join(cores)}", word.text, 0)
    return int(word.text)


@appctl.command("dpctl/get-flow", "[-m] ufid:UFID")
def get_flow(call):
    """Print the megaflow with a ufid, of which the first digits suffice."""
    words = operands(call)
    if not words:
        raise call.error("dpctl/get-flow needs a ufid: dpctl/get-flow ufid:3f2a...; dpctl/dump-flows -m prints them")
    if len(words) > 1:
        raise call.error(f"dpctl/get-flow takes one ufid, no {words[1].text!r}", words[1])
    digits = words[0].text.removeprefix("ufid:").replace("-", "").lower()
    if not digits or set(digits) - set("0123456789abcdef") or len(digits) > 32:
        raise call.error(f"{words[0].text} is no ufid: up to 32 hexadecimal digits, ufid:3f2a...", words[0])
    found = [flow for flow in call.sw.megaflows if flow.ufid.startswith(digits)]
    if len(found) != 1:
        problem = f"{len(found)} megaflows have a ufid that begins so" if found else "no megaflow has this ufid"
        raise call.error(problem, words[0], [f"ufid:{ufid_text(flow.ufid)}" for flow in call.sw.megaflows[:50]])
    return f"ufid:{ufid_text(found[0].ufid)}, {found[0].line(namer(call), full(call))}"


@appctl.command("dpctl/del-flows")
def del_flows(call):
    """Remove every megaflow; what they have seen goes to their rules first."""
    words = operands(call)
    if words:
        raise call.error(f"dpctl/del-flows removes all megaflows: it takes no {words[0].text!r}", words[0])
    flush(call.sw)


def flush(sw):
    """Have each core remove its megaflows, and wait for it."""
    sw.engine.array("config")["flushes"] += 1
    membership.changed(sw, "dpctl/del-flows")


# --- the datapath --------------------------------------------------------------------------------


@appctl.command("dpctl/show", "[-s]")
def dpctl_show(call):
    """Print the datapath: what was looked up, how many megaflows there are, its ports, with -s what they have counted."""
    sw, words = call.sw, operands(call)
    if words:
        raise call.error(f"there is no datapath {words[0].text!r}", words[0], NAMES)
    lines = [f"{DATAPATH}:", f"  lookups: hit:{counted(sw, HITS)} missed:{counted(sw, MISSES)} lost:0", f"  flows: {len(sw.megaflows)}"]
    for port in sw.ports.values():
        lines.append(f"  port {port.number}: {port.name} ({port.type})")
        if "-s" in call.options or "--statistics" in call.options:
            lines += port_statistics(sw, port)
    return "\n".join(lines)


def port_statistics(sw, port):
    """What a port has counted; what nobody counts is a question mark, as in OVS."""
    rows = [sw.engine.array("port_stats", lane)[port.number] for lane in range(sw.engine.cores + 1)]
    seen = {name: int(np.sum([row[name] for row in rows])) for name in STATISTICS}
    return [
        f"    RX packets:{seen['rx_packets']} errors:? dropped:{seen['rx_drops']} overruns:? frame:?",
        f"    TX packets:{seen['tx_packets']} errors:? dropped:{seen['tx_drops']} aborted:? carrier:?",
        "    collisions:?",
        f"    RX bytes:{seen['rx_bytes']}  TX bytes:{seen['tx_bytes']}",
    ]


@appctl.command("dpif/show")
def dpif_show(call):
    """Print the datapath's hits and misses, and the ports of the bridge."""
    call.at_most(0)
    sw = call.sw
    lines = [f"{DATAPATH}: hit:{counted(sw, HITS)} missed:{counted(sw, MISSES)}", f"  {sw.name}:"]
    return "\n".join([*lines, *(f"    {port.name} {port.ofport}/{port.number}: ({port.type})" for port in sw.ports.values())])


@appctl.command("dpctl/dump-dps")
def dump_dps(call):
    """Print the datapath's name."""
    call.at_most(0)
    return DATAPATH


appctl.command("dpif/dump-dps")(dump_dps)
