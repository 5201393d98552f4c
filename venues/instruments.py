"""Scales a venue's decimal trading rules to the integers of `machines.types.Instrument` and back.

Decimals end here: text from files and wires comes in, ticks and units go out. This module must not
round silently (a value that does not fit is an error unless the call says floor or ceil), must not
let anything out that the core cannot hold (`venues.numbers`), and must not know venues, orders or
clocks. Every error is a `NumberRefused`, a ValueError that names the field.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from machines.types import Instrument
from venues.numbers import (
    EXPONENT_MAX,
    NOTIONAL_MAX,
    STEP_DIGITS_MAX,
    TICKS_MAX,
    UNITS_MAX,
    NumberRefused,
    exact,
    fee_bps,
    money,
    whole,
)

Exempt = Literal["none", "notional", "all"]
ContractType = Literal["linear", "spot", "inverse"]


def _ratio(value: Decimal, step: Decimal) -> tuple[int, int]:
    """Return `value / step` as an exact fraction with a positive denominator (`step` > 0)."""
    top, bottom = value.as_integer_ratio()
    step_top, step_bottom = step.as_integer_ratio()
    return top * step_bottom, bottom * step_top


def _within(count: int, most: int, value: Decimal, step: Decimal, name: str) -> int:
    """Return a number of steps that the core can hold."""
    if abs(count) > most:
        raise NumberRefused(name, value, f"at most {Decimal(most):.0E} times {step}")
    return count


def _floor(value: Decimal, step: Decimal, most: int, name: str) -> int:
    top, bottom = _ratio(value, step)
    return _within(top // bottom, most, value, step, name)


def _ceil(value: Decimal, step: Decimal, most: int, name: str) -> int:
    top, bottom = _ratio(value, step)
    return _within(-(-top // bottom), most, value, step, name)


def _whole(value: Decimal, step: Decimal, most: int, name: str) -> int:
    top, bottom = _ratio(value, step)
    if top % bottom:
        raise NumberRefused(name, value, f"a multiple of {step}")
    return _within(top // bottom, most, value, step, name)


def floor_tick(price: Decimal, instrument: Instrument, name: str = "price") -> int:
    """Return the highest tick at or below `price`."""
    return _floor(price, instrument.tick, TICKS_MAX, name)


def ceil_tick(price: Decimal, instrument: Instrument, name: str = "price") -> int:
    """Return the lowest tick at or above `price`."""
    return _ceil(price, instrument.tick, TICKS_MAX, name)


def to_ticks(value: object, instrument: Instrument, name: str = "price") -> int:
    """Convert a price to ticks; an error unless it lies on one."""
    return _whole(exact(value, name), instrument.tick, TICKS_MAX, name)


def to_units(value: object, instrument: Instrument, name: str = "qty") -> int:
    """Convert a quantity of the venue's contracts to units; an error unless it is whole."""
    return _whole(exact(value, name), instrument.unit, UNITS_MAX, name)


def floor_units(value: Decimal, instrument: Instrument, name: str = "qty") -> int:
    """Return the largest whole number of units in a quantity of contracts (displayed sizes)."""
    return _floor(value, instrument.unit, UNITS_MAX, name)


def base_to_units(value: object, instrument: Instrument, name: str = "qty") -> int:
    """Convert a position in base units (inverse: quote value) to units; an error unless whole."""
    return _whole(exact(value, name), instrument.unit * instrument.multiplier, UNITS_MAX, name)


def notional_floor(value: object, instrument: Instrument, name: str = "min_notional") -> int:
    """Convert a smallest value in quote currency to ticks * units, rounded up."""
    return _notional(value, instrument.unit * instrument.tick, name)


def _notional(value: object, step: Decimal, name: str) -> int:
    return _ceil(money(value, name), step, NOTIONAL_MAX, name)


def base_to_contracts(value: object, multiplier: object, name: str = "qty") -> Decimal:
    """Convert a position in base units to the venue's contracts; an error if that never ends."""
    size = _positive(multiplier, "multiplier")
    top, bottom = _ratio(exact(value, name), size)
    scale = 0
    while top * 10**scale % bottom:
        scale += 1
        if scale > EXPONENT_MAX:
            raise NumberRefused(name, value, f"a finite number of contracts of {size}")
    return Decimal(top * 10**scale // bottom).scaleb(-scale)


def _positive(value: object, name: str) -> Decimal:
    number = exact(value, name)
    if number <= 0:
        raise NumberRefused(name, value, "above 0")
    return number


def _at_least_zero(value: object, name: str) -> Decimal:
    number = exact(value, name)
    if number < 0:
        raise NumberRefused(name, value, "at least 0")
    return number


def _significant(number: Decimal) -> tuple[int, int]:
    """Count the digits up to the last that is not 0; return them and the exponent of that one.

    `Decimal.normalize` would round to the digits of the context first.
    """
    _, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    count = len(text.rstrip("0"))
    return count, int(exponent) + len(text) - count if count else 0


def _step(value: object, name: str) -> Decimal:
    """Read a step above 0, of so few digits that a large multiple of it stays exact."""
    number = _positive(value, name)
    if _significant(number)[0] > STEP_DIGITS_MAX:
        raise NumberRefused(name, value, f"a number of at most {STEP_DIGITS_MAX} digits")
    return number


def checked(rules: Instrument) -> Instrument:
    """Return scaled rules that were written down earlier, if the core can hold them.

    Raises `NumberRefused`.
    """
    _step(rules.tick, "tick")
    _step(rules.unit, "unit")
    _step(rules.multiplier, "multiplier")
    whole(rules.lot, "lot", 1, UNITS_MAX)
    whole(rules.min_qty, "min_qty", 0, UNITS_MAX)
    whole(rules.min_notional, "min_notional", 0, NOTIONAL_MAX)
    fee_bps(rules.maker_fee_bps, "maker_fee_bps")
    fee_bps(rules.taker_fee_bps, "taker_fee_bps")
    return rules


def _unit(lot: Decimal, quantities: Iterable[Decimal]) -> Decimal:
    """Return the lot, or the power of ten that divides the lot and every quantity."""
    scale = 0
    fits = True
    for value in (lot, *quantities):
        top, bottom = _ratio(value, lot)
        fits = fits and not top % bottom
        scale = min(scale, _significant(value)[1])
    return lot if fits else Decimal(1).scaleb(scale)


def scale_instrument(
    index: int,
    key: str,
    tick: object,
    lot: object,
    min_qty: object = "0",
    min_notional: object = "0",
    multiplier: object = "1",
    type: ContractType = "linear",  # noqa: A002 - the name that files use
    maker_fee_bps: object = "0",
    taker_fee_bps: object = "0",
    max_qty: object | None = None,
    reduce_only_exempt: Exempt = "none",
    quantities: Iterable[Decimal] = (),
) -> Instrument:
    """Scale the rules of `venue:symbol`; every argument may be text, int or `Decimal`.

    `quantities` are the holdings and scripted fills that must stay exact, in the venue's contracts:
    where one is finer than the lot, the unit becomes a power of ten that divides it. Minimums round
    up. An inverse contract's notional does not depend on the price, so its minimum joins `min_qty`.
    Raises `NumberRefused` naming the offending field, ValueError for a key without its parts.
    """
    venue, colon, symbol = key.partition(":")
    if not (venue and colon and symbol):
        raise ValueError(f"instrument {key!r}: expected '<venue>:<symbol>'")
    step = _step(tick, "tick")
    lots = _step(lot, "lot")
    contract = _step(multiplier, "multiplier")
    unit = _unit(lots, [exact(value, "qty") for value in quantities])
    _step(unit * contract, "lot times multiplier")
    least = _ceil(_at_least_zero(min_qty, "min_qty"), unit, UNITS_MAX, "min_qty")
    value = _at_least_zero(min_notional, "min_notional")
    notional = 0
    if type == "inverse":
        contracts = _ceil(money(value, "min_notional"), unit * contract, UNITS_MAX, "min_notional")
        least = max(least, contracts)
    else:
        notional = _notional(value, unit * step, "min_notional")
    return Instrument(
        index=index,
        key=key,
        venue=venue,
        symbol=symbol,
        tick=step,
        unit=unit,
        lot=_whole(lots, unit, UNITS_MAX, "lot"),
        min_qty=least,
        min_notional=notional,
        multiplier=contract,
        type=type,
        maker_fee_bps=fee_bps(maker_fee_bps, "maker_fee_bps"),
        taker_fee_bps=fee_bps(taker_fee_bps, "taker_fee_bps"),
        max_qty=None
        if max_qty is None
        else _floor(_positive(max_qty, "max_qty"), unit, UNITS_MAX, "max_qty"),
        reduce_only_exempt=reduce_only_exempt,
    )
