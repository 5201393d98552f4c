"""What the engine decides and sends, held against what it was told: one order, once, no larger.

A create is judged where it is decided: what is told between that and the sending was not known to
who decided. It must not look at the venues' books.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.simulation.told import Told
from engine.simulation.violations import Violations
from machines.messages import Cancel, Command, Place, ReadTruth
from machines.types import Instrument


class Sent:
    """The engine's commands: `cancelled_at` is when the first cancel of each order left."""

    def __init__(self, instruments: list[Instrument], told: Told, found: Violations) -> None:
        self.instruments = instruments
        self.told = told
        self.found = found
        self.durable: set[int] = set()
        self.cancelled_at: dict[int, int] = {}
        #: When each instrument's position was last asked for.
        self.asked_at = [-1 for _ in instruments]

    def decided(self, command: Place) -> None:
        """A closing order was decided: it is for what is known to be held, and no more (I6)."""
        index = command.instrument
        key = self.instruments[index].key
        owned = self.told.owned(index)
        if command.qty > abs(owned) or owned * command.side >= 0:
            text = f"{key}: order of {command.qty} units with {owned} known to be held"
            self.found.note("I6", text, self.found.order_larger)
        unowned = self.told.unowned(index)
        if unowned:
            text = f"{key}: order beside {unowned} units that a stranger added and nobody adopted"
            self.found.note("I6", text)
        others = self.told.courses[index].open_at(self.found.now)
        seen = any(each.shown_at is not None for each in others)
        if seen and self.told.known[index] != self.told.ours[index]:
            self.found.note("I6", f"{key}: order just after somebody else's trade was shown")

    def left(self, command: Command) -> None:
        """A command leaves the engine (I1, I2)."""
        if isinstance(command, Cancel):
            self.cancelled_at.setdefault(command.order, self.found.now)
        elif isinstance(command, ReadTruth):
            self._asked(command)
        elif isinstance(command, Place):
            key = self.instruments[command.instrument].key
            if command.order not in self.durable:
                text = f"{key}: sent without a durable intent"
                self.found.note("I1", text, self.found.sent_before_journalled)
            if self.told.knows_order(command.order):
                self.found.note("I2", f"{key}: order {command.order} sent twice")
            self.told.sent(command)

    def _asked(self, command: ReadTruth) -> None:
        for index in self._scope(command):
            self.asked_at[index] = self.found.now

    def _scope(self, command: ReadTruth) -> Iterable[int]:
        if command.scope >= 0:
            return (command.scope,)
        return (each.index for each in self.instruments if each.venue == command.venue)
