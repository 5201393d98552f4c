"""The state of a core put aside and brought back, so that a search can try one fact after another.

Works on the machines' own slots, whatever they are, in place: objects keep their identity. Slots
that hold other machines or settings are fixed; the others are put aside, containers as copies. It
must not know what a slot means, but for those that are times and those that decide nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from machines.core import Core

#: Slots that link machines or hold what never changes; the state is in the others.
_FIXED = frozenset(
    """
    env sibling close legs leg holding book settings venue instrument session lane uid id number
    model pair
    """.split()
)
#: Slots that say what was, for reports and checks, and decide nothing, or that `key_of` treats.
_HISTORY = frozenset(
    """
    alarmed ask ask_qty asked_at at attempt attempts_total average believed_at bid bid_qty booked
    declared_at dwell dwelling dwelling_since end_text ended_at entry entry_imbalance epoch
    excused_for fees foreign_text fresh funding grown halted_by last_view latest listed machines
    maker_qty mark naked naked_at naked_base_ns naked_max naked_since order order_count orders
    outcome owner placed_at price ratio read_at read_entry reason requested_at retired seq side
    spread start_ask start_bid started_at taken_fees taken_priced taken_units taken_value text tif
    told_qty touch trades usd_rate value venue_at wait_reason watchers why
    """.split()
)
#: Times count by how long ago they were.
_TIMES = frozenset(
    """
    sent_at died_at announced_at doubted_at missing_first missing_last unknown_since quoted_at
    retried_at read_after wanted_at agreed_at last_fill_at last_fill_venue_at read_sent_at
    read_taken_at opened_at unexplained_until until refused_since mode_since contradicted_at
    """.split()
)
#: The timer that raises an alarm and decides nothing.
ALARM_ONLY = "liveness"
_CONTAINERS = frozenset({dict, list, set})


class _Kind:
    """How objects of one class are put aside, and which of their slots tell states apart."""

    __slots__ = ("copied", "every", "names", "plain", "times")

    def __init__(self, example: Any) -> None:
        kind = type(example)
        slots = getattr(kind, "__struct_fields__", None) or kind.__slots__
        self.names = tuple(name for name in slots if name not in _FIXED)
        self.every: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)
        self.copied = tuple(number for number, name in enumerate(self.names) if name in _HOLDERS)
        telling = [name for name in self.names if name not in _HISTORY]
        self.times = _getter([name for name in telling if name in _TIMES])
        self.plain = _getter(
            [name for name in telling if name not in _TIMES and name not in _HOLDERS]
        )


#: Slots that hold a container somewhere.
_HOLDERS = frozenset(
    "timers orders machines watchers trades listed barred agreed alarmed dwell".split()
)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda thing: (one(thing),)
    return attrgetter(*names)


_KINDS: dict[type, _Kind] = {}


def _kind(thing: Any) -> _Kind:
    found = _KINDS.get(type(thing))
    if found is None:
        found = _KINDS[type(thing)] = _Kind(thing)
    return found


def _things(core: Core) -> list[Any]:
    env = core.env
    things: list[Any] = [
        env,
        *core.sessions.values(),
        *core.lanes.values(),
        *core.holdings,
        *core.books,
    ]
    for close in core.closes.values():
        things.append(close)
        things += close.legs
    return things + list(env.orders.values())


class Memento:
    """What every object of a core held at one moment."""

    __slots__ = ("close_count", "closes", "finished", "slots")

    def __init__(self, core: Core) -> None:
        self.slots: list[tuple[Any, _Kind, tuple[Any, ...]]] = []
        for thing in _things(core):
            kind = _kind(thing)
            values = list(kind.every(thing))
            for number in kind.copied:
                value = values[number]
                if type(value) in _CONTAINERS:
                    values[number] = value.copy()
            self.slots.append((thing, kind, tuple(values)))
        self.closes = dict(core.closes)
        self.finished = list(core.finished)
        self.close_count = core.close_count

    def restore(self, core: Core) -> None:
        """Bring every object back; those that were made since are forgotten."""
        for thing, kind, values in self.slots:
            present = kind.every(thing)
            if present == values:
                continue
            for name, value, now in zip(kind.names, values, present, strict=True):
                if now is not value:
                    setattr(thing, name, value.copy() if type(value) in _CONTAINERS else value)
        core.closes = dict(self.closes)
        core.finished = deque(self.finished)
        core.close_count = self.close_count


def key_of(core: Core, now: int) -> tuple[Any, ...]:
    """A value that two states share only if the same facts do the same to both.

    Orders count by their place on their leg, not by the order in which legs placed them.
    """
    parts: list[Any] = [core.env.halted]

    def add(thing: Any) -> None:
        kind = _kind(thing)
        parts.append(kind.plain(thing))
        parts.append(tuple([time and time - now for time in kind.times(thing)]))
        timers = getattr(thing, "timers", None)
        if timers:
            due_in = [(tag, due - now) for tag, due in timers.items() if tag != ALARM_ONLY]
            parts.append(tuple(sorted(due_in)))

    for thing in (*core.sessions.values(), *core.lanes.values(), *core.holdings):
        add(thing)
    for close in core.closes.values():
        add(close)
        parts.append(tuple(close.agreed))
        for leg in close.legs:
            add(leg)
            for order in leg.orders:
                add(order)
            owner = leg.holding.owner
            parts.append((len(leg.orders), leg.order is None, owner is leg, owner is None))
            parts.append(leg.holding.latest is leg)
    return tuple(parts)
