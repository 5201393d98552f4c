"""The order's guards and actions: pure predicates over its knowledge, and what a taken row appends.

None changes the state or invents a fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.errors import InvariantBroken
from machines.messages import (
    Alarm,
    Arm,
    Cancel,
    FillReported,
    OrderReported,
    QueryOrder,
    ReadTruth,
)
from machines.order_model import SELF_EXPLAINING
from machines.policy.reconciling import (
    MISSING_APART_NS,
    absence_is_proved,
    ask_again_after,
    death_is_witnessed,
)
from machines.table import Out

if TYPE_CHECKING:
    from transitions import EventData

    from machines.order_model import Order


#: Lookups that do not find an order that is over: its trades are asked for too.
BLIND = ("open_only", "none")


def never_seen(e: EventData) -> bool:
    """No ack, report, trade or query has ever shown the order."""
    return not e.model.acked


def newer_than_death(e: EventData) -> bool:
    """The live evidence carries a venue time after the reported death, and is no late ack."""
    report: OrderReported = e.args[0]
    return report.path not in ("ack", "cancel") and report.venue_at > e.model.died_at


def was_asked_for(e: EventData) -> bool:
    """The report answers a question of ours; it did not come by itself."""
    report: OrderReported = e.args[0]
    return report.path == "query"


def absent(e: EventData) -> bool:
    """Every condition for proving that the order never reached the venue holds."""
    order: Order = e.model
    return absence_is_proved(
        acked=order.acked or order.cum > 0,
        deadline=order.venue.capabilities.deadline,
        lookup=order.venue.capabilities.lookup,
        countable_from=order.sent_at + order.venue.absent_after_ns,
        missing_first=order.missing_first,
        missing_last=order.missing_last,
        read_after=order.read_after,
    )


def end_is_witnessed(e: EventData) -> bool:
    """Two rounds, a read lag apart and after the last sign of life, show that it has ended."""
    order: Order = e.model
    venue = order.venue
    return death_is_witnessed(
        lookup=venue.capabilities.lookup,
        open_orders=venue.capabilities.open_orders,
        countable_from=order.countable_from,
        first=order.lacked_first,
        last=order.lacked_last,
        read_lag_ns=venue.read_lag_ns,
    )


def credit(order: Order, grown: int, at: int, venue_at: int, out: Out) -> None:
    """Book newly known fill quantity: the holding, the exposure, and an over-fill's alarm."""
    if grown < 0:
        raise InvariantBroken("I4", f"{order.id}: cumulative fill fell by {-grown}", order)
    holding = order.holding
    side = order.side
    holding.change(side * (grown - _believed_already(order, grown, venue_at)))
    holding.note_fill(side * grown, at, venue_at)
    if order.leg is not None:
        holding.filled += grown
    leg = order.hearer
    if leg is not None:
        leg.close.note_exposure(out)
    if order.cum > order.qty >= order.cum - grown:
        quantity = order.instrument.quantity
        text = f"{quantity(order.cum):f} filled of {quantity(order.qty):f} sent"
        out.commands.append(Alarm(at, "overfill", order.id, text))


def _believed_already(order: Order, grown: int, venue_at: int) -> int:
    """How much of a fill is in our belief, because a read had shown it before anybody told of it.

    It is, where the fill or the death of its order was before the view that was believed.
    """
    holding = order.holding
    until = holding.unexplained_until
    if order.placed_at >= holding.unexplained_at:
        return 0
    if venue_at > until and not 0 < order.died_at <= until:
        return 0
    return abs(holding.absorb(order.side * grown))


def book_settled(e: EventData) -> None:
    """Take the quantity that an operator says has filled; knowledge grows and never shrinks."""
    order, fact, out = e.model, e.args[0], e.args[1]
    cum = fact.cum or 0
    if cum > order.cum:
        grown = cum - order.cum
        order.cum = cum
        credit(order, grown, fact.at, fact.at, out)


def await_ack(e: EventData) -> None:
    """Arm the own decision time-out, later than the venue's deadline for the order."""
    order, out = e.model, e.args[1]
    order.sent_at = out.now
    _arm(order, out, "silent", out.now + order.venue.decision_timeout_ns)


def note_live(e: EventData) -> None:
    """Stop doubting and tell the leg that the order rests."""
    order, out = e.model, e.args[1]
    order.timers.clear()
    if not order.cancel_wanted:
        order.alarmed = False
        order.unknown_since = 0
        order.ask_count = 0
    leg = order.hearer
    if leg is not None:
        out.tell(leg, "order_live", order)


def note_resting(e: EventData) -> None:
    """Stop the decision time-out; tell the leg only if the venue booked another price."""
    order, out = e.model, e.args[1]
    if order.timers:
        order.timers.clear()
    leg = order.hearer
    if order.booked is not None and order.booked != order.price and leg is not None:
        out.tell(leg, "order_live", order)


def note_growth(e: EventData) -> None:
    """Tell the leg that more has filled, if more has."""
    order, out = e.model, e.args[1]
    leg = order.hearer
    if leg is not None and order.grown:
        out.tell(leg, "order_filling", order)


def note_death(e: EventData) -> None:
    """Record when and why the order died, stop its timers, tell the leg."""
    order, out = e.model, e.args[1]
    message = e.args[0]
    if isinstance(message, FillReported):
        order.died_at = message.venue_at
    else:
        order.died_at = getattr(message, "venue_at", out.now)
        order.end_reason = (
            getattr(message, "reason", "")
            or order.end_reason
            or SELF_EXPLAINING.get(getattr(message, "status", ""), "")
        )
        order.end_text = getattr(message, "text", "") or order.end_text
    _bury(order, out)
    if isinstance(message, OrderReported) and message.cum is not None and message.cum < order.cum:
        out.commands.append(
            Alarm(out.now, "fill_conflict", order.id, _filled_text(order, message.cum))
        )
        out.commands.append(ReadTruth(out.now, order.venue.name, order.instrument.index))


def _filled_text(order: Order, reported: int) -> str:
    quantity = order.instrument.quantity
    return f"reported {quantity(reported):f} filled, known {quantity(order.cum):f}"


def note_absence(e: EventData) -> None:
    """Record that the venue never had the order, and tell the leg."""
    order, out = e.model, e.args[1]
    order.died_at = out.now
    order.end_reason = "ABSENT"
    _bury(order, out)


def note_vanished(e: EventData) -> None:
    """Record that the venue has ended the order unseen, with what its trades amount to."""
    order, read, out = e.model, e.args[0], e.args[1]
    order.died_at = read.taken_at
    order.end_reason = "VANISHED"
    _bury(order, out)


def _bury(order: Order, out: Out) -> None:
    """No order of ours any more that may fill: stop its timers, tell the leg."""
    if order.timers:
        order.timers.clear()
    if order in order.holding.orders:
        order.holding.orders.remove(order)
    leg = order.hearer
    if leg is not None:
        out.tell(leg, "order_ended", order)


def send_cancel(e: EventData) -> None:
    """Send the cancel and give it `cancel_timeout_s`."""
    order, out = e.model, e.args[1]
    order.cancel_wanted = True
    order.timers.pop("silent", None)
    out.commands.append(Cancel(out.now, order.uid, order.instrument.index))
    _arm(order, out, "cancel_silent", out.now + order.cancel_timeout)


def repeat_cancel(e: EventData) -> None:
    """Send the cancel again; it is idempotent."""
    order, out = e.model, e.args[1]
    order.cancel_wanted = True
    out.commands.append(Cancel(out.now, order.uid, order.instrument.index))


def begin_doubt(e: EventData) -> None:
    """Ask the venue, at once for a first doubt; call a person after `alarm_after_s`.

    A doubt that returns while the same cancel is still wished goes on with the back-off of the
    earlier one: venues whose reads lag would else be asked without a pause.
    """
    order, out = e.model, e.args[1]
    order.timers.clear()
    if not order.unknown_since:
        order.unknown_since = out.now
    if not order.alarmed:
        _arm(order, out, "alarm", max(order.unknown_since + order.alarm_after, out.now))
    leg = order.hearer
    if leg is not None:
        out.tell(leg, "order_doubted", order)
    due = order.asked_at + ask_again_after(order.ask_count - 1) if order.ask_count else out.now
    if due > out.now:
        _arm(order, out, "ask", due)
    else:
        _ask(order, out)


def venue_is_banned(e: EventData) -> bool:
    """The venue has banned us: every request would lengthen that."""
    order: Order = e.model
    return order.holding.lane.banned_until > 0


def ask_after_ban(e: EventData) -> None:
    """Ask when the ban is over."""
    order, out = e.model, e.args[1]
    _arm(order, out, "ask", order.holding.lane.banned_until)


def ask_again(e: EventData) -> None:
    """Ask by own id once more, with the cancel if one is wished."""
    order, out = e.model, e.args[1]
    if order.cancel_wanted:
        out.commands.append(Cancel(out.now, order.uid, order.instrument.index))
    _ask(order, out)


def cancel_contradicted(e: EventData) -> None:
    """Cancel the order that was reported dead and is not; ask until it is settled."""
    order, out = e.model, e.args[1]
    order.cancel_wanted = True
    order.ask_count = 0
    order.unknown_since = out.now
    _arm(order, out, "alarm", out.now + order.alarm_after)
    order.holding.orders.append(order)
    leg = order.hearer
    if leg is not None:
        out.tell(leg, "order_doubted", order)
    out.commands.append(Cancel(out.now, order.uid, order.instrument.index))
    _ask(order, out)


def ask_now(e: EventData) -> None:
    """Query the order without waiting for the back-off."""
    order, out = e.model, e.args[1]
    out.commands.append(QueryOrder(out.now, order.uid, order.instrument.index))


def read_trades(e: EventData) -> None:
    """After two countable not-found answers, ask for the trades, which must show nothing either."""
    order, out = e.model, e.args[1]
    if order.missing_last - order.missing_first >= MISSING_APART_NS and not order.read_after:
        out.commands.append(ReadTruth(out.now, order.venue.name, order.instrument.index))


def call_person(e: EventData) -> None:
    """Raise `unknown_order`, once per doubt."""
    order, out = e.model, e.args[1]
    if not order.alarmed:
        order.alarmed = True
        text = f"{order.instrument.quantity(order.open_qty):f} may still fill"
        out.commands.append(
            Alarm(out.now, "unknown_order", order.id, text, since=order.unknown_since)
        )


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _arm(order: Order, out: Out, tag: str, due: int) -> None:
    order.timers[tag] = due
    out.commands.append(Arm(order.uid, tag, due))


def _ask(order: Order, out: Out) -> None:
    order.asked_at = out.now
    out.commands.append(QueryOrder(out.now, order.uid, order.instrument.index))
    if order.venue.capabilities.lookup in BLIND:
        out.commands.append(ReadTruth(out.now, order.venue.name, order.instrument.index))
    _arm(order, out, "ask", out.now + ask_again_after(order.ask_count))
    order.ask_count += 1
