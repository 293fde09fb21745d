"""Clicks and other orders that must not wait for a busy cell: one queue, one thread that obeys, frames for whoever watches."""

import queue
import threading
import warnings


class Clicks:
    """The queue of a switch. `put({"do": "step", "id": 3})` returns at once; the frame that follows carries the id."""

    DOES = ("step", "back", "into", "run", "goto")

    def __init__(self, switch):
        self._switch, self._queue, self._watchers = switch, queue.SimpleQueue(), []
        self._thread = None
        self._obeying = False

    def put(self, order):
        """Take an order."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._obey, name="glasswitch-clicks", daemon=True)
            self._thread.start()
        self._queue.put(order)

    def watch(self, callback):
        """Call with each new frame; returns a function that ends it."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback) if callback in self._watchers else None

    def show(self):
        """Something moved: give those who watch the new frame. While an order is obeyed, it is given once, at its end."""
        if self._watchers and not self._obeying:
            self._tell(self._switch.frame())

    def _tell(self, frame):
        for watcher in reversed(self._watchers[:]):  # the newest first: it is the one that somebody looks at
            try:
                watcher(frame)
            except Exception as error:  # a picture that cannot be drawn must not end the stepping
                self._drop(watcher, error)

    def _drop(self, watcher, error):
        """A watcher that raises is told no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        said = f"{self._switch.name}: {watcher!r} raised {error!r} and is shown no more frames: mend it, then sw.watch(it) again"
        warnings.warn(said, RuntimeWarning, stacklevel=3)

    def _obey(self):
        while (order := self._queue.get()) is not None:
            frame = self._do(order)
            if "id" in order:
                frame["echo"] = order["id"]
            self._tell(frame)

    def _do(self, order):
        """Carry out one order; whatever goes wrong is told in the frame."""
        switch, note = self._switch, ""
        self._obeying = True
        try:
            if order.get("do") not in self.DOES:
                raise ValueError(f"no order is called {order.get('do')!r}: there are {', '.join(self.DOES)}")
            if order["do"] == "goto":
                switch.goto(int(order["to"]))
            elif order["do"] == "into":
                switch.step(into=True)
            elif order["do"] == "run":
                self._compile()
                switch.run()
            else:
                getattr(switch, order["do"])()
        except Exception as error:  # a click has nobody to raise to
            note = str(error)
        finally:
            self._obeying = False
        frame = switch.frame()
        if note:
            frame["note"] = note
        return frame

    def _compile(self):
        """Have the machine code that a run needs; if that takes long, the picture says so meanwhile."""
        frame = self._switch.frame()

        def say(note):
            self._tell({**frame, "note": note})

        late = threading.Timer(1, say, ["compiling the stages, once"])
        late.start()
        try:
            with self._switch.lock:
                self._switch.engine.pipeline.load(lambda done, total, name: say(f"compiling the stages, once: {done} of {total}, {name}"))
        finally:
            late.cancel()
            late.join()

    def close(self):
        """End the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread = None
