"""Fields of ARP and RARP for Ethernet and IPv4. No checksum covers them."""

from lab.flow.actions import ARP_OP, ARP_SHA, ARP_SPA, ARP_TPA
from lab.memory.raw import apart, i64, load16, load32, store16, store32
from lab.packet.headers.arp import OP, SHA, SPA, THA, TPA, check
from lab.stages.performing.masked import masked, set48

ALL_THAT_THE_KEY_HAS = 0xFF


@apart
def set_arp(memory, m, act):
    """Set the opcode or an address."""
    at = m.buf + m.data_off + m.l2_len
    if check(memory, at, m.data_len - m.l2_len) == 0:
        return
    if act.detail == ARP_OP:
        set_op(memory, at + OP, act)
    elif act.detail == ARP_SHA:
        set48(memory, at + SHA, act)
    elif act.detail == ARP_SPA:
        store32(memory, at + SPA, masked(load32(memory, at + SPA), act))
    elif act.detail == ARP_TPA:
        store32(memory, at + TPA, masked(load32(memory, at + TPA), act))
    else:
        set48(memory, at + THA, act)


def set_op(memory, at, act):
    """The key holds eight bits of an opcode: whoever sets all of these sets all sixteen, as OVS does."""
    if i64(act.m0) == ALL_THAT_THE_KEY_HAS:
        store16(memory, at, i64(act.v0) & ALL_THAT_THE_KEY_HAS)
    else:
        store16(memory, at, masked(load16(memory, at), act))
