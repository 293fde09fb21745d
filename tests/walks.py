"""Switches for tests of stepping: their memory as digests, rules and frames that take every way through the stages."""
import hashlib
import time

import numpy as np
from scenes import udp

from lab import Switch

SERIAL = "serial"  # counted by control, not rewound: a frame injected anew has a new one


def regions_of(sw):
    """(name, lane, part) of everything that is rewound."""
    return [place for place in sw.engine.arena.places if sw.engine.regions[place[0]].rewound]


def memory(sw, without=()):
    """{(name, lane, part): digest} of everything that is rewound; `without` names fields that are left out."""
    found = {}
    for name, lane, part in regions_of(sw):
        array = sw.engine.arena.array(name, lane, part)
        leave = [field for field in without if field in (array.dtype.names or ())]
        if leave:
            array = array.view(np.uint8).copy().view(array.dtype)  # with its padding, which copy() of records leaves as it is
            for field in leave:
                array[field] = 0
        found[name, lane, part] = digest(array.view(np.uint8).reshape(-1))
    return found


def digest(octets, block=1 << 15):
    """A digest of bytes that is quick where they are zero, as most of an arena is."""
    made = hashlib.blake2b(digest_size=8)
    for at in range(0, len(octets), block):
        piece = octets[at:at + block]
        if piece.any():
            made.update(at.to_bytes(8) + piece.tobytes())
    return made.digest()


def differences(a, b):
    return [place for place in a if a[place] != b[place]]


def switch(*rules, ports=3, cores=1, fail_mode="secure", **options):
    """A switch with ports vm1.. and these rules and no others, whose EMC takes every flow."""
    sw = Switch(cores=cores, fail_mode=fail_mode, **options)
    for n in range(1, ports + 1):
        sw.add_port(f"vm{n}")
    sw.set_option("emc-insert-inv-prob", 1)
    for rule in rules:
        sw.ofctl(f"add-flow {rule}")
    return sw


def step_all(sw):
    steps = []
    while (step := sw.step()) is not None:
        steps.append(step)
    return steps


def wait_until(done, seconds=20):
    """Wait for something; whether it came."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


RULES = ("priority=30,udp,tp_src=1000/0xfff0,actions=mod_vlan_vid:7,output:vm2", "priority=20,udp,tp_dst=54,actions=output:vm2,output:vm3",
         "priority=10,udp,actions=flood", "priority=5,actions=drop")
FRAMES = [udp(1000 + k * 7 % 40, 53 + k % 2, 60 + k) for k in range(70)] + [bytes(60), udp(size=9000), udp(5, size=5000)]
FRAMES[10] = bytes(14)
