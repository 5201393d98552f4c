"""The numbers that the core can hold, decided once, and how what comes from outside becomes one.

Every adapter, feed, script and configuration reads its numbers here or by `venues.instruments`, so
that nothing unbounded reaches a fact. This module must not round, nor know keys or instruments.

The range, and why it is this one:

* An integer beyond 64 bits can be neither journaled (msgpack) nor stored (SQLite, signed), and what
  cannot be recorded stops the engine. Prices in ticks and quantities in units stay within 10**15:
  nine thousand of the largest still add up below 2**63, so cumulatives and positions fit as well.
  A finer part of such a position than 1/10**15 is less than a unit, hence the same for a ratio.
* `Decimal` computes with 28 digits. 10**15 steps of at most 12 digits each come to 27, so prices,
  quantities and positions are exact when they are shown, to a tenth of a tick.
* A minimum in ticks * units is a product of both; 10**18 keeps it below 2**63.
* A time is added to the present, itself below 2**61 ns until the year 2043, and up to four of them
  to each other: 10**18 ns (thirty years) keeps every sum below 2**63.
"""

import re
from decimal import Decimal

#: A longer text, number of digits or exponent is a mistake, not a number (venues.md I1).
TEXT_MAX = 64
DIGITS_MAX = 40
EXPONENT_MAX = 30
#: Bits of the largest integer of `DIGITS_MAX` digits.
_BITS_MAX = (10**DIGITS_MAX).bit_length()

TICKS_MAX = UNITS_MAX = RATIO_MAX = 10**15
NOTIONAL_MAX = 10**18
#: Digits of a tick, and of a unit times the multiplier.
STEP_DIGITS_MAX = 12
TIME_MAX_NS = 10**18
INT64_MAX = 2**63 - 1
COUNT_MAX = 10**9
#: Quote currency: balances, payments, budgets.
MONEY_MAX = Decimal(10**15)
#: A taker who pays all that he gets has no price at which he breaks even.
FEE_MIN_BPS, FEE_MAX_BPS = Decimal(-100), Decimal(9999)

_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_QUOTED_MAX = 60
_LIMITS = f"a number of at most {DIGITS_MAX} digits and an exponent within ±{EXPONENT_MAX}"


class NumberRefused(ValueError):
    """A number from outside cannot be used: which one it is, and what is allowed instead."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name}: {quoted(value)} must be {allowed}")
        self.name = name
        self.value = value
        self.allowed = allowed


def quoted(value: object) -> str:
    """Write a value as a message quotes it: short, and no digits of an integer that has too many.

    Python itself refuses to write an integer of more than 4,300 digits.
    """
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value) if len(value) <= _QUOTED_MAX else f"{value[:_QUOTED_MAX]!r}..."
    if isinstance(value, list | tuple | dict):
        return "a table" if isinstance(value, dict) else "a list"
    text = str(value)
    return text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}..."


def exact(value: object, name: str = "value") -> Decimal:
    """Read a finite decimal from text, int or `Decimal`; the time it takes is bounded.

    Raises `NumberRefused` for floats, NaN, infinities, text that is not plain, exponents beyond
    +-30 and more than 40 digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise NumberRefused(name, value, "a decimal, given as text")
    if isinstance(value, str) and not (len(value) <= TEXT_MAX and _PLAIN.fullmatch(value)):
        raise NumberRefused(name, value, "a plain decimal number")
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        raise NumberRefused(name, value, _LIMITS)
    number = Decimal(value)
    if not number.is_finite():
        raise NumberRefused(name, value, "a finite number")
    _, digits, exponent = number.as_tuple()
    if len(digits) > DIGITS_MAX or not -EXPONENT_MAX <= int(exponent) <= EXPONENT_MAX:
        raise NumberRefused(name, value, _LIMITS)
    return number


def whole(value: object, name: str, least: int = 0, most: int = INT64_MAX) -> int:
    """Read a whole number within bounds; raises `NumberRefused`."""
    number = exact(value, name)
    if number != number.to_integral_value() or not least <= number <= most:
        raise NumberRefused(name, value, f"a whole number of at least {least} and at most {most}")
    return int(number)


def nanoseconds(value: object, unit_ns: int, name: str) -> int:
    """Read a time of at least 0, given in units of `unit_ns`, to the nanosecond.

    Raises `NumberRefused`.
    """
    top, bottom = exact(value, name).as_integer_ratio()
    if top * unit_ns % bottom:
        raise NumberRefused(name, value, "a time no finer than 1 ns")
    span = top * unit_ns // bottom
    if span < 0:
        raise NumberRefused(name, value, "at least 0")
    if span > TIME_MAX_NS:
        raise NumberRefused(name, value, f"at most {TIME_MAX_NS // unit_ns}")
    return span


def fee_bps(value: object, name: str) -> Decimal:
    """Read a fee in basis points, below 0 for a rebate; raises `NumberRefused`."""
    number = exact(value, name)
    if not FEE_MIN_BPS <= number <= FEE_MAX_BPS:
        raise NumberRefused(name, value, f"from {FEE_MIN_BPS} to {FEE_MAX_BPS} basis points")
    return number


def money(value: object, name: str) -> Decimal:
    """Read an amount of quote currency, of either sign; raises `NumberRefused`."""
    number = exact(value, name)
    if abs(number) > MONEY_MAX:
        raise NumberRefused(name, value, f"within ±{MONEY_MAX:.0E}")
    return number
