"""Which numbers a timeline mentions of which instrument, and how each becomes ticks or units.

They settle the unit of the instrument before anything runs. Must not judge or convert a number.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from engine.config import Config
from engine.simulation import actions
from engine.simulation.actions import Entry
from machines.types import Instrument
from venues.instruments import (
    base_to_contracts,
    base_to_units,
    floor_tick,
    notional_floor,
    to_ticks,
    to_units,
)

Convert = Callable[[Decimal, Instrument], int]

#: The key of an action in a file, and how each of its numbers becomes ticks or units.
CONVERSIONS: dict[type, tuple[str, dict[str, Convert]]] = {
    actions.Book: (
        "book",
        {"bid": to_ticks, "bid_qty": to_units, "ask": to_ticks, "ask_qty": to_units}
        | {"mark": floor_tick},
    ),
    actions.Trade: ("trade", {"price": to_ticks, "qty": to_units}),
    actions.Fill: ("fill", {"price": to_ticks, "qty": to_units}),
    actions.Report: ("report", {"cum": to_units, "price": to_ticks, "qty": to_units}),
    actions.Answer: ("answer", {"cum": to_units}),
    actions.Operator: ("operator", {"cum": to_units}),
    actions.External: ("external", {"qty": base_to_units, "price": to_ticks}),
    actions.SetRules: (
        "set",
        {"min_qty": to_units, "min_notional": notional_floor, "tick": to_ticks, "lot": to_units},
    ),
}
#: The numbers that are quantities, smallest steps among them.
_QUANTITIES = frozenset(("qty", "cum", "bid_qty", "ask_qty", "min_qty", "lot"))


class Mention(NamedTuple):
    """One number of one action."""

    label: str
    action: Any
    field: str
    value: Decimal

    @property
    def path(self) -> str:
        """Where it stands in its file."""
        return f"{self.label}.{CONVERSIONS[type(self.action)][0]}.{self.field}"

    @property
    def is_base(self) -> bool:
        """Whether it is in base units, as changes of a position are, not in contracts."""
        return isinstance(self.action, actions.External) and self.field == "qty"

    def steps(self, rules: Instrument) -> int:
        """Its ticks or units. Raises `NumberRefused`."""
        return CONVERSIONS[type(self.action)][1][self.field](self.value, rules)


class Mentions:
    """All numbers of a timeline, by the instrument that they are about."""

    __slots__ = ("_about",)

    def __init__(self, timeline: Iterable[Entry]) -> None:
        self._about: dict[str, list[Mention]] = {}
        for entry in timeline:
            action: Any = entry.action
            known = CONVERSIONS.get(type(action))
            if known is None:
                continue
            for field in known[1]:
                value = getattr(action, field)
                if value is not None:
                    mention = Mention(entry.label, action, field, value)
                    for about in _subjects(action):
                        self._about.setdefault(about, []).append(mention)

    def of(self, instrument: str) -> list[Mention]:
        """The numbers about an instrument, those about its venue as a whole among them."""
        venue = instrument.partition(":")[0]
        return [*self._about.get(instrument, ()), *self._about.get(f"{venue}:", ())]

    def quantities(self, config: Config, instrument: str) -> list[Decimal]:
        """Every quantity that the file mentions for an instrument, in the venue's contracts.

        They settle the unit that makes all of them whole. What the file says in base units
        (positions and their external changes) is divided by the multiplier, where that ends; else
        it raises `NumberRefused`. What an operator says has to fit the unit that there is.
        """
        spec = config.instruments[instrument]
        found = [
            base_to_contracts(each.value, spec.multiplier) if each.is_base else each.value
            for each in self.of(instrument)
            if each.field in _QUANTITIES and not isinstance(each.action, actions.Operator)
        ]
        if spec.book is not None:
            found += (spec.book.bid_qty, spec.book.ask_qty)
        position = config.positions.get(instrument)
        if position is not None:
            found.append(base_to_contracts(position.qty, spec.multiplier))
        return found


def _subjects(action: Any) -> Iterable[str]:
    """The instruments that an action is about; "venue:" stands for all of a venue."""
    if isinstance(action, actions.Operator):
        return {*action.subject.values(), str(action.order).partition("#")[0]}
    if isinstance(action, actions.Answer) and action.instrument is None:
        return (f"{action.venue}:",)
    return (action.instrument,)
