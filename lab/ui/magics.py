"""`%load_ext lab`: the switch's words in any IPython, be it a terminal, another kernel or ours.

It puts `Switch` and a ready `sw` into the namespace, lets ovs-* lines stand beside Python, and adds `%step`, `%back`,
`%trace`, `%stage`, `%ports`, `%flows` and `%ovs`. Each calls what Python would call; none knows more than the switch.
"""
import contextlib
import traceback
import types

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from lab.openflow.errors import CommandError
from lab.ui import complete, words
from lab.ui.bridges import Bridges


def load_ipython_extension(shell):
    """Make `shell` understand the switch. A second time changes nothing."""
    from lab import Switch
    namespace = shell.user_ns
    namespace.setdefault("Switch", Switch)
    if "sw" not in namespace:
        namespace["sw"] = Switch("br0")
    if hasattr(shell, "glasswitch"):
        return
    shell.glasswitch = Bridges(namespace)
    shell.input_transformer_manager.cleanup_transforms.insert(0, words.ovs_lines)
    shell.register_magics(SwitchMagics(shell))
    shell.Completer.custom_matchers.append(_matcher(shell))


def unload_ipython_extension(shell):
    """Take the words away again; the namespace stays as it is."""
    with contextlib.suppress(ValueError):
        shell.input_transformer_manager.cleanup_transforms.remove(words.ovs_lines)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != "glasswitch"]
    if hasattr(shell, "glasswitch"):
        del shell.glasswitch


def completions(shell, code, cursor):
    """(matches, start, end) for an ovs-* line, or None; never an error."""
    with contextlib.suppress(Exception):
        return complete.complete(code, cursor, shell.user_ns.get("sw"), shell.glasswitch.known())
    return None


def _matcher(shell):
    """A matcher of IPython's completer, for front ends that ask it rather than the kernel."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="glasswitch")
    def glasswitch(context):
        found = completions(shell, context.full_text, _position(context))
        if not found:
            return {"completions": [], "suppress": False}
        matches, start, end = found
        done = [SimpleCompletion(text, type="command") for text in matches]
        return {"completions": done, "matched_fragment": context.full_text[start:end], "suppress": bool(done)}

    return glasswitch


def _position(context):
    """The cursor as one number, from IPython's line and column."""
    lines = context.full_text.split("\n")
    return sum(len(line) + 1 for line in lines[:context.cursor_line]) + context.cursor_position


@magics_class
class SwitchMagics(Magics):
    """The magics of `%load_ext lab`."""

    @property
    def _switch(self):
        return self.shell.glasswitch.current()

    @line_magic
    def ovs(self, line):
        """Run an ovs-vsctl, ovs-ofctl or ovs-appctl command: `%ovs ofctl dump-flows`."""
        try:
            text = self.shell.glasswitch.run(line)
        except CommandError as error:
            _without_machinery(error, self.shell)
            raise
        if text:
            print(text)

    @line_magic
    def step(self, line):
        """Take the packets in hand one stage on: `%step`, `%step 3`, `%step into`."""
        if line.strip() == "into":
            return self._switch.step(into=True)
        return self._repeat("step", line)

    @line_magic
    def back(self, line):
        """Go back a step, or several: `%back`, `%back 3`."""
        return self._repeat("back", line)

    def _repeat(self, name, line):
        try:
            times = int(line or 1)
        except ValueError:
            raise UsageError(f"%{name} takes a number of steps, not {line!r}") from None
        last = None
        for _ in range(times):
            last = getattr(self._switch, name)()
            if last is None:
                break
        return last

    @line_magic
    def trace(self, line):
        """The story of a packet, while nothing changes: `%trace packet`, with any expression that is a packet."""
        if not line.strip():
            raise UsageError("%trace wants a packet: %trace Ether()/IP(dst='10.0.0.2')/TCP(), or the name of one")
        return self._switch.trace(self.shell.ev(line))

    @line_magic
    def stage(self, line):
        """The stages, or one of them: `%stage`, `%stage emc`."""
        return self._switch.stages[line.strip()] if line.strip() else self._switch.stages

    @line_magic
    def ports(self, line):
        """The ports, or one of them: `%ports`, `%ports vm1`."""
        return self._switch.ports[line.strip()] if line.strip() else self._switch.ports

    @line_magic
    def flows(self, line):
        """The OpenFlow rules and the megaflows they have become; `%flows rules` or `%flows megaflows` for one of them."""
        which = line.split() or ["rules", "megaflows"]
        if wrong := [word for word in which if word not in ("rules", "megaflows")]:
            raise UsageError(f"%flows shows rules and megaflows, not {wrong[0]!r}")
        for word in which:
            display(getattr(self._switch, word))


def _without_machinery(error, shell):
    """Let IPython show a mistake in a command by its message and the cell's line, without the frames between."""
    cell = (entry.lineno for entry in reversed(traceback.extract_stack()) if shell.compile.format_code_name(entry.filename))
    place = next((f" in line {number}" for number in cell), "")

    def render(self):
        return [f"{type(self).__name__}{place}: {self}"]

    error._render_traceback_ = types.MethodType(render, error)
