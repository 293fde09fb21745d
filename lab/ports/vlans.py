"""How a port takes part in VLANs: `tag`, `trunks`, `vlan_mode`, `protected`, with ovs-vsctl's meanings and defaults.

The settings are a person's; what NORMAL reads of them is the port's record in `vlans`. A port with a tag and no mode is
an access port, one without is a trunk; a trunk that names no VLAN carries all. dot1q-tunnel is not built.
"""

from typing import Any

from lab.translate.emit import PROTECTED
from lab.translate.normal import ACCESS, NATIVE_TAGGED, NATIVE_UNTAGGED, TRUNK

MODES = {"trunk": TRUNK, "access": ACCESS, "native-tagged": NATIVE_TAGGED, "native-untagged": NATIVE_UNTAGGED}
NATIVE = (NATIVE_TAGGED, NATIVE_UNTAGGED)
VLANS = 4096


def bitmap(vlans):
    """64 words with the bits of some VLANs."""
    words = [0] * (VLANS // 64)
    for vlan in vlans:
        words[vlan >> 6] |= 1 << (vlan & 63)
    return words


def check_vlan(vlan, of):
    """A VLAN's number, or an error that says whose it was to be."""
    if isinstance(vlan, bool) or not isinstance(vlan, int) or not 0 <= vlan < VLANS:
        raise ValueError(f"{of} {vlan!r} is no VLAN: a number from 0 to {VLANS - 1}")
    return vlan


class InVlans:
    """The VLAN settings of a port; a part of `Port`.

    >>> from lab import Switch
    >>> sw = Switch()
    >>> vm1 = sw.add_port("vm1", tag=10)
    >>> vm1.tag, vm1.trunks, vm1.vlan_mode
    (10, (), None)
    >>> vm1.vlan_mode = "native-untagged"
    >>> vm1.trunks = [20, 30]
    """

    _vlan_settings: tuple = (None, (), None, False)  # tag, trunks, vlan_mode, protected: as they were set

    switch: Any
    engine: Any
    name: str
    number: int

    @property
    def tag(self):
        """The VLAN of an access port, or the native one; None when unset."""
        return self._vlan_settings[0]

    @tag.setter
    def tag(self, value):
        self.set_vlans(tag=value)

    @property
    def trunks(self):
        """The VLANs that the port carries; empty for all."""
        return self._vlan_settings[1]

    @trunks.setter
    def trunks(self, value):
        self.set_vlans(trunks=value)

    @property
    def vlan_mode(self):
        """'access', 'trunk', 'native-tagged', 'native-untagged', or None: told by `tag`."""
        return self._vlan_settings[2]

    @vlan_mode.setter
    def vlan_mode(self, value):
        self.set_vlans(vlan_mode=value)

    @property
    def protected(self):
        """Whether the port exchanges nothing with others that are protected."""
        return self._vlan_settings[3]

    @protected.setter
    def protected(self, value):
        self.set_vlans(protected=value)

    def set_vlans(self, **settings):
        """Change some of the four at once, on a port that is there."""
        before = self._vlan_settings
        self.write_vlans(**settings)
        if self._vlan_settings != before:
            self.switch.vlans_changed(self)

    def write_vlans(self, **settings):
        """Check settings and write what NORMAL reads of them."""
        now = dict(zip(("tag", "trunks", "vlan_mode", "protected"), self._vlan_settings, strict=True)) | settings
        whose = f"port {self.name}:"
        if now["tag"] is not None:
            check_vlan(now["tag"], f"{whose} tag")
        try:
            now["trunks"] = tuple(sorted({check_vlan(vlan, f"{whose} trunks:") for vlan in now["trunks"] or ()}))
        except TypeError:
            raise ValueError(f"{whose} trunks={now['trunks']!r}: give a list of VLANs, such as [10, 20]") from None
        if now["vlan_mode"] is not None and now["vlan_mode"] not in MODES:
            built = " (it is not built)" if now["vlan_mode"] == "dot1q-tunnel" else ""
            raise ValueError(f"{whose} vlan_mode {now['vlan_mode']!r}{built}: there are {', '.join(MODES)}")
        now["protected"] = bool(now["protected"])
        self._vlan_settings = tuple(now.values())
        self._write_vlan_record(**now)

    def vlan_text(self):
        """The settings in a few words."""
        said = [self.vlan_mode or ("trunk" if self.tag is None else "access")]
        said += [] if self.tag is None else [f"tag {self.tag}"]
        said += [f"trunks {', '.join(map(str, self.trunks))}"] if self.trunks else []
        return ", ".join(said + ["protected"] * self.protected)

    def _write_vlan_record(self, tag, trunks, vlan_mode, protected):
        mode = MODES[vlan_mode or ("trunk" if tag is None else "access")]
        carried = set(trunks) or set(range(VLANS))
        if mode in NATIVE and tag:  # such a port always carries its native VLAN, and nothing of VLAN 0
            carried = carried - {0} | {tag}
        row = self.engine.array("vlans")[self.number]
        row["trunks"] = bitmap(carried)
        row["mode"], row["tag"] = mode, tag or 0
        row["marks"] = int(row["marks"]) & ~PROTECTED | (PROTECTED if protected else 0)
