"""Options of a switch by OVS's names, its clock, and its reasons counted."""

from lab.control import membership
from lab.control.openflow import age
from lab.flow.smc import NONE
from lab.memory.reasons import REASONS
from lab.openflow.errors import CommandError

MOST_MS = 10 * 365 * 24 * 3600 * 1000  # of one warp: 10 years


class Clock:
    """The engine's time: it stands while the switch does, unless warped; with OVS's words it can be held while it runs."""

    def __init__(self, switch):
        self._switch = switch

    @property
    def ms(self):
        """Milliseconds since the switch was made."""
        return self._switch.engine.now / 1000

    def warp(self, ms):
        """Move the clock on."""
        switch = self._switch
        with switch.lock:
            if not isinstance(ms, int | float) or ms < 0:
                raise ValueError(f"{ms!r} ms: the clock goes forward by a number of milliseconds; step back with sw.back()")
            if not ms <= MOST_MS:
                raise CommandError(f"the clock is warped by {MOST_MS} ms at most, 10 years")
            now = switch.engine.now + int(ms * 1000)
            if switch.cores.running:
                switch.engine.array("config")["clock_base"] += int(ms * 1000)
            else:
                switch.walk.act(f"warp {ms} ms", ("lane",), lambda: switch.engine.set_clock(now), lambda: self.warp(ms))
                age(switch)

    def stop(self):
        """Hold the clock, also while the switch runs, until `start()`."""
        self._hold(True)

    def start(self):
        """Let the clock follow real time again whenever the switch runs."""
        self._hold(False)

    def _hold(self, held):
        cores = self._switch.cores
        with self._switch.lock:
            cores.held = held
            if cores.running:
                cores.start_clock()

    def __repr__(self):
        return f"<clock: {self.ms:.3f} ms>"


class Options:
    """What `ovs-vsctl set` can change."""

    def __init__(self, switch):
        self._switch = switch
        self.clock = Clock(switch)
        self._emc = 100

    NAMES = ("emc-insert-inv-prob", "smc-enable", "vlan-limit", "max-idle", "pmd-spin")

    def get(self, name):
        """The value of an option."""
        config = self._switch.engine.array("config")[0]
        if name == "emc-insert-inv-prob":
            return self._emc
        if name == "smc-enable":
            return bool(config["smc_on"])
        if name == "max-idle":
            return int(config["idle_us"]) // 1000
        fields = {"vlan-limit": "vlan_limit", "pmd-spin": "spin"}
        if name not in fields:
            raise KeyError(f"no option is called {name!r}; there are {', '.join(self.NAMES)}")
        return int(config[fields[name]])

    def set(self, name, value):
        """Set an option; a value out of range is refused."""
        config = self._switch.engine.array("config")
        if name == "emc-insert-inv-prob":
            value = self._number(name, value, 0, 1 << 32)
            config["emc_chance"], self._emc = ((1 << 32) // value if value else 0), value
        elif name == "smc-enable":
            self._smc(str(value).lower() in ("1", "true", "yes"))
        elif name == "vlan-limit":
            config["vlan_limit"] = self._number(name, value, 0, 2) or 2  # as in OVS, 0 is as many as there is room for
            membership.changed(self._switch, f"set {name}")
        elif name == "max-idle":
            config["idle_us"] = self._number(name, value, 1, 1 << 40) * 1000
        elif name == "pmd-spin":
            config["spin"] = self._number(name, value, 0, 1)
        else:
            raise KeyError(f"no option called {name!r} can be set; there are {', '.join(self.NAMES)}")

    def _smc(self, on):
        engine = self._switch.engine
        if on and not engine.array("config")["smc_on"][0]:
            if self._switch.cores.running:
                self._clear_smc()
            else:
                self._switch.walk.act("smc-enable", ("smc",), self._clear_smc)
        engine.array("config")["smc_on"] = int(on)

    def _clear_smc(self):
        for lane in self._switch.engine.lanes:
            self._switch.engine.array("smc", lane)["flow"] = NONE

    @staticmethod
    def _number(name, value, low, high):
        try:
            value = int(value)
        except ValueError:
            raise ValueError(f"{name}={value!r} is no whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is not between {low} and {high}")
        return value

    def counters(self):
        """How often each reason was given: {code: count}, those that were."""
        counts = self._switch.engine.reason_counts()
        return {reason.code: int(counts[reason.number]) for reason in REASONS if counts[reason.number]}
