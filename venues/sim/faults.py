"""The fault kinds that a simulated venue can produce: their parameters, checks and selection.

A fault is a table of a scenario file. Each time one applies, the parameters that the table leaves
open are drawn and the activation is recorded as a decision. This module must not carry a fault out;
the venue does, where the event happens.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machines.types import NS
from venues.numbers import COUNT_MAX, RATIO_MAX, TIME_MAX_NS, nanoseconds, quoted, whole
from venues.sim.draws import Draws
from venues.sim.selection import ON, Counters, Selector, expand


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words, the first by default."""

    words: tuple[str, ...]

    def check(self, value: Any) -> str:
        """Return what is wrong with a given value, or nothing."""
        return "" if value in self.words else f"allowed: {', '.join(self.words)}"

    def draw(self, draws: Draws) -> str:
        """Return the value to use where none is given."""
        return self.words[0]


@dataclass(frozen=True, slots=True)
class Range:
    """A whole number of at most `most`, drawn uniformly from `low..high` for each activation."""

    low: int
    high: int
    most: int = COUNT_MAX

    def check(self, value: Any) -> str:
        """Return what is wrong with a given value, or nothing."""
        return _check_whole(value, 0, self.most)

    def draw(self, draws: Draws) -> int:
        """Return the value to use where none is given."""
        return draws.between(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A fraction written `a/b`."""

    text: str

    def check(self, value: Any) -> str:
        """Return what is wrong with a given value, or nothing."""
        return "" if ratio_of(value) is not None else "expected a ratio as text, such as '1/2'"

    def draw(self, draws: Draws) -> str:
        """Return the value to use where none is given."""
        return self.text


@dataclass(frozen=True, slots=True)
class Code:
    """A whole number out of some, the first by default."""

    codes: tuple[int, ...]

    def check(self, value: Any) -> str:
        """Return what is wrong with a given value, or nothing."""
        allowed = ", ".join(str(code) for code in self.codes)
        return "" if value in self.codes else f"allowed: {allowed}"

    def draw(self, draws: Draws) -> int:
        """Return the value to use where none is given."""
        return self.codes[0]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: `scope` R matches requests, S frames; `on` is its default."""

    scope: str
    on: tuple[str, ...]
    parameters: Mapping[str, Choice | Range | Ratio | Code]
    #: How often it applies where the table gives no selection; None means once.
    count: Range | None = None


#: More copies of one message are no fault of a venue, and would take for ever.
COPIES_MAX = 1000

_RATIO = re.compile(r"([0-9]{1,16})/([0-9]{1,16})", re.ASCII)
_MODES = Choice(("timeout", "5xx", "reset"))

FAULTS: dict[str, Kind] = {
    "drop_response": Kind("R", ("create",), {"mode": _MODES}),
    "drop_request": Kind("R", ("create",), {"mode": _MODES}),
    "fill_before_ack": Kind("R", ("create",), {"ack_delay_ms": Range(0, 5000)}),
    "fill_after_cancel_ack": Kind("R", ("cancel",), {"delay_ms": Range(1, 5000)}),
    "cancel_lost": Kind(
        "R", ("cancel",), {"lose": Choice(("request", "response"))}, count=Range(1, 3)
    ),
    "cancel_reject_filled": Kind("R", ("cancel",), {"fill": Ratio("1/1")}),
    "dup_fill": Kind(
        "S", ("user",), {"copies": Range(1, 3, COPIES_MAX), "delay_ms": Range(0, 60_000)}
    ),
    "delta_vs_cum": Kind("S", ("user",), {"permute_ms": Range(0, 500)}),
    "stale_read": Kind("R", ("query", "fills", "open_orders"), {"lag_ms": Range(0, 10_000)}),
    "position_read_bad": Kind(
        "R",
        ("positions",),
        {
            "mode": Choice(("none", "error", "stale", "unsigned", "alias")),
            "lag_ms": Range(3000, 3000),
        },
    ),
    "forced_close": Kind(
        "S",
        ("book", "user"),
        {"code": Code((1006, 1000, 1001, 1011, 1012)), "at_s": Range(86_400, 86_400)},
    ),
}
#: Kinds that concern only frames which tell of a fill: they count those as the event `fill`.
FILL_FRAMES = frozenset({"dup_fill", "delta_vs_cum"})
SELECTION = ("kind", "venue", "instrument", "on", "nth", "count", "for_s", "probability")


def _check_whole(value: Any, least: int = 0, most: int = COUNT_MAX) -> str:
    try:
        whole(value, "value", least, most)
    except ValueError:
        return f"expected a whole number of at least {least} and at most {most}"
    return ""


def ratio_of(value: Any) -> tuple[int, int] | None:
    """Return a ratio `a/b` with 0 <= a <= b, b > 0 as integers, or None if it is not one."""
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    part, parts = int(match[1]), int(match[2])
    return (part, parts) if 0 < parts <= RATIO_MAX and part <= parts else None


def nth_of(value: Any) -> int | tuple[int, ...] | None:
    """Return the value of a checked `nth` as whole numbers."""
    if isinstance(value, list | tuple):
        return tuple(whole(item, "nth") for item in value)
    return None if value is None else whole(value, "nth")


def _check_nth(value: Any) -> str:
    items = value if isinstance(value, list | tuple) else [value]
    if items and not any(_check_whole(item, 1) for item in items):
        return ""
    return f"expected a whole number of at least 1 and at most {COUNT_MAX}, or a list of them"


def _check_seconds(value: Any) -> str:
    try:
        return "" if nanoseconds(value, NS, "seconds") > 0 else "expected seconds above 0"
    except ValueError:
        return f"expected seconds above 0, at most {TIME_MAX_NS // NS}"


def _check_selection(key: str, value: Any) -> str:
    if key == "on":
        return "" if value in ON else f"allowed: {', '.join(ON)}"
    if key == "nth":
        return _check_nth(value)
    if key == "count":
        return _check_whole(value)
    if key == "for_s":
        return _check_seconds(value)
    if key == "probability":
        return "" if ratio_of(value) is not None else "expected a ratio as text, such as '1/20'"
    return "" if isinstance(value, str) else "expected a name"


def check_fault(table: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a fault table: unknown kinds, keys and values, all of them."""
    name = table.get("kind")
    kind = FAULTS.get(name) if isinstance(name, str) else None
    if kind is None:
        return [f"fault: kind {quoted(name)} is unknown; allowed: {', '.join(sorted(FAULTS))}"]
    errors = []
    for key, value in table.items():
        if key in SELECTION:
            problem = _check_selection(key, value)
        elif key in kind.parameters:
            problem = kind.parameters[key].check(value)
        else:
            allowed = ", ".join(sorted([*SELECTION, *kind.parameters]))
            errors.append(f"fault {name}: unknown key {quoted(key)}; allowed: {allowed}")
            continue
        if problem:
            errors.append(f"fault {name}: {key} = {quoted(value)}: {problem}")
    return errors


@dataclass(frozen=True, slots=True)
class Decision:
    """One activation: its number in the run, and the parameters it used."""

    index: int
    kind: str
    parameters: dict[str, Any]
    instrument: int | None


class Fault:
    """One fault table in force at one venue from `at` on; ValueError if the table is malformed."""

    __slots__ = ("_given", "_kind", "draws", "name", "selector")

    def __init__(
        self, table: Mapping[str, Any], at: int, instrument: int | None, draws: Draws
    ) -> None:
        errors = check_fault(table)
        if errors:
            raise ValueError("\n".join(errors))
        self.name: str = table["kind"]
        self._kind = FAULTS[self.name]
        self.draws = draws
        self._given = {key: table[key] for key in self._kind.parameters if key in table}
        self.selector = self._select(table, at, instrument)

    def _select(self, table: Mapping[str, Any], at: int, instrument: int | None) -> Selector:
        kind = self._kind
        on = expand(table["on"], kind.scope) if "on" in table else kind.on
        if self.name in FILL_FRAMES:
            on = tuple("fill" if event == "user" else event for event in on)
        count = table.get("count")
        selected = any(key in table for key in ("nth", "for_s", "probability"))
        if count is None and kind.count is not None and not selected:
            count = kind.count.draw(self.draws)
        span = table.get("for_s")
        return Selector(
            on,
            instrument,
            nth=nth_of(table.get("nth")),
            count=None if count is None else whole(count, "count"),
            until=None if span is None else at + nanoseconds(span, NS, "for_s"),
            chance=ratio_of(table.get("probability")),
        )

    @property
    def given(self) -> Mapping[str, Any]:
        """The parameters that the table states."""
        return self._given

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of one activation; what the table leaves open is drawn."""
        result: dict[str, Any] = {}
        for name, parameter in self._kind.parameters.items():
            value = self._given.get(name)
            if value is None:
                value = parameter.draw(self.draws)
            elif isinstance(parameter, Range | Code):
                value = whole(value, name)
            result[name] = value
        return result


def activate(
    faults: Sequence[Fault],
    event: tuple[str, int],
    now: int,
    counters: Counters,
    decisions: list[Decision],
) -> list[Decision]:
    """Return the activations for one event (its kind and instrument), in the order of the file.

    A request that was dropped meets no further fault.
    """
    found = []
    for fault in faults:
        if fault.selector.takes(*event, now, counters, fault.draws):
            decision = Decision(
                len(decisions), fault.name, fault.parameters(), fault.selector.instrument
            )
            decisions.append(decision)
            found.append(decision)
            if fault.name.startswith("drop_"):
                break
    return found
