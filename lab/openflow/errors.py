"""What is wrong with a command, said so that the next try is right.

Rules, actions and the three tools raise this one error, always with the word that is wrong and its place in what
was typed. It is no fault of the switch: nothing has changed when it is raised.
"""
import re
from difflib import get_close_matches

WIDE = 100  # letters of a long command that are shown around the word


class CommandError(ValueError):
    """A command that cannot be done: the word that is wrong, where it stands, and the nearest right one.

    >>> print(CommandError("unknown action 'noraml'", "add-flow actions=noraml", "noraml", 17, "normal"))
    unknown action 'noraml': did you mean 'normal'?
    add-flow actions=noraml
                     ^^^^^^
    """

    def __init__(self, problem, command="", word="", position=0, suggestion=""):
        self.problem, self.command, self.word, self.position, self.suggestion = problem, command, word, position, suggestion
        super().__init__(problem, command, word, position, suggestion)

    def __str__(self):
        said = self.problem + (f": did you mean {self.suggestion!r}?" if self.suggestion else "")
        if not self.command:
            return said
        shown, at = excerpt(self.command, self.position, len(self.word))
        return f"{said}\n{shown}\n{' ' * at}{'^' * max(1, min(len(self.word), len(shown) - at))}"


def excerpt(command, position, length):
    """One line of a command around a word, at most WIDE letters, and the word's place in it."""
    start = command.rfind("\n", 0, position) + 1
    end = command.find("\n", position)
    line, at = command[start:len(command) if end < 0 else end], position - start
    if len(line) <= WIDE:
        return line, at
    left = max(0, min(at - WIDE // 3, len(line) - WIDE))
    right = max(left + WIDE, min(at + length, left + 2 * WIDE))
    before, after = "..." if left else "", "..." if right < len(line) else ""
    return before + line[left:right] + after, at - left + len(before)


def nearest(word, choices):
    """The choice that looks most like a word, or nothing.

    >>> nearest("noraml", ["normal", "flood"])
    'normal'
    """
    by_lower = {choice.lower(): choice for choice in choices}
    swapped = [choice for choice in by_lower if sorted(choice) == sorted(word.lower())]
    found = swapped or get_close_matches(word.lower(), by_lower, 1, 0.6)
    return by_lower[found[0]] if found else ""


def missing(kind, number, there):
    """The error for a group or a meter that actions name and that is not there; of those that are, the nearest or the first."""
    numbers = [str(one) for one in list(there)[:20]]
    near = nearest(str(number), [str(one) for one in there])
    known = "" if near else f": the {kind}s are {', '.join(numbers)}" if numbers else f": there is none yet, add-{kind} adds one"
    return CommandError(f"there is no {kind} {number}{known}", word=f"{kind}:{number}", suggestion=near)


def placed(error, command):
    """An error that `missing` made, at the place in a command where the group or meter stands; None for any other."""
    kind, colon, number = error.word.partition(":")
    if error.command or not colon or kind not in ("group", "meter"):
        return None
    for found in re.finditer(rf"\b{kind}\s*[:=(]\s*(0x[0-9a-f]+|\d+)", command, re.IGNORECASE):
        if int(found[1], 16 if found[1][1:2] in "xX" and len(found[1]) > 1 else 10) == int(number):
            return CommandError(error.problem, command, found[1], found.start(1), error.suggestion)
    return None
