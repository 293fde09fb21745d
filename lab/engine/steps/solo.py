"""One call of one compiled stage, on a thread of its own that can be ended: a stage that faults or loops costs its burst."""

from enum import Enum

from lab.engine.threads import KILL, BareThread

PATIENCE = 2.0  # seconds of processor time that one call may take


class Ended(Enum):
    """How a call ended."""

    WELL = 0
    RAISED = 1
    LOOPED = 2
    FAULTED = 3


def call_compiled(engine, number, lane, output):
    """Call the machine code of a place on a lane's world; how it ended."""
    record = engine.threads[0]
    record["entry"], record["worlds"] = engine.code["address"][number], engine.worlds[lane].address(output)
    thread = BareThread(record, engine.pipeline.loops["solo"], engine.worlds[0].address())
    try:
        while not thread.join(0.05):
            if thread.seconds() > PATIENCE:
                thread.kill()
    except BaseException:
        thread.kill()
        raise
    signal = int(record["ended"][0])
    if signal:
        return Ended.LOOPED if signal == int(KILL) else Ended.FAULTED
    return Ended.RAISED if int(record["result"][0]) else Ended.WELL
