"""Where an order is priced: every rung, its bounds and the break-even price; pure integer ticks.

Rounding is always on the safe side of the rung: a maker buys lower and sells higher, a taker's
bound buys higher and sells lower, and the hard caps hold after rounding.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from machines.types import BUY

TEN_THOUSAND = Decimal(10_000)
#: Break-even is tried only within this many ticks short of the far touch, and goes no further
#: beyond it: what lies past the touch is not what the market pays, it is given away (close.md 3).
EXECUTABLE_WITHIN_TICKS = 2


def floor_ticks(price: Decimal, tick: Decimal) -> int:
    """Largest multiple of the tick not above `price`; a tick need not be a power of ten."""
    return int((price / tick).to_integral_value(ROUND_FLOOR))


def ceil_ticks(price: Decimal, tick: Decimal) -> int:
    """Smallest multiple of the tick not below `price`."""
    return int((price / tick).to_integral_value(ROUND_CEILING))


def maker_ticks(side: int, price: Decimal, tick: Decimal) -> int:
    """Round a maker's price: buy down, sell up."""
    return floor_ticks(price, tick) if side == BUY else ceil_ticks(price, tick)


def taker_ticks(side: int, price: Decimal, tick: Decimal) -> int:
    """Round a taker's bound: buy up, sell down."""
    return ceil_ticks(price, tick) if side == BUY else floor_ticks(price, tick)


def passive_price(side: int, mode: str, bid: int, ask: int, offset_bps: Decimal) -> int:
    """Price of a post-only order on a valid book (bid < ask), never at the far side."""
    if mode == "own_touch":
        return bid if side == BUY else ask
    if mode == "mid":
        if side == BUY:
            return min((bid + ask) // 2, ask - 1)
        return max(-(-(bid + ask) // 2), bid + 1)
    share = offset_bps / TEN_THOUSAND
    if side == BUY:
        return min(floor_ticks(ask * (1 - share), Decimal(1)), ask - 1)
    return max(ceil_ticks(bid * (1 + share), Decimal(1)), bid + 1)


def has_moved_away(side: int, resting: int, wanted: int, ticks: int) -> bool:
    """Whether the reference price has left a resting order behind by more than `ticks`."""
    return (wanted - resting if side == BUY else resting - wanted) > ticks


def cap_from(side: int, bid: int, ask: int, bps: Decimal) -> int:
    """Worst price allowed, `bps` from the mid of (bid, ask); the cap holds after rounding."""
    mid = Decimal(bid + ask) / 2
    if side == BUY:
        return int((mid * (1 + bps / TEN_THOUSAND)).to_integral_value(ROUND_FLOOR))
    return int((mid * (1 - bps / TEN_THOUSAND)).to_integral_value(ROUND_CEILING))


def taker_bound(side: int, bid: int, ask: int, bps: Decimal, absolute_bps: Decimal) -> int:
    """Bound of a market attempt in ticks: `bps` from the mid, never beyond `absolute_bps`.

    A taker's bound buys up and sells down to the tick; the absolute cap holds after rounding.
    """
    share = bps / TEN_THOUSAND
    price = Decimal(bid + ask) / 2 * (1 + share if side == BUY else 1 - share)
    cap = cap_from(side, bid, ask, absolute_bps)
    return capped(side, taker_ticks(side, price, Decimal(1)), cap)


def capped(side: int, price: int, cap: int) -> int:
    """The price, or the cap where the price is worse."""
    return min(price, cap) if side == BUY else max(price, cap)


def least_price(units: int, min_notional: int) -> int:
    """Lowest price in ticks at which `units` reach a minimum notional of ticks * units."""
    return -(-min_notional // units)


def worth_sending(side: int, price: int, least: int, touch: int) -> int:
    """The price, or for a seller at or beyond the touch at least the price `least`.

    A venue values an order at its own limit (venues I4). A seller's bound far below the touch would
    be refused as too small where the touch itself is worth enough; a buyer's is worth more anyway.
    """
    return price if side == BUY or not price < least <= touch else least


def stepped_price(side: int, bid: int, ask: int, position: int, inside_attempts: int) -> int:
    """Price at a step of the aggressive rung after any break-even step, before the cap.

    Positions below `inside_attempts` stay one tick inside the spread, the next is the far touch,
    each further one a tick beyond it.
    """
    if position < inside_attempts:
        return ask - 1 if side == BUY else bid + 1
    beyond = position - inside_attempts
    return ask + beyond if side == BUY else bid - beyond


def reaches_touch(side: int, price: int, bid: int, ask: int) -> bool:
    """Whether a limit at `price` would take liquidity."""
    return price >= ask if side == BUY else price <= bid


def is_executable(side: int, price: int, bid: int, ask: int) -> bool:
    """Whether a price lies within two ticks of the far touch, on our side of it or beyond."""
    if side == BUY:
        return price >= ask - EXECUTABLE_WITHIN_TICKS
    return price <= bid + EXECUTABLE_WITHIN_TICKS


def near_touch(side: int, price: int, bid: int, ask: int) -> int:
    """The price, or two ticks beyond the far touch where it lies further on the losing side."""
    if side == BUY:
        return min(price, ask + EXECUTABLE_WITHIN_TICKS)
    return max(price, bid - EXECUTABLE_WITHIN_TICKS)


def market_bound_bps(attempt: int, first: Decimal, widen: Decimal, absolute: Decimal) -> Decimal:
    """Slippage bound of market attempt number `attempt` (from 1)."""
    return min(first + widen * (attempt - 1), absolute)


def break_even_from_sibling(
    side: int, sibling_average: Decimal, sibling_fee_bps: Decimal, own_fee_bps: Decimal
) -> Decimal:
    """Base price at which a leg undoes its sibling without loss, fees of both included.

    A buying leg's sibling sold: average * (1 - f_sibling) = price * (1 + f_own), and mirrored.
    Prices are per base unit.
    """
    own = own_fee_bps / TEN_THOUSAND
    sibling = sibling_fee_bps / TEN_THOUSAND
    if side == BUY:
        return sibling_average * (1 - sibling) / (1 + own)
    return sibling_average * (1 + sibling) / (1 - own)


def break_even_from_entries(
    side: int,
    entry: Decimal,
    rest_base: Decimal,
    own_fee_bps: Decimal,
    realised: Decimal,
) -> Decimal | None:
    """Base price at which the pair's realised result is zero, None if there is none above zero.

    `realised` is what both legs have earned so far less the fees they paid; `rest_base` is what is
    still to be closed. For a buy: realised + rest * (entry - p) - rest * p * f = 0.
    """
    if rest_base <= 0:
        return None
    fee = own_fee_bps / TEN_THOUSAND
    per_base = realised / rest_base
    price = (entry + per_base) / (1 + fee) if side == BUY else (entry - per_base) / (1 - fee)
    return price if price > 0 else None


def break_even_inverse(
    side: int, entry: Decimal, rest_value: Decimal, own_fee_bps: Decimal, realised: Decimal
) -> Decimal | None:
    """As `break_even_from_entries` for an inverse contract, None if there is none above zero.

    `rest_value` is the quote value of the contracts still to be closed, which is what they are
    worth at any price; in base units they are rest_value / p. For a buy, with everything valued at
    p: realised + rest_value * (1 - p / entry) - rest_value * f = 0.
    """
    if rest_value <= 0:
        return None
    share = realised / rest_value - own_fee_bps / TEN_THOUSAND
    price = entry * (1 + share if side == BUY else 1 - share)
    return price if price > 0 else None


def within_pct(price: Decimal, reference: Decimal, limit_pct: Decimal) -> bool:
    """Whether `price` deviates from `reference` by at most `limit_pct` per cent."""
    return reference > 0 and abs(price - reference) * 100 <= reference * limit_pct
