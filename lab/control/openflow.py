"""The OpenFlow side of a switch, put together: rules, groups, meters, the controller and packet-outs, which name one another."""

from functools import partial

from lab.control.live.controller import Controller
from lab.control.live.megaflows import Megaflow
from lab.control.packet_out import PacketOuts
from lab.openflow.groups import Groups
from lab.openflow.meters import Meters
from lab.openflow.table import RuleTable
from lab.translate.ofact import O_GROUP, O_METER

MANY = 500  # rules, from which on changing them plainly would take longer than having machine code made
AGING = 200_000  # microseconds between two looks for rules whose time is over


def compose(switch, like=None):
    """Give a switch its OpenFlow side; `like` is the switch that it is a fork of."""
    switch.controller = switch.ports.controller = Controller(switch, like=like and like.controller)
    switch.rules = RuleTable(
        switch.engine.arena,
        like=like and like.rules,
        settled=switch.settled,
        lasting=partial(lasting, switch),
        clock=lambda: switch.engine.now,
        perform=lambda stage: switch.engine.perform(stage, many=len(switch.rules) > MANY),
        port_name=switch.port_name,
        ports=lambda: {name: port.ofport for name, port in switch.ports.items()},
        group_record=lambda number: switch.groups.record(number),
        meter_record=lambda number: switch.meters.record(number),
        removed=switch.controller.rule_removed,
        megaflow=lambda lane, index: Megaflow(switch, [(lane, index)]),
    )
    switch.groups, switch.meters = Groups(switch.rules, like=like and like.groups), Meters(switch.rules, like=like and like.meters)
    switch.aged = 0
    switch.packet_outs = PacketOuts(switch, like=like and like.packet_outs)
    switch.groups.forget = partial(switch.packet_outs.forget, O_GROUP)
    switch.meters.forget = partial(switch.packet_outs.forget, O_METER)


def lasting(switch, regions, do):
    """Do what is done again when somebody steps back to before it, behind all that was done before it."""
    if switch.cores.running:
        do()
    else:
        switch.walk.act("begin counting", regions, do, partial(lasting, switch, regions, do))


def tend(switch):
    """What is due while the cores run: collect what was sent, let rules end."""
    switch.ports.collect()
    age(switch)


def age(switch):
    """Let the rules go whose time is over."""
    now = switch.engine.now
    if switch.rules.timed and now >= switch.aged + AGING:
        switch.aged = now
        switch.rules.expire(now)
