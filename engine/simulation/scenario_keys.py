"""Strict reading of the tables of a scenario file: every key is asked for, every mistake is noted.

Builds on the value readers of the configuration. Units at the edge: quantities, prices, money and
ratios are strings and become `Decimal` or integer pairs; times are numbers (or strings) read
exactly and become integer nanoseconds. Must not know what the keys mean, nor stop at the first
mistake.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

from engine.config_reading import as_table, note_unknown
from engine.config_values import (
    MISSING,
    Findings,
    Refused,
    exact,
    join,
    nanoseconds,
    ratio,
    shown,
    whole,
)
from machines.types import MS, NS
from venues.numbers import COUNT_MAX, MONEY_MAX

__all__ = ["Findings", "Reader", "Refused", "join", "ratio", "shown"]

T = TypeVar("T")


# ---------------------------------------------------------------- values


def text(value: Any) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise Refused("a string that is not empty")
    return value


def words(value: Any) -> str:
    """Read any string, for people."""
    if not isinstance(value, str):
        raise Refused("a string")
    return value


def flag(value: Any) -> bool:
    """Read a boolean."""
    if not isinstance(value, bool):
        raise Refused("true or false")
    return value


def decimal(value: Any) -> Decimal:
    """Read a finite decimal written as a string."""
    return exact(value, quoted=True)


def not_negative(value: Any) -> Decimal:
    """Read a decimal of at least 0, written as a string."""
    found = exact(value, quoted=True)
    if found < 0:
        raise Refused("a decimal of at least 0 in quotes")
    return found


def positive(value: Any) -> Decimal:
    """Read a decimal above 0, written as a string."""
    found = exact(value, quoted=True)
    if found <= 0:
        raise Refused("a decimal above 0 in quotes")
    return found


def amount(value: Any) -> Decimal:
    """Read an amount of money of either sign, or a rate, written as a string."""
    found = exact(value, quoted=True)
    if abs(found) > MONEY_MAX:
        raise Refused(f"a decimal within ±{MONEY_MAX:.0E} in quotes")
    return found


def number(value: Any) -> Decimal:
    """Read a finite number, as a TOML number or as a string."""
    return exact(value, quoted=False)


def seconds(value: Any) -> int:
    """Read a time of at least 0 s, in nanoseconds."""
    return _time(value, NS)


def milliseconds(value: Any) -> int:
    """Read a time of at least 0 ms, in nanoseconds."""
    return _time(value, MS)


def _time(value: Any, unit_ns: int) -> int:
    return nanoseconds(value, unit_ns)


def count(value: Any) -> int:
    """Read a whole number of at least 0."""
    return _counted(value, 0, COUNT_MAX)


def ordinal(value: Any, most: int = COUNT_MAX) -> int:
    """Read a whole number of at least 1: the first is 1."""
    return _counted(value, 1, most)


def _counted(value: Any, least: int, most: int) -> int:
    found = whole(value)
    if not least <= found <= most:
        raise Refused(f"a whole number of at least {least} and at most {most}")
    return found


def ordinals(value: Any) -> tuple[int, ...]:
    """Read one ordinal, or a list of them."""
    if not isinstance(value, list):
        return (ordinal(value),)
    if not value:
        raise Refused("a whole number of at least 1, or a list of them that is not empty")
    return tuple(ordinal(item) for item in value)


def one_of(allowed: Iterable[str]) -> Callable[[Any], str]:
    """Make a reader for one of a closed list of words."""
    words = tuple(allowed)

    def read(value: Any) -> str:
        if value not in words:
            raise Refused(f"one of {', '.join(words) or '(there is none)'}")
        return str(value)

    return read


def listed(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """Make a reader for a list, each item by `read`."""

    def read_list(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Refused("a list")
        return tuple(read(item) for item in value)

    return read_list


# ---------------------------------------------------------------- tables


class Reader:
    """One table being read. `need` and `take` consume keys; `done` notes those nobody asked for."""

    __slots__ = ("_asked", "_lacks", "findings", "path", "table")

    def __init__(self, value: Any, path: str, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self._asked: list[str] = []
        self.table = as_table(value, path, findings)
        #: What is no table lacks no keys either: it is one mistake.
        self._lacks = findings if isinstance(value, dict) else Findings()

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def need(self, key: str, read: Callable[[Any], T], fallback: T) -> T:
        """Read a key that must be there; a mistake is noted and `fallback` stands in."""
        if key not in self.table:
            self._asked.append(key)
            self._lacks.add(join(self.path, key), MISSING, "must be given")
            return fallback
        return self.take(key, read, fallback)

    def take(self, key: str, read: Callable[[Any], T], default: T) -> T:
        """Read a key that may be absent; a mistake is noted and `default` stands in."""
        self._asked.append(key)
        if key not in self.table:
            return default
        try:
            return read(self.table[key])
        except Refused as refused:
            self.note(key, f"must be {refused}")
            return default

    def maybe(self, key: str, read: Callable[[Any], T]) -> T | None:
        """Read a key that may be absent, None standing for that."""
        return self.take(key, read, None)

    def sub(self, key: str) -> "Reader":
        """Read a table inside this one; an absent one reads as empty."""
        return Reader(self.raw(key, {}), join(self.path, key), self.findings)

    def raw(self, key: str, default: Any = None) -> Any:
        """Take a value as it is, for somebody else to check."""
        self._asked.append(key)
        return self.table.get(key, default)

    def skip(self, names: Iterable[str]) -> None:
        """Count keys as known without reading them."""
        self._asked.extend(names)

    def note(self, key: str, reason: str) -> None:
        """Note a mistake about a key, or about the table as a whole if `key` is empty."""
        if key:
            self.findings.add(join(self.path, key), self.table.get(key, MISSING), reason)
        else:
            self.findings.add(self.path, self.table, reason)

    def done(self) -> None:
        """Note every key that nobody asked for."""
        note_unknown(self.table, self._asked, self.path, self.findings)
