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
4. Every growth of `cum`, in any state, is told to the leg of the newest close of the position.

Beside this file: what is known and how evidence joins it (`order_model`), guards and actions
(`order_moves`).
"""

from __future__ import annotations

from machines.order_model import Order
from machines.order_moves import (
    absent,
    ask_after_ban,
    ask_again,
    ask_now,
    await_ack,
    begin_doubt,
    book_settled,
    call_person,
    cancel_contradicted,
    end_is_witnessed,
    ignore,
    never_seen,
    newer_than_death,
    note_absence,
    note_death,
    note_growth,
    note_live,
    note_resting,
    note_vanished,
    read_trades,
    repeat_cancel,
    send_cancel,
    venue_is_banned,
    was_asked_for,
)
from machines.table import Row, State, Table

STATES = (
    State("pending", "recorded, not sent yet",
        unbounded="left by the send that follows the commit", group="alive / new"),
    State("sent", "on its way; no word from the venue", "silent: decision_timeout_ms",
        group="alive / new"),
    State("live", "the venue has it and it can fill", unbounded="its leg's rung bounds it",
        group="alive / held"),
    State("cancelling", "a cancel was sent; it can still fill", "cancel_silent: cancel_timeout_s",
        group="alive / held"),
    State("unknown", "fate in doubt; counts as alive with its whole rest",
        "ask: 0.25 s to 5 s; alarm: alarm_after_s", group="alive / doubt"),
    State("contradicted", "reported dead, then seen alive; cancelled again",
        "ask: 0.25 s to 5 s; alarm: alarm_after_s", group="alive / doubt"),
    State("filled", "dead: filled in full", terminal=True, group="dead"),
    State("cancelled", "dead: cancelled, by us or by the venue", terminal=True, group="dead / unfilled"),
    State("rejected", "dead: refused, or proved never to have existed", terminal=True,
        group="dead / unfilled"),
    State("expired", "dead: ended by the venue's time or post-only rule", terminal=True,
        group="dead / unfilled"),
)  # fmt: skip
_UNFILLED = ("cancelled", "rejected", "expired")
_DEAD = ("filled", *_UNFILLED)
_NEW = ("pending", "sent")
_HELD = ("live", "cancelling")
_DOUBT = ("unknown", "contradicted")
_ALIVE = _NEW + _HELD + _DOUBT
# Why simulations do not take some rows.
_UNSENT = "pending: no word of a venue meets an order that has not left"
_WHOLE = "filled: what is reported of a whole fill counts as filled"
_UNASKED = "pending, sent: nobody asks about an order before it is in doubt"
_CANCELLED = (
    "pending, sent: a cancel leads out of here before it is answered; "
    "live: an order that was to be cancelled is not left resting"
)
ROWS = (
    # trigger           source                 dest            guard             actions
    # -- sending
    Row("sent",         "pending",             "sent",         None,             (await_ack,)),
    Row("sent",         ("sent", *_HELD, *_DOUBT, *_DEAD), None, None,           (ignore,),
        "the venue's word overtook our own note of the send",
        untaken="sent, live, unknown, contradicted, filled, cancelled, rejected, expired: "
        "a simulated send is noted before the venue can answer it"),
    Row("received",     _NEW,                  None,           None,             (ignore,),
        "an ack that is only a receipt: resting is proved by stream or query",
        untaken=_UNSENT),
    Row("received",     (*_HELD, *_DOUBT, *_DEAD), None,       None,             (ignore,),
        untaken=_WHOLE),
    Row("silent",       "sent",                "unknown",      None,             (begin_doubt,)),
    Row("place_lost",   _NEW,                  "unknown",      None,             (begin_doubt,),
        "a time-out is not a failure",
        untaken=_UNSENT),
    Row("place_lost",   (*_HELD, *_DOUBT, *_DEAD), None,       None,             (ignore,)),
    Row("refused",      (*_NEW, "cancelling", "unknown"), "rejected", never_seen, (note_death,),
        untaken="pending: a gate refuses what the journal does not hold yet, and a simulated one holds it"),
    Row("refused",      (*_NEW, "cancelling"), "unknown",      None,             (begin_doubt,),
        "refused, yet seen before: only the venue can say which",
        untaken=_UNSENT),
    Row("refused",      "unknown",             None,           None,             (ask_now,)),
    Row("refused",      "live",                "unknown",      None,             (begin_doubt,)),
    Row("refused",      ("contradicted", *_DEAD), None,        None,             (ignore,)),
    # -- resting and filling
    Row("opened",       _NEW,                  "live",         None,             (note_resting,),
        untaken=_UNSENT),
    Row("opened",       _HELD,                 None,           None,             (note_growth,)),
    Row("opened",       "unknown",             "live",         None,             (note_live,),
        bound="venue: one per answer or report"),
    Row("opened",       "contradicted",        None,           None,             (note_growth,),
        bound="fills: the cumulative only grows"),
    Row("opened",       _UNFILLED,             "contradicted", newer_than_death, (cancel_contradicted,),
        "live evidence dated after the death; a whole fill is proof of its own", late=True,
        bound="venue: one per live evidence dated after the death"),
    Row("opened",       _DEAD,                 None,           None,             (note_growth,),
        "a late ack never moves a dead order back",
        untaken=_WHOLE),
    Row("grew",         _NEW,                  "live",         None,             (note_resting, note_growth),
        "a fill may precede its ack",
        untaken=_UNSENT),
    Row("grew",         (*_HELD, *_DOUBT),     None,           None,             (note_growth,),
        bound="fills: the cumulative only grows"),
    Row("grew",         _DEAD,                 None,           None,             (note_growth,),
        "a late fill is credited; the order stays dead",
        untaken=_WHOLE),
    # -- ends
    Row("filled",       _ALIVE,                "filled",       None,             (note_death,),
        untaken=_UNSENT),
    Row("filled",       _DEAD,                 None,           None,             (note_growth,)),
    Row("cancelled",    _ALIVE,                "cancelled",    None,             (note_death,),
        untaken=_UNSENT),
    Row("cancelled",    _DEAD,                 None,           None,             (note_growth,),
        untaken=_WHOLE),
    Row("expired",      _ALIVE,                "expired",      None,             (note_death,),
        untaken=_UNSENT),
    Row("expired",      _DEAD,                 None,           None,             (note_growth,),
        untaken=_WHOLE),
    Row("rejected",     _ALIVE,                "rejected",     None,             (note_death,),
        untaken=_UNSENT),
    Row("rejected",     _DEAD,                 None,           None,             (note_growth,),
        untaken=_WHOLE),
    Row("ended_unclear", (*_NEW, *_HELD),      "unknown",      None,             (begin_doubt,),
        "an end without its quantity is no end",
        untaken=_UNSENT),
    Row("ended_unclear", _DOUBT,               None,           was_asked_for,    (ignore,),
        "an unclear answer is asked again after the pause; at once would have no end"),
    Row("ended_unclear", _DOUBT,               None,           None,             (ask_now,),
        bound="venue: one per report that nobody asked for"),
    Row("ended_unclear", _DEAD,                None,           None,             (ignore,)),
    Row("unrecognised", (*_NEW, *_HELD),       "unknown",      None,             (begin_doubt,),
        "a status text nobody knows: neither dead nor replaced before an answer",
        untaken=_UNSENT),
    Row("unrecognised", _DOUBT,                None,           None,             (ignore,)),
    Row("unrecognised", _DEAD,                 None,           None,             (ignore,),
        untaken=_WHOLE),
    # -- cancelling
    Row("cancel_asked", (*_NEW, "live"),       "cancelling",   None,             (send_cancel,)),
    Row("cancel_asked", "cancelling",          None,           None,             (ignore,)),
    Row("cancel_asked", _DOUBT,                None,           None,             (repeat_cancel,)),
    Row("cancel_asked", _DEAD,                 None,           None,             (ignore,)),
    Row("cancel_silent", "cancelling",         "unknown",      None,             (begin_doubt,)),
    Row("cancel_lost",  "cancelling",          "unknown",      None,             (begin_doubt,)),
    Row("cancel_lost",  (*_NEW, "live", *_DOUBT, *_DEAD), None, None,            (ignore,),
        untaken=_CANCELLED),
    Row("cancel_refused", "cancelling",        "unknown",      None,             (begin_doubt,),
        "'unknown order' on a cancel is doubt, never death"),
    Row("cancel_refused", (*_NEW, "live", *_DOUBT, *_DEAD), None, None,          (ignore,),
        untaken=_CANCELLED),
    # -- doubt
    Row("ask",          _DOUBT,                None,           venue_is_banned,  (ask_after_ban,),
        bound="paced: once per ban"),
    Row("ask",          _DOUBT,                None,           None,             (ask_again,),
        bound="paced: 0.25 s, doubling to 5 s, until the venue answers"),
    Row("alarm",        _DOUBT,                None,           None,             (call_person,)),
    Row("missing",      "unknown",             "rejected",     absent,           (note_absence,)),
    Row("missing",      "unknown",             None,           None,             (read_trades,)),
    Row("missing",      (*_NEW, *_HELD, "contradicted", *_DEAD), None, None,     (ignore,),
        untaken=_UNASKED),
    Row("unlisted",     _HELD,                 None,           None,             (ask_now,),
        "a complete list of open orders after a gap does not name it"),
    Row("unlisted",     (*_NEW, *_DOUBT, *_DEAD), None,        None,             (ignore,),
        untaken="pending: no order is created while its venue is read after a gap; "
        "unknown, filled, cancelled, rejected, expired: told only to those that are believed to rest"),
    Row("untraced",     "unknown",             "rejected",     absent,           (note_absence,),
        "no trade in a read taken after the last moment at which it could have landed"),
    Row("untraced",     (*_ALIVE, *_DEAD),     None,           None,             (ignore,),
        untaken="pending, sent, live, cancelling, contradicted, filled, cancelled, rejected, expired: "
        "told only to those whose fate is unknown"),
    Row("lacked",       _DOUBT,                "cancelled",    end_is_witnessed, (note_vanished,),
        "a venue that only lists open orders: two rounds without it that add up"),
    Row("lacked",       (*_ALIVE, *_DEAD),     None,           None,             (ignore,),
        "one round that lacks it proves nothing",
        untaken="pending, sent, live, cancelling, filled, cancelled, rejected, expired: "
        "told only to those that are in doubt"),
    Row("query_failed", (*_ALIVE, *_DEAD),     None,           None,             (ignore,),
        "an error carries no information",
        untaken=_UNASKED),
    Row("settled",      _DOUBT,                "cancelled",    None,             (book_settled, note_death),
        "an operator settled it, by name"),
    Row("settled",      (*_NEW, *_HELD, *_DEAD), None,         None,             (ignore,),
        "nothing is in doubt: the venue's word goes, not a person's"),
    # -- a new process
    Row("restarted",    "cancelling",          "unknown",      None,             (begin_doubt, repeat_cancel),
        "nobody knows whether its cancel has left: it goes again at once, being idempotent"),
    Row("restarted",    (*_NEW, "live"),       "unknown",      None,             (begin_doubt,),
        "whatever was not dead before the restart is in doubt after it"),
    Row("restarted",    _DOUBT,                None,           None,             (ask_again,)),
    Row("restarted",    _DEAD,                 None,           None,             (ignore,),
        untaken="a new process tells only those that may be alive"),
)  # fmt: skip
TABLE = Table("order", STATES, ROWS, "pending", Order)
