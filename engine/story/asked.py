"""What guards read when they were asked: each value by its name, as a trader would say it.

A configured value stands under its key, a quantity in contracts, a price as the venue quotes it. It
must not judge what a guard made of a value; what it has no name for it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from engine.diagrams.keys import known, shown
from engine.simulation.outcome import decimal_text
from engine.story.probe import Asked, Read
from engine.story.words import price, quantity, rung
from machines.close_model import Close
from machines.holding_model import Holding
from machines.leg_model import Leg
from machines.order_model import Order
from machines.types import Instrument


def _units(read: Read) -> str:
    rules = read.owner.instrument
    return quantity(read.value, rules)


def _base(read: Read) -> str:
    owner = read.owner
    rules: Instrument = owner.instrument
    return "unknown" if read.value is None else decimal_text(rules.base(read.value))


def _plain(read: Read) -> str:
    if isinstance(read.value, Decimal):
        return decimal_text(read.value)
    if isinstance(read.value, list | tuple):
        return " and ".join(map(str, read.value))
    return str(read.value)


def _notional(read: Read) -> str:
    rules: Instrument = read.owner
    return decimal_text(rules.price(1) * rules.quantity(read.value))


def _filled(read: Read) -> str:
    return f"{_units(read)} of {quantity(read.owner.qty, read.owner.instrument)}"


def _yes(yes: str, no: str) -> Callable[[Read], str]:
    return lambda read: yes if read.value else no


#: What a read value is called and how it is shown; those without an entry are left out.
_VALUES: dict[tuple[str, str], tuple[str, Callable[[Read], str]]] = {
    ("Leg", "state"): ("leg {id}", _plain),
    ("Leg", "remaining"): ("remaining{of}", _units),
    ("Leg", "rest"): ("rest{of}", _base),
    ("Leg", "rung"): ("rung{of}", lambda read: rung(read.value)),
    ("Leg", "next_rung"): ("next rung{of}", lambda read: rung(read.value)),
    ("Leg", "attempts"): ("attempts{of}", _plain),
    ("Leg", "refusals"): ("refusals{of}", _plain),
    ("Leg", "requotes"): ("re-quotes{of}", _plain),
    ("Leg", "busy"): ("", _yes("an order may still fill", "no order may still fill")),
    ("Leg", "held"): ("held back", _yes("yes", "no")),
    ("Leg", "sibling"): ("other leg", _yes("there is one", "none")),
    ("Leg", "retrying"): ("retry of a stuck leg", _yes("yes", "no")),
    ("Leg", "start_qty"): ("held at the start{of}", _base),
    ("Close", "urgency"): ("urgency", _plain),
    ("Close", "withdrawing"): ("being withdrawn", _yes("yes", "no")),
    ("Close", "agreed"): ("agreeing reads", _plain),
    ("Close", "rounds"): ("rounds so far", _plain),
    ("Close", "written_off"): ("written off", _yes("yes", "no")),
    ("Close", "spread_waived"): ("spread waived", _yes("yes", "no")),
    ("Order", "cum"): ("{id} filled", _filled),
    ("Order", "open_qty"): ("{id} may still fill", _units),
    ("Order", "acked"): ("ever acknowledged", _yes("yes", "no")),
    ("Order", "alive"): ("order {id}", _yes("may fill", "dead")),
    ("Order", "cancel_wanted"): ("cancel wished", _yes("yes", "no")),
    ("Order", "state"): ("order {id}", _plain),
    ("Order", "post_only"): ("post-only", _yes("yes", "no")),
    ("Order", "booked"): ("booked price", lambda read: price(read.value, read.owner.instrument)),
    ("Order", "price"): ("{id} at", lambda read: price(read.value, read.owner.instrument)),
    ("Order", "read_after"): ("trades read since", _yes("yes", "no")),
    ("Holding", "qty"): ("believed {key}", _base),
    ("Holding", "read_qty"): ("venue holds {key}", _base),
    ("Holding", "read_ok"): ("read complete", _yes("yes", "no")),
    ("Holding", "read_equal"): ("equal reads", _plain),
    ("Holding", "foreign"): ("foreign orders {key}", _yes("yes", "none")),
    ("Holding", "state"): ("position {key}", _plain),
    ("Holding", "unowned"): ("of it strangers' {key}", _base),
    ("Holding", "announced"): ("announced {key}", _base),
    ("Holding", "listed_units"): ("taken by the venue {key}", _base),
    ("Session", "trusted"): ("venue {id}", _yes("trusted", "not trusted")),
    ("Session", "mode"): ("mode", _plain),
    ("Lane", "state"): ("lane {id}", _plain),
    ("Env", "halted"): ("halted", _yes("yes", "no")),
    ("Instrument", "lot"): ("lot{of}", lambda read: quantity(read.value, read.owner)),
    ("Instrument", "min_qty"): (
        "smallest quantity{of}",
        lambda read: quantity(read.value, read.owner),
    ),
    ("Instrument", "min_notional"): ("smallest value{of}", _notional),
    ("OrderReported", "path"): ("by", _plain),
}
_OF_VENUE = "venues.NAME."
#: Values of a book come as ticks of its instrument, which the book itself does not know.
_QUOTES = ("bid", "ask", "mark")


def said(reads: Sequence[Read], rules_of: Callable[[Any], Instrument | None], of: Any) -> list[str]:
    """What a guard of the machine `of` read, in order: settings by their key, the rest by name."""
    found: dict[str, None] = {}
    for read in reads:
        text = _said(read, rules_of, of)
        if text:
            found.setdefault(text)
    return list(found)


def _said(read: Read, rules_of: Callable[[Any], Instrument | None], of: Any) -> str:
    key = known().get((read.kind, read.name))
    if key is not None:
        name = key.path
        if name.startswith(_OF_VENUE):
            name = f"{name.rpartition('.')[2]} of {_venue_of(of)}"
        return f"{name} = {shown(key, read.value)}"
    owner = read.owner
    if read.kind == "Book" and read.name in _QUOTES:
        rules = rules_of(owner)
        if rules is None or not read.value:
            return ""
        return f"{read.name}{_whose(rules.key, owner, of)} {price(read.value, rules)}"
    entry = _VALUES.get((read.kind, read.name))
    if entry is None:
        return ""
    name, show = entry
    rules = owner.instrument if isinstance(owner, Holding | Leg | Order) else None
    key_of = owner.key if isinstance(owner, Instrument) else rules.key if rules is not None else ""
    named = getattr(owner, "id", key_of)
    label = name.format(id=named, key=key_of, of=_whose(named, owner, of))
    return f"{label} {show(read)}".strip()


def _whose(name: str, owner: Any, of: Any) -> str:
    """Whose value it is, where the machine that is told of does not say it."""
    alone = isinstance(of, Close) and len(of.legs) == 1
    other = isinstance(of, Close) or (isinstance(owner, Leg) and owner is not of)
    return f" of {name}" if other and not alone and name != getattr(of, "id", "") else ""


def _venue_of(model: Any) -> str:
    rules = getattr(model, "instrument", None)
    return rules.venue if rules is not None else "the venue"


def held(asked: Iterable[Asked]) -> list[Asked]:
    """The guards of the row that was taken: those after the last one that did not hold."""
    found: list[Asked] = []
    for each in asked:
        found = [*found, each] if each.held else []
    return found
