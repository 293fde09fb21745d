"""The regions: every name that a stage may put among its parameters, what lies there and how much of it.

`place` says who has one: SHARED (all lanes see the same records; only control writes those that are not
counters), LANE (each core has its own), HOST (beside the arena, never in a snapshot: addresses, cycles).
A region that is not `rewound` holds what only a person changes; stepping back leaves it as it is.
"""

from dataclasses import dataclass

from lab.flow.acts import acts_g
from lab.flow.emc import ENTRIES, emc_t
from lab.flow.key import key_t
from lab.flow.megaflow import megaflows_g
from lab.flow.smc import BUCKETS, smc_t
from lab.memory.mbuf import ROOM, mbuf_t
from lab.memory.mempool import TOLD, pool_g
from lab.memory.reasons import LIMIT
from lab.memory.record import Layout
from lab.memory.ring import rings_g
from lab.offload.records import (
    ITEMS,
    NEIGHBOURS,
    ROUTES,
    address_t,
    cut_t,
    gro_g,
    ip_route_t,
    neighbour_t,
    sight_t,
    tunnel_port_t,
    tunnel_t,
)
from lab.offload.views import carrying_v, cutting_v, merging_v
from lab.stages.burst import BURST, PASSES, burst_t, reason_t, trace_t
from lab.stages.credit import books_v
from lab.stages.performing.view import doing_v
from lab.translate.emit import mind_v
from lab.translate.fdb import WAYS_IN_ALL, fdb_g
from lab.translate.ofact import ofact_t
from lab.translate.records import (
    MOST_DRAFT,
    MOST_FRAMES,
    MOST_FROZEN,
    MOST_SAVED,
    TABLES,
    desk_g,
    inbox_t,
    ledger_t,
    meter_state_t,
    meter_t,
    rules_g,
)

TUNNEL_KIND = 16  # `ports[n].kind` of tunnels: what is sent to them goes on to the port that their route leads to
PORTS = 64  # ports of a switch, 0 unused
LANES = 5  # control and up to four cores
ARC = 8  # stages on an arc of a port
STAGES = 64  # stages a pipeline may know
PIPELINE = 16  # stages on the main way
EVENTS = 2048  # explanations kept while tracing one step
NO_STAGE = 255
RING = 1024  # frames that wait at a port
# ring numbers: of port p, PORTS * lane + p (lane 0: what came in; else what that core sent); then two a lane for trading mbufs;
# then from lane to lane, HANDS + LANES * from + to
SURPLUS, SUPPLY = PORTS * LANES, PORTS * LANES + LANES
HANDS = PORTS * LANES + 2 * LANES
RINGS = HANDS + LANES * LANES

OTHER_OFACTS = 8192  # records at the end of `ofacts`: those of groups and packet-outs, the ones before are the rules'
PACKET_OUTS = 64  # packet-outs that may be on their way

# parameters that stand for several regions
VIEWS = {view.name: view for view in (mind_v, books_v, doing_v, merging_v, cutting_v, carrying_v)}
SHARED, LANE, HOST = "shared", "lane", "host"

port_t = Layout(
    "port",
    line=True,
    kind="u2",
    up="u2",
    mtu="u4",
    offloads="u8",
    mac="u8",
    lane="u4",
    receive="u4",
    transmit="u4",
    n_ingress="u4",
    n_egress="u4",
    ingress=("u1", ARC),
    egress=("u1", ARC),
    generation="u4",
    ip="u4",
    stamped="u4",
    replay_first="u4",
    replay_n="u4",
    sink="u4",
    pace="i8",
    paced_at="i8",
    option="i8",
    # what stands on its arcs by its settings (lab.ports.offloads)
    gro="u1",  # GRO_OFF, GRO_LINUX or GRO_DPDK
    gro_acks="u1",  # pure acknowledgements are joined too
    verify="u1",
    vrouter="u1",  # large packets are split here and handed to a core
    gro_most="u4",  # segments of one merged packet
)
port_stats_t = Layout(
    "port_stats",
    line=True,
    rx_packets="i8",
    rx_bytes="i8",
    tx_packets="i8",
    tx_bytes="i8",
    rx_drops="i8",
    tx_drops="i8",
    replayed="i8",
    position="i8",
)
route_t = Layout("route", stage="u2", need="u2")
config_t = Layout(
    "config",
    line=True,
    emc_chance="u8",
    smc_on="i8",
    vlan_limit="i8",
    epoch="i8",
    lookup_stages="i8",
    clock_base="i8",
    clock_from="i8",
    cycles_per_us="i8",
    clock_stopped="i8",
    idle_us="i8",
    flow_limit="i8",
    lanes="i8",
    active_rules="i8",
    mac_age_us="i8",
    spin="i8",
    mac_limit="i8",
    recirc_limit="i8",
    flushes="i8",
    gro_us="i8",  # how long GRO holds a packet, `linux`
    gro_cycles="i8",  # and `dpdk`: 0 flushes at the end of each burst
)
lane_t = Layout(
    "lane",
    line=True,
    number="u4",
    phase="u4",
    at="u4",
    port="u4",
    out="u4",
    poll="u4",
    idle="i8",
    seed="u8",
    now="i8",
    epoch="i8",
    ranked_at="i8",
    fdb_seen="i8",
    cursor="i8",
    only_watching="i8",
    swept="i8",
    passed_at="i8",
    idle_at="i8",
    passes="i8",
    flushed="i8",
    serial="u4",
    waits="u4",  # packets in `again`
    nest_end=("u4", 8),  # the clones that `actions` is in: where their lists end, and whom they copied
    nest_pkt=("u4", 8),
    pending="u8",
    later="u8",  # of the pending outputs those that wait for another one's batch
    held="u4",  # packets that GRO holds
    ready="u4",  # those that it let go of and that found no room in the burst, ingress side
    ready_out="u4",
    paused="u4",  # nothing comes any more: GRO lets go of all
    hand="u4",  # the lane whose ring was taken from
    spare="u4",
    due="i8",  # when the packet that GRO holds longest has been held long enough
)
# the ports whose queues a lane serves in turn, and behind them, as PORTS + lane, the lanes that hand packets over
queues_t = Layout("queues", line=True, n="u4", port=("u1", PORTS + LANES))
counter_t = Layout("counter", calls="i8", packets_in="i8", packets_out="i8", drops="i8")
rule_stats_t = Layout("rule_stats", packets="i8", bytes_="i8", used="i8")
packet_out_t = Layout("packet_out", first="u4", n="u4")  # its actions in `ofacts`
need_t = Layout("need", wants="u8")  # by place: the flags of a batch that make its stage worth calling; 0: always
scratch_t = Layout("scratch", mark="u1")
table_stats_t = Layout("table_stats", lookups="i8", matched="i8")
# how a port takes part in NORMAL: 4096 bits of trunks, none set for all
vlan_port_t = Layout("vlan_port", line=True, mode="u4", tag="u4", marks="u4", spare="u4", trunks=("u8", 64))

# beside the arena
code_t = Layout("code", address="u8", foreign="i8")
spent_t = Layout("spent", total="i8", calls="i8", packets="i8")
thread_t = Layout(
    "thread",
    line=True,
    tid="i8",
    stop="i8",
    beat="i8",
    at="i8",
    result="i8",
    ended="i8",
    worlds="u8",
    stride="u8",
    pause_s="i8",
    pause_ns="i8",
    pause_at="u8",
    lost="i8",
    entry="u8",
    idle="i8",
    rounds="i8",
    failed_at="i8",
)


@dataclass(frozen=True)
class Region:
    """What lies in the arena under one name."""

    name: str
    shape: object  # a Layout, a Group, or None for the packets' bytes
    counts: object  # records; for a Group, records of each of its tables
    place: str = SHARED
    rewound: bool = True


def regions(size):
    """The regions of a switch: `small` fits into 64 MB, `large` holds 200 000 megaflows."""
    mbufs, flows, rules, acts, masks = {"small": (4096, 10_000, 4096, 1 << 17, 512), "large": (65536, 200_000, 131_072, 1 << 21, 4096)}[
        size
    ]
    slots, rule_slots = 2 << (flows * 3 // 2).bit_length() - 1, 2 << (rules * 3 // 2).bit_length() - 1
    classifier = {"head": 1, "subtables": 256}
    table = {"head": 1, "tables": TABLES, "subtables": masks, "slots": rule_slots, "flows": rules}
    table |= {"partials": 4 * rule_slots, "nodes": 8 * rules, "groups": 512, "buckets": 4096}
    desk = {"xlate": 1, "flows": 4, "frames": MOST_FRAMES, "saved": MOST_SAVED, "draft": MOST_DRAFT, "frozen": MOST_FROZEN}
    return {
        r.name: r
        for r in (
            Region("memory", None, mbufs * ROOM),
            Region("mbufs", mbuf_t, mbufs),
            Region("pool", pool_g, {"head": 1, "free": mbufs, "told": TOLD}, LANE),
            Region("rings", rings_g, {"ring": RINGS, "slots": 0}),
            Region("ports", port_t, PORTS, SHARED, False),
            Region("port_stats", port_stats_t, PORTS, LANE),
            Region("bursts", burst_t, 1, LANE),
            Region("outs", burst_t, PORTS, LANE),
            Region("keys", key_t, BURST, LANE),
            Region("masks", key_t, 2, LANE),
            Region("emc", emc_t, ENTRIES, LANE),
            Region("smc", smc_t, BUCKETS, LANE),
            Region("megaflows", megaflows_g, {**classifier, "slots": slots, "flows": flows + BURST}, LANE),
            Region("rules", rules_g, table, SHARED, False),
            Region("rules_b", rules_g, table, SHARED, False),
            Region("ofacts", ofact_t, 8 * rules + OTHER_OFACTS, SHARED, False),
            Region("packet_outs", packet_out_t, PACKET_OUTS, SHARED, False),
            Region("inbox", inbox_t, 1024, SHARED, False),
            Region("meters", meter_t, 256, SHARED, False),
            Region("vlans", vlan_port_t, PORTS, SHARED, False),
            Region("fdb", fdb_g, {"head": LANES, "entries": LANES * WAYS_IN_ALL}, SHARED),
            Region("rule_stats", rule_stats_t, rules, LANE),
            Region("table_stats", table_stats_t, TABLES, LANE),
            Region("group_stats", rule_stats_t, 512, LANE),
            Region("bucket_stats", rule_stats_t, 4096, LANE),
            Region("meter_state", meter_state_t, 256, LANE),
            Region("acts", acts_g, {"head": 1, "list": acts}, LANE),
            Region("desk", desk_g, desk, LANE),
            Region("ledger", ledger_t, 1 + 1024, LANE, False),
            Region("again", burst_t, PASSES + 1, LANE),
            Region("cuts", cut_t, 1, LANE),
            Region("gro", gro_g, {"head": 1, "items": ITEMS, "ready": 2}, LANE),
            Region("sight", sight_t, 2, LANE),
            Region("tunnels", tunnel_t, mbufs, SHARED),
            Region("tunnel_ports", tunnel_port_t, PORTS, SHARED),
            Region("addresses", address_t, PORTS, SHARED, False),
            Region("routes", ip_route_t, ROUTES, SHARED, False),
            Region("neighbours", neighbour_t, LANES * NEIGHBOURS, SHARED),
            Region("needs", need_t, STAGES, SHARED, False),
            Region("route", route_t, PIPELINE, SHARED, False),
            Region("config", config_t, 1, SHARED, False),
            Region("lane", lane_t, 1, LANE),
            Region("queues", queues_t, 1, LANE, False),
            Region("counters", counter_t, STAGES, LANE),
            Region("reasons", reason_t, LIMIT, LANE),
            Region("trace", trace_t, 1 + EVENTS, LANE, False),
            Region("scratch", scratch_t, mbufs, LANE, False),
            Region("code", code_t, STAGES, HOST),
            Region("spent", spent_t, STAGES, HOST),
            Region("thread", thread_t, 1, HOST),
        )
    }
