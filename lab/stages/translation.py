"""Translation as one piece of machine code that the upcall, revalidation and control call; it stands on no packet's way.

Whoever wants a key translated writes a request to the desk (`ask_tables`) and has it served. In machine code serving is a
call through the table of addresses, so that the largest function of the switch is compiled once and not into each caller;
as plain Python it is the function itself.
"""

from lab.flow.key import WORDS
from lab.memory.raw import address_of, call
from lab.stages.stage import stage
from lab.translate.records import REQUEST
from lab.translate.run import run_program, translate

PLACE = 63  # where its address stands, behind those of the stages
NO_PROGRAM = 0


def ask_tables(t, w, now, learns):
    """Translate a key; `learns`: whether MAC addresses are learned on the way. What comes out lies at the desk."""
    request(t, w, now, learns)
    t.desk.xlate[0].program_n = NO_PROGRAM
    t.desk.xlate[0].has_program = 0
    serve(t)


def ask_program(t, w, now, first_and_n):
    """Run a list of OpenFlow actions on a key instead of the tables."""
    first, n = first_and_n
    request(t, w, now, 0)
    t.desk.xlate[0].program = first
    t.desk.xlate[0].program_n = n
    t.desk.xlate[0].has_program = 1
    serve(t)


def request(t, w, now, learns):
    """Write down what is asked for."""
    x = t.desk.xlate[0]
    x.now = now
    x.learns = learns
    for j in range(WORDS):
        t.desk.flows[REQUEST].w[j] = w[j]


def serve(t):
    """Do what the desk is asked."""
    x = t.desk.xlate[0]
    w = t.desk.flows[REQUEST].w
    if x.has_program != 0:
        run_program(t, w, x.now, (x.program, x.program_n))
    else:
        translate(t, w, x.now, x.learns)


def serve_elsewhere(t):
    """Have the request served by the machine code that stands at PLACE: what compiled callers do instead of `serve`."""
    call(t.code[PLACE].address, address_of(t))


@stage
def translation(mind):
    """Serve the request that lies at the desk."""
    serve(mind)
