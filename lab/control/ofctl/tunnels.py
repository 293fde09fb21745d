"""The map of Geneve options to `tun_metadata0`, in the words of ovs-ofctl.

One option, of 4 or 8 bytes, can be mapped: the flow key has one word for it. The map stands in the last word of every record of
`tunnel_ports`, so that `push` and `pop` have it at hand; `{class=0x102,type=0x80,len=4}->tun_metadata0` is 0x102_0080_0004.
"""

import re

from lab.control.ofctl.tool import ofctl

_MAP = re.compile(r"\{class=(0[xX][0-9a-fA-F]+|\d+),type=(0[xX][0-9a-fA-F]+|\d+),len=(0[xX][0-9a-fA-F]+|\d+)\}->tun_metadata(\d+)")
PLACE = 7  # the word of `options` in a record


def mapped(sw):
    """(class, type, length) of the mapped option, or None."""
    word = int(sw.engine.array("tunnel_ports")["options"][0, PLACE])
    return (word >> 32, word >> 16 & 0xFFFF, word & 0xFFFF) if word else None


def write(sw, word):
    """Let tunnel ports, those to come as well, map an option, or none."""
    rows = sw.engine.array("tunnel_ports")

    def do():
        rows["options"][:, PLACE] = word

    if sw.cores.running:
        do()
    else:
        sw.walk.act("tlv-map", ("tunnel_ports",), do, do)


def read(call):
    """(class, type, length) of a map that is written out."""
    word = call.one("a map, such as {class=0x102,type=0x80,len=4}->tun_metadata0")
    found = _MAP.fullmatch(word.text)
    if not found:
        raise call.error(f"{word.text!r} is no map: {{class=0x102,type=0x80,len=4}}->tun_metadata0 is one", word)
    kind, number, length, field = (int(part, 0) for part in found.groups())
    if field != 0:
        raise call.error(f"there is no field tun_metadata{field}: the flow key has room for tun_metadata0 alone", word, ["tun_metadata0"])
    if kind > 0xFFFF or number > 0xFF:
        raise call.error("an option's class is at most 0xffff, its type at most 0xff", word)
    if length not in (4, 8):
        raise call.error(f"len={length}: tun_metadata0 holds an option of 4 or 8 bytes", word)
    return word, (kind, number, length)


@ofctl.command("add-tlv-map", "[BRIDGE] {class=CLASS,type=TYPE,len=LENGTH}->tun_metadata0")
def add_tlv_map(call):
    """Let a Geneve option be the field tun_metadata0."""
    word, (kind, number, length) = read(call)
    if (held := mapped(call.sw)) is not None:
        raise call.error(f"tun_metadata0 is mapped to class 0x{held[0]:x}, type 0x{held[1]:x} already: del-tlv-map first", word)
    write(call.sw, kind << 32 | number << 16 | length)


@ofctl.command("del-tlv-map", "[BRIDGE] [{class=CLASS,type=TYPE,len=LENGTH}->tun_metadata0]")
def del_tlv_map(call):
    """Let no Geneve option be tun_metadata0, or not this one."""
    if call.words:
        word, wanted = read(call)
        if mapped(call.sw) != wanted:
            raise call.error(f"{word.text} is not mapped: dump-tlv-map shows what is", word)
    write(call.sw, 0)


@ofctl.command("dump-tlv-map", "[BRIDGE]")
def dump_tlv_map(call):
    """Print which Geneve option is tun_metadata0, and what there is room for."""
    call.at_most(0)
    held = mapped(call.sw)
    lines = [" max option space=8 max fields=1", f" allocated option space={held[2] if held else 0}", ""]
    lines += [" mapping table:", "  class  type  length  match field", " ------  ----  ------  --------------"]
    if held:
        lines.append(f" {f'0x{held[0]:x}':>6}  {f'0x{held[1]:x}':>4}  {held[2]:>6}  tun_metadata0")
    return "\n".join(lines)
