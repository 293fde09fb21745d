"""`sw.ofctl(...)`: the commands on the switch and its ports, in ovs-ofctl's words.

They take what the tool takes and print what it prints, without the header of the reply. What a rule is, and what a group is, is not
known here.
"""

from lab.control.ofctl_tool import namer, ofctl
from lab.flow.actions import show_port


@ofctl.command("dump-ports", "[PORT]")
def dump_ports(call):
    """Print what went in and out at the ports."""
    call.at_most(1)
    ports = [call.port(call.words[0])] if call.words else list(call.sw.ports.values())
    name, lines = namer(call), []
    for port in ports:
        lines.append(f"  port {show_port(port.ofport, name):>2}: rx pkts={port.rx_packets}, bytes={port.rx_bytes}, drop={port.rx_drops}, "
                     "errs=0, frame=0, over=0, crc=0")
        lines.append(f"           tx pkts={port.tx_packets}, bytes={port.tx_bytes}, drop={port.tx_drops}, errs=0, coll=0")
    return "\n".join(lines)


@ofctl.command("dump-ports-desc", "[PORT]")
def dump_ports_desc(call):
    """Print the ports."""
    call.at_most(1)
    ports = [call.port(call.words[0])] if call.words else list(call.sw.ports.values())
    return "\n".join(_describe(port) for port in ports)


def _describe(port):
    return (f" {port.ofport}({port.name}): addr:{port.mac}\n     config:     0\n     state:      {'LIVE' if port.up else 'LINK_DOWN'}\n"
            "     speed: 0 Mbps now, 0 Mbps max")


@ofctl.command("show")
def show(call):
    """Print what the switch is and its ports."""
    call.at_most(0)
    known = "output set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src mod_dl_dst mod_nw_src mod_nw_dst mod_nw_tos mod_tp_src mod_tp_dst"
    head = ["n_tables:1, n_buffers:0", "capabilities: FLOW_STATS PORT_STATS", f"actions: {known}"]
    return "\n".join([*head, *(_describe(port) for port in call.sw.ports.values())])
