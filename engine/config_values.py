"""Reads single values of a configuration strictly and collects everything that is wrong.

Units: quantities, prices and money are quoted decimals and become `Decimal`; times become integer
nanoseconds, exactly. The range of all of them is that of `venues.numbers`. Must not know any key,
nor stop at the first mistake.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from engine.texts import printable, shortened
from machines.types import MS, NS
from venues import numbers
from venues.numbers import COUNT_MAX, MONEY_MAX, RATIO_MAX, NumberRefused

#: No time (about thirty years in seconds) and no count is larger.
LIMIT = COUNT_MAX
#: Decimals of a plain number: a rate is compared with draws of 64 bits.
_DECIMALS_MAX = 12
#: More mistakes than a person reads in one go; what follows them is not listed.
FINDINGS_MAX = 1000

_RATIO = re.compile(r"([0-9]{1,20})/([0-9]{1,20})", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
#: A quoted part of a path, or where one part ends; more parts has no path of ours.
_CUT = re.compile(r'"(?:[^"\\]|\\.)*"|[.\[]')
_CUTS_MAX = 16
_SHOWN_MAX = 60
_WORD_MAX = 128
_KEY_MAX = 200
_ALLOWED_MAX = 2000


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


#: Stands for the value of a key that is not there.
MISSING = _Missing()

T = TypeVar("T")


class Finding(Struct, frozen=True):
    """One mistake: where it is, what stands there, what is allowed instead."""

    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """One line that a terminal can show, whatever the file has for names and values."""
        where = shortened(self.key, _KEY_MAX) or "file"
        allowed = shortened(self.allowed, _ALLOWED_MAX)
        return printable(
            f"{where} = {self.value}: {allowed}" if self.value else f"{where}: {allowed}"
        )


class ConfigError(Exception):
    """A configuration cannot be used: the user's mistakes, all of them at once."""

    def __init__(self, findings: list[Finding], source: str = "") -> None:
        self.findings = findings
        self.source = source
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line per finding, each with the file's name if it is known."""
        prefix = f"{printable(self.source)}: " if self.source else ""
        return [f"{prefix}{finding}" for finding in self.findings]


class Findings:
    """Collects mistakes in the order in which they are met; the same one only once."""

    __slots__ = ("_places", "_seen", "items")

    def __init__(self) -> None:
        self.items: list[Finding] = []
        self._seen: set[Finding] = set()
        self._places: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def add(self, key: str, value: Any, allowed: str) -> None:
        """Note that `value` stands at `key` where only `allowed` may.

        `MISSING` means that nothing stands there, None that there is no value to speak of.
        """
        finding = Finding(key, "" if value is None else shown(value), allowed)
        if finding in self._seen or self.is_full:
            return
        self._seen.add(finding)
        self.items.append(finding)
        self._places.update(above(key))
        if len(self._seen) == FINDINGS_MAX:
            self.items.append(Finding("", "", "has more mistakes than these; mend them first"))

    @property
    def is_full(self) -> bool:
        """Whether so much is wrong already that nothing more is noted."""
        return len(self._seen) >= FINDINGS_MAX

    def about(self, key: str) -> bool:
        """Whether `key` or something below it was found wrong."""
        return key in self._places

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


def above(key: str) -> list[str]:
    """The paths of everything that a key lies in, the outermost first, and the key itself."""
    cuts = [cut.start() for cut in _CUT.finditer(key) if cut[0] in ".["]
    return [*(key[:cut] for cut in cuts[:_CUTS_MAX]), key]


def shown(value: Any, depth: int = 3) -> str:
    """A value as a message quotes it: as TOML writes it, shortened, without control characters."""
    if isinstance(value, dict | list | tuple) and not depth:
        text = "..."
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = json.dumps(value[:_SHOWN_MAX], ensure_ascii=False)
    elif isinstance(value, dict):
        items = (f"{key[:_SHOWN_MAX]} = {shown(item, depth - 1)}" for key, item in value.items())
        text = f"{{ {_joined(items)} }}" if value else "{}"
    elif isinstance(value, list | tuple):
        text = f"[{_joined(shown(item, depth - 1) for item in value)}]"
    else:
        text = numbers.quoted(value) if isinstance(value, int) else str(value)
    return shortened(text, _SHOWN_MAX)


def _joined(items: Iterable[str]) -> str:
    """As many items as a message has room for."""
    text = ""
    for item in items:
        text += f", {item}" if text else item
        if len(text) > _SHOWN_MAX:
            break
    return text


def exact_float(text: str) -> Decimal:
    """Read a TOML float without rounding (for `parse_float`); one beyond `Decimal` is infinite."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


# ---------------------------------------------------------------- numbers


def exact(value: Any, *, quoted: bool) -> Decimal:
    """Read a finite decimal exactly, from a string only if `quoted`; raises `Refused`."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Refused("a decimal in quotes" if quoted else "a number")
    if quoted and not isinstance(value, str):
        raise Refused("a decimal in quotes")
    return _bounded(numbers.exact, value)


def _bounded(read: Callable[..., T], value: Any, *bounds: int) -> T:
    """Read a number of the core's range; what is wrong with it is said in the file's words."""
    try:
        return read(value, *bounds, name="")
    except NumberRefused as refused:
        raise Refused(refused.allowed) from None


def number(value: Any) -> Decimal:
    """Read a number without quotes (or with) that has not too many decimals; raises `Refused`."""
    found = exact(value, quoted=False)
    if int(found.as_tuple().exponent) < -_DECIMALS_MAX:
        raise Refused(f"a number of at most {_DECIMALS_MAX} decimals")
    return found


def nanoseconds(value: Any, unit_ns: int) -> int:
    """Read a time given in units of `unit_ns` as whole nanoseconds; raises `Refused`."""
    exact(value, quoted=False)
    return _bounded(numbers.nanoseconds, value, unit_ns)


def whole(value: Any) -> int:
    """Read a whole number, or a string of one; a float is none, whatever its digits."""
    if isinstance(value, Decimal):
        raise Refused("a whole number")
    found = exact(value, quoted=False)
    if found != found.to_integral_value():
        raise Refused("a whole number")
    return int(found)


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
    if part.denominator > RATIO_MAX:
        raise Refused(f"a part whose denominator is at most {RATIO_MAX}")
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
    """A string that matches `pattern` as a whole, and is not longer than any text here."""
    expected = Annotated[str, Meta(pattern=f"^(?:{pattern})\\Z", max_length=2 * _WORD_MAX)]
    return Kind(allowed, _convert(expected, allowed))


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or value != value.strip():
        raise Refused("text that is not empty")
    if len(value) > _WORD_MAX or not value.isprintable():
        raise Refused(f"text of at most {_WORD_MAX} characters that can be printed")
    return value


def path_text(value: Any) -> str:
    """Read a path; `~` at its beginning is the user's home. Raises `Refused`."""
    text = _word(value)
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise Refused("a path whose ~ leads to a home that is known") from error


SECONDS = Kind("seconds", lambda value: nanoseconds(value, NS), NS, Decimal(0), Decimal(LIMIT))
MILLISECONDS = Kind(
    "milliseconds", lambda value: nanoseconds(value, MS), MS, Decimal(0), Decimal(LIMIT)
)
COUNT = Kind("a whole number", whole, 1, Decimal(0), Decimal(LIMIT))
TICKS = Kind("whole ticks", whole, 1, Decimal(0), Decimal(LIMIT))
BPS = Kind("basis points", number, 1, Decimal(0), Decimal(10000))
PERCENT = Kind("per cent", number, 1, Decimal(0), Decimal(100))
NUMBER = Kind("a number", number, 1, Decimal(0), MONEY_MAX)
DECIMAL = Kind('a decimal in quotes, like "0.05"', lambda value: exact(value, quoted=True))
RATIO = Kind('a ratio in quotes, like "1/4" or "0.25", above 0 and at most 1', ratio)
FLAG = Kind("true or false", _convert(bool, "true or false"))
#: Names are printed, stand in file names and in the ids of machines ("v:s#n"): nothing that steers
#: a terminal, a path or a parser may be in one. Venues, pairs and accounts have this rule.
NAME = text(r"[A-Za-z0-9_.:-]{1,64}", "a name of up to 64 letters, digits and _ . : -")
#: An instrument's: a venue, and a symbol as venues write them (BTC/USDT:USDT, kPEPE, 1000FLOKI).
INSTRUMENT_NAME = text(
    r"[A-Za-z0-9_.-]{1,64}:[A-Za-z0-9_.:/+-]{1,64}",
    '"VENUE:SYMBOL", both of up to 64 letters, digits and _ . -, in the symbol also : / +',
)
WORD = Kind("text that is not empty", _word)
PATH = Kind("a path; ~ at its beginning is your home", path_text)
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
