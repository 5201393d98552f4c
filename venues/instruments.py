"""Scales a venue's decimal trading rules to the integers of `machines.types.Instrument` and back.

Decimals end here: text from files and wires comes in, ticks and units go out. This module must not
round silently (a value that does not fit is an error unless the call says floor or ceil) and must
not know venues, orders or clocks.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Literal

from machines.types import Instrument

EXPONENT_MAX = 30
DIGITS_MAX = 40

Exempt = Literal["none", "notional", "all"]
ContractType = Literal["linear", "spot", "inverse"]


def exact(value: object, name: str = "value") -> Decimal:
    """Read a finite decimal from text, int or `Decimal`.

    Raises ValueError for floats, NaN, infinities, exponents beyond +-30 and more than 40 digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{name}: {value!r} is not a decimal; give it as a string")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{name}: {value!r} is not a decimal") from None
    if not number.is_finite():
        raise ValueError(f"{name}: {value!r} is not a finite number")
    digits = number.as_tuple()
    scale = int(digits.exponent)
    if not -EXPONENT_MAX <= scale <= EXPONENT_MAX:
        raise ValueError(f"{name}: {value!r} has an exponent beyond +-{EXPONENT_MAX}")
    if len(digits.digits) > DIGITS_MAX:
        raise ValueError(f"{name}: {value!r} has more than {DIGITS_MAX} digits")
    return number


def _ratio(value: Decimal, step: Decimal) -> tuple[int, int]:
    """Return `value / step` as an exact fraction with a positive denominator (`step` > 0)."""
    top, bottom = value.as_integer_ratio()
    step_top, step_bottom = step.as_integer_ratio()
    return top * step_bottom, bottom * step_top


def _floor(value: Decimal, step: Decimal) -> int:
    top, bottom = _ratio(value, step)
    return top // bottom


def _ceil(value: Decimal, step: Decimal) -> int:
    top, bottom = _ratio(value, step)
    return -(-top // bottom)


def _whole(value: Decimal, step: Decimal, name: str) -> int:
    top, bottom = _ratio(value, step)
    if top % bottom:
        raise ValueError(f"{name}: {value} is not a multiple of {step}")
    return top // bottom


def floor_tick(price: Decimal, instrument: Instrument) -> int:
    """Return the highest tick at or below `price`."""
    return _floor(price, instrument.tick)


def ceil_tick(price: Decimal, instrument: Instrument) -> int:
    """Return the lowest tick at or above `price`."""
    return _ceil(price, instrument.tick)


def to_ticks(value: object, instrument: Instrument, name: str = "price") -> int:
    """Convert a price to ticks; ValueError unless it lies on one."""
    return _whole(exact(value, name), instrument.tick, name)


def to_units(value: object, instrument: Instrument, name: str = "qty") -> int:
    """Convert a quantity of the venue's contracts to units; ValueError unless it is whole."""
    return _whole(exact(value, name), instrument.unit, name)


def floor_units(value: Decimal, instrument: Instrument) -> int:
    """Return the largest whole number of units in a quantity of contracts (displayed sizes)."""
    return _floor(value, instrument.unit)


def base_to_units(value: object, instrument: Instrument, name: str = "qty") -> int:
    """Convert a position in base units (inverse: quote value) to units; ValueError unless whole."""
    return _whole(exact(value, name), instrument.unit * instrument.multiplier, name)


def base_to_contracts(value: object, multiplier: object, name: str = "qty") -> Decimal:
    """Convert a position in base units to the venue's contracts; ValueError if not a decimal."""
    size = _positive(multiplier, "multiplier")
    top, bottom = _ratio(exact(value, name), size)
    scale = 0
    while top * 10**scale % bottom:
        scale += 1
        if scale > EXPONENT_MAX:
            raise ValueError(f"{name}: {value} is no finite number of contracts of {size}")
    return Decimal(top * 10**scale // bottom).scaleb(-scale)


def _positive(value: object, name: str) -> Decimal:
    number = exact(value, name)
    if number <= 0:
        raise ValueError(f"{name}: {number} must be above 0")
    return number


def _at_least_zero(value: object, name: str) -> Decimal:
    number = exact(value, name)
    if number < 0:
        raise ValueError(f"{name}: {number} must not be negative")
    return number


def _unit(lot: Decimal, quantities: Iterable[Decimal]) -> Decimal:
    """Return the lot, or the power of ten that divides the lot and every quantity."""
    scale = 0
    fits = True
    for value in (lot, *quantities):
        top, bottom = _ratio(value, lot)
        fits = fits and not top % bottom
        scale = min(scale, int(value.normalize().as_tuple().exponent))
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
    Raises ValueError naming the offending field.
    """
    venue, colon, symbol = key.partition(":")
    if not (venue and colon and symbol):
        raise ValueError(f"instrument {key!r}: expected '<venue>:<symbol>'")
    step = _positive(tick, "tick")
    whole = _positive(lot, "lot")
    contract = _positive(multiplier, "multiplier")
    unit = _unit(whole, [exact(value, "qty") for value in quantities])
    least = _ceil(_at_least_zero(min_qty, "min_qty"), unit)
    value = _at_least_zero(min_notional, "min_notional")
    if type == "inverse":
        least = max(least, _ceil(value, unit * contract))
        notional = 0
    else:
        notional = _ceil(value, unit * step)
    return Instrument(
        index=index,
        key=key,
        venue=venue,
        symbol=symbol,
        tick=step,
        unit=unit,
        lot=_whole(whole, unit, "lot"),
        min_qty=least,
        min_notional=notional,
        multiplier=contract,
        type=type,
        maker_fee_bps=exact(maker_fee_bps, "maker_fee_bps"),
        taker_fee_bps=exact(taker_fee_bps, "taker_fee_bps"),
        max_qty=None if max_qty is None else _floor(_positive(max_qty, "max_qty"), unit),
        reduce_only_exempt=reduce_only_exempt,
    )
