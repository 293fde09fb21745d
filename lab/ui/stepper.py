"""The stepper in a notebook: an anywidget that shows the switch's frame and sends clicks to its queue.

One click is one message, one frame is the answer. Clicks go round a running cell: in the Glasswitch kernel its own thread
takes them (`lab.ui.kernel`), in any other they are answered on the subshell that JupyterLab asks for. The picture is drawn
by JavaScript (stepper.js); nothing here knows how it looks.
"""
import sys
import weakref

import anywidget
import traitlets

from lab.ui import page, terminal

PATIENCE = 0.001  # seconds that a computing cell may keep the interpreter from a click's thread; Python's 0.005 add up to 30 ms a click

_all: weakref.WeakSet = weakref.WeakSet()


def pages():
    """{model_id: page} of every stepper: what it showed at first, and the steps that followed until one was taken back."""
    return {stepper.model_id: page.page(*stepper.story()) for stepper in _all}


class Stepper(anywidget.AnyWidget):
    """A picture of a switch at one step, with STEP, BACK, INTO and RUN."""

    _esm = page.script()
    _css = page.style()
    frame = traitlets.Dict().tag(sync=True)

    def __init__(self, switch, **settings):
        self.switch = switch
        self._unwatch = None
        switch.oracle.prepare()  # what a click will ask is machine code then, if there is any
        super().__init__(frame=switch.frame(), **settings)
        self._story, self._at = self.recording()
        self._taken_back = False
        _all.add(self)
        self.on_msg(self._clicked)
        sys.setswitchinterval(min(sys.getswitchinterval(), PATIENCE))
        if self.comm is not None:
            self.comm.glasswitch_take = switch.commands.put
            # ipykernel 7.4 answers on the subshell of a comm's last publication, so the first click during a cell would wait.
            self.comm._reply_subshell_for = lambda data, default: default
        self._unwatch = switch.watch(self._show)

    def _clicked(self, _widget, content, _buffers):
        """A click where no thread of our kernel has taken it."""
        self.switch.commands.put(content)

    def _show(self, frame):
        """A new frame, in the engine's thread."""
        self.frame = frame
        self._follow(frame)

    def _follow(self, frame):
        """Go on with the story: the frame, and before it those that came too fast to be shown."""
        last = self._story[-1]
        self._taken_back |= frame["step"] < last["step"]
        if self._taken_back or len(self._story) - self._at >= page.LONGEST:
            return
        if frame["step"] == last["step"]:
            self._story[-1] = frame
            return
        between = range(last["step"] + 1, frame["step"])
        if between:
            self._story += [earlier for earlier in self.switch.timeline.frames() if earlier["step"] in between]
        self._story.append(frame)

    def story(self):
        """The frames of a page that begins where this stepper did: (frames, "", number of the first shown)."""
        frames = self._story[:self._at + page.LONGEST]
        cut = max(0, len(frames) - page.LONGEST)
        return frames[cut:], "", self._at - cut

    def close(self):
        """End the view; the switch goes on."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        super().close()

    def __repr__(self):
        return f"<Stepper of {self.switch.name}, step {self.frame['step']} of {self.frame['steps']}>"

    def recording(self):
        """The frames so far that a saved page will have, and which of them is current."""
        frames = list(self.switch.timeline.frames())[-page.LONGEST:]
        if not any(frame["step"] == self.frame["step"] for frame in frames):
            frames = [*frames, self.frame][-page.LONGEST:]
        return frames, next(i for i, frame in enumerate(frames) if frame["step"] == self.frame["step"])

    def page(self, theme=""):
        """The recording so far as HTML that steps without a kernel."""
        frames, at = self.recording()
        return page.page(frames, theme, at)

    def _repr_mimebundle_(self, **_):
        colour = hasattr(sys.stdout, "isatty") and sys.stdout.isatty()
        shown = super()._repr_mimebundle_()
        data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
        return {**data, "text/plain": terminal.text(self.frame, colour), "text/html": self.page()}, metadata
