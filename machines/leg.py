"""The leg machine: the ladder that takes one position to flat on one venue.

Theory of operation. A leg owns a holding and closes what of it exceeds `keep` (0 unless only a part
was asked for). It knows the fills of all its orders through the holding, its rung, and at most one
order that may be alive. Time, price and refusals push it up the ladder, passive_limit to
aggressive_limit to market; nothing pushes it down. Between two orders it is `withdrawing` until the
first is proved dead, and `doubtful` while that proof is missing; it places nothing in either. A
closed gate (stale book, wide spread, venue down, halt) makes it wait, which uses up the rung's time
but none of its attempts.

It does not know the other leg. It tells the close of everything that moved, and obeys `start`,
`escalate`, `hold` and `retry_due`.

How a leg places: entering a rung (or being free again) it tells itself `attempt_due`, whose rows
decide in order: nothing left, untradeable rest, gate shut, place.

Invariants
1. At most one order can be alive or unknown (I6), and none is placed while withdrawing or doubtful.
2. An order is never larger than what remains, rounded down to the lot; the side never changes
   within a round (I7).
3. The rung never falls within a round (I8).
4. A rung is left by its deadline plus one cancel resolution, for the next rung or for `doubtful`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.messages import Arm, ReadRules, ReadTruth
from machines.placing import passive_ticks, place
from machines.policy.escalating import STUCK, existing_rung
from machines.policy.gating import below_minimum, book_is_valid, floor_to_lot, gate, spread_is_wide
from machines.policy.pricing import cap_from, has_moved_away
from machines.table import Out, Row, State, Table
from machines.types import AGGRESSIVE, BUY, MARKET, PASSIVE, READ_FIRST, REFRESH_RULES, SELL

if TYPE_CHECKING:
    from transitions import EventData

    from machines.close import Close
    from machines.env import Env
    from machines.holding import Holding
    from machines.order import Order

_FREE = -1
_ENDED = ("done", "dust")


class Leg:
    """One leg of a close. Quantities in units, prices in ticks, times in ns."""

    __slots__ = (
        "attempts", "attempts_total", "balancing", "book", "cap", "close", "env", "external", "held", "holding",
        "id", "instrument", "keep", "liquidated", "next_rung", "number", "order", "orders",
        "quoted_at", "read_after", "refusals", "requotes", "retried_at", "retrying",
        "rung", "settings", "sibling", "side", "start_ask", "start_bid", "start_qty",
        "starts_at_break_even", "state", "step", "timers", "uid", "venue", "wait_reason",
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
        self.start_bid = 0
        self.start_ask = 0
        self.cap = 0
        self.external = 0
        self.liquidated = False
        self.held = False
        self.retrying = False
        self.retried_at = 0
        self.read_after = 0
        self.wait_reason = ""
        self.balancing = False
        self.side = SELL
        self.rung = PASSIVE
        self.next_rung = _FREE
        self._reset()

    def _reset(self) -> None:
        self.attempts = 0
        self.step = 0
        self.refusals = 0
        self.requotes = 0
        self.quoted_at = 0
        self.starts_at_break_even = False

    @property
    def rest(self) -> int:
        """Signed units still to go; its sign is that of the position."""
        return self.holding.qty - self.keep

    @property
    def remaining(self) -> int:
        """Units still to be traded on the closing side; 0 when the side would have to change."""
        rest = self.holding.qty - self.keep
        rest = -rest if self.side == BUY else rest
        return rest if rest > 0 else 0

    @property
    def only_balances(self) -> bool:
        """Whether the leg may only catch up with a sibling that is still quoting patiently.

        So it is after the exposure budget was spent: for the difference, and no more.
        """
        sibling = self.sibling
        if not self.balancing or sibling is None or sibling.state in _ENDED:
            return False
        return max(sibling.rung, sibling.next_rung) == PASSIVE

    @property
    def busy(self) -> bool:
        """Whether an order of this leg may still fill."""
        return self.order is not None and self.order.alive

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    def fix_target(self, keep: int) -> None:
        """Fix what is to be closed, and the arrival price that caps the aggressive rung."""
        book = self.book
        self.start_qty = self.holding.qty
        self.keep = keep
        self.start_bid = book.bid
        self.start_ask = book.ask
        self.aim()

    def aim(self) -> None:
        """Point the leg at what remains now: its side and its cap."""
        self.side = BUY if self.rest < 0 else SELL
        self.next_rung = _FREE
        bps = self.settings.aggressive_limit.slippage_max_bps
        self.cap = cap_from(self.side, self.start_bid, self.start_ask, bps)


# ---------------------------------------------------------------- views


def _reference_price(leg: Leg) -> int:
    """Ticks at which a remainder is valued against the minimum notional."""
    order = leg.order
    if order is not None and order.price and order.alive:
        return order.price
    book = leg.book
    if book.bid and book.ask:
        return book.bid if leg.side == SELL else book.ask
    return book.mark or book.bid or book.ask


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
        awaiting_read=leg.read_after > leg.holding.read_sent_at,
        book_valid=book_is_valid(bid, ask, now - book.venue_at, settings.book_max_age_ns),
        has_mark=book.mark > 0,
        wide=bid > 0 and ask > 0 and spread_is_wide(bid, ask, limit),
        spread_waived=close.spread_waived or close.urgency == "immediate",
        balanced=leg.only_balances and not close.lag_of(leg),
    )


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


def _rung_after(leg: Leg) -> int:
    return existing_rung(leg.rung + 1, leg.settings) if leg.rung < MARKET else STUCK


# ---------------------------------------------------------------- guards


def nothing_remains(e: EventData) -> bool:
    """Everything that was asked for is closed, and no order of the leg can still fill."""
    return e.model.remaining == 0 and not e.model.busy


def rest_is_untradeable(e: EventData) -> bool:
    """What remains is below a lot or a minimum of the venue, and no order carries it."""
    return not e.model.busy and untradeable(e.model) != ""


def gate_is_shut(e: EventData) -> bool:
    """A gate (halt, trust, venue mode, position read, book, spread) forbids placing now."""
    return shut_by(e.model, e.args[1].now) != ""


def starts_passive(e: EventData) -> bool:
    """The first rung asked for exists and is passive_limit."""
    return _start_rung(e) == PASSIVE


def starts_aggressive(e: EventData) -> bool:
    """The first rung asked for exists and is aggressive_limit."""
    return _start_rung(e) == AGGRESSIVE


def _start_rung(e: EventData) -> int:
    leg = e.model
    resting = leg.venue.capabilities.reduce_only != "ioc_only"
    return existing_rung(e.args[0], leg.settings, resting_allowed=resting)


def passive_is_spent(e: EventData) -> bool:
    """Post-only rejections and other refusals exceed `post_only_rejects_max`; aggressive exists."""
    return _refused_out(e) and _rung_after(e.model) == AGGRESSIVE


def passive_is_spent_for_good(e: EventData) -> bool:
    """Refusals exceed `post_only_rejects_max` and there is no aggressive rung."""
    return _refused_out(e)


def _refused_out(e: EventData) -> bool:
    leg: Leg = e.model
    if ended_whole(e):
        return False
    return leg.refusals >= leg.settings.passive_limit.post_only_rejects_max


def attempts_are_spent(e: EventData) -> bool:
    """`attempts_max` orders of this rung have been sent (a retry of a stuck leg has one)."""
    return attempts_spent(e.model) and not ended_whole(e)


def attempts_spent(leg: Leg) -> bool:
    """Whether the rung has no attempt left."""
    settings = leg.settings
    if leg.rung == AGGRESSIVE:
        return leg.attempts >= settings.aggressive_limit.attempts_max
    return leg.attempts >= (1 if leg.retrying else settings.market.attempts_max)


def ended_whole(e: EventData) -> bool:
    """The order filled all it was sent for; what remains was never in it."""
    order: Order = e.args[0]
    return order.cum >= order.qty


def goes_nowhere(e: EventData) -> bool:
    """The close holds its legs back (withdrawn, frozen, quarantined): stay without order."""
    leg: Leg = e.model
    return leg.held


def goes_stuck(e: EventData) -> bool:
    """The ladder is exhausted."""
    leg: Leg = e.model
    return leg.next_rung == STUCK


def goes_to_market(e: EventData) -> bool:
    """The next rung is market."""
    leg: Leg = e.model
    return MARKET in (leg.next_rung, leg.rung)


def goes_to_aggressive(e: EventData) -> bool:
    """The next rung is aggressive_limit."""
    leg: Leg = e.model
    return max(leg.next_rung, leg.rung) == AGGRESSIVE


def still_in_doubt(e: EventData) -> bool:
    """Another order of the leg may still fill."""
    for order in e.model.orders:  # noqa: SIM110 - a generator costs thrice as much
        if order.alive:
            return True
    return False


def must_withdraw(e: EventData) -> bool:
    """The order is known again, but unwanted: a cancel was wished, or it is of an earlier process."""
    leg: Leg = e.model
    order: Order = e.args[0]
    stale = order.uid >> 40 != leg.env.epoch
    return stale or order.cancel_wanted or leg.held or leg.next_rung > leg.rung or leg.env.halted


def was_repriced(e: EventData) -> bool:
    """The venue silently booked another price than the post-only order asked for."""
    order: Order = e.args[0]
    return order.post_only and order.booked is not None and order.booked != order.price


def order_is_alive(e: EventData) -> bool:
    """The leg has an order that may still fill."""
    leg: Leg = e.model
    return leg.busy


def order_is_too_large(e: EventData) -> bool:
    """A late or foreign fill left less to do than the live order could fill."""
    leg: Leg = e.model
    return leg.order is not None and leg.order.open_qty > leg.remaining


def order_may_be_renewed(e: EventData) -> bool:
    """The leg has a live order, and its rest could be placed again."""
    leg: Leg = e.model
    return leg.busy and (leg.rung == MARKET or untradeable(leg) == "")


def may_leave_for_higher(e: EventData) -> bool:
    """A live order below the rung asked for, past its time or with a rest that could be replaced."""
    leg: Leg = e.model
    if not leg.busy or existing_rung(e.args[0], leg.settings) <= leg.rung:
        return False
    return "deadline" not in leg.timers or untradeable(leg) == ""


def rises_to_aggressive(e: EventData) -> bool:
    """No live order, and the rung asked for is aggressive_limit."""
    leg: Leg = e.model
    target = existing_rung(e.args[0], leg.settings)
    return not leg.busy and target > leg.rung and target == AGGRESSIVE


def rises_to_market(e: EventData) -> bool:
    """No live order, and the rung asked for is market."""
    leg: Leg = e.model
    return not leg.busy and existing_rung(e.args[0], leg.settings) == MARKET > leg.rung


def next_is_aggressive(e: EventData) -> bool:
    """The rung after this one is aggressive_limit."""
    return _rung_after(e.model) == AGGRESSIVE


def has_sibling(e: EventData) -> bool:
    """The close has two legs."""
    return e.model.sibling is not None


def requote_is_wanted(e: EventData) -> bool:
    """The reference price left the order behind, re-quotes are left, the rest could be placed."""
    return wants_requote(e.model, e.args[1].now) and untradeable(e.model) == ""


def waits_for_market(e: EventData) -> bool:
    """The gate is open again and the leg stands on market."""
    return e.model.rung == MARKET and not gate_is_shut(e)


def waits_for_aggressive(e: EventData) -> bool:
    """The gate is open again and the leg stands on aggressive_limit."""
    return e.model.rung == AGGRESSIVE and not gate_is_shut(e)


def waits_for_passive(e: EventData) -> bool:
    """The gate is open again and the leg stands on passive_limit."""
    return e.model.rung == PASSIVE and not gate_is_shut(e)


# ---------------------------------------------------------------- actions


def enter_passive(e: EventData) -> None:
    """Start the passive rung: fresh counters, its deadline, an attempt."""
    _enter(e.model, PASSIVE, e.args[1])


def enter_aggressive(e: EventData) -> None:
    """Start the aggressive rung: fresh counters, its deadline, an attempt."""
    _enter(e.model, AGGRESSIVE, e.args[1])


def enter_market(e: EventData) -> None:
    """Start the market rung: fresh counters, an attempt; it is bounded by attempts, not time."""
    _enter(e.model, MARKET, e.args[1])


def _enter(leg: Leg, rung: int, out: Out) -> None:
    settings = leg.settings
    timers = leg.timers
    timers.clear()
    leg.rung = rung
    leg.next_rung = _FREE
    leg.held = False
    leg._reset()
    if rung != MARKET:
        span = settings.passive_limit if rung == PASSIVE else settings.aggressive_limit
        timers["deadline"] = due = out.now + span.timeout_ns
        out.commands.append(Arm(leg.uid, "deadline", due))
    _watch(leg, rung == PASSIVE and settings.passive_limit.requotes_max > 0)
    out.tell(leg, "attempt_due")
    if rung != PASSIVE:
        out.tell(leg.close, "leg_moved", leg)


def go_on(e: EventData) -> None:
    """Go on at the same rung, or start the higher one that was decided meanwhile."""
    leg, out = e.model, e.args[1]
    target = max(leg.next_rung, leg.rung)
    if target > leg.rung:
        _enter(leg, target, out)
        return
    leg.next_rung = _FREE
    out.tell(leg, "attempt_due")


def resume_after_doubt(e: EventData) -> None:
    """The doubtful order is dead: go on, after a pause when nobody had asked for its end."""
    leg, order = e.model, e.args[0]
    if max(leg.next_rung, leg.rung) > leg.rung or order.cancel_wanted or ended_whole(e):
        go_on(e)
    else:
        pause(e)


def place_order(e: EventData) -> None:
    """Record and send one order for the remainder at the rung's price."""
    place(e.model, e.args[1])


def pause(e: EventData) -> None:
    """Wait `backoff_ms` after a refusal; read position or rules first where the reason asks."""
    leg, order, out = e.model, e.args[0], e.args[1]
    leg.refusals += 1
    leg.timers.pop("attempt", None)
    leg.timers["pause"] = due = out.now + leg.settings.backoff_ns
    out.commands.append(Arm(leg.uid, "pause", due))
    if order.end_reason in READ_FIRST:
        leg.read_after = out.now
        out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))
    if order.end_reason in REFRESH_RULES and not leg.holding.rules_asked:
        leg.holding.rules_asked = True
        out.commands.append(ReadRules(out.now, leg.instrument.index))


def try_again(e: EventData) -> None:
    """Ask for the next attempt at once."""
    leg, out = e.model, e.args[1]
    leg.timers.pop("attempt", None)
    out.tell(leg, "attempt_due")


def resume_live(e: EventData) -> None:
    """The order is known to rest again: give the attempt its time anew."""
    leg, out = e.model, e.args[1]
    settings = leg.settings
    if leg.rung != PASSIVE:
        rung = settings.aggressive_limit if leg.rung == AGGRESSIVE else settings.market
        leg.timers["attempt"] = due = out.now + rung.attempt_timeout_ns
        out.commands.append(Arm(leg.uid, "attempt", due))


def withdraw_for_step(e: EventData) -> None:
    """The attempt's own time ran out: cancel, then one step further, or the next rung."""
    leg = e.model
    leg.next_rung = _rung_after(leg) if attempts_spent(leg) else _FREE
    leg.step += 1
    _withdraw(e)


def withdraw_for_next_rung(e: EventData) -> None:
    """The rung's time is over: cancel, then the next rung."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, _rung_after(leg))
    _withdraw(e)


def withdraw_for_asked_rung(e: EventData) -> None:
    """Cancel, then the rung that was asked for."""
    leg = e.model
    leg.next_rung = max(leg.next_rung, existing_rung(e.args[0], leg.settings))
    _withdraw(e)


def withdraw_for_requote(e: EventData) -> None:
    """Cancel the order that was left behind, then quote anew at this rung."""
    e.model.requotes += 1
    _withdraw(e)


def withdraw_repriced(e: EventData) -> None:
    """Treat a silent re-pricing as a refusal: cancel, count it, quote anew or escalate."""
    leg = e.model
    leg.refusals += 1
    if leg.refusals > leg.settings.passive_limit.post_only_rejects_max:
        leg.next_rung = max(leg.next_rung, _rung_after(leg))
    _withdraw(e)


def withdraw(e: EventData) -> None:
    """Cancel the live order and await its end."""
    _withdraw(e)


def withdraw_and_hold(e: EventData) -> None:
    """Cancel the live order and stay without one afterwards."""
    e.model.held = True
    _withdraw(e)


def _withdraw(e: EventData) -> None:
    leg, out = e.model, e.args[1]
    timers = leg.timers
    timers.pop("attempt", None)
    timers.pop("pause", None)
    if leg.order is not None:
        out.tell(leg.order, "cancel_asked")


def hold(e: EventData) -> None:
    """Stay without order from now on."""
    leg, out = e.model, e.args[1]
    leg.held = True
    leg.timers.clear()
    out.tell(leg.close, "leg_moved", leg)


def hold_later(e: EventData) -> None:
    """Stay without order once the present one is dead."""
    leg, out = e.model, e.args[1]
    leg.held = True
    if leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def enter_doubt(e: EventData) -> None:
    """Place nothing until the order's fate is known; a second live order is cancelled too."""
    leg, order, out = e.model, e.args[0], e.args[1]
    for tag in ("attempt", "pause", "gate", "retry"):
        leg.timers.pop(tag, None)
    if leg.order is not None and leg.order is not order and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def wish_next_rung(e: EventData) -> None:
    """Remember that the rung is over; cancel what is in doubt."""
    leg, out = e.model, e.args[1]
    leg.next_rung = max(leg.next_rung, _rung_after(leg))
    if leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def wish_asked_rung(e: EventData) -> None:
    """Remember the higher rung that was asked for; cancel what is in doubt."""
    leg, out = e.model, e.args[1]
    leg.next_rung = max(leg.next_rung, existing_rung(e.args[0], leg.settings))
    if leg.next_rung > leg.rung and leg.order is not None and leg.order.alive:
        out.tell(leg.order, "cancel_asked")


def wait(e: EventData) -> None:
    """Wait for the gate; a wide spread only for `spread_wait_s`."""
    leg, out = e.model, e.args[1]
    leg.wait_reason = shut_by(leg, out.now)
    if leg.wait_reason == "balanced":
        # Nothing is naked and nothing is due: the sibling's own deadline ends this wait.
        leg.timers.pop("deadline", None)
    if leg.wait_reason == "spread":
        leg.timers["gate"] = due = out.now + leg.settings.spread_wait_ns
        out.commands.append(Arm(leg.uid, "gate", due))
    _watch(leg, True)


def leave_wait(e: EventData) -> None:
    """The gate opened: an attempt is due."""
    leg, out = e.model, e.args[1]
    leg.wait_reason = ""
    leg.timers.pop("gate", None)
    if leg.rung == AGGRESSIVE and "deadline" not in leg.timers:
        leg.timers["deadline"] = due = out.now + leg.settings.aggressive_limit.timeout_ns
        out.commands.append(Arm(leg.uid, "deadline", due))
    _watch(leg, leg.rung == PASSIVE and leg.settings.passive_limit.requotes_max > 0)
    out.tell(leg, "attempt_due")


def waive_spread(e: EventData) -> None:
    """The wait for a narrower spread is over: it no longer binds this close."""
    e.model.close.spread_waived = True


def finish(e: EventData) -> None:
    """Nothing left to do: no timers, no watch, tell the close."""
    leg, out = e.model, e.args[1]
    leg.timers.clear()
    leg.retrying = False
    _watch(leg, False)
    out.tell(leg.close, "leg_moved", leg)


def give_up(e: EventData) -> None:
    """The ladder is exhausted: one market order every `stuck_retry_s` from now on."""
    leg, out = e.model, e.args[1]
    leg.timers.clear()
    leg.next_rung = _FREE
    base = leg.retried_at if leg.retrying else out.now
    leg.retrying = False
    leg.timers["retry"] = due = max(base + leg.settings.stuck_retry_ns, out.now)
    out.commands.append(Arm(leg.uid, "retry", due))
    out.tell(leg.close, "leg_moved", leg)


def retry(e: EventData) -> None:
    """One more market order for what remains."""
    leg, out = e.model, e.args[1]
    _enter(leg, MARKET, out)
    leg.retrying = True
    leg.retried_at = out.now


def tell_close(e: EventData) -> None:
    """Pass the change on to the close."""
    leg, out = e.model, e.args[1]
    out.tell(leg.close, "leg_moved", leg)


def tell_passive_over(e: EventData) -> None:
    """Let the close decide who escalates first."""
    leg, out = e.model, e.args[1]
    out.tell(leg.close, "passive_over", leg)


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _watch(leg: Leg, wanted: bool) -> None:
    watchers = leg.book.watchers
    if wanted:
        if leg not in watchers:
            watchers.append(leg)
    elif leg in watchers:
        watchers.remove(leg)


# ---------------------------------------------------------------- table

STATES = (
    State("idle", "no order and none due", unbounded="the close starts it"),
    State("passive_limit", "resting post-only at or inside its own side", "deadline: timeout_s"),
    State("aggressive_limit", "limit orders stepping to and past the touch", "deadline: timeout_s"),
    State("market", "bounded market orders for the rest", "attempt: attempt_timeout_s, attempts_max"),
    State("withdrawing", "its order is being cancelled; nothing may be placed",
        unbounded="the order's own cancel_timeout_s turns this into doubtful"),
    State("doubtful", "an order of this leg may or may not fill; nothing may be placed",
        unbounded="only the venue's answer ends it; the order asks and alarms"),
    State("waiting", "a gate is shut: stale book, wide spread, venue down, halt",
        "deadline: timeout_s; gate: spread_wait_s"),
    State("done", "everything asked for is closed", terminal=True),
    State("dust", "what is left cannot be traded at this venue", terminal=True),
    State("stuck", "the ladder is exhausted; a person is called", "retry: stuck_retry_s"),
)  # fmt: skip

_PA = ("passive_limit", "aggressive_limit")
_AM = ("aggressive_limit", "market")
_R = ("passive_limit", "aggressive_limit", "market")
_BETWEEN = ("withdrawing", "doubtful")
_ALL = ("idle", *_R, *_BETWEEN, "waiting", *_ENDED, "stuck")

ROWS = (
    # trigger           source              dest                guard                 actions
    # -- started by the close; also for a new round after reconciling
    Row("start", ("idle", "done", "dust", "stuck"), "done",     nothing_remains,      (finish,),
        "nothing to close on this leg", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "dust",     rest_is_untradeable,  (finish,),
        "what is held is too small for this venue", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "passive_limit", starts_passive,  (enter_passive,),
        "the first rung that the urgency asks for", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "aggressive_limit", starts_aggressive, (enter_aggressive,),
        "the first rung that the urgency asks for", late=True),
    Row("start", ("idle", "done", "dust", "stuck"), "market",   None,                 (enter_market,),
        "the first rung that the urgency asks for", late=True),
    Row("start", (*_R, *_BETWEEN, "waiting"), None,             None,                 (ignore,)),
    Row("exhaust", ("done", "dust"),        "stuck",            None,                 (give_up,),
        "the rounds after reconciling are used up", late=True),
    Row("exhaust", ("idle", *_R, *_BETWEEN, "waiting", "stuck"), None, None,          (ignore,)),
    # -- an attempt is due
    Row("attempt_due",  _R,                 "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("attempt_due",  _R,                 "dust",             rest_is_untradeable,  (finish,),
        "what remains is too small for this venue"),
    Row("attempt_due",  _R,                 "waiting",          gate_is_shut,         (wait,),
        "a gate is shut: halt, trust, mode, position read, book or spread"),
    Row("attempt_due",  _R,                 None,               order_is_alive,       (ignore,)),
    Row("attempt_due",  _R,                 None,               None,                 (place_order,)),
    Row("attempt_due",  ("idle", *_BETWEEN, "waiting", *_ENDED, "stuck"), None, None, (ignore,),
        "something happened between the wish and its turn"),
    # -- the order rests or fills
    Row("order_live",   "passive_limit",    "withdrawing",      was_repriced,         (withdraw_repriced,)),
    Row("order_live",   _R,                 None,               None,                 (ignore,)),
    Row("order_live",   "doubtful",         "withdrawing",      must_withdraw,        (withdraw,),
        "known again, but unwanted: cancel it once more"),
    Row("order_live",   "doubtful",         "market",           goes_to_market,       (resume_live,)),
    Row("order_live",   "doubtful",         "aggressive_limit", goes_to_aggressive,   (resume_live,)),
    Row("order_live",   "doubtful",         "passive_limit",    None,                 (resume_live,)),
    Row("order_live",   ("idle", "withdrawing", "waiting", *_ENDED, "stuck"), None, None, (ignore,)),
    Row("order_filling", _R,                "withdrawing",      order_is_too_large,   (withdraw,),
        "a late fill of an earlier order: the live one would fill too much"),
    Row("order_filling", _R,                "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", _R,                None,               None,                 (tell_close,)),
    Row("order_filling", "waiting",         "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", "waiting",         None,               None,                 (tell_close,)),
    Row("order_filling", "stuck",           "done",             nothing_remains,      (finish,),
        "a fill left nothing to do"),
    Row("order_filling", ("idle", *_BETWEEN, *_ENDED, "stuck"), None, None,           (tell_close,)),
    # -- the order ended
    Row("order_ended",  _R,                 "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("order_ended",  "passive_limit",    "aggressive_limit", passive_is_spent,     (enter_aggressive,),
        "refused too often on this rung"),
    Row("order_ended",  "passive_limit",    "market",           passive_is_spent_for_good, (enter_market,),
        "refused too often on this rung"),
    Row("order_ended",  "aggressive_limit", "market",           attempts_are_spent,   (enter_market,),
        "every attempt of the rung is used up; no pause at a change of rung"),
    Row("order_ended",  "market",           "stuck",            attempts_are_spent,   (give_up,),
        "every market attempt of the rung is used up"),
    Row("order_ended",  _R,                 None,               ended_whole,          (try_again,)),
    Row("order_ended",  _R,                 None,               None,                 (pause,)),
    Row("order_ended",  _BETWEEN,           "doubtful",         still_in_doubt,       (ignore,)),
    Row("order_ended",  _BETWEEN,           "done",             nothing_remains,      (finish,),
        "everything asked for is closed"),
    Row("order_ended",  _BETWEEN,           "idle",             goes_nowhere,         (hold,),
        "the close holds its legs back"),
    Row("order_ended",  _BETWEEN,           "stuck",            goes_stuck,           (give_up,),
        "every market attempt of the rung is used up"),
    Row("order_ended",  "withdrawing",      "market",           goes_to_market,       (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "withdrawing",      "aggressive_limit", goes_to_aggressive,   (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "withdrawing",      "passive_limit",    None,                 (go_on,),
        "the withdrawn order is dead"),
    Row("order_ended",  "doubtful",         "market",           goes_to_market,       (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  "doubtful",         "aggressive_limit", goes_to_aggressive,   (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  "doubtful",         "passive_limit",    None,                 (resume_after_doubt,),
        "the doubtful order is dead"),
    Row("order_ended",  ("idle", "waiting", *_ENDED, "stuck"), None, None,            (tell_close,)),
    # -- the order is in doubt
    Row("order_doubted", (*_R, *_BETWEEN, "idle", "waiting", "stuck"), "doubtful", None, (enter_doubt,)),
    Row("order_doubted", _ENDED,            "doubtful",         None,                 (enter_doubt,),
        "an order reported dead was seen alive", late=True),
    # -- time
    Row("deadline",     "passive_limit",    None,               has_sibling,          (tell_passive_over,),
        "both legs escalate together, the lagging one first: the close says when"),
    Row("deadline",     "passive_limit",    "withdrawing",      order_is_alive,       (withdraw_for_next_rung,),
        "the rung's time is over"),
    Row("deadline",     "passive_limit",    "aggressive_limit", next_is_aggressive,   (enter_aggressive,),
        "the rung's time is over"),
    Row("deadline",     "passive_limit",    "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("deadline",     "aggressive_limit", "withdrawing",      order_is_alive,       (withdraw_for_next_rung,),
        "the rung's time is over"),
    Row("deadline",     "aggressive_limit", "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("deadline",     _BETWEEN,           None,               None,                 (wish_next_rung,)),
    Row("deadline",     "waiting",          "aggressive_limit", next_is_aggressive,   (enter_aggressive,),
        "the rung's time is over"),
    Row("deadline",     "waiting",          "market",           None,                 (enter_market,),
        "the rung's time is over"),
    Row("attempt",      _AM,                "withdrawing",      order_may_be_renewed, (withdraw_for_step,),
        "the attempt's own time ran out"),
    Row("attempt",      _AM,                None,               None,                 (ignore,),
        "a rest below the minimum is not cancelled for a better price"),
    Row("pause",        _R,                 None,               None,                 (try_again,)),
    Row("gate",         "waiting",          "aggressive_limit", next_is_aggressive,   (waive_spread, enter_aggressive),
        "no longer waits for a narrower spread"),
    Row("gate",         "waiting",          "market",           None,                 (waive_spread, enter_market),
        "no longer waits for a narrower spread"),
    Row("retry",        "stuck",            "market",           None,                 (retry,),
        "one more market order for what remains"),
    Row("retry_asked",  "stuck",            "market",           None,                 (retry,),
        "one more market order for what remains"),
    Row("retry_asked",  ("idle", *_R, *_BETWEEN, "waiting", *_ENDED), None, None,     (ignore,)),
    # -- the close asks for a higher rung
    Row("escalate",     _PA,                "withdrawing",      may_leave_for_higher, (withdraw_for_asked_rung,),
        "the close asks for a higher rung"),
    Row("escalate",     "passive_limit",    "aggressive_limit", rises_to_aggressive,  (enter_aggressive,),
        "the close asks for a higher rung"),
    Row("escalate",     _PA,                "market",           rises_to_market,      (enter_market,),
        "the close asks for a higher rung"),
    Row("escalate",     _PA,                None,               None,                 (ignore,),
        "already there, or its rest could not be placed again"),
    Row("escalate",     "waiting",          "aggressive_limit", rises_to_aggressive,  (enter_aggressive,),
        "the close asks for a higher rung"),
    Row("escalate",     "waiting",          "market",           rises_to_market,      (enter_market,),
        "the close asks for a higher rung"),
    Row("escalate",     "waiting",          None,               None,                 (ignore,)),
    Row("escalate",     _BETWEEN,           None,               None,                 (wish_asked_rung,)),
    Row("escalate",     ("idle", "market", *_ENDED, "stuck"), None, None,             (ignore,)),
    # -- the book, the venue, the operator
    Row("recheck",   "passive_limit",    "withdrawing",      requote_is_wanted,    (withdraw_for_requote,),
        "the price moved away from the resting order"),
    Row("recheck",   "waiting",          "market",           waits_for_market,     (leave_wait,),
        "the gate is open again"),
    Row("recheck",   "waiting",          "aggressive_limit", waits_for_aggressive, (leave_wait,),
        "the gate is open again"),
    Row("recheck",   "waiting",          "passive_limit",    waits_for_passive,    (leave_wait,),
        "the gate is open again"),
    Row("recheck",   _ALL,               None,               None,                 (ignore,)),
    Row("halt",         _R,                 "withdrawing",      order_is_alive,       (withdraw,)),
    Row("halt",         ("idle", *_R, *_BETWEEN, "waiting", *_ENDED, "stuck"), None, None, (ignore,)),
    Row("hold",         _R,                 "withdrawing",      order_is_alive,       (withdraw_and_hold,),
        "the close holds its legs back"),
    Row("hold",         (*_R, "waiting", "stuck"), "idle",      None,                 (hold,),
        "the close holds its legs back"),
    Row("hold",         _BETWEEN,           None,               None,                 (hold_later,)),
    Row("hold",         ("idle", *_ENDED),  None,               None,                 (ignore,),
        "the close holds its legs back"),
)  # fmt: skip

TABLE = Table("leg", STATES, ROWS, "idle", Leg)
