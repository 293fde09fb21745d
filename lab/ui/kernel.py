"""The Glasswitch kernel: IPython with `Switch` and a ready `sw`, ovs-* lines, and clicks that no busy cell can block.

A click comes over Jupyter's shell channel like a cell does, and waits behind it. Here the thread that reads that channel
takes the stepper's clicks out and puts them into the engine's queue at once; everything else goes its usual way. This leans
on ipykernel 7.4's inside, so where another version runs the kernel says so in its log and does without.
"""
import inspect

import ipykernel
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from lab import __version__
from lab.ui import magics, words

PINNED = "7.4."  # the versions of ipykernel whose inside is known
_TOO_LATE = "clicks wait for the running cell's turn in ipykernel %s: the quick way is known for %s only"


class Glasswitch(IPythonKernel):
    """The kernel behind notebooks of the kernelspec `glasswitch`."""

    implementation = "glasswitch"
    implementation_version = __version__
    banner = f"Glasswitch {__version__}: Python, with Switch and sw; ovs-vsctl, ovs-ofctl and ovs-appctl lines are understood."

    def __init__(self, **settings):
        super().__init__(**settings)
        self.quick = quick()
        if not self.quick:
            self.log.warning(_TOO_LATE, ipykernel.__version__, PINNED + "x")
        magics.load_ipython_extension(self.shell)

    async def shell_channel_thread_main(self, msg):
        """Every message of the shell channel, in a thread of its own."""
        if self.quick and self._took(msg):
            return
        await super().shell_channel_thread_main(msg)

    def _took(self, msg):
        """Whether the message was a stepper's click, which then is on its way to the engine."""
        try:
            _, frames = self.session.feed_identities(msg, copy=False)
            if self.session.unpack(frames[1].bytes)["msg_type"] != "comm_msg":
                return False
            content = self.session.unpack(frames[4].bytes)
            take = getattr(self.comm_manager.get_comm(content.get("comm_id")), "glasswitch_take", None)
            if take is None or content["data"].get("method") != "custom":
                return False
            # Checks the signature; a message may go through this once only, so not before it is known to be ours.
            self.session.deserialize(frames, content=False, copy=False)
        except Exception:
            self.log.exception("glasswitch: a message that could not be looked at goes the usual way")
            return False
        take(content["data"]["content"])  # and no busy or idle about it: a small write before the frame costs 40 ms
        return True

    async def do_complete(self, code, cursor_pos):
        """Lines of the OVS tools are completed here, without waiting for Python's completer."""
        found = magics.completions(self.shell, code, cursor_pos)
        if found is None:
            return await _result(super().do_complete(code, cursor_pos))
        matches, start, end = found
        types = [{"start": start, "end": end, "text": text, "type": "command"} for text in matches]
        metadata = {"_jupyter_types_experimental": types}
        return {"matches": matches, "cursor_start": start, "cursor_end": end, "status": "ok", "metadata": metadata}

    async def do_is_complete(self, code):
        """A console asks whether to run what was typed: a command that ends in a backslash goes on."""
        lines = code.rstrip("\n").split("\n")
        if lines[-1].endswith("\\") and words.head(lines[0]):
            return {"status": "incomplete", "indent": ""}
        return await _result(super().do_is_complete(code))


def quick():
    """Whether the inside of this ipykernel is the one `shell_channel_thread_main` was written for."""
    own = getattr(IPythonKernel, "shell_channel_thread_main", None)
    return ipykernel.__version__.startswith(PINNED) and own is not None and [*inspect.signature(own).parameters] == ["self", "msg"]


async def _result(value):
    """What IPythonKernel answers at once in some versions and as a coroutine in others."""
    return await value if inspect.isawaitable(value) else value


def main():
    """Start the kernel, as kernels/glasswitch/launch.py does."""
    IPKernelApp.launch_instance(kernel_class=Glasswitch)
