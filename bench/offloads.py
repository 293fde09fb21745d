"""The bars of the offloads: GRO and GSO beside DPDK's own libraries, checksums, and what chains cost a small packet.

`lab bench offloads` runs it alone on a quiet machine; `bench/README.md` says what each measure means and keeps the figures.
"""

import statistics
from contextlib import nullcontext

from bench import offload_cost
from bench.core import row
from bench.offload_frames import LARGE, PLAIN_HEADER, SIZE, STAMPED_HEADER, burst_of, large_packet
from bench.offload_stage import SUMMING, Bench, Call
from bench.peers.dpdk import Dpdk, why_not
from lab.engine.core import cycles_per_us
from lab.engine.route import INGRESS
from lab.offload.capabilities import CHAINS, CSUM
from lab.offload.records import GRO_DPDK, GRO_LINUX
from lab.stages.checksum import complete
from lab.stages.gro import gro
from lab.stages.gso import gso

ROUNDS, CALLS = 15, 500  # ours and the peer's in turn; calls of a round, of which the median counts
FLOWS = (1, 8, 32)
WITHIN = 1.25
GSO_BAR, SUM_BAR, COST_BAR = 12, 40, 3  # GB/s of payload, GB/s, cycles a packet


def measure(rounds=ROUNDS, calls=CALLS):
    """Every bar of the offloads."""
    missing = why_not()
    with nullcontext() if missing else Dpdk() as dpdk:
        summed = None
        for one in sums(rounds, calls):
            summed = one["figure"] if one["unit"] == "cycles/segment" else summed
            yield one
        for flows in FLOWS:
            yield from merging(dpdk or missing, flows, summed, rounds, calls)
        yield cutting(dpdk or missing, rounds, calls)
    yield cutting_in_full(rounds, calls)
    yield small_packets()


# --- checksums ----------------------------------------------------------------------------------


def sums(rounds, calls):
    """Summing 1448 bytes: the same ones again and again, and those of a burst, which are many times as much as the first cache holds."""
    frames = burst_of(1)
    alone, burst = Bench(), Bench()
    alone.load(frames[:1])
    alone.repeat(len(frames))
    burst.load(frames)
    for bench in (alone, burst):
        bench.plan([Call(SUMMING)])
    figures = [(alone.cycles(calls) / len(frames), burst.cycles(calls) / len(frames)) for _ in range(rounds)]
    first, second = (statistics.median(column) for column in zip(*figures, strict=True))
    rate = round(gigabytes(SIZE, first), 1)
    yield row("checksum of 1448 B in cache", rate, "GB/s", SUM_BAR, rate >= SUM_BAR)
    yield row("reading 1448 B once, of a burst of 32", round(second, 1), "cycles/segment")


def gigabytes(count, cycles):
    """Bytes in so many cycles, as GB/s."""
    return count / cycles * cycles_per_us() / 1000


# --- GRO ------------------------------------------------------------------------------------------


def merging(dpdk, flows, summed, rounds, calls):
    """A burst of 32 segments of some flows: both profiles and librte_gro, in turn; with timestamps as well, without a bar."""
    for stamps in (False, True):
        frames, header = burst_of(flows, stamps=stamps), STAMPED_HEADER if stamps else PLAIN_HEADER
        benches = [merger(frames, GRO_DPDK), merger(frames, GRO_LINUX)]
        (quick, whole, peer), left = in_turn(benches, len(frames), rounds, calls, dpdk, lambda n, f=frames, h=header: dpdk.gro(f, h, n))
        bars = (None, None) if stamps or peer is None else (peer, round(WITHIN * (peer + summed), 1))
        what = f"{flows} flow{'s' if flows > 1 else ''}{', timestamps' if stamps else ''}"
        for name, bench, figure, bar in zip(("GRO dpdk", "GRO linux, verified"), benches, (quick, whole), bars, strict=True):
            yield row(f"{name}, {what}", figure, "cycles/segment", bar, **beside(dpdk, "librte_gro", figure, peer, left), left=bench.left)


def merger(frames, profile):
    """A bench whose plan is one burst of GRO; the profile `linux` holds packets, so there a second call lets go of them."""
    bench = Bench(gro=profile)
    bench.load(frames)
    bench.plan([Call(gro)] if profile == GRO_DPDK else [Call(gro), Call(gro, before=pause)])
    return bench


def pause(bench):
    """What the conductor writes before GRO lets go: nothing came, and nothing will."""
    burst, here = bench.table("bursts")[0], bench.table("lane")[0]
    burst.n = burst.first = burst.misses = 0
    here.phase, here.at, here.paused = INGRESS, 1, 1


def in_turn(benches, count, rounds, calls, dpdk, ask):
    """Medians of each bench's and the peer's cycles for one of `count`, in turn; how many packets the peer left."""
    found, left = [], None
    for _ in range(rounds):
        turn = [bench.cycles(calls) / count for bench in benches]
        if not isinstance(dpdk, str):
            cycles, left = ask(calls)
            turn.append(cycles)
        found.append(turn)
    medians = [round(statistics.median(column), 1) for column in zip(*found, strict=True)]
    return (medians if left is not None else [*medians, None]), left


def beside(dpdk, name, figure, peer, left):
    """The peer's columns; without a peer, why there is none."""
    if isinstance(dpdk, str):
        return {"peer": dpdk}
    return {"peer": name, "peer_figure": peer, "ratio": round(figure / peer, 2), "peer_left": left}


# --- GSO --------------------------------------------------------------------------------------------


def cutter(offloads, stages):
    """A bench whose plan is to cut a packet of 45 segments."""
    bench = Bench(offloads=offloads)
    bench.load_large(large_packet(), STAMPED_HEADER, SIZE)
    bench.plan([Call(one, output=True) for one in stages])
    return bench


def cutting(dpdk, rounds, calls):
    """64 KB to segments, headers copied and payload referred to, checksums left to the port; librte_gso in turn."""
    bench, count = cutter(CSUM | CHAINS, [gso]), LARGE // SIZE
    frame = large_packet()
    (figure, peer), left = in_turn([bench], count, rounds, calls, dpdk, lambda n: dpdk.gso(frame, STAMPED_HEADER, SIZE, n))
    rest = beside(dpdk, "librte_gso", figure, peer, left)
    return row("GSO 64 KB to 1448", figure, "cycles/segment", peer, **rest, left=bench.left)


def cutting_in_full(rounds, calls):
    """The same to a port that computes nothing: gso, then every checksum in software."""
    bench = cutter(CHAINS, [gso, complete])
    cycles = statistics.median(bench.cycles(calls) for _ in range(rounds))
    rate = round(gigabytes(LARGE, cycles), 1)
    return row("GSO with full checksums in software", rate, "GB/s", GSO_BAR, rate >= GSO_BAR, left=bench.left)


# --- what small packets pay ---------------------------------------------------------------------------


def small_packets():
    """64-byte packets to a port without offloads: cycles a packet more than before chains were compiled in."""
    name, found = f"64 B to a port without offloads, more than at {offload_cost.BEFORE}", offload_cost.cost()
    if isinstance(found, str):
        return row(name, None, "cycles/packet", peer=found) | {"bar": COST_BAR}
    more, before, now = (round(figure, 1) for figure in found)
    rest = {"peer": offload_cost.BEFORE, "peer_figure": before, "ratio": round(now / before, 3)}
    return row(name, more, "cycles/packet", COST_BAR, **rest)
