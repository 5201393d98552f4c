"""Compares what a scenario expects with what the run came to, and says where they differ.

Pure functions over an `Outcome` (a snapshot, for an expectation inside the timeline) and a
`History` of the conditions that must be watched at every moment. Must not read files, nor judge
the safety invariants: those hold for every run, whatever its file expects.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from engine.simulation.expect_keys import AlarmMark, Condition, Expect, OrdersOn, TraceMark
from engine.simulation.outcome import (
    CloseOutcome,
    OrderRow,
    Outcome,
    TransitionRow,
    close_document,
    decimal_text,
    seconds_of,
    seconds_text,
)

#: States in which a close or an open is over.
CLOSE_ENDS = frozenset({"reconciled"})
OPEN_ENDS = frozenset({"opened", "rolled_back", "unfilled", "refused"})


class History(Protocol):
    """What somebody watched at every moment of the run; descriptions carry their time."""

    @property
    def max_naked_base(self) -> Mapping[str, Decimal]:
        """Largest naked base quantity so far, by pair."""

    @property
    def position_flips(self) -> Sequence[str]:
        """Every change of sign of a position under a close."""

    @property
    def two_live_orders(self) -> Sequence[str]:
        """Every moment with two orders of one leg that could fill."""

    @property
    def order_larger(self) -> Sequence[str]:
        """Every order that was larger than what its leg had left."""

    @property
    def sent_before_journalled(self) -> Sequence[str]:
        """Every command that left before its record was durable."""


class Miss(NamedTuple):
    """One expectation that does not hold."""

    key: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.key}: expected {self.expected}, actual {self.actual}"


def check(expect: Expect, outcome: Outcome, *, ended: bool, history: History) -> list[str]:
    """List every expectation that does not hold, as "key: expected X, actual Y".

    `ended` is false for an expectation inside the timeline: `within_s` then fails only once its
    time has passed.
    """
    misses = [
        *_fields(expect, outcome),
        *_quantities("positions", expect.positions, outcome.positions),
        *_quantities("believed", expect.believed, outcome.believed),
        *_quantities("residual", expect.residual, residuals(outcome)),
        *_order_counts(expect, outcome),
        *_orders_on(expect, outcome),
        *_never(expect.never, outcome, history),
        *_alarms(expect, outcome),
        *_within(expect, outcome, ended),
        *_maker_share(expect, outcome),
        *_trace(expect.trace, outcome.transitions),
    ]
    return [str(miss) for miss in misses]


# ---------------------------------------------------------------- fields and quantities


def show(value: Any) -> str:
    """A value as the output shows it; None as null."""
    if value is None:
        return "null"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def _fields(expect: Expect, outcome: Outcome) -> Iterable[Miss]:
    documents = {
        "closes": {name: close_document(close) for name, close in outcome.closes.items()},
        "opens": {name: close_document(opened, True) for name, opened in outcome.opens.items()},
    }
    for field in expect.fields:
        value: Any = documents
        for step in field.path:
            if step not in value:
                actual = f"nothing at {step!r}"
                break
            value = value[step]
        else:
            if value in field.expected:
                continue
            actual = show(value)
        yield Miss(field.key, " or ".join(show(item) for item in field.expected), actual)


def _quantities(
    key: str, expected: Mapping[str, Decimal], actual: Mapping[str, Decimal | None]
) -> Iterable[Miss]:
    for name, quantity in expected.items():
        value = actual.get(name)
        if value != quantity:
            yield Miss(f'{key}."{name}"', show(quantity), show(value))


def residuals(outcome: Outcome) -> dict[str, Decimal | None]:
    """What closes and opens left per instrument; the last that has the instrument counts."""
    found: dict[str, Decimal | None] = {}
    for close in (*outcome.opens.values(), *outcome.closes.values()):
        found.update(close.residual)
    return found


# ---------------------------------------------------------------- orders


def _order_counts(expect: Expect, outcome: Outcome) -> Iterable[Miss]:
    sent = len(outcome.orders)
    yield from _count("orders", sent, expect.orders_max, expect.orders_min, expect.orders)
    if expect.no_order_after is not None:
        late = [row for row in outcome.orders if row.at > expect.no_order_after]
        if late:
            when = f"none after {seconds_text(expect.no_order_after)} s"
            yield Miss("no_order_after_s", when, ", ".join(_order_text(row) for row in late))


def _count(
    key: str, actual: int, most: int | None, least: int | None, exactly: int | None
) -> Iterable[Miss]:
    if most is not None and actual > most:
        yield Miss(key, f"at most {most}", str(actual))
    if least is not None and actual < least:
        yield Miss(key, f"at least {least}", str(actual))
    if exactly is not None and actual != exactly:
        yield Miss(key, f"exactly {exactly}", str(actual))


def _order_text(row: OrderRow) -> str:
    price = "market" if row.price is None else f"@ {decimal_text(row.price)}"
    return f"{row.side} {decimal_text(row.qty)} {row.key} {price} at {seconds_text(row.at)} s"


def _orders_on(expect: Expect, outcome: Outcome) -> Iterable[Miss]:
    for name, wanted in expect.orders_on.items():
        rows = [row for row in outcome.orders if row.key == name]
        key = f'orders_on."{name}"'
        yield from _count(key, len(rows), wanted.max, wanted.min, wanted.exactly)
        for list_name, expected, actual in _order_lists(wanted, rows):
            if expected is not None and list(expected) != actual:
                yield Miss(f"{key}.{list_name}", _listed(expected), _listed(actual))


def _order_lists(
    wanted: OrdersOn, rows: list[OrderRow]
) -> Iterable[tuple[str, Sequence[Any] | None, list[Any]]]:
    yield "sides", wanted.sides, [row.side for row in rows]
    yield "qtys", wanted.qtys, [row.qty for row in rows]
    yield "rungs", wanted.rungs, [row.rung for row in rows]
    at_s = None if wanted.at is None else [seconds_of(at) for at in wanted.at]
    yield "at_s", at_s, [seconds_of(row.at) for row in rows]
    yield "prices", wanted.prices, [row.price for row in rows]
    yield "kinds", wanted.kinds, [row.kind for row in rows]


def _listed(values: Iterable[Any]) -> str:
    return f"[{', '.join(show(value) for value in values)}]"


# ---------------------------------------------------------------- never


def _never(conditions: Iterable[Condition], outcome: Outcome, history: History) -> Iterable[Miss]:
    for condition in conditions:
        seen = _occurrences(condition, outcome, history)
        if seen:
            more = f" (and {len(seen) - 1} more)" if len(seen) > 1 else ""
            yield Miss(f'never "{condition.text}"', "never", f"{seen[0]}{more}")


def _occurrences(condition: Condition, outcome: Outcome, history: History) -> Sequence[str]:
    match condition.kind:
        case "naked_base":
            return [
                f"{decimal_text(quantity)} on {pair}"
                for pair, quantity in history.max_naked_base.items()
                if quantity > condition.bound
                or (condition.or_equal and quantity == condition.bound)
            ]
        case "state":
            return [
                f"{row.machine}:{row.id} {row.source}>{row.dest} at {seconds_text(row.at)} s"
                for row in outcome.transitions
                if row.machine == condition.machine and condition.name in (row.source, row.dest)
            ]
        case "alarm":
            return [
                f"{row.kind} at {seconds_text(row.at)} s: {row.text}"
                for row in outcome.alarms
                if row.kind == condition.name
            ]
        case "position_flips":
            return history.position_flips
        case "two_live_orders_on_a_leg":
            return history.two_live_orders
        case "order_larger_than_remaining":
            return history.order_larger
        case "sent_before_journalled":
            return history.sent_before_journalled
    raise AssertionError(condition.kind)


# ---------------------------------------------------------------- alarms


def _alarms(expect: Expect, outcome: Outcome) -> Iterable[Miss]:
    for mark in (*expect.alarms, *(expect.alarms_exactly or ())):
        times = [row.at for row in outcome.alarms if row.kind == mark.kind]
        if not _alarm_holds(mark, times):
            actual = ", ".join(f"{seconds_text(at)} s" for at in times)
            yield Miss("alarms", mark.text, f"raised at {actual}" if times else "not raised")
    if expect.alarms_exactly is not None:
        allowed = {mark.kind for mark in (*expect.alarms, *expect.alarms_exactly)}
        others = [row for row in outcome.alarms if row.kind not in allowed]
        if others:
            found = "; ".join(
                f"{row.kind} at {seconds_text(row.at)} s: {row.text}" for row in others
            )
            yield Miss("alarms_exactly", f"no other than {sorted(allowed)}", found)


def _alarm_holds(mark: AlarmMark, times: list[int]) -> bool:
    if mark.count is not None:
        return len(times) == mark.count
    if mark.at is not None:
        return mark.at in times
    return bool(times)


# ---------------------------------------------------------------- ends, shares, trace


def _within(expect: Expect, outcome: Outcome, ended: bool) -> Iterable[Miss]:
    limit = expect.within
    if limit is None or (not ended and outcome.ended_at < limit):
        return
    living: list[tuple[str, Mapping[str, CloseOutcome], frozenset[str]]] = [
        ("close", outcome.closes, CLOSE_ENDS),
        ("open", outcome.opens, OPEN_ENDS),
    ]
    for machine, group, ends in living:
        for name, close in group.items():
            if close.state not in ends:
                actual = f"{machine} {name} {close.state} at {seconds_text(outcome.ended_at)} s"
                yield Miss("within_s", f"terminal by {seconds_text(limit)} s", actual)
                continue
            entered = _entered(outcome.transitions, machine, name, close.state)
            if entered > limit:
                actual = f"{machine} {name} {close.state} at {seconds_text(entered)} s"
                yield Miss("within_s", f"terminal by {seconds_text(limit)} s", actual)


def _entered(transitions: Iterable[TransitionRow], machine: str, name: str, state: str) -> int:
    entered = 0
    for row in transitions:
        if (row.machine, row.id, row.dest) == (machine, name, state) and row.source != state:
            entered = row.at
    return entered


def _maker_share(expect: Expect, outcome: Outcome) -> Iterable[Miss]:
    if expect.maker_share_min is None:
        return
    legs = [leg for close in outcome.closes.values() for leg in close.legs.values()]
    filled = sum((leg.filled or Decimal(0) for leg in legs), Decimal(0))
    maker = sum((leg.maker for leg in legs), Decimal(0))
    numerator, denominator = expect.maker_share_min
    if filled == 0 or maker * denominator < filled * numerator:
        actual = f"{decimal_text(maker)} of {decimal_text(filled)}"
        yield Miss("maker_share_min", f"at least {numerator}/{denominator}", actual)


def _trace(marks: Iterable[TraceMark], transitions: Sequence[TransitionRow]) -> Iterable[Miss]:
    position = 0
    previous = "the start"
    for mark in marks:
        while position < len(transitions) and not mark.matches(transitions[position]):
            position += 1
        if position == len(transitions):
            yield Miss("trace", mark.text, f"not found after {previous}")
            return
        previous = f"{mark.text} at {seconds_text(transitions[position].at)} s"
        position += 1
