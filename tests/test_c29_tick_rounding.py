"""C29: a price is rounded to the tick on the safe side of its rung, whatever the tick.

Ticks need not be powers of ten, so places after the point decide nothing. Must not use floats.
"""

from decimal import Decimal

import pytest

from machines.policy.pricing import cap_from, maker_ticks, passive_price, taker_ticks
from machines.types import BUY, SELL

WANTED = Decimal("100.3")

#: Tick, the multiple below the wanted price, the multiple above it.
TICKS = (
    ("0.5", "100.0", "100.5"),
    ("0.25", "100.25", "100.50"),
    ("5", "100", "105"),
    ("10", "100", "110"),
)


@pytest.mark.parametrize(("tick", "below", "above"), TICKS)
def test_a_maker_buys_lower_and_sells_higher(tick: str, below: str, above: str) -> None:
    step = Decimal(tick)
    assert maker_ticks(BUY, WANTED, step) * step == Decimal(below)
    assert maker_ticks(SELL, WANTED, step) * step == Decimal(above)


@pytest.mark.parametrize(("tick", "below", "above"), TICKS)
def test_a_taker_s_bound_reaches_further(tick: str, below: str, above: str) -> None:
    step = Decimal(tick)
    assert taker_ticks(BUY, WANTED, step) * step == Decimal(above)
    assert taker_ticks(SELL, WANTED, step) * step == Decimal(below)


@pytest.mark.parametrize("tick", ["0.5", "0.25", "5", "10"])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_price_on_the_tick_stays_where_it_is(side: int, tick: str) -> None:
    step = Decimal(tick)
    assert maker_ticks(side, Decimal(100), step) * step == 100
    assert taker_ticks(side, Decimal(100), step) * step == 100


def test_a_mid_between_two_ticks_goes_to_the_own_side() -> None:
    bid, ask = 200, 203
    assert passive_price(BUY, "mid", bid, ask, Decimal(1)) == 201
    assert passive_price(SELL, "mid", bid, ask, Decimal(1)) == 202


def test_a_cap_holds_after_rounding() -> None:
    bid, ask = 200, 203
    mid = Decimal("201.5")
    for bps in (Decimal(50), Decimal(51), Decimal(200)):
        assert cap_from(BUY, bid, ask, bps) <= mid * (1 + bps / 10_000)
        assert cap_from(SELL, bid, ask, bps) >= mid * (1 - bps / 10_000)
    assert cap_from(BUY, bid, ask, Decimal(50)) == 202
    assert cap_from(SELL, bid, ask, Decimal(50)) == 201
