"""Decimal trading rules and their integers."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.instruments import (
    base_to_contracts,
    base_to_units,
    ceil_tick,
    exact,
    floor_tick,
    floor_units,
    scale_instrument,
    to_ticks,
    to_units,
)


@pytest.mark.parametrize(
    "value", ["nan", "Infinity", "-inf", "1e31", "1e-31", "1" * 41, 0.5, True, "1,5", "", None]
)
def test_what_is_no_bounded_decimal_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="qty"):
        exact(value, "qty")


@pytest.mark.parametrize(
    ("tick", "price", "low", "high"),
    [
        ("0.5", "100.3", "100.0", "100.5"),
        ("0.25", "100.3", "100.25", "100.50"),
        ("5", "100.3", "100", "105"),
        ("10", "100.3", "100", "110"),
        ("0.0000001", "0.0000123", "0.0000123", "0.0000123"),
    ],
)
def test_prices_round_to_multiples_of_the_tick_not_to_decimals(
    tick: str, price: str, low: str, high: str
) -> None:
    instrument = scale_instrument(0, "a:X", tick, "1")
    value = Decimal(price)
    assert floor_tick(value, instrument) * instrument.tick == Decimal(low)
    assert ceil_tick(value, instrument) * instrument.tick == Decimal(high)


def test_what_does_not_fit_is_an_error_not_a_rounding() -> None:
    instrument = scale_instrument(0, "a:X", "0.5", "0.1", multiplier="1000")
    assert to_ticks("100.5", instrument) == 201
    assert to_units("2.3", instrument) == 23
    assert base_to_units("-2300", instrument) == -23
    assert floor_units(Decimal("2.39"), instrument) == 23
    for call, value in ((to_ticks, "100.3"), (to_units, "2.35"), (base_to_units, "2350")):
        with pytest.raises(ValueError, match="must be a multiple"):
            call(value, instrument)


def test_the_unit_is_the_lot_unless_a_quantity_is_finer() -> None:
    plain = scale_instrument(0, "a:X", "0.01", "0.5", quantities=[Decimal("2.5")])
    assert (plain.unit, plain.lot) == (Decimal("0.5"), 1)
    finer = scale_instrument(
        0, "a:X", "0.01", "0.001", "0.05", "5", quantities=[Decimal("10.0005"), Decimal(3)]
    )
    assert (finer.unit, finer.lot, finer.min_qty) == (Decimal("0.0001"), 10, 500)
    assert finer.min_notional == 5_000_000
    odd = scale_instrument(0, "a:X", "1", "0.25", quantities=[Decimal("0.1")])
    assert (odd.unit, odd.lot) == (Decimal("0.01"), 25)


def test_minimums_round_up() -> None:
    instrument = scale_instrument(0, "a:X", "0.3", "0.7", "1", "5")
    assert instrument.min_qty == 2
    assert instrument.min_notional == 24


def test_an_inverse_contract_has_its_notional_minimum_in_contracts() -> None:
    instrument = scale_instrument(
        0, "a:BTC", "0.1", "1", "1", "250", multiplier="100", type="inverse"
    )
    assert (instrument.min_qty, instrument.min_notional) == (3, 0)
    assert base_to_units("-500", instrument) == -5
    assert instrument.base(-5) == -500


def test_positions_become_contracts() -> None:
    assert base_to_contracts("2300", "1000") == Decimal("2.3")
    assert base_to_contracts(Decimal("-0.5"), 1) == Decimal("-0.5")
    with pytest.raises(ValueError, match="a finite number of contracts"):
        base_to_contracts("1", "3")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tick", "0"),
        ("lot", "-1"),
        ("min_qty", "-1"),
        ("min_notional", "nan"),
        ("multiplier", "0"),
        ("max_qty", "0"),
    ],
)
def test_impossible_rules_are_named(field: str, value: str) -> None:
    rules: dict[str, Any] = {"tick": "1", "lot": "1", field: value}
    with pytest.raises(ValueError, match=field):
        scale_instrument(0, "a:X", **rules)


def test_a_key_names_venue_and_symbol() -> None:
    assert scale_instrument(0, "a:X:Y", "1", "1").symbol == "X:Y"
    with pytest.raises(ValueError, match="expected '<venue>:<symbol>'"):
        scale_instrument(0, "X", "1", "1")


decimals = st.decimals(min_value=0, max_value=10**6, places=4, allow_nan=False)


@given(st.sampled_from(["0.5", "0.25", "3", "0.0007"]), decimals)
def test_floor_and_ceil_enclose_every_price_within_a_tick(tick: str, price: Decimal) -> None:
    instrument = scale_instrument(0, "a:X", tick, "1")
    low, high = floor_tick(price, instrument), ceil_tick(price, instrument)
    assert low * instrument.tick <= price <= high * instrument.tick
    assert high - low in (0, 1)
