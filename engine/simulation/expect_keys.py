"""The expectations of a scenario as checked values: what `[expect]` and `expect` entries may say.

Reads and checks the words only; whether they hold is decided in `expectations`. A misspelt kind,
machine, state or field is a mistake of the file here, because a condition that can never match
would be an expectation that cannot fail.
"""

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.alarm_kinds import ALARM_KINDS
from engine.simulation import scenario_keys as keys
from engine.simulation.outcome import CLOSE_FIELDS, LEG_FIELDS, TransitionRow
from engine.simulation.scenario_keys import Reader, Refused
from machines import close, holding, lane, leg, order, session

#: Machines that a file may name: those of this version and those of the tables to come.
MACHINES = (
    "order",
    "leg",
    "close",
    "open",
    "holding",
    "session",
    "lane",
    "position",
    "symbol",
    "maker",
    "hedger",
    "guard",
)

#: States by machine, where its table exists; of the session the names of the full table too. Any
#: machine can be quarantined.
STATES: dict[str, frozenset[str]] = {
    "order": frozenset(order.TABLE.states),
    "leg": frozenset(leg.TABLE.states),
    "close": frozenset(close.TABLE.states),
    "holding": frozenset(holding.TABLE.states),
    "lane": frozenset(lane.TABLE.states),
    "session": frozenset(session.TABLE.states) | {"disconnected", "subscribing"},
}

#: Conditions of `never` without a parameter.
WATCHED = (
    "position_flips",
    "two_live_orders_on_a_leg",
    "order_larger_than_remaining",
    "sent_before_journalled",
)

NO_OPENS = "this version does not open positions yet"

_NAKED = re.compile(r"naked_base\s*(>=|>)\s*(\S+)")
_STATE = re.compile(r"[a-z][a-z0-9_]*")


class FieldExpected(Struct, frozen=True):
    """One field of the output: its path in the document and the values any of which will do."""

    key: str
    path: tuple[str, ...]
    expected: tuple[Any, ...]


class OrdersOn(Struct, frozen=True):
    """Expected orders of one instrument; the lists are in the order of sending, times in ns."""

    max: int | None = None
    min: int | None = None
    exactly: int | None = None
    sides: tuple[str, ...] | None = None
    qtys: tuple[Decimal, ...] | None = None
    rungs: tuple[str, ...] | None = None
    at: tuple[int, ...] | None = None
    prices: tuple[Decimal | None, ...] | None = None
    kinds: tuple[str, ...] | None = None


class Condition(Struct, frozen=True):
    """One entry of `never`. `kind` is naked_base, state, alarm or one of `WATCHED`."""

    text: str
    kind: str
    bound: Decimal = Decimal(0)
    or_equal: bool = False
    machine: str = ""
    name: str = ""


class AlarmMark(Struct, frozen=True):
    """One alarm that must occur: `count` times exactly, or at one time, or at all."""

    text: str
    kind: str
    count: int | None = None
    at: int | None = None


class TraceMark(Struct, frozen=True):
    """One transition that must occur; id and time narrow it where they are given."""

    text: str
    machine: str
    id: str
    source: str
    dest: str
    at: int | None = None

    def matches(self, row: TransitionRow) -> bool:
        """True if the row is the one meant."""
        return (
            (row.machine, row.source, row.dest) == (self.machine, self.source, self.dest)
            and self.id in ("", row.id)
            and self.at in (None, row.at)
        )


class Expect(Struct, frozen=True):
    """Everything that one expectation says; times in ns."""

    fields: tuple[FieldExpected, ...] = ()
    positions: dict[str, Decimal] = {}
    believed: dict[str, Decimal] = {}
    residual: dict[str, Decimal] = {}
    orders_max: int | None = None
    orders_min: int | None = None
    orders: int | None = None
    orders_on: dict[str, OrdersOn] = {}
    no_order_after: int | None = None
    never: tuple[Condition, ...] = ()
    alarms: tuple[AlarmMark, ...] = ()
    alarms_exactly: tuple[AlarmMark, ...] | None = None
    within: int | None = None
    maker_share_min: tuple[int, int] | None = None
    trace: tuple[TraceMark, ...] = ()


class Names(Struct, frozen=True):
    """What the file declares and its timeline and expectations may name."""

    venues: Collection[str]
    instruments: Collection[str]
    pairs: Collection[str]

    def instrument(self, value: Any) -> str:
        """Parse the key of a declared instrument."""
        return keys.one_of(self.instruments)(value)


def read_expect(table: Reader, names: Names) -> Expect:
    """Read an expectation; mistakes are noted in the reader's notes."""
    if "opens" in table:
        table.skip(["opens"])
        table.note("opens", f"cannot hold: {NO_OPENS}")
    expect = Expect(
        fields=_read_closes(table.sub("closes"), names),
        positions=_read_quantities(table.sub("positions"), names),
        believed=_read_quantities(table.sub("believed"), names),
        residual=_read_quantities(table.sub("residual"), names),
        orders_max=table.maybe("orders_max", keys.count),
        orders_min=table.maybe("orders_min", keys.count),
        orders=table.maybe("orders", keys.count),
        orders_on=_read_orders_on(table.sub("orders_on"), names),
        no_order_after=table.maybe("no_order_after_s", keys.seconds),
        never=table.take("never", keys.listed(condition), ()),
        alarms=table.take("alarms", keys.listed(alarm_mark), ()),
        alarms_exactly=table.maybe("alarms_exactly", _alarms_exactly),
        within=table.maybe("within_s", keys.seconds),
        maker_share_min=table.maybe("maker_share_min", _share),
        trace=table.take("trace", keys.listed(trace_mark), ()),
    )
    table.done()
    return expect


def _share(value: Any) -> tuple[int, int]:
    """A ratio; here 0 is one too."""
    return (0, 1) if value == "0" else keys.ratio(value)


def _alarms_exactly(value: Any) -> tuple[AlarmMark, ...]:
    """A list of its own, or `true` for "those of `alarms` and no other"."""
    return () if value is True else keys.listed(alarm_mark)(value)


# ---------------------------------------------------------------- fields of the output


def _read_closes(closes: Reader, names: Names) -> tuple[FieldExpected, ...]:
    found: list[FieldExpected] = []
    for name in closes.table:
        if name not in names.pairs and name not in names.instruments:
            known = ", ".join((*names.pairs, *names.instruments))
            closes.note(name, f"is no pair or position of this file; known: {known}")
            continue
        table = closes.sub(name)
        path = ("closes", name)
        for field in CLOSE_FIELDS:
            if field == "legs":
                legs = table.sub("legs")
                for key in _declared(legs, names):
                    row = legs.sub(key)
                    for leg_field in LEG_FIELDS:
                        _read_field(row, leg_field, (*path, "legs", key), found)
                    row.done()
            elif field == "residual":
                residual = table.sub("residual")
                for key in _declared(residual, names):
                    _read_field(residual, key, (*path, "residual"), found)
            else:
                _read_field(table, field, path, found)
        table.done()
    return tuple(found)


_FIELD_PARSERS: dict[str, Callable[[Any], Any]] = {
    "state": keys.text,
    "outcome": keys.text,
    "reason": keys.text,
    "duration_s": keys.number,
    "orders": keys.count,
}


def _read_field(
    table: Reader, field: str, path: tuple[str, ...], found: list[FieldExpected]
) -> None:
    parse = _FIELD_PARSERS.get(field, keys.decimal)

    def any_of(value: Any) -> tuple[Any, ...]:
        return keys.listed(parse)(value) if isinstance(value, list) else (parse(value),)

    if field in table:
        expected = table.take(field, any_of, ())
        steps = (*path, field)
        key = ""
        for step in steps:
            key = keys.join(key, step)
        found.append(FieldExpected(key, steps, expected))
    else:
        table.skip([field])


def _declared(table: Reader, names: Names) -> list[str]:
    """The instruments among the keys of a table; other keys are noted as mistakes."""
    found = []
    for key in table.table:
        if key in names.instruments:
            found.append(key)
        else:
            table.note(key, f"is no instrument of this file; known: {', '.join(names.instruments)}")
    return found


def _read_quantities(table: Reader, names: Names) -> dict[str, Decimal]:
    return {key: table.take(key, keys.decimal, Decimal(0)) for key in _declared(table, names)}


# ---------------------------------------------------------------- orders


def _read_orders_on(table: Reader, names: Names) -> dict[str, OrdersOn]:
    found = {}
    for key in _declared(table, names):
        wanted = table.sub(key)
        found[key] = OrdersOn(
            max=wanted.maybe("max", keys.count),
            min=wanted.maybe("min", keys.count),
            exactly=wanted.maybe("exactly", keys.count),
            sides=wanted.maybe("sides", keys.listed(keys.one_of(("buy", "sell")))),
            qtys=wanted.maybe("qtys", keys.listed(keys.decimal)),
            rungs=wanted.maybe("rungs", keys.listed(keys.text)),
            at=wanted.maybe("at_s", keys.listed(keys.seconds)),
            prices=wanted.maybe("prices", keys.listed(_price)),
            kinds=wanted.maybe("kinds", keys.listed(keys.text)),
        )
        wanted.done()
    return found


def _price(value: Any) -> Decimal | None:
    """A price, or "" for a native market order, which has none."""
    return None if value in ("", "market", "null") else keys.decimal(value)


# ---------------------------------------------------------------- conditions and marks


def _machine(name: str) -> str:
    if name not in MACHINES:
        raise Refused(f"a machine, one of {', '.join(MACHINES)}")
    return name


def state_of(machine: str, name: str) -> str:
    """Check the name of a state; where the machine has no table yet, its form only."""
    known = STATES.get(machine)
    if known is not None and name not in known and name != "quarantined":
        raise Refused(f'states of `{machine}`, which "{name}" is not: {", ".join(sorted(known))}')
    if not _STATE.fullmatch(name):
        raise Refused(f'a state, which "{name}" is not')
    return name


def _kind(name: str) -> str:
    if name not in ALARM_KINDS:
        raise Refused(f'alarm kinds, which "{name}" is not: {", ".join(sorted(ALARM_KINDS))}')
    return name


def condition(value: Any) -> Condition:
    """Parse one entry of `never`."""
    written = keys.text(value)
    naked = _NAKED.fullmatch(written)
    if naked:
        bound = keys.not_negative(naked[2])
        return Condition(written, "naked_base", bound=bound, or_equal=naked[1] == ">=")
    if written in WATCHED:
        return Condition(written, written)
    kind, *rest = written.split(":")
    if kind == "state" and len(rest) == 2:
        return Condition(written, kind, machine=_machine(rest[0]), name=state_of(*rest))
    if kind == "alarm" and len(rest) == 1:
        return Condition(written, kind, name=_kind(rest[0]))
    forms = ('"naked_base > Q"', *WATCHED, '"state:<machine>:<state>"', '"alarm:<kind>"')
    raise Refused(f'conditions, which "{written}" is not: {", ".join(forms)}')


def alarm_mark(value: Any) -> AlarmMark:
    """Parse "kind", "kind*n" or "kind@at_s"."""
    written = keys.text(value)
    kind, star, number = written.partition("*")
    if star:
        return AlarmMark(written, _kind(kind), count=keys.count(number))
    kind, at_sign, when = written.partition("@")
    return AlarmMark(written, _kind(kind), at=keys.seconds(when) if at_sign else None)


def trace_mark(value: Any) -> TraceMark:
    """Parse "machine:source>dest", narrowed as in "machine:id:source>dest@at_s".

    Ids contain colons themselves: the machine is what stands before the first one, the states are
    what follows the last.
    """
    written = keys.text(value)
    body, at_sign, when = written.partition("@")
    at = keys.seconds(when) if at_sign else None
    machine, colon, rest = body.partition(":")
    identity, _, arrow = rest.rpartition(":")
    source, above, dest = arrow.partition(">")
    if not (colon and above):
        raise Refused(f'"machine:source>dest", which "{written}" is not')
    _machine(machine)
    source, dest = state_of(machine, source), state_of(machine, dest)
    return TraceMark(written, machine, identity, source, dest, at)
