"""What a person sets of a port as attributes: its offloads, GRO, verification and vRouter's way, each checked and at work at once.

A name that no port has is refused, and a port that was removed takes no setting any more: its row may be another port's.
"""

import difflib
from typing import Any

from lab.ports.offloads import GRO, Offloads, settle_arcs

SIDES = ("ingress", "egress")


def truth(value, what):
    """A setting that is on or off."""
    if value not in (True, False):
        raise ValueError(f"{what}={value!r} is neither True nor False")
    return bool(value)


def known(value, words, what):
    """A setting that is one of a few words."""
    if not isinstance(value, str) or value not in words:
        near = difflib.get_close_matches(str(value), words, 1)
        meant = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{what}={value!r} is none of {', '.join(map(repr, words))}{meant}")
    return value


class HasSettings:
    """The settings of a port."""

    name: str
    row: Any
    switch: Any
    _made = False  # from then on attributes that there are not are refused
    removed = False

    def __setattr__(self, name, value):
        if self._made and not name.startswith("_"):
            if self.removed:
                owner = self.switch
                raise ValueError(f"port {self.name} was removed from {owner.name}: add it again with sw.add_port({self.name!r})")
            if name not in self.__dict__ and not hasattr(type(self), name):
                near = difflib.get_close_matches(name, dir(type(self)), 1)
                meant = f"did you mean {near[0]!r}?" if near else "dir(port) lists what it has"
                raise AttributeError(f"port {self.name} has nothing called {name!r}: {meant}")
        object.__setattr__(self, name, value)

    def _what(self, setting):
        return f"port {self.name}: {setting}"

    def _begin_settings(self, gro, gro_arc, gro_acks, gro_most, verify, vrouter):
        """All of them, checked, before anything is written."""
        row = self.row
        profile, side = GRO[known(gro, GRO, self._what("gro"))], known(gro_arc, SIDES, self._what("gro_arc"))
        flags = [truth(value, self._what(name)) for name, value in (("gro_acks", gro_acks), ("verify", verify), ("vrouter", vrouter))]
        row["gro_most"], self._arc_of_gro = self._most(gro_most), side
        row["gro"], (row["gro_acks"], row["verify"], row["vrouter"]) = profile, flags

    def _most(self, value):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
            raise ValueError(f"port {self.name}: gro_most={value!r} is no number of segments from 0 (as many as fit) to 65535")
        return value

    def settle_arcs(self):
        """Put on the arcs what the port's settings ask for."""
        settle_arcs(self)

    @property
    def offloads(self):
        """What the far side accepts; a live set."""
        return self._offloads

    @offloads.setter
    def offloads(self, names):
        if names is not self._offloads:
            self._offloads.become(names)

    def _no_offloads_yet(self, row):
        self._offloads = Offloads(row, self.name, lambda: self.settle_arcs())

    @property
    def gro(self):
        """What merges packets here: 'off', 'linux' or 'dpdk'."""
        return list(GRO)[int(self.row["gro"])]

    @gro.setter
    def gro(self, profile):
        self.row["gro"] = GRO[known(profile, GRO, self._what("gro"))]
        self.switch.settle_arcs()

    @property
    def gro_arc(self):
        """The side on which packets are merged: 'ingress' or 'egress'."""
        return self._arc_of_gro

    @gro_arc.setter
    def gro_arc(self, side):
        self._arc_of_gro = known(side, SIDES, self._what("gro_arc"))
        self.switch.settle_arcs()

    @property
    def gro_acks(self):
        """Whether pure acknowledgements of a flow are joined, as FreeBSD does."""
        return bool(self.row["gro_acks"])

    @gro_acks.setter
    def gro_acks(self, wanted):
        self.row["gro_acks"] = truth(wanted, self._what("gro_acks"))

    @property
    def gro_most(self):
        """How many segments one merged packet has at most; 0: as many as fit."""
        return int(self.row["gro_most"])

    @gro_most.setter
    def gro_most(self, segments):
        self.row["gro_most"] = self._most(segments)

    @property
    def verify(self):
        """Whether the checksums of what comes in are verified."""
        return bool(self.row["verify"])

    @verify.setter
    def verify(self, wanted):
        self.row["verify"] = truth(wanted, self._what("verify"))
        self.settle_arcs()

    @property
    def vrouter(self):
        """Whether large packets are split here, and all are handed to the cores that their hashes choose."""
        return bool(self.row["vrouter"])

    @vrouter.setter
    def vrouter(self, wanted):
        self.row["vrouter"] = truth(wanted, self._what("vrouter"))
        self.switch.settle_arcs()
