"""Looks on while a core is replayed: which guards were asked, what they answered, what they read.

Guards are pure, so asking one a second time over a recording view of its machine changes nothing;
the first answer alone decides. The tables take their rows through an event class of the same kind
as the lean one, put in for the time of the replay. It must not be used while an engine runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any

from msgspec import Struct

from machines.book import Book
from machines.close_model import Close
from machines.core import TABLES
from machines.env import Env
from machines.holding_model import Holding
from machines.joint import JOINT, doing, standing
from machines.leg_model import Leg, untradeable
from machines.messages import FillReported, OrderReported, TruthRead
from machines.order_model import Order
from machines.session import Session
from machines.table import LeanEvent, Shown, build
from machines.types import (
    AggressiveSettings,
    Capabilities,
    CloseSettings,
    Instrument,
    MarketSettings,
    PassiveSettings,
    SessionSettings,
    VenueSettings,
)

#: Classes that a recording view follows into; every other value is what was read.
_OPENED = frozenset({
    Order, Leg, Close, Session, Holding, Book, Env, Instrument, CloseSettings, PassiveSettings,
    AggressiveSettings, MarketSettings, SessionSettings, VenueSettings, Capabilities,
    OrderReported, FillReported, TruthRead,
})  # fmt: skip


class Read(Struct, frozen=True):
    """One value that a guard read: of which class, under which name, and whose."""

    kind: str
    name: str
    value: Any
    owner: Any


class Asked(Struct):
    """One guard that was asked."""

    guard: str
    held: bool
    reads: list[Read]


class Taken(Struct):
    """One row that was taken: by which machine, and the guards of the group up to it, if wanted.

    `note` says what the row itself does not: the joint rule behind a leg's `escalate`, the gate
    that makes it wait, the minimum that makes its rest dust. `rung` is the leg's before the row.
    """

    model: Any
    message: Any
    row: int
    asked: list[Asked]
    note: str = ""
    rung: int = -1


class _View:
    """Stands for a machine or settings and notes every value that is read of it."""

    __slots__ = ("_reads", "_real", "_views")

    def __init__(self, real: Any, reads: list[Read], views: dict[int, _View]) -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_reads", reads)
        object.__setattr__(self, "_views", views)

    def __getattr__(self, name: str) -> Any:
        real = self._real
        found = getattr(type(real), name, None)
        if isinstance(found, FunctionType):
            return MethodType(found, self)
        value = getattr(real, name)
        kind = type(value)
        if kind in _OPENED:
            return self._view(value)
        if kind in (list, tuple) and value and type(value[0]) in _OPENED:
            return [self._view(each) for each in value]
        self._reads.append(Read(type(real).__name__, name, value, real))
        return value

    def _view(self, real: Any) -> _View:
        known = self._views.get(id(real))
        if known is None:
            known = self._views[id(real)] = _View(real, self._reads, self._views)
        return known


def _looked(guard: Callable[[Any], Any], data: Shown) -> list[Read]:
    """The values that a guard reads, in order, each once."""
    reads: list[Read] = []
    views: dict[int, _View] = {}
    view = _View(data, reads, views)
    model = view._view(data.model)
    message = data.args[0]
    shown = view._view(message) if type(message) in _OPENED else message
    look = Shown(data.state, data.event, data.machine, model, (shown, data.args[1]), {})
    guard(look)
    return list({(read.kind, read.name, id(read.owner)): read for read in reads}.values())


def _coupled(leg: Leg, asked: int) -> str:
    """Why the joint table asks a leg for a rung now; empty if it does not."""
    if leg.sibling is None:
        return ""
    pair = doing(leg.sibling), standing(leg)
    for rule in JOINT:
        if rule.rung == asked and pair[0] in rule.a and pair[1] in rule.b:
            return rule.why
    return ""


class _Looking(LeanEvent):
    """The lean event, that also notes what was asked before a row was taken."""

    sink: Callable[[Taken], None]
    is_wanted: Callable[[Any], bool]

    def take(self, rows: Any, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        data = Shown(self.machine.states[model.state], self, self.machine, model, args, kwargs)
        asked: list[Asked] = []
        wanted = self.is_wanted(model)
        chosen = None
        for row in rows:
            holds = True
            for condition in row.conditions:
                held = bool(condition.func(data))
                if wanted:
                    reads = _looked(condition.func, data)
                    asked.append(Asked(condition.func.__name__, held, reads))
                if not held:
                    holds = False
                    break
            if holds:
                chosen = row
                break
        if chosen is None:
            return super().take(rows, model, args, kwargs)
        taken = Taken(model, args[0], chosen.row, asked)
        if isinstance(model, Leg):
            taken.rung = model.rung
            if self.name == "escalate":
                taken.note = _coupled(model, args[0])
            elif chosen.dest == "dust":
                taken.note = untradeable(model)
        self.sink(taken)
        result = super().take(rows, model, args, kwargs)
        if isinstance(model, Leg) and chosen.dest == "waiting":
            taken.note = model.wait_reason
        return result


@contextmanager
def looking(sink: Callable[[Taken], None], is_wanted: Callable[[Any], bool]) -> Iterator[None]:
    """Tell `sink` of every row of every table that is taken, before it is.

    What guards read is noted of the machines that are wanted alone: it is most of the work.
    """
    hooks = {"sink": staticmethod(sink), "is_wanted": staticmethod(is_wanted)}
    looking_event = type("_Here", (_Looking,), hooks)
    before = [(table, table.machine, table.events) for table in TABLES.values()]
    try:
        for table in TABLES.values():
            table.machine = build(table, looking_event)
            table.events = table.machine.events
        yield
    finally:
        for table, machine, events in before:
            table.machine, table.events = machine, events
