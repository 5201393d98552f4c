"""Reads single values of a configuration strictly and collects everything that is wrong.

Units: quantities, prices and money are quoted decimals and become `Decimal`; times become integer
nanoseconds, exactly. Must not know any key, nor stop at the first mistake.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from machines.types import MS, NS

#: A longer number is a mistake, not a quantity (venues.md I1).
DIGITS_MAX = 40
EXPONENT_MAX = 30
#: No time (about thirty years in seconds) and no count is larger: each fits 64 bits.
LIMIT = 10**9

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_RATIO = re.compile(r"([0-9]{1,20})/([0-9]{1,20})", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SHOWN_MAX = 60


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


#: Stands for the value of a key that is not there.
MISSING = _Missing()


class Finding(Struct, frozen=True):
    """One mistake: where it is, what stands there, what is allowed instead."""

    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        where = self.key or "file"
        return (
            f"{where} = {self.value}: {self.allowed}" if self.value else f"{where}: {self.allowed}"
        )


class ConfigError(Exception):
    """A configuration cannot be used: the user's mistakes, all of them at once."""

    def __init__(self, findings: list[Finding], source: str = "") -> None:
        self.findings = findings
        self.source = source
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line per finding, each with the file's name if it is known."""
        prefix = f"{self.source}: " if self.source else ""
        return [f"{prefix}{finding}" for finding in self.findings]


class Findings:
    """Collects mistakes in the order in which they are met; the same one only once."""

    __slots__ = ("_seen", "items")

    def __init__(self) -> None:
        self.items: list[Finding] = []
        self._seen: set[Finding] = set()

    def __bool__(self) -> bool:
        return bool(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def add(self, key: str, value: Any, allowed: str) -> None:
        """Note that `value` stands at `key` where only `allowed` may.

        `MISSING` means that nothing stands there, None that there is no value to speak of.
        """
        finding = Finding(key, "" if value is None else shown(value), allowed)
        if finding not in self._seen:
            self._seen.add(finding)
            self.items.append(finding)

    def about(self, key: str) -> bool:
        """Whether `key` or something below it was found wrong."""
        return any(
            item.key == key or item.key.startswith((f"{key}.", f"{key}[")) for item in self.items
        )

    def raise_if_any(self, source: str = "") -> None:
        """Raise `ConfigError` with all of them, if there are any."""
        if self.items:
            raise ConfigError(list(self.items), source)


class Refused(ValueError):
    """A value is not what its key allows; the text says what is."""


def join(path: str, key: str) -> str:
    """Write the path of `key` inside the table at `path` as TOML would, quoted where it must be."""
    part = key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{part}" if path else part


def shown(value: Any, depth: int = 3) -> str:
    """A value as a message quotes it: as TOML writes it, shortened, without control characters."""
    if isinstance(value, dict | list | tuple) and not depth:
        text = "..."
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = json.dumps(value[:_SHOWN_MAX], ensure_ascii=False)
    elif isinstance(value, dict):
        items = (f"{key} = {shown(item, depth - 1)}" for key, item in value.items())
        text = f"{{ {', '.join(items)} }}" if value else "{}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item, depth - 1) for item in value)}]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def exact_float(text: str) -> Decimal:
    """Read a TOML float without rounding (for `parse_float`); one beyond `Decimal` is infinite."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


# ---------------------------------------------------------------- numbers


def exact(value: Any, *, quoted: bool) -> Decimal:
    """Read a finite decimal exactly, from a string only if `quoted`; raises `Refused`."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Refused("a plain decimal number")
        number = Decimal(value)
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Refused("a decimal in quotes" if quoted else "a number")
    elif quoted:
        raise Refused("a decimal in quotes")
    else:
        number = Decimal(value)
    if not number.is_finite():
        raise Refused("a finite number")
    _, digits, exponent = number.as_tuple()
    if len(digits) > DIGITS_MAX or not -EXPONENT_MAX <= int(exponent) <= EXPONENT_MAX:
        raise Refused(f"at most {DIGITS_MAX} digits and an exponent within ±{EXPONENT_MAX}")
    return number


def nanoseconds(value: Any, unit_ns: int) -> int:
    """Read a time given in units of `unit_ns` as whole nanoseconds; raises `Refused`."""
    scaled = Fraction(exact(value, quoted=False)) * unit_ns
    if scaled.denominator != 1:
        raise Refused("a time no finer than 1 ns")
    return int(scaled)


def whole(value: Any) -> int:
    """Read a whole number, or a string of one; a float is none, whatever its digits."""
    if isinstance(value, Decimal):
        raise Refused("a whole number")
    number = exact(value, quoted=False)
    if number != number.to_integral_value():
        raise Refused("a whole number")
    return int(number)


def ratio(value: Any) -> tuple[int, int]:
    """Read a part of the whole, above 0 and up to 1, as "1/4" or "0.25": (numerator, denominator).

    Raises `Refused`.
    """
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match and int(match[2]):
        part = Fraction(int(match[1]), int(match[2]))
    elif match:
        raise Refused("a denominator above 0")
    else:
        part = Fraction(exact(value, quoted=True))
    if not 0 < part <= 1:
        raise Refused("above 0 and at most 1")
    return part.numerator, part.denominator


# ---------------------------------------------------------------- kinds of value


class Kind(Struct, frozen=True):
    """How a kind of value is written and read; `read` raises `Refused`, `unit` scales bounds."""

    label: str
    read: Callable[[Any], Any]
    unit: int = 1
    minimum: Decimal | None = None
    maximum: Decimal | None = None


def _convert(expected: Any, allowed: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            return msgspec.convert(value, expected, strict=True)
        except msgspec.ValidationError:
            raise Refused(allowed) from None

    return read


def choice(*words: str) -> Kind:
    """One of a closed list of words."""
    label = "one of " + ", ".join(f'"{word}"' for word in words)
    return Kind(label, _convert(Literal[words], label))


def text(pattern: str, allowed: str) -> Kind:
    """A string of at most 128 characters that matches `pattern` as a whole."""
    expected = Annotated[str, Meta(pattern=f"^(?:{pattern})\\Z", max_length=128)]
    return Kind(allowed, _convert(expected, allowed))


SECONDS = Kind("seconds", lambda value: nanoseconds(value, NS), NS, Decimal(0), Decimal(LIMIT))
MILLISECONDS = Kind(
    "milliseconds", lambda value: nanoseconds(value, MS), MS, Decimal(0), Decimal(LIMIT)
)
COUNT = Kind("a whole number", whole, 1, Decimal(0), Decimal(LIMIT))
TICKS = Kind("whole ticks", whole, 1, Decimal(0), Decimal(LIMIT))
BPS = Kind("basis points", lambda value: exact(value, quoted=False), 1, Decimal(0), Decimal(10000))
PERCENT = Kind("per cent", lambda value: exact(value, quoted=False), 1, Decimal(0), Decimal(100))
NUMBER = Kind("a number", lambda value: exact(value, quoted=False), 1, Decimal(0))
DECIMAL = Kind('a decimal in quotes, like "0.05"', lambda value: exact(value, quoted=True))
RATIO = Kind('a ratio in quotes, like "1/4" or "0.25", above 0 and at most 1', ratio)
FLAG = Kind("true or false", _convert(bool, "true or false"))
NAME = text(r"[A-Za-z0-9_.:-]{1,64}", "a name of up to 64 letters, digits and _ . : -")
WORD = text(r"\S(?:.*\S)?", "text that is not empty")
FILE_NAME = text(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", "a file name without a folder")


# ---------------------------------------------------------------- tables


def overlay(default: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `table` over `default`: tables merge key by key, everything else is replaced."""
    merged = dict(default)
    for key, value in table.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = overlay(below, value)
        else:
            merged[key] = value
    return merged
