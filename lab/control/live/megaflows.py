"""`sw.megaflows`: what the datapath remembers of translations, merged over the cores.

A `Megaflow` stays as it was when it was looked at; whose rules made it, and who asked for each bit of its mask, it asks the
tables again. Nothing here is on a packet's way.
"""

from collections.abc import Sequence

import numpy as np

from lab.control.reading.odp import flow_text, ufid_text
from lab.flow.actions import CREDIT_GROUP, CREDIT_RULE, describe
from lab.flow.key import get, names_of_bits
from lab.live import Live, many
from lab.memory.reasons import REASONS
from lab.memory.record import NULL
from lab.openflow.matching.match import format_match, parse_match

SEEN = (("packets", "pushed_packets"), ("bytes_", "pushed_bytes"))  # what waits to be pushed back, and what was

def megaflow_match(values, masks, port_name):
    """A megaflow's match; that it is of a packet which was not recirculated goes without saying."""
    first = masks[0] if values[0] & NULL else masks[0] & ~NULL
    return format_match(values, [first, *masks[1:]], port_name)


class Megaflow(Live):
    """One megaflow, as it was when looked at, merged over the cores that have it.

    >>> from lab import Switch
    >>> sw = Switch(fail_mode="secure")
    >>> sw.add_port("vm1").inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> sw.megaflows[0].text()
    'recirc_id(0),in_port(vm1),packet_type(ns=0,id=0),eth_type(0x05ff), packets:1, bytes:60, used:0.000s, actions:drop'
    """

    def __init__(self, switch, copies):
        self._switch = switch
        self.lanes = [lane for lane, _ in copies]
        lane, self.index = copies[0]
        arena = switch.engine.arena
        flow = arena.array("megaflows", lane, "flows")[self.index]
        sub = arena.array("megaflows", lane, "subtables")[int(flow["subtable"])]
        self.mask_words, self.value_words = sub["mask"].tolist(), flow["w"].tolist()
        self.first_words = flow["first"].tolist()
        rows = [arena.array("megaflows", at, "flows")[i] for at, i in copies]
        self.packets, self.bytes = (sum(int(row[a]) + int(row[b]) for row in rows) for a, b in SEEN)
        self.used_us = max(int(row["used"]) for row in rows)
        self.tcp_flags = int(np.bitwise_or.reduce([row["tcp_flags"] for row in rows]))
        self.ufid = "{:016x}{:016x}".format(*(int(half) for half in flow["ufid"]))
        self.subtable = int(flow["subtable"])
        self.rule_index = None if int(flow["rule"]) == NULL else int(flow["rule"])
        first, behind = int(flow["acts"]), int(flow["acts"]) + int(flow["n_acts"])
        acts = arena.array("acts", lane, "list")
        self.action_list = [tuple(act) for act in acts[first:behind].tolist()]
        self.credit_list = [tuple(act) for act in acts[behind : behind + int(flow["n_credits"])].tolist()]
        self.reason = REASONS[int(flow["reason"])] if int(flow["reason"]) else None

    @property
    def match(self):
        """The masked key in OVS's words."""
        return megaflow_match(self.value_words, self.mask_words, self._switch.port_name)

    @property
    def actions(self):
        """The actions in OVS's words."""
        return self.show_actions(self._switch.port_name)

    def show_actions(self, port_name=None):
        """The actions with ports as `port_name` names them, or by number."""
        return describe(self.action_list, port_name, (get(self.first_words, "dl_type"), get(self.first_words, "nw_proto")))

    @property
    def rules(self):
        """The rules that it went through, in order, as far as they are still there."""
        found = [self._switch.rules.at(arg) for op, _, arg, *_ in self.credit_list if op == CREDIT_RULE]
        return [rule for rule in found if rule is not None]

    @property
    def groups(self):
        """The numbers of the groups that it went through, as far as they are still there."""
        found = [self._switch.groups.of_record(arg) for op, _, arg, *_ in self.credit_list if op == CREDIT_GROUP]
        return [group.number for group in found if group is not None]

    @property
    def ledger(self):
        """Who asked for each bit of its mask: the tables are asked again, with the key of the packet that made it."""
        return self._switch.oracle.consult(self.first_words, lane=self.lanes[0])

    @property
    def bits(self):
        """How many bits of the key it asks for."""
        return sum(word.bit_count() for word in self.mask_words)

    @property
    def used(self):
        """Seconds since a packet used it; None if none has."""
        return (self._switch.engine.now - self.used_us) / 1e6 if self.packets else None

    def text(self, full=False):
        """The megaflow as `dpctl/dump-flows` prints it; `full` with its ufid."""
        return f"ufid:{ufid_text(self.ufid)}, {self.line(self._switch.port_name, full)}" if full else self.line(self._switch.port_name)

    def line(self, port_name, full=False, datapath=", dp:ovs"):
        """The same without its ufid: ports as `port_name` names them, or by number."""
        used = "never" if self.used is None else f"{self.used:.3f}s"
        flags = f", flags:{tcp_flag_names(self.tcp_flags)}" if self.tcp_flags else ""
        seen = f"packets:{self.packets}, bytes:{self.bytes}, used:{used}{flags}{datapath if full else ''}"
        match = flow_text(self.value_words, self.mask_words, port_name, full, self._proto_of_ports())
        return f"{match}, {seen}, actions:{self.show_actions(port_name)}"

    def _proto_of_ports(self):
        """The protocol of the packet that made it, if its mask asks for transport ports: OVS's words have no others."""
        return get(self.first_words, "nw_proto") if get(self.mask_words, "tp_src") or get(self.mask_words, "tp_dst") else None

    def __repr__(self):
        return f"<megaflow {self.ufid[:8]}: {self.match or 'any'} → {self.actions}, {many(self.packets, 'packet')}>"

    def facts(self):
        """What the interface draws."""
        rows = [
            ["match", self.match],
            ["actions", self.actions],
            ["packets", self.packets],
            ["bytes", self.bytes],
            ["bits asked for", self.bits],
            ["ufid", self.ufid],
            ["cores", ", ".join(map(str, self.lanes))],
        ]
        return {"title": repr(self)[1:-1], "columns": ["", ""], "rows": rows, "note": ""}


def tcp_flag_names(flags):
    """TCP flags as OVS prints them."""
    return "".join(letter for bit, letter in enumerate("FSRP.UEC") if flags >> bit & 1) or "none"


class Megaflows(Sequence, Live):
    """The megaflows of all cores, merged by ufid: by place in the first core's table, then those that only other cores have.

    A place that was given back is taken again, so this is not the order in which they were installed. `sw.megaflows["3f2a"]`
    is the one whose ufid begins so.

    >>> from lab import Switch
    >>> sw = Switch(fail_mode="secure")
    >>> vm1, vm2 = sw.add_port("vm1"), sw.add_port("vm2")
    >>> vm1.inject(bytes(60))
    1
    >>> while sw.step(): pass
    >>> sw.megaflows[0].actions, sw.megaflows[0].packets, sw.megaflows[0].bits
    ('drop', 1, 80)
    """

    def __init__(self, switch):
        self._switch = switch

    def _merged(self):
        found = {}
        for lane in self._switch.engine.lanes:
            flows = self._switch.engine.array("megaflows", lane, "flows")
            for i in np.flatnonzero(flows["alive"]):
                found.setdefault(flows["ufid"][i].tobytes(), []).append((lane, int(i)))
        return list(found.values())

    def __len__(self):
        return len(self._merged())

    def __getitem__(self, i):
        if isinstance(i, str):
            found = next((flow for flow in self if flow.ufid.startswith(i.replace("-", ""))), None)
            if found is None:
                raise KeyError(f"no megaflow has a ufid that begins with {i!r}: sw.megaflows shows them")
            return found
        chosen = self._merged()[i]
        return [Megaflow(self._switch, copies) for copies in chosen] if isinstance(i, slice) else Megaflow(self._switch, chosen)

    def __iter__(self):
        return iter(self[:])

    def find(self, match="", **said):
        """The megaflows all of whose packets a match takes (`find("tcp,tp_dst=80")`), or that went through a rule (`find(rule=...)`)."""
        wanted = parse_match(match, {name: port.ofport for name, port in self._switch.ports.items()})
        rule = said.pop("rule", None)
        if said:
            raise TypeError(f"find() takes a match and rule=, not {next(iter(said))}=")
        found = [m for m in self if _narrower(m, wanted)]
        return found if rule is None else [m for m in found if rule.number in {one.number for one in m.rules}]

    @property
    def subtables(self):
        """(core, mask, megaflows, hits) of each subtable, in the order in which they are probed."""
        engine, rows = self._switch.engine, []
        for lane in engine.lanes:
            subtables = engine.array("megaflows", lane, "subtables")
            for s in subtables["rank"][: int(engine.array("megaflows", lane, "head")["subtables"][0])].tolist():
                mask = ", ".join(names_of_bits(subtables["mask"][s].tolist()))
                rows.append((lane, mask, int(subtables["flows"][s]), int(subtables["hits"][s])))
        return rows

    def __repr__(self):
        engine = self._switch.engine
        masks = max(int(engine.array("megaflows", lane, "head")["subtables"][0]) for lane in engine.lanes)
        return f"<{many(len(self), 'megaflow')} in {many(masks, 'subtable')}>"

    def _ipython_key_completions_(self):
        return [flow.ufid[:8] for flow in self[:1000]]

    def facts(self):
        """What the interface draws."""
        rows = [[m.ufid[:8], m.match or "any", m.actions, m.packets, m.bytes, m.bits] for m in self[:200]]
        note = f"{len(self) - 200} more" if len(self) > 200 else ""
        return {
            "title": repr(self)[1:-1],
            "columns": ["ufid", "match", "actions", "packets", "bytes", "bits asked for"],
            "rows": rows,
            "note": note,
        }


def _narrower(flow, match):
    """Whether every packet of a megaflow is one of a match's."""
    rows = zip(match.mask_words, match.value_words, flow.mask_words, flow.value_words, strict=False)
    return all(mask & ~narrow == 0 and (value ^ own) & mask == 0 for mask, value, narrow, own in rows)
