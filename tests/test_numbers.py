"""The range of numbers: decided once, kept at every way in, and wide enough for their sums."""

import sqlite3
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.messages import FillReported, PositionMoved, TopSeen
from machines.types import MS, NS, Instrument
from tests.test_sim_venue import Desk
from venues.instruments import (
    base_to_units,
    ceil_tick,
    checked,
    floor_tick,
    floor_units,
    notional_floor,
    scale_instrument,
    to_ticks,
    to_units,
)
from venues.numbers import (
    INT64_MAX,
    MONEY_MAX,
    NOTIONAL_MAX,
    TICKS_MAX,
    TIME_MAX_NS,
    UNITS_MAX,
    NumberRefused,
    exact,
    fee_bps,
    money,
    nanoseconds,
    quoted,
    whole,
)

#: A present time, as late as anybody runs this version.
YEAR_2043_NS = 2_303_683_200 * NS

# ---------------------------------------------------------------- why the range is what it is


def test_the_largest_numbers_can_be_journaled_and_stored() -> None:
    fill = FillReported(
        YEAR_2043_NS, YEAR_2043_NS, 0, INT64_MAX, "t", 1, TICKS_MAX, UNITS_MAX, UNITS_MAX,
        MONEY_MAX, True,
    )  # fmt: skip
    top = TopSeen(0, 0, 0, TICKS_MAX, UNITS_MAX, TICKS_MAX, UNITS_MAX, TICKS_MAX)
    for fact in (fill, top, PositionMoved(0, 0, 0, -UNITS_MAX, "manual")):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=type(fact)) == fact
    with sqlite3.connect(":memory:") as database:
        for number in (-UNITS_MAX, TICKS_MAX, NOTIONAL_MAX, YEAR_2043_NS + 4 * TIME_MAX_NS):
            assert database.execute("SELECT ?", (number,)).fetchone() == (number,)
    database.close()


def test_sums_of_the_largest_numbers_have_room() -> None:
    assert 9000 * UNITS_MAX < INT64_MAX
    assert YEAR_2043_NS + 4 * TIME_MAX_NS < INT64_MAX


@given(
    st.integers(-UNITS_MAX, UNITS_MAX),
    st.integers(1, 10**12 - 1),
    st.integers(-26, 10),
    st.sampled_from(["1", "1000", "0.001"]),
)
def test_prices_and_positions_are_exact_when_they_are_shown(
    count: int, digits: int, exponent: int, multiplier: str
) -> None:
    step = Decimal(digits).scaleb(exponent)
    rules = scale_instrument(0, "a:X", step, step, multiplier=multiplier)
    assert Fraction(rules.price(count)) == count * Fraction(step)
    assert Fraction(rules.base(count)) == count * Fraction(step) * Fraction(multiplier)
    assert rules.price(count).quantize(step / 10) == rules.price(count)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "value",
    [
        "9e-999999999",
        "1e999999999",
        Decimal("9e-999999999"),
        Decimal("1e999999"),
        "9" * 1_000_000,
        "0" * 64 + "1",
        "0." + "0" * 1_000_000 + "1",
        1 << 4_000_000,
        -(1 << 4_000_000),
        "\uff11",
        "1_000",
        " 1",
        "0x10",
        "1\x00",
        "sNaN",
        [1],
    ],
    ids=lambda value: quoted(value)[:12],
)
def test_a_bomb_is_refused_by_name_without_being_written_out(value: Any) -> None:
    begun = time.process_time()
    with pytest.raises(NumberRefused, match="qty: ") as caught:
        exact(value, "qty")
    assert time.process_time() - begun < 1
    assert caught.value.name == "qty"
    assert len(str(caught.value)) < 200


def test_an_integer_that_python_would_not_write_is_told_by_its_size() -> None:
    assert quoted(1 << 20_000) == "an integer of 20001 bits"
    assert quoted(12) == "12"
    assert quoted("x" * 99) == f"'{'x' * 60}'..."


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (lambda value: whole(value, "n", 1, 9), ["1", 9, "9.0"], [0, 10, "1.5", -1, True]),
        (lambda value: nanoseconds(value, MS, "t"), [0, "1e12", "1e-6"], [-1, "1e-7", "1.1e12"]),
        (lambda value: money(value, "m"), [0, "1e15", "-1e15"], ["1000000000000000.1", "-1e16"]),
        (lambda value: fee_bps(value, "f"), [-100, 0, "9999"], [-101, 10000, "1e9"]),
    ],
    ids=["whole", "nanoseconds", "money", "fee"],
)  # fmt: skip
def test_what_a_number_counts_has_bounds_that_are_allowed_themselves(
    read: Any, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        read(value)
    for value in bad:
        with pytest.raises(NumberRefused):
            read(value)


# ---------------------------------------------------------------- scaling

RULES = scale_instrument(0, "a:X", "0.01", "0.1", multiplier="10")


@pytest.mark.parametrize(
    ("convert", "largest"),
    [
        (to_ticks, "1e13"),
        (lambda value, rules: floor_tick(Decimal(value), rules), "1e13"),
        (lambda value, rules: ceil_tick(Decimal(value), rules), "1e13"),
        (to_units, "1e14"),
        (lambda value, rules: floor_units(Decimal(value), rules), "1e14"),
        (base_to_units, "1e15"),
        (notional_floor, "1e15"),
    ],
    ids=["to_ticks", "floor_tick", "ceil_tick", "to_units", "floor_units", "base", "notional"],
)
def test_nothing_that_the_core_cannot_hold_comes_out_of_a_conversion(
    convert: Any, largest: str
) -> None:
    assert abs(convert(largest, RULES)) in (UNITS_MAX, NOTIONAL_MAX)
    beyond = Decimal(largest) + 1
    for value in (beyond, Decimal("1e30"), -beyond):
        with pytest.raises(NumberRefused):
            convert(value, RULES)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"tick": "0.1234567890123"}, "tick"),
        ({"lot": "1." + "0" * 29 + "1"}, "lot"),
        ({"multiplier": "1234567890.123"}, "multiplier"),
        ({"lot": "123456789", "multiplier": "987654321"}, "lot times multiplier"),
        ({"min_qty": "1e16"}, "min_qty"),
        ({"min_notional": "1e16"}, "min_notional"),
        ({"tick": "1e-9", "lot": "1e-9", "min_notional": "1.1"}, "min_notional"),
        ({"min_notional": "1e15", "lot": "1e-3", "type": "inverse"}, "min_notional"),
        ({"quantities": [Decimal("1e-16")]}, "lot"),
        ({"taker_fee_bps": "10000"}, "taker_fee_bps"),
        ({"max_qty": "1e16"}, "max_qty"),
    ],
)
def test_rules_that_come_to_more_than_the_core_can_hold_are_refused_by_field(
    rules: dict[str, Any], field: str
) -> None:
    with pytest.raises(NumberRefused) as caught:
        scale_instrument(0, "a:X", **{"tick": "1", "lot": "1", **rules})
    assert caught.value.name == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tick", Decimal(0)),
        ("unit", Decimal("NaN")),
        ("multiplier", Decimal("9e999999999")),
        ("lot", 0),
        ("lot", 10**30),
        ("min_qty", -1),
        ("min_notional", NOTIONAL_MAX + 1),
        ("taker_fee_bps", Decimal(10000)),
    ],
)
def test_rules_that_were_written_down_are_checked_when_they_are_read_again(
    field: str, value: Any
) -> None:
    assert checked(RULES) is RULES
    spoilt: Instrument = msgspec.structs.replace(RULES, **{field: value})
    with pytest.raises(NumberRefused, match=field):
        checked(spoilt)


# ---------------------------------------------------------------- the venue's own memory


def test_a_venue_remembers_a_value_that_has_more_than_64_bits() -> None:
    desk = Desk()
    desk.place(price=9000, qty=100)
    desk.run()
    desk.venue.script.fill(desk.instrument.index, UNITS_MAX, TICKS_MAX)
    (order,) = desk.venue.exchange.orders.values()
    assert order.value == TICKS_MAX * UNITS_MAX > 2**64
    fresh = Desk().venue
    fresh.import_state(desk.venue.export_state())
    assert fresh.exchange.orders[order.number].value == order.value
    assert fresh.export_state() == desk.venue.export_state()
