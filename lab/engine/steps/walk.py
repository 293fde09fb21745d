"""Stepping: one stage on one burst at a time, in either tempo, and back.

`step` runs the stage as plain Python, `run` calls its machine code; both ask the same conductor which stage comes next,
settle behind it with the same function, and keep what changed. Inside a stage a person stands at a line: each further
line restores the stage's beginning and runs to the next line, so going back inside is running to the line before.
"""

from contextlib import contextmanager

from lab.engine.pipeline import whose_stage
from lab.engine.route import (
    EGRESS,
    FIND,
    LAST,
    LOOKUP,
    MIDDLE,
    OUTPUT_SIDE,
    RECEIVE,
    REVALIDATE,
    TAKE_OVER,
    TRANSMIT,
    advance,
    come_to_rest,
    settle,
)
from lab.engine.steps.inside import LineReached, run_to_line
from lab.engine.steps.look import Look
from lab.engine.steps.patience import NeverEnds, limited
from lab.engine.steps.solo import Ended, call_compiled
from lab.engine.steps.timeline import Act, Explanation, Step, Timeline
from lab.engine.steps.turns import handed, lane_to_move
from lab.engine.wreck import PACKAGE, give_up, holds_together
from lab.memory.raw import MemoryFault
from lab.memory.reasons import STAGE_FAILED, STAGE_FAULTED, STAGE_LOOPED
from lab.memory.shadow import Shadow
from lab.stages.regions import NO_STAGE

FEW = 16  # megaflows that are held against the rules plainly
ALWAYS_TOUCHED = ("lane", "bursts", "outs", "again", "cuts", "gro", "counters", "reasons", "mbufs", "pool", "rings", "port_stats")


class Walk:
    """Where a switch stands, step by step."""

    def __init__(self, engine, ports):
        self.engine, self.ports = engine, ports  # ports: what can be asked for waiting frames and told to collect
        self.shadow = Shadow(engine.arena)
        self.timeline = Timeline()
        self.tell = lambda step: None  # whoever knows the names of rules and ports writes the step's sentence
        self.inside = None  # (stage position, lines done, Step so far) while a person stands in a stage
        self.sync()

    # --- differences --------------------------------------------------------------------------

    def extents(self, names, lanes):
        """Where the regions of these names lie, for these lanes, as far as they are rewound."""
        arena, found = self.engine.arena, []
        for name in names:
            if name in self.engine.regions and self.engine.regions[name].rewound:
                found += [
                    arena.extent(n, who) for n, who in {(n, who) for n, who, _ in arena.places} if n == name and who in (None, *lanes)
                ]
        return found

    def sync(self):
        """Take everything as it is now for the beginning."""
        self.shadow.sync(self.extents(self.engine.regions, range(self.engine.cores + 1)))
        self.timeline.clear()
        self.inside = None

    def act(self, name, regions, do, again=None):
        """Do what a person asked for, and keep what it changed in the arena."""
        self.leave_stage()
        try:
            return do()
        finally:
            self._keep(name, self.extents(regions, range(self.engine.cores + 1)), again)

    def _keep(self, name, extents, again=None):
        """Remember what has changed between two steps, if anything has."""
        change = self.shadow.changes(extents)
        if len(change.lines):
            self.timeline.add(Act(name, change, again))

    # --- forward -------------------------------------------------------------------------------

    def step(self, compiled=False):
        """Take the burst in hand to its next stage; the Step, or None when nothing moves."""
        if self.inside:
            return self.finish_stage()
        state = self.next_stage()
        return None if state is None else self.end(state, self.call(state, compiled), "run" if compiled else "step")

    def next_stage(self):
        """The stage that comes next, about to run; None when nothing moves. A burst that is done leaves its lane idle first."""
        for _ in range(self.engine.cores + 1):
            lane = lane_to_move(self.engine, self.ports)
            if lane is None:
                return None
            state = self.begin(lane)
            if state is not None:
                return state
        return None

    def revalidate(self, lane):
        """The rules have changed: a burst in hand is parsed and looked up again; one that is half sent is just decided anew."""
        self.keep_true(lane)
        here, burst = self.engine.array("lane", lane)[0], self.engine.array("bursts", lane)[0]
        if here["phase"] == LOOKUP and burst["first"] == 0:
            here["at"], burst["misses"] = 0, 0
        else:
            self.engine.decide_anew(lane)

    def keep_true(self, lane):
        """Run the stage that holds megaflows against the rules, to its end; with many of them as machine code, if there is some."""
        stage, here = self.engine.pipeline.places[REVALIDATE].stage, self.engine.array("lane", lane)[0]
        self._once(stage, lane)
        while here["cursor"] >= 0 or here["idle_at"] >= 0:
            self._once(stage, lane)

    def _once(self, stage, lane):
        if whose_stage(stage) == PACKAGE and int(self.engine.array("megaflows", lane, "head")["count"][0]) > FEW:
            self.engine.perform(stage, lane)
        else:
            self.engine.interpret(stage, lane)

    def begin(self, lane):
        """Ask the conductor for the next stage and note where things stand; None when there is none."""
        self.engine.lend(lane)
        way, tally, wreck = self.engine.conductor(lane)
        here = way.lane[0]
        touched = set()
        while (number := advance(way)) == REVALIDATE:
            place = self.engine.pipeline.places[REVALIDATE]
            touched |= set(place.stage.touches)
            self.keep_true(lane)
        idle = here.phase == RECEIVE and not self._waits(number, here, lane)
        if number == NO_STAGE or idle:
            here.phase = FIND
            self._keep("rest", self.extents(touched | {"lane", "bursts", "outs", "again", "pool"}, [0, lane]))
            return None
        output = here.out if here.phase in (EGRESS, TRANSMIT) else None
        burst = way.bursts[0] if output is None else way.outs[output]
        place = self.engine.pipeline.places[number]
        trace = tally.trace[0]
        trace.on, trace.n, trace.stage = 1, 0, number
        kind = OUTPUT_SIDE if output is not None else LAST if here.phase == LOOKUP and here.at == way.config[0].lookup_stages else MIDDLE
        heads = [burst.pkt[k] for k in range(burst.first, burst.n)]
        look = Look(self.engine, self.timeline, lane, place, burst, heads)
        return _State(lane, place, output, burst, kind, look, touched | set(place.stage.touches), (way, tally, wreck))

    def _waits(self, number, here, lane):
        """Whether something waits at the queue that a lane has turned to."""
        if number == TAKE_OVER:
            return handed(self.engine, lane) is not None
        return (here.port, lane) == self.ports.first_waiting()

    def call(self, state, compiled):
        """Run the stage; (reason to give up or 0, what went wrong in words). What interrupts it takes it back."""
        try:
            why, words = self._machine_code(state) if compiled else self._plain(state)
        except BaseException:
            self.undo_part(state)
            raise
        whose = whose_stage(state.place.stage)
        if not why and whose != PACKAGE and not holds_together(state.views[2], state.burst, len(state.heads), whose):
            return STAGE_FAILED, "it left a burst that cannot be: counts out of range, or packets that are doubled, missing or not its own"
        return why, words

    def _machine_code(self, state):
        self.engine.arena.forget_fault()
        ended = call_compiled(self.engine, state.place.number, state.lane, state.output)
        fault = self.engine.arena.fault()
        if ended == Ended.RAISED and fault:
            return STAGE_FAULTED, f"{fault[1]} bytes at offset {fault[0]:#x} lie outside the packets' memory"
        return {
            Ended.RAISED: (STAGE_FAILED, "it raised; sw.back() and then sw.step() say where"),
            Ended.LOOPED: (STAGE_LOOPED, "it did not end"),
            Ended.FAULTED: (STAGE_FAULTED, "it touched memory that is not mapped"),
        }.get(ended, (0, ""))

    def _plain(self, state):
        try:
            with limited(whose_stage(state.place.stage) != PACKAGE):
                self.engine.interpret(state.place.stage, state.lane, state.output)
        except NeverEnds:
            return STAGE_LOOPED, "it did not end"
        except MemoryFault as error:
            return STAGE_FAULTED, str(error)
        except Exception as error:  # a stage is a person's code: whatever it raises ends this burst, not the switch
            return STAGE_FAILED, f"{type(error).__name__}: {error}"
        return 0, ""

    def undo_part(self, state):
        """Put memory back to where the stage began."""
        change = self.shadow.changes(self.extents(state.touches | set(ALWAYS_TOUCHED), [0, state.lane]))
        self.shadow.write(change, change.old)

    def end(self, state, outcome, tempo):
        """Settle behind the stage and make the Step."""
        why, words = outcome
        way, tally, wreck = state.views
        counter = tally.counters[state.place.number]
        drops, came, went = counter.drops, counter.packets_in, counter.packets_out
        if why:
            give_up(wreck, state.place.number, why, len(state.heads))
        else:
            settle(tally, state.burst, state.place.number, len(state.heads), state.kind)
        lost = counter.drops - drops
        came, went = (len(state.heads), len(state.heads) - lost) if why else (counter.packets_in - came, counter.packets_out - went)
        state.look.stop(state.burst)
        come_to_rest(way)
        sent = self.ports.collect()
        trace = self.engine.array("trace", state.lane)
        told = self._explanations(trace)
        tally.trace[0].on = 0
        change = self.shadow.changes(self.extents(state.touches | set(ALWAYS_TOUCHED), [0, state.lane]))
        step = self.make_step(state, change, told, tempo)
        step.error, step.sent, step.before, step.after, step.lost = words, sent, came, went, lost
        self.timeline.add(step)
        self.tell(step)
        return step

    def make_step(self, state, change, told, tempo):
        """What a person sees of it."""
        look = state.look
        return Step(
            number=self.timeline.reached + 1,
            stage=state.place.name,
            group=state.place.group,
            lane=state.lane,
            port=state.burst.port if state.output is None else int(self.engine.array("lane", state.lane)["port"][0]),
            output=state.output,
            before=len(state.heads),
            after=state.burst.n,
            change=change,
            explanations=told,
            tempo=tempo,
            turn=look.turn,
            engine=self.engine,
            **look.seen(),
        )

    def _explanations(self, trace):
        places = self.engine.pipeline.places
        rows = trace[1 : 1 + int(trace["n"][0])]
        return tuple(Explanation(int(r["packet"]), places[int(r["stage"])].name, int(r["reason"]), int(r["a"]), int(r["b"])) for r in rows)

    def current(self):
        """The Step that a person looks at: inside a stage the one begun, else the last, or None."""
        return self.inside.step if self.inside else self.timeline.last

    # --- into a stage -----------------------------------------------------------------------------

    def into(self):
        """Go to the first line of the next stage, or on by one line; the Step so far."""
        if self.inside is None:
            state = self.next_stage()
            if state is None:
                return None
            before = self.shadow.changes(self.extents(state.touches | set(ALWAYS_TOUCHED), [0, state.lane]))
            self.inside = _Inside(state, before)
        return self._to_line(self.inside.line + 1)

    def _to_line(self, line):
        inside = self.inside
        self.undo_part(inside.state)
        inside.state.look.left = None
        try:
            tables = self.engine.tables(inside.state.place.stage.parameters, inside.state.lane, inside.state.output)
            run_to_line(inside.state.place.stage.function, tables, line)
        except LineReached as reached:
            inside.line = line
            where = reached.where
            change = self.shadow.changes(self.extents(inside.state.touches | set(ALWAYS_TOUCHED), [0, inside.state.lane]))
            step = self.make_step(inside.state, change, self._explanations(self.engine.array("trace", inside.state.lane)), "into")
            self.shadow.write(change, change.old)  # the shadow stays at the stage's beginning
            self.shadow.poke(change, change.new)
            step.line = where
            inside.step = step
            self.tell(step)
            return step
        except MemoryFault as error:
            return self._end_inside((STAGE_FAULTED, str(error)))
        except Exception as error:
            return self._end_inside((STAGE_FAILED, f"{type(error).__name__}: {error}"))
        return self._end_inside((0, ""))

    def _end_inside(self, outcome):
        inside, self.inside = self.inside, None
        step = self.end(inside.state, outcome, "step")
        step.change = inside.before + step.change
        return step

    def finish_stage(self):
        """Run the stage that a person stands in to its end."""
        inside = self.inside
        self.undo_part(inside.state)
        return self._end_inside(self.call(inside.state, False))

    def leave_stage(self):
        """Back to before the stage that a person stands in."""
        if self.inside:
            inside, self.inside = self.inside, None
            self.undo_part(inside.state)
            self.shadow.write(inside.before, inside.before.old)

    @contextmanager
    def outside(self):
        """For as long as this lasts, memory is as before the stage that a person stands in; then as it was."""
        if not self.inside:
            yield
            return
        state, before = self.inside.state, self.inside.before
        done = self.shadow.changes(self.extents(state.touches | set(ALWAYS_TOUCHED), [0, state.lane]))
        self.shadow.write(done, done.old)
        self.shadow.write(before, before.old)
        try:
            yield
        finally:
            self.shadow.write(before, before.new)
            self.shadow.poke(done, done.new)

    # --- back ------------------------------------------------------------------------------------

    def back(self):
        """Undo the last step (inside a stage: the last line); the Step now current, or None."""
        if self.inside:
            if self.inside.line > 1:
                return self._to_line(self.inside.line - 1)
            self.leave_stage()
            return self.timeline.last
        if self.timeline.last is None:
            return None
        acts = []
        while True:
            event = self.timeline.pop()
            self.shadow.write(event.change, event.change.old)
            if isinstance(event, Step):
                self.ports.uncollect(event.sent)
                self.timeline.future.append(event)
                break
            acts.append(event)
        future = list(self.timeline.future)
        for act in reversed(acts):
            if act.again:
                act.again()
        self.timeline.future[:] = [] if any(act.again for act in acts) else future
        return self.timeline.last

    def forward(self):
        """Go on again over a step that was gone back over, without running it."""
        if not self.timeline.future:
            return None
        step = self.timeline.future.pop()
        self.shadow.write(step.change, step.change.new)
        self.ports.recollect(step.sent)
        self.timeline.append(step)
        return step


class _State:
    """A stage about to run: where, on what."""

    def __init__(self, lane, place, output, burst, kind, look, touches, views):
        self.lane, self.place, self.output, self.burst = lane, place, output, burst
        self.kind, self.look, self.touches, self.views = kind, look, touches, views
        self.heads = look.heads


class _Inside:
    """A person stands in a stage: at which line, counted from its beginning."""

    def __init__(self, state, before):
        self.state, self.before, self.line, self.step = state, before, 0, None
