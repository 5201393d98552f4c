"""C33: where a venue has a minimum in base and one in quote, both bind, and the first is named.

Figures of one venue: 10 in quote, 0.05 in base, no exemption for orders that only reduce. Must not
run an engine; the whole close is the scenario of the same id.
"""

from decimal import Decimal

from machines.policy.gating import below_minimum
from machines.types import Instrument

PRICE = 514_000
VENUE = Instrument(
    index=0,
    key="b:ZEC",
    venue="b",
    symbol="ZEC",
    tick=Decimal("0.001"),
    unit=Decimal("0.001"),
    lot=1,
    min_qty=50,
    min_notional=10_000_000,
)


def test_a_rest_worth_the_quote_minimum_is_below_the_base_minimum() -> None:
    assert VENUE.notional(21, VENUE.price(PRICE)) == Decimal("10.794")
    assert below_minimum(21, PRICE, VENUE, "none") == "below_minimum_base"


def test_the_base_minimum_binds_where_only_the_notional_is_waived() -> None:
    assert below_minimum(21, PRICE, VENUE, "notional") == "below_minimum_base"
    assert below_minimum(50, 1, VENUE, "notional") == ""


def test_the_quote_minimum_binds_where_the_base_minimum_is_met() -> None:
    assert below_minimum(50, 199_999, VENUE, "none") == "below_minimum_notional"
    assert below_minimum(50, 200_000, VENUE, "none") == ""


def test_a_venue_that_waives_both_takes_any_lot() -> None:
    assert below_minimum(1, 1, VENUE, "all") == ""
    assert below_minimum(0, PRICE, VENUE, "all") == "below_lot"
