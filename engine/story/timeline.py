"""`unwind trace`: a story as a timeline for a terminal, with what is left after every change.

One block per fact: what happened, which machines moved and why, what was commanded. It must not
leave out an alarm or a command that changes an order.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from engine.report import close_report
from engine.simulation.outcome import decimal_text
from engine.story.fills import Fill
from engine.story.reasons import echoes
from engine.story.story import Move, Step, Story
from engine.story.words import GATES, MINIMA, clock
from engine.summary import describe
from engine.texts import printable
from engine.words import TABLES, why
from machines.close_model import shown
from machines.leg_model import ENDED
from machines.messages import Alarm, Cancel, Place, TruthRead
from machines.types import NS

#: Columns of a block: the time, and what stands below a fact; the widest name of a machine.
TIME, BELOW = 10, 12
WHO_MAX, CHANGE = 34, 34
NARROW = 100


class Line:
    """One line with its style."""

    __slots__ = ("style", "text")

    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style


def lines(story: Story, width: int, *, everything: bool = False) -> Iterator[Line]:
    """The timeline, wrapped to a width in columns."""
    yield from _wrapped(story.title, width, "bold")
    if story.about:
        yield from _wrapped(story.about, width, "dim")
    yield from _wrapped(_zero(story), width, "dim")
    before = ""
    names = (_who(move) for step in story.steps for move in step.moves)
    who = max((len(name) for name in names if len(name) <= WHO_MAX), default=0)
    for step in story.steps:
        block = list(_block(story, step, width, who, everything=everything))
        if not block:
            continue
        yield from block
        left = _left(step)
        if left and left != before:
            yield from _wrapped(f"= {left}", width, "dim", " " * BELOW, " " * (BELOW + 2))
            before = left
    yield from _end(story, width)


def _zero(story: Story) -> str:
    first = story.steps[0] if story.steps else None
    if first is None:
        return f"nothing happened to it in {story.records} records"
    # A scenario begins at an arbitrary time of its own; a journal knows the wall clock.
    wall = first.wall - (first.at - story.origin)
    real = datetime.fromtimestamp(wall / NS, UTC)
    since = f", time 0 is {real:%Y-%m-%d %H:%M:%S} UTC" if real.year > 2000 else ""
    last = story.steps[-1].seq
    units = "; orders in contracts, left and naked in base units" if story.close is not None else ""
    return f"records {first.seq} to {last} of {story.records}; times in seconds{since}{units}"


def _block(story: Story, step: Step, width: int, who: int, *, everything: bool) -> Iterator[Line]:
    moves = [m for m in step.moves if everything or told(m)]
    commands = [(c, t) for c, t in step.commands if everything or _shown(c)]
    if not (moves or commands or step.fills or step.turned or everything):
        return
    time = f"{clock(step.at - story.origin):>{TIME - 1}} "
    yield from _wrapped(step.text, width, "bold", time, " " * TIME)
    for move in moves:
        yield from _move(move, width, who)
    if isinstance(step.fact, TruthRead):
        for fill in step.fills:
            yield from _wrapped(f"+ {_filled(fill)}", width, "", " " * BELOW, " " * (BELOW + 2))
    for command, text in commands:
        style = "bold red" if isinstance(command, Alarm) else "cyan"
        yield from _wrapped(f"> {text}", width, style, " " * BELOW, " " * (BELOW + 2))


def _filled(fill: Fill) -> str:
    price = "a price that is not told" if fill.price is None else decimal_text(fill.price)
    return f"{fill.order} has filled {decimal_text(fill.qty)} @ {price}"


def told(move: Move) -> bool:
    """Whether a row is worth a line: a change of state other than the note of a send."""
    return move.moves and (move.transition.source, move.transition.dest) != ("pending", "sent")


def _shown(command: object) -> bool:
    return isinstance(command, Place | Cancel | Alarm)


def _who(move: Move) -> str:
    return f"{move.transition.machine} {move.transition.id}"


def _move(move: Move, width: int, column: int) -> Iterator[Line]:
    transition = move.transition
    who = _who(move)
    change = f"{transition.source} > {transition.dest}" if move.moves else transition.source
    reason = _reason(move)
    head = f"{' ' * BELOW}{who:<{column}}  {change:<{CHANGE}} "
    if width < NARROW or len(head) > BELOW + column + CHANGE + 3:
        yield from _wrapped(f"{who}  {change}", width, "", " " * BELOW, " " * (BELOW + 4))
        if reason:
            yield from _wrapped(reason, width, "dim", " " * (BELOW + 4), " " * (BELOW + 4))
        return
    yield from _wrapped(reason, width, "", head, " " * len(head))


def _reason(move: Move) -> str:
    """Why, as far as it says more than the fact above."""
    transition, trigger = move.transition, move.transition.trigger
    own = TABLES[transition.machine].rows[transition.row].why
    note = GATES.get(move.note) or MINIMA.get(move.note)
    if note:
        reason = note
    elif transition.machine == "order" or (trigger == "start" and transition.dest in ENDED):
        reason = own
    elif trigger in ("start", "escalate", "hold"):
        reason = ""
    else:
        reason = why(transition)
    because = "" if echoes(move) else move.because
    return ": ".join(part for part in (because, reason) if part)


def _left(step: Step) -> str:
    if not step.left:
        return ""
    legs = ", ".join(f"{key} {decimal_text(rest)}" for key, rest in step.left.items())
    naked = f"; naked {decimal_text(shown(step.naked))}" if len(step.left) > 1 else ""
    return f"left: {legs}{naked}"


def _end(story: Story, width: int) -> Iterator[Line]:
    if story.close is None:
        return
    yield Line("")
    at = story.steps[-1].at if story.steps else 0
    for text in describe(close_report(story.close, at), story.core, at):
        yield from _wrapped(printable(text), width, "", "", "    ")


def _wrapped(text: str, width: int, style: str, first: str = "", rest: str = "") -> Iterable[Line]:
    found = textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Line(line, style) for line in found or [first.rstrip()]]


def show(story: Story, console: Console, *, everything: bool = False) -> None:
    """Print the timeline, in colours where the console has them."""
    for line in lines(story, console.size.width, everything=everything):
        console.print(Text(line.text, style=line.style), soft_wrap=True)
