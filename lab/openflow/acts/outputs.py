"""Actions that send the packet: to ports in all their spellings, to a port that a register names, to the controller.

`enqueue` is an output between two writes of skb_priority, as OVS makes it.
"""
from lab.openflow.acts.context import Act
from lab.openflow.acts.ports import NAMES, WORDS, no_port, port_of, read_port, said
from lab.openflow.acts.value import Fact, Spelling
from lab.openflow.acts.writing import record_of
from lab.openflow.matching import values
from lab.openflow.matching.fields import BY_NAME
from lab.translate import ofact as of

LEAST_LENGTH = 14  # an Ethernet header stays
MOST_LENGTH = 0xFFFF  # of what a controller is told
REASONS = {"no_match": 0, "action": 1, "invalid_ttl": 2, "action_set": 3, "group": 4, "packet_out": 5}
BY_ACTION = REASONS["action"]
PRIORITY = BY_NAME["skb_priority"]
NO_QUEUE = 0


def to_port(number):
    """The act of an output to a port."""
    if number == of.OFPP_CONTROLLER:
        return to_controller(MOST_LENGTH)
    piece = NAMES.get(number)
    return Act((Fact(of.O_OUTPUT, n=number),), (piece,) if piece else ("output:", number))


def to_word(word, context):
    """An output to what a word of OpenFlow means: `flood`, `in_port`, `normal` ..."""
    context.no_value(word)
    return to_port(WORDS[word.name.lower()])


def to_controller(length):
    """The act of an output to the controller."""
    return Act((Fact(of.O_CONTROLLER, n=length, reason=BY_ACTION),), (f"CONTROLLER:{length}",))


def output(word, context):
    """`output:PORT`, `output:FIELD[..]`, `output(port=PORT,max_len=N)`."""
    if not word.value:
        raise context.text.error("output needs a port: output:PORT", word.name, word.at)
    if context.in_brackets(word) and "=" in word.value:
        return truncated(word, context)
    text = context.part(word)
    try:
        number = port_of(text, context.asked)
    except ValueError as error:
        raise text.error(f"output: {error}", word.value, 0) from None
    if number is not None:
        return to_port(number)
    if "[" in word.value or context.row(word.value) is not None:
        return to_register(word, context)
    raise no_port(text, context.asked.ports)


def to_register(word, context):
    """An output to the port whose number stands in a field."""
    place = context.source(context.part(word), word)
    if len(place.parts()) > 1:
        raise context.wrong(word, f"{place} has more bits than the number of a port; take 16 of them")
    return Act((Fact(of.O_OUTPUT_REG, src_word=place.word, src_low=place.low, bits=place.bits),), (f"output:{place}",), in_set=False)


def truncated(word, context):
    """An output of the first bytes alone."""
    part, found = context.settings(word, ("port", "max_len"))
    for name in ("port", "max_len"):
        if name not in found or not found[name].value:
            raise context.wrong(word, f"{name}= is missing")
    port, length = found["port"], found["max_len"]
    number = read_port(context, part.part(port.value_at, port.value_at + len(port.value)), "output", ("in_port", "local"))
    if number >= of.OFPP_MAX and number not in (of.OFPP_IN_PORT, of.OFPP_LOCAL):
        raise part.error(f"only whole packets go to {port.value}", port.value, port.value_at)
    try:
        most = values.number(length.value, 32)
        if most < LEAST_LENGTH:
            raise ValueError(f"{length.value} is less than {LEAST_LENGTH}, an Ethernet header")
    except ValueError as error:
        raise part.error(f"max_len: {error}", length.value, length.value_at) from None
    return Act((Fact(of.O_OUTPUT, n=number, m0=most),), ("output(port=", said(number), f",max_len={most})"), in_set=False)


def controller(word, context):
    """`controller`, `controller:LENGTH`, `controller(max_len=,reason=,id=,userdata=)`."""
    if not word.value:
        return to_controller(MOST_LENGTH)
    if not context.in_brackets(word):
        return to_controller(context.number(word, 16))
    part, found = context.settings(word, ("max_len", "reason", "id", "userdata", "pause", "meter_id"))
    for name in ("pause", "meter_id"):
        if name in found:
            raise part.error(f"controller({name}) is not built yet", name, found[name].at)

    def of_setting(name, reader, default):
        setting = found.get(name)
        if setting is None:
            return default
        try:
            return reader(setting.value or "")
        except ValueError as error:
            raise part.error(f"{name}: {error}", setting.value or name, setting.value_at if setting.value else setting.at,
                             REASONS if name == "reason" else ()) from None
    length = of_setting("max_len", lambda text: values.number(text, 16), MOST_LENGTH)
    number = of_setting("id", lambda text: values.number(text, 16), 0)
    reason = of_setting("reason", reason_of, BY_ACTION)
    data = of_setting("userdata", bytes_of, b"")
    if (number, reason, data) == (0, BY_ACTION, b""):
        return to_controller(length)
    words = [f"reason={next(name for name, code in REASONS.items() if code == reason)}"] * (reason != BY_ACTION)
    words += [f"max_len={length}"] * (length != MOST_LENGTH) + [f"id={number}"] * (number != 0)
    words += [f"userdata={data.hex('.')}"] * (data != b"")
    fact = Fact(of.O_CONTROLLER, n=length, reason=reason, v0=number)
    return Act((fact,), (f"controller({','.join(words)})",), in_set=False)


def reason_of(text):
    """The number of a reason for telling the controller."""
    if text not in REASONS:
        raise ValueError(f"{text!r} is none of {', '.join(REASONS)}")
    return REASONS[text]


def bytes_of(text):
    """Bytes in hexadecimal, with or without dots between them."""
    if "." in text and any(len(byte) % 2 or not byte for byte in text.split(".")):
        raise ValueError(f"{text!r} is not in bytes of two hexadecimal digits, such as 01.02.ff")
    try:
        if any(letter.isspace() for letter in text):
            raise ValueError
        return bytes.fromhex(text.replace(".", ""))
    except ValueError:
        raise ValueError(f"{text!r} is not in bytes of two hexadecimal digits, such as 01.02.ff") from None


def queue(number):
    """The record that chooses a queue."""
    return record_of(PRIORITY, number, PRIORITY.full)


def set_queue(word, context):
    """`set_queue:QUEUE`."""
    number = context.number(word, 32)
    return Act((queue(number),), (f"set_queue:{number}",))


def pop_queue(word, context):
    """`pop_queue`: the queue that the packet had."""
    context.no_value(word)
    return Act((queue(NO_QUEUE),), ("pop_queue",), in_set=False)


def enqueue(word, context):
    """`enqueue:PORT:QUEUE` or `enqueue(PORT,QUEUE)`."""
    name, sign, number = context.value(word, "enqueue:PORT:QUEUE").rpartition("," if context.in_brackets(word) else ":")
    if not sign:
        raise context.wrong(word, "it is written enqueue:PORT:QUEUE")
    port = read_port(context, context.part(word, 0, len(name)), "enqueue", ("in_port", "local"))
    if port >= of.OFPP_MAX and port not in (of.OFPP_IN_PORT, of.OFPP_LOCAL):
        raise context.text.error(f"{name} has no queues", name, word.value_at)
    try:
        chosen = values.number(number.strip(), 32)
    except ValueError as error:
        raise context.text.error(f"enqueue: {error}", number, word.value_at + len(name) + 1) from None
    sent = to_port(port)
    records = (queue(chosen), *sent.records, queue(NO_QUEUE))
    later = (f"set_queue:{chosen},output:", ",pop_queue") if port not in NAMES else (f"set_queue:{chosen},", ",pop_queue")
    return Act(records, (Spelling("enqueue:", later[0], later[0]), said(port), Spelling(f":{chosen}", later[1], later[1])), in_set=False)


ACTIONS = {"output": output, "controller": controller, "enqueue": enqueue, "set_queue": set_queue}
PLAIN = {"pop_queue": pop_queue}
