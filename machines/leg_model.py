"""What a leg knows, and the views that guards and actions share; it decides nothing by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from machines.placing import passive_ticks
from machines.policy.escalating import STUCK, existing_rung
from machines.policy.gating import below_minimum, book_is_valid, floor_to_lot, gate, spread_is_wide
from machines.policy.pricing import cap_from, has_moved_away
from machines.types import (
    AGGRESSIVE,
    BUY,
    MARKET,
    PASSIVE,
    SELL,
)

if TYPE_CHECKING:
    from machines.close_model import Close
    from machines.env import Env
    from machines.holding_model import Holding
    from machines.order_model import Order


ZERO = Decimal(0)
FREE = -1
ENDED = ("done", "dust")
ON_RUNG = ("passive_limit", "aggressive_limit", "market")


class Leg:
    """One leg of a close. Quantities in units, prices in ticks, times in ns."""

    __slots__ = (
        "agreed_at", "ask_count", "attempts", "attempts_total", "balancing", "book", "clock_left",
        "close", "env", "excused", "excused_for", "filled_at_end", "funding", "held", "holding",
        "id", "instrument", "keep", "liquidated", "next_rung", "number", "order", "orders",
        "outage_told", "quoted_at", "read_after", "refusals", "requotes", "retried_at", "retrying",
        "rung", "settings", "sibling", "side", "spread_until", "start_ask", "start_bid",
        "start_qty", "starts_at_break_even", "state", "step", "taken_fees", "taken_priced",
        "taken_units", "taken_value", "timers", "uid", "venue", "wait_reason",
    )  # fmt: skip

    def __init__(self, close: Close, number: int, holding: Holding, env: Env) -> None:
        self.close = close
        self.number = number
        self.holding = holding
        self.env = env
        self.book = holding.book
        self.instrument = holding.instrument
        self.venue = holding.venue
        self.settings = close.settings
        self.id = holding.instrument.key
        self.uid = env.enlist(self)
        self.sibling: Leg | None = None
        self.state = "idle"
        self.timers: dict[str, int] = {}
        self.order: Order | None = None
        self.orders: list[Order] = []
        self.attempts_total = 0
        self.start_qty = 0
        self.keep = 0
        #: `holding.filled` when the close ended.
        self.filled_at_end = 0
        self.start_bid = 0
        self.start_ask = 0
        self.liquidated = False
        #: What the venue did to the position by itself: signed units, how many of them at a known
        #: price, the sum of ticks * units of those, and what it charged.
        self.taken_units = 0
        self.taken_priced = 0
        self.taken_value = 0
        self.taken_fees = ZERO
        #: Received (paid: below 0) in quote currency while the close owned the position.
        self.funding = ZERO
        #: Stays without an order until the close starts it: at first, while held back, once ended.
        self.held = True
        self.retrying = False
        self.retried_at = 0
        #: Since when a read of the position is awaited that settles a refusal; 0: none is.
        self.read_after = 0
        #: When the newest read was asked that agreed on what is held, while its close reconciles.
        self.agreed_at = 0
        self.ask_count = 0
        #: Reasons of refusals that spent no attempt, and what held when they did not: the position
        #: and the rules. A change of either makes them new again.
        self.excused: tuple[str, ...] = ()
        self.excused_for = (0, 0)
        self.wait_reason = ""
        #: The outage for which the pair waits together and of which a person was told: its begin.
        self.outage_told = -1
        #: What is left of the rung's time while its clock stands, in ns; below 0: it runs.
        self.clock_left = -1
        #: Until when a wide spread is waited for, over all rungs; 0: none is.
        self.spread_until = 0
        self.balancing = False
        self.side = BUY if holding.qty < 0 else SELL
        self.rung = PASSIVE
        self.next_rung = FREE
        self._reset()

    def _reset(self) -> None:
        self.attempts = 0
        self.step = 0
        self.refusals = 0
        self.requotes = 0
        self.quoted_at = 0
        self.starts_at_break_even = False

    def note_taken(self, units: int, price: int | None, fee: Decimal = ZERO) -> None:
        """Count what the venue did by itself as a fill of its own; a price of None is unknown."""
        self.taken_units += units
        if price is not None:
            self.taken_priced += units
            self.taken_value += units * price
        self.taken_fees += fee

    @property
    def rest(self) -> int:
        """Signed units still to go; its sign is that of the position.

        A position that an over-fill took below what was to be kept is not built up again, and one
        that it took through zero goes back to zero.
        """
        qty, keep = self.holding.qty, self.keep
        if not keep or qty * keep < 0:
            return qty
        return qty - keep if abs(qty) > abs(keep) else 0

    @property
    def remaining(self) -> int:
        """Units still to be traded on the closing side; 0 when the side would have to change."""
        rest = -self.rest if self.side == BUY else self.rest
        return rest if rest > 0 else 0

    @property
    def bound_by(self) -> str:
        """Why the leg may only catch up with its sibling, for the difference and no more.

        `together` while the pair waits for a venue, `balanced` after the exposure budget was spent
        and the sibling is still quoting patiently; empty if it may close what remains.
        """
        sibling = self.sibling
        if sibling is None or sibling.state in ENDED:
            return ""
        if self.close.waits_together:
            return "together"
        patient = max(sibling.rung, sibling.next_rung) == PASSIVE
        return "balanced" if self.balancing and patient else ""

    @property
    def lag(self) -> int:
        """By how many units the leg may go on where it may only catch up."""
        return self.close.behind(self) if self.close.waits_together else self.close.lag_of(self)

    @property
    def circumstances(self) -> tuple[int, int]:
        """What a refusal may have been about: the position held, and the version of the rules."""
        return self.holding.qty, self.instrument.version

    @property
    def excuses(self) -> tuple[str, ...]:
        """Reasons for which a refusal was excused, and nothing has changed since."""
        return self.excused if self.excused_for == self.circumstances else ()

    @property
    def busy(self) -> bool:
        """Whether an order of this leg may still fill."""
        return self.order is not None and self.order.alive

    @property
    def is_kept_below(self) -> bool:
        """Whether an order rests below the rung wished for, since its venue took no other."""
        return self.state in ON_RUNG and self.next_rung > self.rung and self.busy

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def fix_target(self, keep: int) -> None:
        """Fix what is to be closed, and the arrival price that caps the aggressive rung."""
        self.start_qty = self.holding.qty
        self.keep = keep
        self.start_bid = self.start_ask = 0
        self.note_arrival()
        self.aim()

    def note_arrival(self) -> None:
        """Remember the present book as that of the arrival, if it has two sides."""
        book = self.book
        if book.bid and book.ask:
            self.start_bid = book.bid
            self.start_ask = book.ask

    def aim(self) -> None:
        """Point the leg at what remains now: its side."""
        self.side = BUY if self.rest < 0 else SELL
        self.next_rung = FREE
        self.balancing = False
        self.read_after = 0

    @property
    def cap(self) -> int:
        """The worst price of the aggressive rung, in ticks, from the arrival mid."""
        bps = self.settings.aggressive_limit.slippage_max_bps
        return cap_from(self.side, self.start_bid, self.start_ask, bps)


def _reference_price(leg: Leg) -> int:
    """Ticks at which a remainder is valued against the minimum notional."""
    order = leg.order
    if order is not None and order.price and order.alive:
        return order.price
    return leg.book.touch(leg.side)


def untradeable(leg: Leg) -> str:
    """Why what remains cannot be sent to this venue; empty if it can."""
    size = floor_to_lot(leg.remaining, leg.instrument)
    exempt = leg.instrument.reduce_only_exempt
    return below_minimum(size, _reference_price(leg), leg.instrument, exempt)


def shut_by(leg: Leg, now: int) -> str:
    """Why the leg may not place now; empty when every gate is open."""
    settings = leg.settings
    book = leg.book
    bid, ask = book.bid, book.ask
    session = leg.holding.session
    close = leg.close
    limit = settings.spread_max_pct if close.urgency == "normal" else settings.spread_max_urgent_pct
    return gate(
        rung=leg.rung,
        halted=leg.env.halted,
        trusted=session.trusted,
        mode=session.mode,
        post_only=leg.rung == PASSIVE,
        lane=leg.holding.lane.shut_for(leg.instrument.index),
        awaiting_read=leg.read_after > 0 or leg.holding.state != "settled",
        book_valid=book_is_valid(bid, ask, now - book.venue_at, settings.book_max_age_ns),
        has_mark=book.mark > 0,
        wide=bid > 0 and ask > 0 and spread_is_wide(bid, ask, limit),
        spread_waived=close.spread_waived or close.urgency == "immediate",
        level="" if not leg.bound_by or leg.lag else leg.bound_by,
    )


#: What shuts a lane for longer than a pause.
CUT_OFF = ("banned", "unready", "barred", "unfit")


def takes_orders(leg: Leg) -> bool:
    """Whether an order for more than to rest patiently could be sent to the leg's venue now."""
    holding = leg.holding
    session = holding.session
    open_lane = not holding.lane.shut_for(leg.instrument.index)
    return session.trusted and session.mode == "online" and open_lane


def exceeds_lag(leg: Leg, now: int) -> bool:
    """Whether the leg's venue can trade, and its order could fill more than it lags its sibling."""
    if leg.order is None or not leg.order.alive or is_cut_off(leg, now):
        return False
    return leg.order.open_qty > leg.lag


def outage_since(leg: Leg) -> int:
    """When what keeps the leg from trading began, in ns; not before its close started."""
    session, lane = leg.holding.session, leg.holding.lane
    since = []
    if not session.trusted:
        since.append(session.untrusted_since + leg.settings.alarm_after_ns)
    if session.mode_since:
        since.append(session.mode_since)
    if lane.refused_since:
        since.append(lane.refused_since)
    return max(min(since, default=0), leg.close.started_at)


def is_cut_off(leg: Leg, now: int) -> bool:
    """Whether the leg cannot trade on its rung: venue mode, ban or halt, or untrusted for long."""
    holding = leg.holding
    session = holding.session
    if not session.trusted:
        return now >= session.untrusted_since + leg.settings.alarm_after_ns
    quotes = session.mode == "post_only" and leg.rung == PASSIVE
    if session.mode != "online" and not quotes:
        return True
    return holding.lane.shut_for(leg.instrument.index) in CUT_OFF


def wants_requote(leg: Leg, now: int) -> bool:
    """Whether the passive order was left behind and may be moved."""
    settings = leg.settings.passive_limit
    order = leg.order
    book = leg.book
    if order is None or order.state != "live" or order.price is None:
        return False
    if leg.requotes >= settings.requotes_max or now < leg.quoted_at + settings.requote_min_ns:
        return False
    if not book_is_valid(book.bid, book.ask, now - book.venue_at, leg.settings.book_max_age_ns):
        return False
    return has_moved_away(leg.side, order.price, passive_ticks(leg), settings.requote_ticks)


def is_interested(leg: Leg, now: int) -> bool:
    """Whether a change of the book is news to this leg; asked on every quote of a watched book."""
    if leg.state == "waiting":
        return not shut_by(leg, now)
    return leg.state == "passive_limit" and wants_requote(leg, now) and not untradeable(leg)


def rung_after(leg: Leg) -> int:
    return existing_rung(leg.rung + 1, leg.settings) if leg.rung < MARKET else STUCK


def attempts_spent(leg: Leg) -> bool:
    """Whether the rung has no attempt left."""
    settings = leg.settings
    if leg.rung == AGGRESSIVE:
        return leg.attempts >= settings.aggressive_limit.attempts_max
    return leg.attempts >= (1 if leg.retrying else settings.market.attempts_max)
