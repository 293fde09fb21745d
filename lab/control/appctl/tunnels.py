"""`ovs/route/...`, `tnl/...` and `ofproto/list-tunnels`: routes, next hops and tunnel ports in the words of ovs-appctl.

What they are, `sw.routes`, `sw.neighbours` and the tunnel ports know. A route's `src=` is the port's address always, and
there are no marks of packets to choose a route by.
"""

from collections import Counter

from lab.control.appctl.commands import appctl
from lab.control.vsctl import doing
from lab.ports.addresses import read_address

IP_WIDTH = 46  # INET6_ADDRSTRLEN
NEIGHBOURS_HEAD = ["IP                                            MAC                 Bridge", "=" * 74]
STALE = 15 * 60  # seconds after which OVS takes an entry for old
SYSTEM = {"vxlan": "vxlan_sys_{}", "geneve": "genev_sys_{}", "gre": "gre_sys", "mplsoudp": "mplsoudp_sys_{}"}


def source(port, version):
    """The address that packets of a route come from."""
    return port.ip if version == 4 else port.ip6


@appctl.command("ovs/route/add", "IP/PLEN PORT [GW]")
def route_add(call):
    """Let a prefix be reached through a port."""
    call.at_most(3)
    if len(call.words) < 2:
        raise call.error("ovs/route/add needs a prefix and a port: ovs/route/add 10.0.0.0/24 eth0 [GATEWAY]")
    prefix, port, *gateway = call.words
    if gateway and "=" in gateway[0].text:
        raise call.error(f"{gateway[0].text} is no gateway: a route's source is its port's address, and no mark chooses it", gateway[0])
    doing(call, prefix, lambda: call.sw.routes.add(prefix.text, call.port(port), gateway[0].text if gateway else None))
    return "OK"


@appctl.command("ovs/route/del", "IP/PLEN")
def route_del(call):
    """Take a prefix's route away."""
    prefix = call.one("a prefix, such as 10.0.0.0/24")
    doing(call, prefix, lambda: call.sw.routes.remove(prefix.text))
    return "OK"


@appctl.command("ovs/route/show")
def route_show(call):
    """Print the routes; those that came with a port's address are called cached, as OVS calls those of the system."""
    call.at_most(0)
    lines = ["Route Table:"]
    for route in call.sw.routes:
        via = f" GW {route.gateway}" if route.gateway else ""
        src = source(call.sw.ports[route.port], 6 if ":" in route.prefix else 4)
        lines.append(f"{'Cached' if route.connected else 'User'}: {route.prefix} dev {route.port}{via} SRC {src}")
    return "\n".join(lines)


@appctl.command("ovs/route/lookup", "IP")
def route_lookup(call):
    """Print which way an address is reached."""
    word = call.one("an IP address")
    route = doing(call, word, lambda: call.sw.routes.lookup(word.text))
    if route is None:
        raise call.error(f"Not found: no route leads to {word.text}; ovs/route/add adds one", word)
    src = source(call.sw.ports[route.port], read_address(word.text, "").version)
    return f"src {src}\ngateway {route.gateway or '::'}\ndev {route.port}"


@appctl.command("tnl/neigh/show")
def neigh_show(call):
    """Print the next hops whose MAC address is known."""
    call.at_most(0)
    lines = list(NEIGHBOURS_HEAD)
    for entry in call.sw.neighbours.entries():
        if entry.mac:
            old = " STALE" if not entry.fixed and entry.age > STALE else ""
            lines.append(f"{entry.ip:{IP_WIDTH}}{entry.mac}   {call.sw.name}{old}")
    return "\n".join(lines)


@appctl.command("tnl/neigh/set", "[BRIDGE] IP MAC")
def neigh_set(call):
    """Set the MAC address of a next hop."""
    call.at_most(2)
    if len(call.words) < 2:
        raise call.error(f"{call.verb.text} needs an address and a MAC: {call.verb.text} 10.0.0.2 02:00:00:00:00:02")
    ip, mac = call.words
    doing(call, ip, lambda: call.sw.neighbours.add(ip.text, mac.text))
    return "OK"


@appctl.command("tnl/neigh/flush")
def neigh_flush(call):
    """Forget all next hops."""
    call.at_most(0)
    call.sw.neighbours.flush()
    return "OK"


for _name, _function in (("show", neigh_show), ("set", neigh_set), ("flush", neigh_flush)):
    appctl.command(f"tnl/arp/{_name}", appctl.commands[f"tnl/neigh/{_name}"][1])(_function)


def system_name(port):
    """What OVS calls the device of the datapath that tunnel ports with the same UDP port share."""
    return SYSTEM[port.type].format(port.dst_port)


@appctl.command("tnl/ports/show")
def ports_show(call):
    """Print what tunnels listen at: the device, its lowest port number, how many tunnel ports share it."""
    call.at_most(0)
    tunnels = sorted(call.sw.ports.tunnels(), key=lambda port: port.ofport)
    shared = Counter(system_name(port) for port in tunnels)
    first = {system_name(port): port.ofport for port in reversed(tunnels)}
    return "\n".join(["Listening ports:", *(f"{name} ({first[name]}) ref_cnt={shared[name]}" for name in sorted(shared))])


@appctl.command("ofproto/list-tunnels")
def list_tunnels(call):
    """Print the tunnel ports and what tells their packets."""
    call.at_most(0)
    return "\n".join(one_tunnel(port) for port in sorted(call.sw.ports.tunnels(), key=lambda port: port.ofport))


def one_tunnel(port):
    """A tunnel port, as OVS prints it."""
    key = port.key if port.key == "flow" else f"{port.key:#x}" if port.key else "0"
    said = [f"{port.local_ip or '::'}->{port.remote_ip}", f"key={key}", port.packet_type, f"dp port={port.ofport}", f"ttl={port.ttl}"]
    said += [] if not port.tos else [f"tos={port.tos if port.tos == 'inherit' else hex(port.tos)}"]
    said += [] if port.df else ["df=false"]
    said += ["csum=true"] if port.csum else []
    return f"port {port.ofport}: {port.name} ({port.type}: {', '.join(said)})"
