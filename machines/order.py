"""The order machine: what is known of one venue order, and nothing about why it exists.

Theory of operation. What the venue does to an order and what we hear of it are two things. This
machine keeps only the second, as a product of independent parts that each grow: the quantity filled
(never shrinks), what was last heard, and proof of death. Evidence is first joined into those parts
(`join_report`, `join_fill`: duplicates and any order of arrival give the same result), then fires
one row. An order is *dead* only when the venue says so and says how much was filled; everything
else, from the intent on disk to a cancel that nobody answered, counts as able to fill.

Doubt is a state. `unknown` has one way out: an answer of the venue. No timer leads from it to a new
order; its timers only ask again (0.25 s, doubling to 5 s), repeat a wished cancel, and call a person.

Invariants
1. `cum` never falls, and is the maximum of all explicit figures and of the sum of distinct trades.
2. A dead order becomes alive again only by live evidence dated after its death (`contradicted`).
3. Absence needs every condition of `absence_is_proved`; not-found on a cancel proves nothing.
4. Every growth of `cum`, in any state, is told to the leg.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from machines.messages import (
    Alarm,
    Arm,
    Cancel,
    FillReported,
    OrderMissing,
    OrderReported,
    QueryOrder,
    ReadTruth,
)
from machines.policy.reconciling import MISSING_APART_NS, absence_is_proved, ask_again_after
from machines.table import Out, Row, State, Table
from machines.types import MS, Instrument, VenueSettings

if TYPE_CHECKING:
    from transitions import EventData

    from machines.holding import Holding
    from machines.leg import Leg

ZERO = Decimal(0)


class Order(Struct, eq=False):
    """One venue order. Quantities in units, prices in ticks, times in ns; see `machines.types`."""

    uid: int
    id: str
    holding: Holding
    venue: VenueSettings
    leg: Leg | None
    side: int
    qty: int
    price: int | None
    placed_at: int
    tif: str = "GTC"
    post_only: bool = False
    rung: str = ""
    why: str = ""
    attempt: int = 0
    touch: int = 0
    spread: int = 0
    alarm_after: int = 10_000 * MS
    cancel_timeout: int = 3_000 * MS
    state: str = "pending"
    cum: int = 0
    grown: int = 0
    traded: int = 0
    value: int = 0
    maker_qty: int = 0
    fees: Decimal = ZERO
    average: Decimal | None = None
    booked: int | None = None
    trades: set[str] | None = None
    sent_at: int = 0
    died_at: int = 0
    end_reason: str = ""
    end_text: str = ""
    acked: bool = False
    cancel_wanted: bool = False
    timers: dict[str, int] = field(default_factory=dict)
    ask_count: int = 0
    asked_at: int = 0
    missing_first: int = 0
    missing_last: int = 0
    read_after: bool = False
    unknown_since: int = 0
    alarmed: bool = False
    #: The rules under which it was sent: those of the holding at that time.
    instrument: Instrument = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.instrument = self.holding.instrument
        self.sent_at = self.placed_at

    @property
    def alive(self) -> bool:
        """True while the order may still fill, as far as we know."""
        return self.state not in DEAD

    @property
    def open_qty(self) -> int:
        """Quantity that may still fill: reserved, also while unknown."""
        return 0 if self.state in DEAD or self.cum >= self.qty else self.qty - self.cum


# ---------------------------------------------------------------- knowledge


def join_report(order: Order, report: OrderReported) -> int:
    """Join a report's figures into the order; return by how many units `cum` grew."""
    if report.status != "REJECTED":
        order.acked = True
    if report.price is not None:
        order.booked = report.price
    if report.average is not None and (report.cum or 0) >= order.cum:
        order.average = report.average
    cum = report.cum
    if cum is None or cum <= order.cum:
        return 0
    grown = cum - order.cum
    order.cum = cum
    return grown


def join_fill(order: Order, fill: FillReported) -> int:
    """Join one trade; return by how many units `cum` grew, 0 for a trade already known.

    Trades absorb what an explicit cumulative had announced before them: the quantity is the larger
    of the two, never the sum.
    """
    order.acked = True
    trades = order.trades
    if trades is None:
        order.trades = {fill.trade}
    elif fill.trade in trades:
        return 0
    else:
        trades.add(fill.trade)
    order.traded += fill.qty
    order.value += fill.qty * fill.price
    order.fees += fill.fee
    if fill.maker:
        order.maker_qty += fill.qty
    cum = order.traded if fill.cum is None or fill.cum < order.traded else fill.cum
    if cum <= order.cum:
        return 0
    grown = cum - order.cum
    order.cum = cum
    return grown


def join_missing(order: Order, answer: OrderMissing) -> None:
    """Join a not-found answer, by when it was asked: too early, or of no authority, it is nothing."""
    if answer.authority not in ("history", "lagging"):
        return
    if answer.sent_at < order.sent_at + order.venue.absent_after_ns:
        return
    order.missing_first = order.missing_first or answer.sent_at
    order.missing_last = max(order.missing_last, answer.sent_at)


_ENDS = {"CANCELED": "cancelled", "EXPIRED": "expired", "REJECTED": "rejected"}
#: Ends that are a reason by themselves where the venue gives none.
_SELF_EXPLAINING = {"CANCELED": "CANCELED", "EXPIRED": "EXPIRED"}


def trigger_of(order: Order, report: OrderReported) -> str:
    """The trigger that a report amounts to, after it was joined."""
    status = report.status
    if status in _ENDS:
        if report.cum is None and not (status == "REJECTED" and not order.acked):
            return "ended_unclear"
        return "filled" if order.cum >= order.qty else _ENDS[status]
    if order.cum >= order.qty:
        return "filled"
    if status == "FILLED":
        return "ended_unclear"
    if status in ("OPEN", "PARTIALLY_FILLED"):
        return "opened"
    return "received" if status == "PENDING" else "unrecognised"


# ---------------------------------------------------------------- guards


def never_seen(e: EventData) -> bool:
    """No ack, report, trade or query has ever shown the order."""
    return not e.model.acked


def newer_than_death(e: EventData) -> bool:
    """The live evidence carries a venue time after the reported death, and is no late ack."""
    report: OrderReported = e.args[0]
    return report.path not in ("ack", "cancel") and report.venue_at > e.model.died_at


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


# ---------------------------------------------------------------- actions


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
    if order.leg is not None:
        out.tell(order.leg, "order_live", order)


def note_resting(e: EventData) -> None:
    """Stop the decision time-out; tell the leg only if the venue booked another price."""
    order, out = e.model, e.args[1]
    if order.timers:
        order.timers.clear()
    if order.booked is not None and order.booked != order.price and order.leg is not None:
        out.tell(order.leg, "order_live", order)


def note_growth(e: EventData) -> None:
    """Tell the leg that more has filled, if more has."""
    order, out = e.model, e.args[1]
    if order.leg is not None and order.grown:
        out.tell(order.leg, "order_filling", order)


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
            or _SELF_EXPLAINING.get(getattr(message, "status", ""), "")
        )
        order.end_text = getattr(message, "text", "") or order.end_text
    if order.timers:
        order.timers.clear()
    if order.leg is not None:
        out.tell(order.leg, "order_ended", order)
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
    order.timers.clear()
    if order.leg is not None:
        out.tell(order.leg, "order_ended", order)


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
    if order.leg is not None:
        out.tell(order.leg, "order_doubted", order)
    due = order.asked_at + ask_again_after(order.ask_count - 1) if order.ask_count else out.now
    if due > out.now:
        _arm(order, out, "ask", due)
    else:
        _ask(order, out)


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
    if order.leg is not None:
        out.tell(order.leg, "order_doubted", order)
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
    _arm(order, out, "ask", out.now + ask_again_after(order.ask_count))
    order.ask_count += 1


# ---------------------------------------------------------------- table

STATES = (
    State(
        "pending", "recorded, not sent yet", unbounded="left by the send that follows the commit"
    ),
    State("sent", "on its way; no word from the venue", "silent: decision_timeout_ms"),
    State("live", "the venue has it and it can fill", unbounded="its leg's rung bounds it"),
    State("cancelling", "a cancel was sent; it can still fill", "cancel_silent: cancel_timeout_s"),
    State("unknown", "fate in doubt; counts as alive with its whole rest", "ask: 0.25 s to 5 s"),
    State("contradicted", "reported dead, then seen alive; cancelled again", "ask: 0.25 s to 5 s"),
    State("filled", "dead: filled in full", terminal=True),
    State("cancelled", "dead: cancelled, by us or by the venue", terminal=True),
    State("rejected", "dead: refused, or proved never to have existed", terminal=True),
    State("expired", "dead: ended by the venue's time or post-only rule", terminal=True),
)
DEAD = frozenset({"filled", "cancelled", "rejected", "expired"})
_UNFILLED = ("cancelled", "rejected", "expired")
_DEAD = ("filled", *_UNFILLED)
_NEW = ("pending", "sent")
_HELD = ("live", "cancelling")
_DOUBT = ("unknown", "contradicted")
_ALIVE = _NEW + _HELD + _DOUBT

ROWS = (
    # trigger           source                 dest            guard             actions
    # -- sending
    Row("sent",         "pending",             "sent",         None,             (await_ack,)),
    Row("sent",         ("sent", *_HELD, *_DOUBT, *_DEAD), None, None,           (ignore,),
        "the venue's word overtook our own note of the send"),
    Row("received",     _NEW,                  None,           None,             (ignore,),
        "an ack that is only a receipt: resting is proved by stream or query"),
    Row("received",     (*_HELD, *_DOUBT, *_DEAD), None,       None,             (ignore,)),
    Row("silent",       "sent",                "unknown",      None,             (begin_doubt,)),
    Row("place_lost",   _NEW,                  "unknown",      None,             (begin_doubt,),
        "a time-out is not a failure"),
    Row("place_lost",   (*_HELD, *_DOUBT, *_DEAD), None,       None,             (ignore,)),
    Row("refused",      (*_NEW, "cancelling", "unknown"), "rejected", never_seen, (note_death,)),
    Row("refused",      (*_NEW, "cancelling"), "unknown",      None,             (begin_doubt,),
        "refused, yet seen before: only the venue can say which"),
    Row("refused",      "unknown",             None,           None,             (ask_now,)),
    Row("refused",      "live",                "unknown",      None,             (begin_doubt,)),
    Row("refused",      ("contradicted", *_DEAD), None,        None,             (ignore,)),
    # -- resting and filling
    Row("opened",       _NEW,                  "live",         None,             (note_resting,)),
    Row("opened",       _HELD,                 None,           None,             (note_growth,)),
    Row("opened",       "unknown",             "live",         None,             (note_live,)),
    Row("opened",       "contradicted",        None,           None,             (note_growth,)),
    Row("opened",       _UNFILLED,             "contradicted", newer_than_death, (cancel_contradicted,),
        "live evidence dated after the death; a whole fill is proof of its own", late=True),
    Row("opened",       _DEAD,                 None,           None,             (note_growth,),
        "a late ack never moves a dead order back"),
    Row("grew",         _NEW,                  "live",         None,             (note_resting, note_growth),
        "a fill may precede its ack"),
    Row("grew",         (*_HELD, *_DOUBT),     None,           None,             (note_growth,)),
    Row("grew",         _DEAD,                 None,           None,             (note_growth,),
        "a late fill is credited; the order stays dead"),
    # -- ends
    Row("filled",       _ALIVE,                "filled",       None,             (note_death,)),
    Row("filled",       _DEAD,                 None,           None,             (note_growth,)),
    Row("cancelled",    _ALIVE,                "cancelled",    None,             (note_death,)),
    Row("cancelled",    _DEAD,                 None,           None,             (note_growth,)),
    Row("expired",      _ALIVE,                "expired",      None,             (note_death,)),
    Row("expired",      _DEAD,                 None,           None,             (note_growth,)),
    Row("rejected",     _ALIVE,                "rejected",     None,             (note_death,)),
    Row("rejected",     _DEAD,                 None,           None,             (note_growth,)),
    Row("ended_unclear", (*_NEW, *_HELD),      "unknown",      None,             (begin_doubt,),
        "an end without its quantity is no end"),
    Row("ended_unclear", _DOUBT,               None,           None,             (ask_now,)),
    Row("ended_unclear", _DEAD,                None,           None,             (ignore,)),
    Row("unrecognised", (*_NEW, *_HELD),       "unknown",      None,             (begin_doubt,),
        "a status text nobody knows: neither dead nor replaced before an answer"),
    Row("unrecognised", _DOUBT,                None,           None,             (ignore,)),
    Row("unrecognised", _DEAD,                 None,           None,             (ignore,)),
    # -- cancelling
    Row("cancel_asked", (*_NEW, "live"),       "cancelling",   None,             (send_cancel,)),
    Row("cancel_asked", "cancelling",          None,           None,             (ignore,)),
    Row("cancel_asked", _DOUBT,                None,           None,             (repeat_cancel,)),
    Row("cancel_asked", _DEAD,                 None,           None,             (ignore,)),
    Row("cancel_silent", "cancelling",         "unknown",      None,             (begin_doubt,)),
    Row("cancel_lost",  "cancelling",          "unknown",      None,             (begin_doubt,)),
    Row("cancel_lost",  (*_NEW, "live", *_DOUBT, *_DEAD), None, None,            (ignore,)),
    Row("cancel_refused", "cancelling",        "unknown",      None,             (begin_doubt,),
        "'unknown order' on a cancel is doubt, never death"),
    Row("cancel_refused", (*_NEW, "live", *_DOUBT, *_DEAD), None, None,          (ignore,)),
    # -- doubt
    Row("ask",          _DOUBT,                None,           None,             (ask_again,)),
    Row("alarm",        _DOUBT,                None,           None,             (call_person,)),
    Row("missing",      "unknown",             "rejected",     absent,           (note_absence,)),
    Row("missing",      "unknown",             None,           None,             (read_trades,)),
    Row("missing",      (*_NEW, *_HELD, "contradicted", *_DEAD), None, None,     (ignore,)),
    Row("unlisted",     _HELD,                 None,           None,             (ask_now,),
        "a complete list of open orders after a gap does not name it"),
    Row("unlisted",     (*_NEW, *_DOUBT, *_DEAD), None,        None,             (ignore,)),
    Row("untraced",     "unknown",             "rejected",     absent,           (note_absence,),
        "no trade in a read taken after the last moment at which it could have landed"),
    Row("untraced",     (*_ALIVE, *_DEAD),     None,           None,             (ignore,)),
    Row("query_failed", (*_ALIVE, *_DEAD),     None,           None,             (ignore,),
        "an error carries no information"),
    Row("settled",      _DOUBT,                "cancelled",    None,             (note_death,),
        "an operator settled it, by name"),
    Row("settled",      (*_NEW, *_HELD, *_DEAD), None,         None,             (ignore,)),
    # -- a new process
    Row("restarted",    (*_NEW, *_HELD),       "unknown",      None,             (begin_doubt,),
        "whatever was not dead before the restart is in doubt after it"),
    Row("restarted",    _DOUBT,                None,           None,             (ask_again,)),
    Row("restarted",    _DEAD,                 None,           None,             (ignore,)),
)  # fmt: skip

TABLE = Table("order", STATES, ROWS, "pending", Order)
