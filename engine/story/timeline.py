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
from engine.story.reasons import clock
from engine.story.story import Move, Step, Story
from engine.summary import describe
from engine.words import why
from machines.messages import Alarm, Cancel, Place
from machines.types import NS

#: Columns of a block: the time, and what stands below a fact.
TIME, BELOW = 10, 12
WHO, CHANGE = 22, 34
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
    for step in story.steps:
        block = list(_block(story, step, width, everything=everything))
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
    return f"records {first.seq} to {last} of {story.records}; times in seconds{since}"


def _block(story: Story, step: Step, width: int, *, everything: bool) -> Iterator[Line]:
    moves = [m for m in step.moves if everything or told(m)]
    commands = [(c, t) for c, t in step.commands if everything or _shown(c)]
    if not (moves or commands or step.fills or everything):
        return
    time = f"{clock(step.at - story.origin):>{TIME - 1}} "
    yield from _wrapped(step.text, width, "bold", time, " " * TIME)
    for move in moves:
        yield from _move(move, width)
    for command, text in commands:
        style = "bold red" if isinstance(command, Alarm) else "cyan"
        yield from _wrapped(f"> {text}", width, style, " " * BELOW, " " * (BELOW + 2))


def told(move: Move) -> bool:
    """Whether a row is worth a line: a change of state other than the note of a send."""
    return move.moves and (move.transition.source, move.transition.dest) != ("pending", "sent")


def _shown(command: object) -> bool:
    return isinstance(command, Place | Cancel | Alarm)


def _move(move: Move, width: int) -> Iterator[Line]:
    transition = move.transition
    who = f"{transition.machine} {transition.id}"
    change = f"{transition.source} > {transition.dest}" if move.moves else transition.source
    reason = _reason(move)
    head = f"{' ' * BELOW}{who:<{WHO}} {change:<{CHANGE}} "
    if width < NARROW or len(head) > BELOW + WHO + CHANGE + 2:
        yield from _wrapped(f"{who}  {change}", width, "", " " * BELOW, " " * (BELOW + 4))
        if reason:
            yield from _wrapped(reason, width, "dim", " " * (BELOW + 4), " " * (BELOW + 4))
        return
    yield from _wrapped(reason, width, "", head, " " * len(head))


def _reason(move: Move) -> str:
    """Why, as far as it says more than the fact above."""
    if move.transition.machine == "order" and not move.because:
        return ""
    if move.transition.trigger in ("start", "escalate", "cancel_asked"):
        return move.because
    parts = [move.because, why(move.transition)]
    return ": ".join(part for part in parts if part)


def _left(step: Step) -> str:
    if not step.legs:
        return ""
    legs = ", ".join(f"{leg.key} {decimal_text(leg.rest)}" for leg in step.legs)
    naked = f"; naked {decimal_text(step.naked)}" if len(step.legs) > 1 else ""
    return f"left: {legs}{naked}"


def _end(story: Story, width: int) -> Iterator[Line]:
    if story.close is None:
        return
    yield Line("")
    at = story.steps[-1].at if story.steps else 0
    for text in describe(close_report(story.close, at), story.core, at):
        yield from _wrapped(text, width, "", "", "    ")


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
