"""The price at which a pair ends at zero: no more than the market asks, exact for any contract."""

from __future__ import annotations

from decimal import Decimal

import pytest

from machines.policy import pricing
from machines.types import BUY, SELL, Instrument


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (BUY, 10_041, 10_003),
        (BUY, 10_003, 10_003),
        (BUY, 9_999, 9_999),
        (SELL, 9_900, 9_998),
        (SELL, 9_998, 9_998),
        (SELL, 10_002, 10_002),
    ],
)
def test_break_even_goes_at_most_two_ticks_beyond_the_far_touch(
    side: int, price: int, expected: int
) -> None:
    assert pricing.near_touch(side, price, 10_000, 10_001) == expected


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("fee_bps", ["0", "5", "-1"])
@pytest.mark.parametrize("realised", ["1200", "-310.5", "0"])
def test_an_inverse_leg_closed_at_its_break_even_leaves_nothing(
    side: int, fee_bps: str, realised: str
) -> None:
    contract = Instrument(
        index=0,
        key="b:BTCUSD",
        venue="b",
        symbol="BTCUSD",
        tick=Decimal("0.1"),
        unit=Decimal(1),
        lot=1,
        min_qty=1,
        min_notional=0,
        multiplier=Decimal(100),
        type="inverse",
    )
    units, entry, fee = 228, Decimal(57_000), Decimal(fee_bps)
    value = contract.base(units)
    price = pricing.break_even_inverse(side, entry, value, fee, Decimal(realised))
    assert price is not None
    earned = contract.result(-side * units, entry, price) - value * fee / 10_000
    assert abs(Decimal(realised) + earned) < Decimal("1e-18")


def test_an_inverse_leg_that_can_never_earn_the_loss_back_has_no_break_even() -> None:
    loss = Decimal(-30_000)
    assert (
        pricing.break_even_inverse(BUY, Decimal(57_000), Decimal(22_800), Decimal(0), loss) is None
    )
    assert pricing.break_even_inverse(BUY, Decimal(57_000), Decimal(0), Decimal(0), loss) is None
