"""Statistics: what a megaflow has seen is added to the rules, groups, buckets and tables that made it, and to MAC addresses.

Packets are counted in their megaflow alone; here, once a second and whenever a megaflow goes or changes, the counts
are pushed back to whoever its credits name.
"""

from lab.flow.actions import CREDIT_BUCKET, CREDIT_GROUP, CREDIT_MAC, CREDIT_RULE, CREDIT_TABLE
from lab.memory.raw import apart, i64
from lab.memory.record import View
from lab.translate.fdb import refresh_mac

books_v = View("books", "acts", "rule_stats", "table_stats", "group_stats", "bucket_stats", "fdb", "lane")


def book(stats, flow, times):
    """Add what a megaflow has seen, once for each time that it went there."""
    stats.packets += flow.packets * times
    stats.bytes_ += flow.bytes_ * times
    if flow.used > stats.used:
        stats.used = flow.used


@apart
def push_back(books, flow):
    """Push a megaflow's counts back; it begins again at zero."""
    if flow.packets != 0:
        first = flow.acts + flow.n_acts
        for at in range(first, first + flow.n_credits):
            act = books.acts.list[at]
            times = 1 + i64(act.m0)
            if act.op == CREDIT_RULE:
                book(books.rule_stats[act.arg], flow, times)
                books.table_stats[act.detail].lookups += flow.packets * times
                books.table_stats[act.detail].matched += flow.packets * times
            elif act.op == CREDIT_TABLE:
                books.table_stats[act.arg].lookups += flow.packets * times
            elif act.op == CREDIT_GROUP:
                book(books.group_stats[act.arg], flow, times)
            elif act.op == CREDIT_BUCKET:
                book(books.bucket_stats[act.arg], flow, times)
            elif act.op == CREDIT_MAC:
                refresh_mac(books.fdb, books.lane[0].number, act.v0, act.arg, flow.used)
        flow.pushed_packets += flow.packets
        flow.pushed_bytes += flow.bytes_
        flow.packets = 0
        flow.bytes_ = 0
