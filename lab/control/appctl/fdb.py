"""`fdb/...`: the MAC table in the words of ovs-appctl. What an entry is, `sw.fdb` knows."""

from lab.control.appctl.commands import appctl
from lab.control.vsctl import doing


@appctl.command("fdb/show", "[BRIDGE]")
def fdb_show(call):
    """Print the addresses that are known."""
    call.at_most(0)
    lines = [" port  VLAN  MAC                Age"]
    for entry in call.sw.fdb.entries():
        age = "static" if entry.fixed else f"{int(entry.age):3}"
        lines.append(f"{entry.ofport:5}  {entry.vlan:4}  {entry.mac}  {age}")
    return "\n".join(lines)


@appctl.command("fdb/flush", "[BRIDGE]")
def fdb_flush(call):
    """Forget every address that was learned."""
    call.at_most(0)
    call.sw.fdb.flush()
    return "table successfully flushed"


@appctl.command("fdb/add", "[BRIDGE] PORT VLAN MAC")
def fdb_add(call):
    """Add an entry that never ages."""
    if len(call.words) < 3:
        raise call.error("fdb/add needs a port, a VLAN and an address: fdb/add vm1 0 02:00:00:00:00:01")
    call.at_most(3)
    port, vlan = call.port(call.words[0]), vlan_of(call, call.words[1])
    doing(call, call.words[2], lambda: call.sw.fdb.add(call.words[2].text, port, vlan))


@appctl.command("fdb/del", "[BRIDGE] VLAN MAC")
def fdb_del(call):
    """Take away an entry that was added."""
    if len(call.words) < 2:
        raise call.error("fdb/del needs a VLAN and an address: fdb/del 0 02:00:00:00:00:01")
    call.at_most(2)
    vlan = vlan_of(call, call.words[0])
    doing(call, call.words[1], lambda: call.sw.fdb.remove(call.words[1].text, vlan))


def vlan_of(call, word):
    """The VLAN that a word names."""
    if not word.text.isdigit() or int(word.text) > 4095:
        raise call.error(f"{word.text} is no VLAN: a number from 0 to 4095", word)
    return int(word.text)


@appctl.command("fdb/stats-show", "[BRIDGE]")
def fdb_stats_show(call):
    """Print how many addresses were learned, expired, evicted and moved."""
    call.at_most(0)
    fdb = call.sw.fdb
    rows = {
        "Current/maximum MAC entries in the table": f"{len(fdb)}/{fdb.limit}",
        "Current static MAC entries in the table ": sum(entry.fixed for entry in fdb.values()),
        "Total number of learned MAC entries     ": fdb.statistic("learned"),
        "Total number of expired MAC entries     ": fdb.statistic("expired"),
        "Total number of evicted MAC entries     ": fdb.statistic("evicted"),
        "Total number of port moved MAC entries  ": fdb.statistic("moved"),
    }
    return "\n".join([f'Statistics for bridge "{call.sw.name}":', *(f"  {name}: {value}" for name, value in rows.items())])


@appctl.command("fdb/stats-clear", "[BRIDGE]")
def fdb_stats_clear(call):
    """Count from nothing again."""
    call.at_most(0)
    call.sw.fdb.clear_statistics()
    return "statistics successfully cleared"
