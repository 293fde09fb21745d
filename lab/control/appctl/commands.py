"""`sw.appctl(...)`: the tool that the commands of ovs-appctl register into, and those on the clock.

The others stand in `trace.py` (ofproto/trace), `dpctl.py` (the datapath), `counts.py` (upcalls, revalidation,
coverage), `pmd.py` (cores), `fdb.py` (the MAC table), `tunnels.py` (routes, next hops, tunnel ports).
"""
from importlib import import_module

from lab.control.line import Tool
from lab.control.options import MOST_MS

appctl = Tool("appctl", valued=("-t", "--target", "-T", "--timeout", "-pmd"), flags=(
    "-m", "--more", "--names", "--no-names", "-s", "--statistics", "-generate", "--generate", "--offload-stats", "-nh"))
MOST_STEPS = 1000  # of one warp in steps: each looks for what has ended
NOT_BUILT = {
    "ofproto/trace-packet-out": "sw.ofctl('packet-out ...') sends one",
    "dpif-netdev/subtable-lookup-prio-get": "there is one way of looking up", "dpctl/add-flow": "sw.ofctl('add-flow ...') adds a rule",
    "dpctl/mod-flow": "sw.ofctl('mod-flows ...') changes rules", "dpctl/del-flow": "dpctl/del-flows removes all megaflows",
    "dpctl/dump-conntrack": "there is no connection tracking yet", "bond/show": "there are no bonds",
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
    """Move the clock on by milliseconds, 10 years at most; with two numbers by the first one, in steps of the second, 1000 at most."""
    call.at_most(2)
    for word in call.words:
        if not (word.text.isascii() and word.text.isdigit()) or not word.text.strip("0"):
            raise call.error(f"{word.text} is no number of milliseconds from 1 on", word)
        if len(word.text.lstrip("0")) > len(str(MOST_MS)) or int(word.text) > MOST_MS:
            raise call.error(f"the clock is warped by {MOST_MS} ms at most, 10 years", word)
    if not call.words:
        raise call.error("time/warp needs milliseconds, such as time/warp 5000")
    whole, step = int(call.words[0].text), int(call.words[-1].text)
    if -(-whole // step) > MOST_STEPS:
        least = -(-whole // MOST_STEPS)
        raise call.error(f"that is more than {MOST_STEPS} steps: take steps of {least} ms or more", call.words[-1])
    while whole > 0:
        call.sw.clock.warp(min(step, whole))
        whole -= step
    return "warped"


@appctl.command("list-commands")
def list_commands(call):
    """Print what there is."""
    there = (line for line in appctl.help().splitlines() if line.split()[0] not in NOT_BUILT)
    return "\n".join(["The available commands are:", *(f"  {line}" for line in there)])


@appctl.command("version")
def version(call):
    """Print whose commands these are."""
    call.at_most(0)
    return f"glasswitch {import_module('lab').__version__}"


for _name in NOT_BUILT:
    appctl.command(_name)(not_built)
