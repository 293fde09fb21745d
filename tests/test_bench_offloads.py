"""`lab bench offloads` and its peer in small: what is measured is the same work on both sides. No figure is judged here."""
import re

import numpy as np
import pytest

from bench import offload_cost, offloads
from bench.offload_frames import PLAIN_HEADER, SIZE, STAMPED_HEADER, burst_of, large_packet
from bench.offload_stage import Bench, Call
from bench.peers.dpdk import Dpdk, why_not
from lab.stages.linear import linear

MEASURES = {
    "checksum of 1448 B in cache": "GB/s",
    "reading 1448 B once, of a burst of 32": "cycles/segment",
    **{
        f"{profile}, {flows}{stamps}": "cycles/segment"
        for profile in ("GRO dpdk", "GRO linux, verified")
        for flows in ("1 flow", "8 flows", "32 flows")
        for stamps in ("", ", timestamps")
    },
    "GSO 64 KB to 1448": "cycles/segment",
    "GSO with full checksums in software": "GB/s",
    "64 B to a port without offloads, more than at 9058d94": "cycles/packet",
}
needs_dpdk = pytest.mark.skipif(bool(why_not()), reason=why_not() or "DPDK is there")


@needs_dpdk
def test_dpdk_is_built_and_leaves_a_packet_for_each_flow_and_45_segments():
    with Dpdk() as dpdk:
        for flows in (1, 8, 32):
            for stamps, header in ((False, PLAIN_HEADER), (True, STAMPED_HEADER)):
                cycles, left = dpdk.gro(burst_of(flows, stamps=stamps), header, 3)
                assert left == flows and cycles > 0
        assert dpdk.gso(large_packet(), STAMPED_HEADER, SIZE, 3)[1] == 45


@needs_dpdk
def test_what_the_peer_refuses_is_said():
    with Dpdk() as dpdk, pytest.raises(RuntimeError, match="the file of frames cannot be read"):
        dpdk.gro([bytes(4096)] * 32, PLAIN_HEADER, 1)


@needs_dpdk
def test_every_measure_is_there_and_both_sides_leave_as_many_packets(monkeypatch):
    monkeypatch.setattr(offload_cost, "cost", lambda: "git is not there")
    rows = {one["name"]: one for one in offloads.measure(rounds=1, calls=3)}
    assert {name: one["unit"] for name, one in rows.items()} == MEASURES
    for name, one in rows.items():
        if name.startswith("GRO"):
            profile, flows = name[4:9], int(re.search(r"(\d+) flow", name)[1])
            assert one["peer_left"] == flows, name
            assert one["left"] == (2 if (profile, flows) == ("dpdk,", 1) else flows), name  # `dpdk` begins anew behind 20 segments
            assert (one["bar"] is None) == ("timestamps" in name)
    assert rows["GSO 64 KB to 1448"]["left"] == rows["GSO 64 KB to 1448"]["peer_left"] == 45
    assert rows["64 B to a port without offloads, more than at 9058d94"]["peer"] == "git is not there"


def test_a_plan_finds_its_packets_as_they_were():
    bench = Bench()
    bench.load_large(large_packet()[:5000], STAMPED_HEADER, SIZE)
    whole, frame = bench.engine.array("mbufs")[bench.packets[0]].copy(), bench.packets[0]
    bench.plan([Call(linear, output=True)])
    assert bench.engine.array("mbufs")[frame] == whole
    bench.cycles(1)
    after = bench.bytes.copy()
    bench.cycles(5)
    unlike = np.flatnonzero(bench.bytes != after)
    plan = int(bench.engine.array("mbufs")["buf"][-1])
    assert set(unlike * 8) <= {plan, plan + 16}  # how often, and where results go


def test_a_checkout_without_the_commit_before_has_no_figure_of_it(monkeypatch, tmp_path):
    monkeypatch.setattr(offload_cost, "ROOT", tmp_path)
    assert offload_cost.cost() == "commit 9058d94 is not in this checkout's history"
