"""Command lines of the OVS tools beside Python: the text of a cell in, Python out, line for line.

It runs before IPython reads the cell, so that quotes, `--` and backslashes never reach Python. Each command becomes one
call of the magic `ovs` and as many empty lines as it was long, so that an error names the right line. Nothing is executed
here: `lab.ui.bridges` does that. A line that begins with `# ` stays the Python comment it is.
"""
import re

from lab.openflow.errors import CommandError

TOOLS = ("ovs-vsctl", "ovs-ofctl", "ovs-appctl")
INSTEAD = {  # what stands here in the place of other tools that OVS's texts use
    "ovs-vswitchd": "nothing is to be started: Switch('br0') is the switch, in this very process",
    "ovsdb-server": "no database is needed to begin: ports and settings belong to the switch, as sw.ports shows",
    "ovsdb-tool": "no database file is needed: Switch('br0') is a new switch, and ovs-vsctl lines change it",
    "ovs-dpctl": "the datapath is asked with ovs-appctl dpctl/dump-flows, or looked at as sw.megaflows",
    "ovs-ctl": "nothing is to be started: Switch('br0') is the switch, in this very process",
    "ovs-tcpdump": "packets are looked at where they stand: sw.stepper(), or sw.ports['vm1'].sent",
    "ethtool": "a port's offloads are a set: sw.ports['vm1'].offloads.add('tso4'), .discard('csum')",
    "ip": "ports are made by sw.add_port('vm1') and listed by sw.ports; for the host's own links write !ip ...",
}
_NAMES = "|".join(map(re.escape, [*TOOLS, *(name for name in INSTEAD if "-" in name)]))
_LINKS = "link|addr|address|a|l|route|r|neigh|neighbour|n|netns|rule|tuntap|tunnel|-V"
_HEAD = re.compile(
    r"(?P<indent>\s*)(?P<prompt>\$\s+)?(?:sudo\s+)?(?P<body>"
    rf"(?:{_NAMES})(?=\s|$)|"
    r"ethtool\s+(?:-{1,2}[a-zA-Z][-\w]*\s+\S|[a-z]\w*\s*$)|"
    rf"ip\s+(?:-\w+\s+)*(?:{_LINKS})(?=\s|$)(?!\s*[=.(\[]))")
_STRING = re.compile(r"#.*|(?P<long>\"\"\"|''')|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|(?P<open>[(\[{])|(?P<close>[)\]}])")


def head(line):
    """The match of a line that begins with a tool's name, or None."""
    return _HEAD.match(line)


def ovs_lines(lines):
    """The lines of a cell, each command of the OVS tools replaced by Python that runs it."""
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") or not any(map(_HEAD.match, lines)):  # %%bash and its kin keep their text; %%time comes here again
        return lines
    out, at, quote, depth = [], 0, "", 0
    while at < len(lines):
        found = None if quote or depth else _HEAD.match(lines[at])
        if found is None:
            quote, depth = _python(lines[at], quote, depth)
            out.append(lines[at])
            at += 1
            continue
        text, used = logical_line([lines[at][found.start("body"):], *lines[at + 1:]])
        out.append(f"{found['indent']}get_ipython().run_line_magic('ovs', {text!r})\n")
        out += ["\n"] * (used - 1)
        at += used
    return out


def _python(line, quote, depth):
    """The triple quote and the number of brackets that are open after a line of Python."""
    at = 0
    while at < len(line):
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return quote, depth
            quote, at = "", end + 3
            continue
        found = _STRING.search(line, at)
        if found is None:
            break
        at, quote = found.end(), found["long"] or ""
        depth = max(0, depth + bool(found["open"]) - bool(found["close"]))
    return quote, depth


def logical_line(lines):
    """A command as a shell would join it, and how many lines it takes: backslashes, quotes over lines, comments."""
    text, used = "", 0
    for line in lines:
        used += 1
        text += line.rstrip("\n")
        end, quote = _shell(text)
        if quote:
            text += "\n"
        elif end == len(text) and _continued(text):
            text = text[:-1]
        else:
            return text[:end].rstrip(), used
    if quote:  # never closed: the error shall point at its first line
        return lines[0].rstrip("\n"), 1
    return text.rstrip(), used


def _continued(text):
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _shell(text):
    """(where the command ends: at a comment or at its end, the quote that is open there)."""
    quote, at = "", 0
    while at < len(text):
        c = text[at]
        if c == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "#" and (at == 0 or text[at - 1].isspace()):
            return at, ""
        at += 1
    return len(text), quote


def split(text):
    """The words of a command line as (word, place), quotes taken away; a shell's own signs are refused with what to do."""
    words, word, start, quote, at = [], "", None, "", 0
    while at < len(text):
        c = text[at]
        if start is None and not quote and not c.isspace():
            start = at
        if c == "\\" and quote != "'" and at + 1 < len(text):
            at += 1
            word += text[at]
        elif quote or c in "'\"":
            word, quote = (word, "") if c == quote else (word, c) if not quote else (word + c, quote)
        elif c.isspace():
            words, word, start = (words, word, start) if start is None else ([*words, (word, start)], "", None)
        else:
            word += c
        at += 1
    if quote:
        raise CommandError("this quote is never closed", text, text[start:].split("\n")[0], start)
    return words if start is None else [*words, (word, start)]


def commands(text):
    """The commands of one line, parted by `&&` and `;` as a shell parts them, each as its text."""
    out, begin, parts = [], 0, split(text)
    for (word, place), (_, after) in zip(parts, [*parts[1:], ("", len(text))], strict=True):
        raw = text[place:after].rstrip()
        if raw in ("|", ">", ">>", "<", "||", "&"):
            raise CommandError(f"{raw!r} is the shell's: keep the text in Python, as in text = sw.ofctl('dump-flows')", text, raw, place)
        if raw == "&&" or (raw.endswith(";") and word.endswith(";")):
            end = place + len(raw)
            out, begin = [*out, text[begin:end].removesuffix("&&").removesuffix(";")], end
    return [part.strip() for part in [*out, text[begin:]] if part.strip()]
