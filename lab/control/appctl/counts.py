"""What is counted beside packets, in the words of ovs-appctl: `upcall/...`, `revalidator/...`, `coverage/...`, `memory/show`, the bridge.

Each core looks after its own megaflows between two bursts, so it is its own revalidator. Why megaflows went is told by the
reasons (`lab.memory.reasons`) that `coverage/show` counts.
"""

import time
from weakref import WeakKeyDictionary

import numpy as np

from lab.control.appctl.commands import appctl
from lab.control.appctl.dpctl import DATAPATH, flush
from lab.control.ofctl.tool import namer
from lab.memory.reasons import (
    MEGAFLOW_CHANGED,
    MEGAFLOW_FLUSHED,
    MEGAFLOW_IDLE,
    MEGAFLOW_NARROWER,
    REASONS,
    REVALIDATED,
)
from lab.openflow.rules.dump import matching

PATIENCE = 5.0  # seconds
_averages: WeakKeyDictionary = WeakKeyDictionary()  # engine: the average number of megaflows over the looks at it


# --- upcalls and revalidation ----------------------------------------------------------------------


@appctl.command("upcall/show")
def upcall_show(call):
    """Print how many megaflows there are and may be, how long holding them against the rules takes, why they went."""
    call.at_most(0)
    sw = call.sw
    engine = sw.engine
    keys = {lane: int(engine.array("megaflows", lane, "head")["count"][0]) for lane in engine.lanes}
    now, most = sum(keys.values()), sum(most_megaflows(engine, lane) for lane in engine.lanes)
    average = _averages[engine] = (_averages.get(engine, now) + now) // 2  # as OVS does at each of its dumps
    counts = engine.reason_counts()
    kept, changed = int(counts[REVALIDATED]), int(counts[MEGAFLOW_CHANGED])
    gone = [f"{int(counts[reason])} {name}" for reason, name in (
        (MEGAFLOW_NARROWER, "by mask"), (MEGAFLOW_IDLE, "idle"), (MEGAFLOW_FLUSHED, "flushed"))]  # fmt: skip
    return "\n".join([
        f"{DATAPATH}:",
        f"  flows         : (current {now}) (avg {average}) (max {most}) (limit {flow_limit(engine)})",
        f"  dump duration : {dump_ms(engine)}ms",
        "  ufid enabled : true",
        f"  revalidated   : {kept} kept, {changed} changed; deleted: {', '.join(gone)}",
        "",
        *(f"  {lane}: (keys {n})" for lane, n in keys.items()),
    ])


def most_megaflows(engine, lane):
    """How many megaflows a core had at most: a record is taken for the first time only when all that ever were are in use."""
    flows = engine.array("megaflows", lane, "flows")
    return int(np.count_nonzero(flows["ufid"].any(axis=1)))


def flow_limit(engine):
    """How many megaflows each core may have."""
    room = int(engine.array("megaflows", 1, "head")["limit"][0])
    return int(engine.array("config")["flow_limit"][0]) or room


def dump_ms(engine):
    """Milliseconds that holding all megaflows of a core against the rules takes, from the cycles of bursts that had them counted."""
    longest = 0.0
    for lane in engine.lanes:
        spent, passes = engine.spent[lane][0], int(engine.array("lane", lane)["passes"][0])
        calls = int(engine.array("counters", lane)["calls"][0]) or int(spent["calls"])
        if int(spent["calls"]) and passes:
            cycles = int(spent["total"]) / int(spent["calls"]) * calls / passes
            longest = max(longest, cycles / int(engine.array("config")["cycles_per_us"][0]) / 1000)
    return round(longest)


@appctl.command("upcall/set-flow-limit", "N")
def set_flow_limit(call):
    """Let each core have at most so many megaflows; what comes beyond is decided anew for each packet."""
    word = call.one("a number of megaflows, such as upcall/set-flow-limit 5000")
    room = int(call.sw.engine.array("megaflows", 1, "head")["limit"][0])
    if not word.text.isdigit() or not 1 <= int(word.text) <= room:
        raise call.error(f"{word.text} is no flow limit: a number from 1 to {room}, for which there is room", word)
    call.sw.engine.array("config")["flow_limit"] = int(word.text)
    return f"set flow_limit to {int(word.text)}"


@appctl.command("revalidator/wait")
def revalidator_wait(call):
    """Return when every megaflow has been held against the rules as they are now."""
    call.at_most(0)
    call.sw.settled()
    until = time.monotonic() + PATIENCE
    while call.sw.cores.running and (late := [lane for lane in call.sw.engine.lanes if behind(call.sw.engine, lane)]):
        if time.monotonic() > until:
            raise call.error(f"core {late[0]} is not through its megaflows after {PATIENCE:.0f} s: sw.stop() ends it")
        time.sleep(0.0005)


def behind(engine, lane):
    """Whether a core still has megaflows to look at, or a change that it has not seen."""
    here, config = engine.array("lane", lane)[0], engine.array("config")[0]
    return int(here["cursor"]) >= 0 or int(here["epoch"]) != int(config["epoch"]) or int(here["flushed"]) != int(config["flushes"])


@appctl.command("revalidator/purge")
def revalidator_purge(call):
    """Remove every megaflow."""
    call.at_most(0)
    flush(call.sw)


@appctl.command("revalidator/pause")
def revalidator_pause(call):
    """Not possible: each core looks after its own megaflows."""
    raise call.error("each core looks after its megaflows itself, between two bursts: there is nothing to pause; sw.stop() halts all")


@appctl.command("revalidator/resume")
def revalidator_resume(call):
    """Not possible either."""
    raise call.error("each core looks after its megaflows itself, between two bursts: nothing is paused; sw.start() lets all run")


# --- coverage and memory -----------------------------------------------------------------------------


@appctl.command("coverage/show")
def coverage_show(call):
    """Print how often each decision fell, for each reason."""
    call.at_most(0)
    counts = call.sw.counters
    never = sum(not counts.get(reason.code) for reason in REASONS)
    return "\n".join([*(f"{code:<28} total: {count}" for code, count in counts.items() if count), f"{never} reasons never given"])


@appctl.command("coverage/read-counter", "REASON")
def read_counter(call):
    """Print how often one reason was given; its code may be written with _ for what is no letter."""
    if not call.words:
        raise call.error("coverage/read-counter needs a reason, such as coverage/read-counter megaflow_hit")
    codes = {plain(reason.code): reason for reason in REASONS}
    wanted = plain(" ".join(word.text for word in call.words))
    if wanted not in codes:
        raise call.error(f"no reason is called {call.words[0].text!r}: coverage/show prints those that were given", call.words[0], codes)
    return str(call.sw.count(codes[wanted].number))


def plain(code):
    """A reason's code as one word."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in code).split())


@appctl.command("memory/show")
def memory_show(call):
    """Print what there is of everything."""
    call.at_most(0)
    sw = call.sw
    cores, pool = len(sw.pmds), sw.engine.array("mbufs")
    rows = {
        "handlers": cores, "mbufs": len(pool), "mbufs in use": int((pool["refcnt"] > 0).sum()), "ports": len(sw.ports),
        "revalidators": cores, "rules": len(sw.rules), "udpif keys": len(sw.megaflows),
    }  # fmt: skip
    return " ".join(f"{name}:{value}" for name, value in rows.items())


# --- the bridge ------------------------------------------------------------------------------------


@appctl.command("ofproto/list")
def ofproto_list(call):
    """Print the bridge's name."""
    call.at_most(0)
    return call.sw.name


@appctl.command("bridge/dump-flows", "[--offload-stats] BRIDGE")
def bridge_dump_flows(call):
    """Print every rule with what it has seen, a line each."""
    call.at_most(0)
    rules, names, lines = call.sw.rules, namer(call), []
    seen, now = rules.tally(), rules.clock()
    for rule in rules:
        entry = rule.entry
        said = [f"table_id={entry.table}"] * bool(entry.table) + [f"duration={int(max(0, now - entry.created) / 1e6)}s"]
        said += [f"n_packets={int(seen.packets[entry.index])}", f"n_bytes={int(seen.bytes[entry.index])}"]
        said += ["n_offload_packets=0", "n_offload_bytes=0"] * ("--offload-stats" in call.options)
        lines.append(f"{', '.join(said)}, {matching(entry, names)},actions={entry.actions.show(names)}")
    return "\n".join(lines)
