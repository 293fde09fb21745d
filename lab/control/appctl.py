"""`sw.appctl(...)`: the clock and the datapath in the words of ovs-appctl.

Everything here only reads, but for the clock. What a megaflow, a core or a counter is, is told by the objects themselves.
"""
from lab.control.line import Tool
from lab.memory.reasons import EMC_HIT, EMC_MISS, MEGAFLOW_FOUND, MEGAFLOW_HIT, MEGAFLOW_INSTALLED, NOT_INSTALLED, REASONS, SMC_HIT

appctl = Tool("appctl", valued=("-t", "--target", "-T", "--timeout", "-pmd"), flags=(
    "-m", "--more", "--names", "--no-names", "-s", "--statistics", "-generate", "--generate", "--offload-stats", "-nh"))
NOT_BUILT = {
    "dpif-netdev/pmd-perf-show": "dpif-netdev/pmd-stats-show is there", "dpif-netdev/pmd-stats-clear": "a new switch begins at zero",
    "dpif-netdev/subtable-lookup-prio-get": "there is one way of looking up", "dpctl/add-flow": "sw.ofctl('add-flow ...') adds a rule",
}


def not_built(call):
    """What ovs-appctl has and this switch does not yet."""
    raise call.error(f"{call.verb.text} is not built yet: {NOT_BUILT[call.verb.text]}")


@appctl.command("time/stop")
def time_stop(call):
    """Hold the clock."""
    call.at_most(0)
    call.sw.clock.stop()


@appctl.command("time/start")
def time_start(call):
    """Let the clock follow real time again, while the switch is started (OVS has no such command)."""
    call.at_most(0)
    call.sw.clock.start()


@appctl.command("time/warp", "[LARGE_MS] MS")
def time_warp(call):
    """Move the clock on by milliseconds; with two numbers by the first one, in steps of the second."""
    call.at_most(2)
    for word in call.words:
        if not word.text.isdigit() or int(word.text) == 0:
            raise call.error(f"{word.text} is no number of milliseconds from 1 on", word)
    if not call.words:
        raise call.error("time/warp needs milliseconds, such as time/warp 5000")
    whole, step = int(call.words[0].text), int(call.words[-1].text)
    while whole > 0:
        call.sw.clock.warp(min(step, whole))
        whole -= step
    return "warped"


@appctl.command("dpctl/dump-flows", "[-m]")
def dump_flows(call):
    """Print the megaflows."""
    full = "-m" in call.options or "--more" in call.options
    return "\n".join(flow.text(full=full) for flow in call.sw.megaflows)


appctl.command("dpif/dump-flows", "[-m]")(dump_flows)


@appctl.command("dpif/show")
def dpif_show(call):
    """Print the datapath's hits and misses and its ports."""
    counts = call.sw.counters
    missed = _sum(counts, MEGAFLOW_INSTALLED, NOT_INSTALLED)
    hit = _sum(counts, EMC_HIT, SMC_HIT, MEGAFLOW_HIT, MEGAFLOW_FOUND)
    lines = [f"netdev@ovs-netdev: hit:{hit} missed:{missed}", f"  {call.sw.name}:"]
    return "\n".join([*lines, *(f"    {name} {port.ofport}/{port.ofport}: ({port.type})" for name, port in call.sw.ports.items())])


def _sum(counts, *reasons):
    return sum(counts.get(REASONS[number].code, 0) for number in reasons)


@appctl.command("dpif-netdev/pmd-stats-show")
def pmd_stats_show(call):
    """Print what each core has looked up, and where it was found."""
    call.at_most(0)
    return "\n".join(line for pmd in call.sw.pmds for line in _stats(call.sw, pmd))


def _stats(sw, pmd):
    counts = sw.engine.array("reasons", pmd.lane)["count"]
    packets = int(counts[EMC_HIT]) + int(counts[EMC_MISS])
    cycles = sum(pmd.cycles.values())
    upcalls = int(counts[MEGAFLOW_INSTALLED]) + int(counts[NOT_INSTALLED])
    rows = {"packets received": packets, "emc hits": int(counts[EMC_HIT]), "smc hits": int(counts[SMC_HIT]),
            "megaflow hits": int(counts[MEGAFLOW_HIT]) + int(counts[MEGAFLOW_FOUND]), "miss with success upcall": upcalls,
            "miss with failed upcall": 0, "processing cycles": cycles,
            "avg processing cycles per packet": f"{cycles / packets:.2f} ({cycles}/{packets})" if packets else "0.00"}
    return [f"pmd thread numa_id 0 core_id {pmd.lane}:", *(f"  {name}: {value}" for name, value in rows.items())]


@appctl.command("dpif-netdev/pmd-rxq-show")
def pmd_rxq_show(call):
    """Print which core serves the queue of which port."""
    call.at_most(0)
    lines = []
    for pmd in call.sw.pmds:
        lines += [f"pmd thread numa_id 0 core_id {pmd.lane}:", "  isolated : false"]
        lines += [f"  port: {call.sw.ports[number].name:<16}  queue-id:  0 (enabled)" for number in pmd.ports]
    return "\n".join(lines)


@appctl.command("coverage/show")
def coverage_show(call):
    """Print how often each decision fell, for each reason."""
    counts = call.sw.counters
    never = sum(not counts.get(reason.code) for reason in REASONS)
    return "\n".join([*(f"{code:<28} total: {count}" for code, count in counts.items() if count), f"{never} reasons never given"])


@appctl.command("list-commands")
def list_commands(call):
    """Print what there is."""
    there = (line for line in appctl.help().splitlines() if line.split()[0] not in NOT_BUILT)
    return "\n".join(["The available commands are:", *(f"  {line}" for line in there)])


for _name in NOT_BUILT:
    appctl.command(_name)(not_built)
