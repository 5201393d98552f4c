"""How a leg turns its remainder into one order: size, price, bound, the `Place` command.

Called by the rows of the leg that place; it never decides whether, only what. It must not look at
anything but the leg, its book and its configuration.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from machines.errors import InvariantBroken
from machines.messages import Place
from machines.order_model import Order
from machines.policy import pricing
from machines.policy.gating import book_is_valid, floor_to_lot
from machines.types import AGGRESSIVE, BUY, MARKET, PASSIVE, RUNGS

if TYPE_CHECKING:
    from machines.env import Env
    from machines.holding_model import Holding
    from machines.leg_model import Leg
    from machines.table import Out


def place(leg: Leg, out: Out) -> None:
    """Append the `Place` for the leg's remainder at its rung.

    Raises `InvariantBroken` (I6) rather than let two orders on a position be able to fill.
    """
    for order in leg.holding.orders:
        if order.alive:
            raise InvariantBroken("I6", f"{leg.id}: {order.id} may still fill", leg)
    remaining = leg.remaining
    wanted = min(remaining, leg.lag) if leg.bound_by else remaining
    qty = floor_to_lot(wanted, leg.instrument)
    if not 0 < qty <= remaining:
        text = f"{leg.id}: order of {qty} for a remainder of {remaining}"
        raise InvariantBroken("I6", text, leg)
    order = _new_order(leg, qty, out.now)
    leg.order = order
    leg.orders.append(order)
    out.commands.append(command_for(order, leg.number, reduce_only=True, now=out.now))


def _new_order(leg: Leg, qty: int, now: int) -> Order:
    """Record the leg's next order and count the attempt."""
    rung = leg.rung
    price, post_only, why = _terms(leg, rung, qty, now)
    leg.attempts += 1
    leg.attempts_total += 1
    leg.quoted_at = now
    book, settings = leg.book, leg.settings
    return enlist(
        leg.env,
        leg.holding,
        leg,
        leg.side,
        qty,
        price,
        now,
        "IOC" if rung == MARKET else "GTC",
        post_only,
        RUNGS[rung],
        why,
        leg.attempts_total,
        book.ask if leg.side == BUY else book.bid,
        book.ask - book.bid,
        settings.alarm_after_ns,
        settings.cancel_timeout_ns,
    )


def enlist(env: Env, holding: Holding, leg: Leg | None, *terms: Any) -> Order:
    """Number, name and remember a new order; `terms` are the fields of `Order` from `side` on."""
    holding.order_count += 1
    label = f"{holding.instrument.key}#{holding.order_count}"
    order = Order(env.next_order(), label, holding, holding.venue, leg, *terms)
    order.entry = holding.entry
    env.orders[order.uid] = order
    holding.orders.append(order)
    return order


def command_for(order: Order, leg: int, *, reduce_only: bool, now: int) -> Place:
    """The `Place` of a recorded order; `leg` is the leg's number, for the client id."""
    venue = order.venue
    return Place(
        now,
        order.uid,
        order.instrument.index,
        order.side,
        order.qty,
        order.price,
        order.tif,  # type: ignore[arg-type]
        order.post_only,
        reduce_only,
        now + venue.deadline_ns if venue.capabilities.deadline != "none" else 0,
        leg,
        order.attempt,
        order.rung,
        order.why,
    )


def _terms(leg: Leg, rung: int, qty: int, now: int) -> tuple[int | None, bool, str]:
    """Price (None: native market), post-only flag and a word of why."""
    if rung == PASSIVE:
        return passive_ticks(leg), True, "passive"
    instrument = leg.instrument
    waived = instrument.reduce_only_exempt != "none"
    least = 0 if waived else pricing.least_price(qty, instrument.min_notional)
    book = leg.book
    touch = book.touch(leg.side)
    if rung == AGGRESSIVE:
        price, why = aggressive_ticks(leg)
        price = pricing.worth_sending(leg.side, price, least, touch)
        return price, not pricing.reaches_touch(leg.side, price, book.bid, book.ask), why
    price = market_bound(leg, now)
    valid = book_is_valid(book.bid, book.ask, now - book.venue_at, leg.settings.book_max_age_ns)
    inside = valid and pricing.capped(leg.side, touch, price) == touch
    # A native order is valued at the mark: what only the touch makes worth enough goes as a limit.
    mark = book.mark or (book.bid + book.ask) // 2
    if inside and leg.venue.capabilities.market == "native" and mark >= least:
        return None, False, "market"
    return pricing.worth_sending(leg.side, price, least, touch), False, "bounded"


def passive_ticks(leg: Leg) -> int:
    """Where the passive rung would quote on the present book."""
    settings = leg.settings.passive_limit
    book = leg.book
    return pricing.passive_price(leg.side, settings.price, book.bid, book.ask, settings.offset_bps)


def aggressive_ticks(leg: Leg) -> tuple[int, str]:
    """Price of the aggressive rung at the leg's step, capped from the arrival mid.

    Where no book was known when the close began, the first that an order is priced by counts.
    """
    settings = leg.settings.aggressive_limit
    book = leg.book
    side = leg.side
    if not leg.start_bid:
        leg.note_arrival()
    cap = leg.cap
    if leg.step == 0 and leg.attempts == 0:
        leg.starts_at_break_even = break_even_ticks(leg) is not None
    position = leg.step - leg.starts_at_break_even
    if position < 0:
        price = break_even_ticks(leg)
        if price is not None:
            return pricing.capped(side, price, cap), "break_even"
        position = 0
    price = pricing.stepped_price(side, book.bid, book.ask, position, settings.inside_attempts)
    why = "inside" if position < settings.inside_attempts else "touch"
    return pricing.capped(side, price, cap), why


def break_even_ticks(leg: Leg) -> int | None:
    """The break-even price in ticks when it is wanted, near the mid and executable, else None.

    One that lies further than two ticks beyond the far touch ends there.
    """
    settings = leg.settings
    if not settings.break_even or leg.sibling is None:
        return None
    price = leg.close.break_even_base(leg)
    if price is None:
        return None
    instrument = leg.instrument
    price = instrument.venue_price(price)
    book = leg.book
    mid = Decimal(book.bid + book.ask) / 2 * instrument.tick
    if not pricing.within_pct(price, mid, settings.break_even_max_deviation_pct):
        return None
    ticks = pricing.maker_ticks(leg.side, price, instrument.tick)
    if not pricing.is_executable(leg.side, ticks, book.bid, book.ask):
        return None
    return pricing.near_touch(leg.side, ticks, book.bid, book.ask)


def market_bound(leg: Leg, now: int) -> int:
    """Bound of the next market attempt, from the mid, or from the mark without a valid book.

    A retry of a stuck leg goes on with the widest bound that the rung has come to.
    """
    settings = leg.settings.market
    bps = pricing.market_bound_bps(
        settings.attempts_max if leg.retrying else leg.attempts + 1,
        settings.slippage_max_bps,
        settings.widen_bps,
        settings.slippage_abs_max_bps,
    )
    book = leg.book
    valid = book_is_valid(book.bid, book.ask, now - book.venue_at, leg.settings.book_max_age_ns)
    bid, ask = (book.bid, book.ask) if valid else (book.mark, book.mark)
    return pricing.taker_bound(leg.side, bid, ask, bps, settings.slippage_abs_max_bps)
