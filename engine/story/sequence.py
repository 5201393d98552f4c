"""A story as a Mermaid sequence diagram: people, the close, its legs and the venues.

Orders are messages to a venue, what it says comes back; a change of state is a note over its
machine. It must not hold more than the timeline does.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from engine.diagrams.graphs import titled
from engine.story.story import Move, Step, Story
from engine.story.timeline import told
from engine.story.words import clock, rung
from machines.close_model import Close
from machines.leg_model import Leg
from machines.messages import (
    Alarm,
    Cancel,
    CloseRequested,
    OperatorCommanded,
    Place,
    QueryOrder,
    ReadTruth,
    TimerFired,
)
from machines.order_model import Order

PEOPLE = "people"
#: Characters of a label before it goes on in the next line.
WIDTH = 46
#: How Mermaid writes characters that it would take for its own or for HTML.
_SIGNS = str.maketrans({";": ",", "#": "#35;", "<": "#lt;", "&": "#amp;"})


def mermaid(story: Story) -> str:
    """The story as Mermaid text (`sequenceDiagram`)."""
    drawing = _Drawing(story)
    body = [line for step in story.steps for line in drawing.step(step)]
    lines = ["---", titled(story.title), "---", "sequenceDiagram"]
    lines += [f"  participant {name} as {_clean(text)}" for name, text in drawing.participants()]
    return "\n".join([*lines, *body]) + "\n"


class _Drawing:
    """Names the participants as they appear, and draws one step after another."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.core = story.core
        self.names: dict[str, str] = {}

    def participants(self) -> list[tuple[str, str]]:
        """People, the close, legs and venues, in that order, those that appear."""
        order, close = [PEOPLE], self.story.close
        if close is not None:
            order.append(f"close {close.id}")
            order += [f"leg {leg.id}" for leg in close.legs]
        found = [text for text in order if text in self.names]
        found += [text for text in self.names if text not in found]
        return [(self.names[text], text) for text in found]

    def name(self, text: str) -> str:
        """The short name of a participant."""
        return self.names.setdefault(text, f"p{len(self.names)}")

    def step(self, step: Step) -> Iterator[str]:
        """One fact and what came of it."""
        moves = [move for move in step.moves if told(move)]
        shown = [each for each in step.commands if self._dest(each[0])]
        if not (moves or shown or step.fills):
            return
        at = clock(step.at - self.story.origin)
        target = self._holder(moves[0].model) if moves else self._owner(step)
        if target:
            source = self._source(step)
            line = "->>" if source == target else "-->>"
            yield f"  {self.name(source)}{line}{self.name(target)}: {at} {_clean(step.text)}"
        for move in moves:
            yield from self._told(move)
            yield from self._note(move)
        for command, text in shown:
            sender, dest = self._sender(command), self._dest(command)
            yield f"  {self.name(sender)}->>{self.name(dest)}: {_clean(text)}"

    def _told(self, move: Move) -> Iterator[str]:
        """What the close and its legs say to each other before one of them moves."""
        model, message, trigger = move.model, move.message, move.transition.trigger
        if isinstance(model, Leg) and isinstance(message, int):
            yield self._said(
                f"close {model.close.id}", f"leg {model.id}", f"{trigger} {rung(message)}"
            )
        elif isinstance(model, Close) and isinstance(message, Leg):
            text = {"leg_moved": "has moved", "passive_over": "passive time is over"}
            yield self._said(f"leg {message.id}", f"close {model.id}", text.get(trigger, trigger))

    def _said(self, source: str, dest: str, text: str) -> str:
        return f"  {self.name(source)}->>{self.name(dest)}: {_clean(text)}"

    def _note(self, move: Move) -> Iterator[str]:
        holder = self._holder(move.model)
        transition = move.transition
        what = f"{transition.source} > {transition.dest}"
        who = f"{transition.id} " if isinstance(move.model, Order) else ""
        yield f"  Note over {self.name(holder)}: {_clean(who + what)}"

    # ------------------------------------------------------------ who

    def _holder(self, model: Any) -> str:
        """The participant that stands for a machine; an order stands with its leg."""
        if isinstance(model, Order) and model.leg is not None:
            model = model.leg
        return f"{type(model).__name__.lower()} {model.id}"

    def _source(self, step: Step) -> str:
        fact = step.fact
        if isinstance(fact, CloseRequested | OperatorCommanded):
            return PEOPLE
        if isinstance(fact, TimerFired):
            return self._holder(step.first.model) if step.first is not None else PEOPLE
        venue = getattr(fact, "venue", "") or self._venue_of(fact)
        return f"venue {venue}" if venue else PEOPLE

    def _venue_of(self, message: object) -> str:
        instrument = getattr(message, "instrument", None)
        if instrument is None:
            order = self._order_of(message)
            return order.instrument.venue if order is not None else ""
        return self.core.holdings[instrument].instrument.venue

    def _order_of(self, message: object) -> Order | None:
        return self.story.orders.get(getattr(message, "order", 0))

    def _owner(self, step: Step) -> str:
        """Whom a fact without a move is for: the leg of its order."""
        order = self._order_of(step.fact)
        return self._holder(order) if order is not None else ""

    def _sender(self, command: object) -> str:
        if isinstance(command, Place | Cancel | QueryOrder):
            order = self._order_of(command)
            if order is not None:
                return self._holder(order)
        if isinstance(command, Alarm):
            for close in self.core.closes.values():
                if close.id == command.machine:
                    return f"close {close.id}"
            if command.machine in self.core.sessions:
                return f"session {command.machine}"
            return f"leg {command.machine.partition('#')[0]}"
        if isinstance(command, ReadTruth) and command.scope >= 0:
            owners = [
                close.id
                for close in self.core.closes.values()
                for leg in close.legs
                if leg.instrument.index == command.scope
            ]
            if owners:
                return f"close {owners[0]}"
        return f"session {getattr(command, 'venue', '')}"

    def _dest(self, command: object) -> str:
        """Whom a command goes to; empty for one that is not drawn."""
        if isinstance(command, Alarm):
            return PEOPLE
        if isinstance(command, ReadTruth):
            return f"venue {command.venue}"
        if isinstance(command, Place | Cancel | QueryOrder):
            return f"venue {self._venue_of(command)}"
        return ""


def _clean(text: str) -> str:
    """Text in short lines, without what ends a statement of Mermaid or begins a sign or a tag."""
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "<br/>".join(line.translate(_SIGNS) for line in lines)
