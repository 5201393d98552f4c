"""The lane machine: whether a venue lets us create orders at all, by what it has answered.

Theory of operation. A refusal speaks of one order, but some reasons concern the venue: too many
requests, a ban, credentials, a mode. Those shut the lane for every leg there. Pushed back, it opens
again when the venue said, else after 1 s, doubling to 30 s while refusals of that kind follow each
other. A ban is the venue's silence for a stated time, else 60 s, doubling. A mode that refuses is
asked for every 30 s. Credentials are a person's affair. An order that the instrument cannot have
bars that instrument alone. Orders that are under way when the lane shuts may still be refused; that
counts once. What a venue does to us lasts until it takes an order: a lane that opens to try is on
trial, and nobody is told of the same cause twice.

It knows no order, leg or close: it is told of reasons, and legs ask it before they place. Cancels
and queries pass, but during a ban nothing is asked a second time: that would lengthen it.

Invariants
1. No order is created at a venue whose lane is not `open`, nor on an instrument that is barred.
2. Every way out of `shut` and `banned` is a time, out of `unready` the venue's word, out of `barred`
   a person's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.messages import Alarm, Arm, ReadMode
from machines.policy.refusing import BAN_NS, MODE_ASKED_NS, PUSHED_BACK_LONG_NS, pushed_back_for
from machines.table import Row, State, Table
from machines.types import NS, VenueSettings

if TYPE_CHECKING:
    from transitions import EventData

    from machines.env import Env


class Lane:
    """Leave to create orders at one venue. `until` is when a timed state ends, in ns.

    `strikes` and `bans` are refusals in a row, forgotten when an order is taken. `barred` names
    instruments that take no order of ours, with the reason.
    """

    __slots__ = (
        "alarmed", "bans", "barred", "env", "id", "refused_since", "state", "strikes", "timers", "uid",
        "until",
    )  # fmt: skip

    def __init__(self, venue: VenueSettings, env: Env) -> None:
        self.id = venue.name
        self.env = env
        self.uid = env.enlist(self)
        self.state = "open"
        self.timers: dict[str, int] = {}
        self.strikes = 0
        self.bans = 0
        self.until = 0
        self.barred: dict[int, str] = {}
        #: When the first of the refusals came that no taken order has followed; 0: there is none.
        self.refused_since = 0
        #: Triggers of which a person was told since an order was last taken.
        self.alarmed: set[str] = set()

    @property
    def banned_until(self) -> int:
        """Until when every request would lengthen a ban; 0 where none is waited for."""
        return self.until if self.state == "banned" else 0

    def shut_for(self, instrument: int) -> str:
        """Why no order may be created on an instrument now; empty if one may."""
        if self.state != "open":
            return self.state
        return "unfit" if instrument in self.barred else ""


class Refusal:
    """What a lane is told of a refusal: the reason, on which instrument, and a stated time (0)."""

    __slots__ = ("instrument", "reason", "retry_at", "text")

    def __init__(self, reason: str, instrument: int, key: str, text: str, retry_at: int) -> None:
        self.reason = reason
        self.instrument = instrument
        told = f" ({text})" if text not in ("", reason) else ""
        self.text = f"{key}: {reason}{told}"
        self.retry_at = retry_at


# ---------------------------------------------------------------- guards


def is_stated_later(e: EventData) -> bool:
    """The venue now states a later time than the one that is waited for."""
    lane: Lane = e.model
    refusal: Refusal = e.args[0]
    return refusal.retry_at > lane.until


# ---------------------------------------------------------------- actions


def push_back(e: EventData) -> None:
    """Create nothing there until the stated time, else for 1 s, doubling to 30 s."""
    lane, refusal, out = e.model, e.args[0], e.args[1]
    due = refusal.retry_at or out.now + pushed_back_for(lane.strikes)
    lane.strikes += 1
    _note_refusal(e)
    _wait_until(e, due)
    if out.now >= lane.refused_since + PUSHED_BACK_LONG_NS:
        since = (out.now - lane.refused_since) // NS
        text = f"{refusal.text}; it has taken no order for {since} s, and is tried again"
        _alarm_once(e, "pushed_back", "venue_degraded", text)


def ban(e: EventData) -> None:
    """The venue takes nothing of us until the stated time, else for 60 s, doubling: say so."""
    lane, refusal, out = e.model, e.args[0], e.args[1]
    due = refusal.retry_at or out.now + (BAN_NS << min(lane.bans, 10))
    lane.bans += 1
    _note_refusal(e)
    _wait_until(e, due)
    _alarm(e, "venue_degraded", f"{refusal.text}; no order there for {(due - out.now) // NS} s")


def wait_longer(e: EventData) -> None:
    """Wait until the later time."""
    _wait_until(e, e.args[0].retry_at)


def bar(e: EventData) -> None:
    """No order any more before an operator says `resume` for this venue: tell a person."""
    e.model.timers.clear()
    _note_refusal(e)
    _alarm(e, "venue_auth", f"{e.args[0].text}; no order there before it is resumed by a person")


def await_mode(e: EventData) -> None:
    """The venue's mode refuses orders: tell a person, and ask for the mode every 30 s."""
    e.model.timers.clear()
    _note_refusal(e)
    text = f"{e.args[0].text}; no order there before its mode allows them"
    _alarm_once(e, "mode_refused", "venue_degraded", text)
    _ask_later(e)


def ask_mode(e: EventData) -> None:
    """Ask for the mode, and again after 30 s."""
    lane, out = e.model, e.args[1]
    out.commands.append(ReadMode(out.now, lane.id))
    _ask_later(e)


def bar_instrument(e: EventData) -> None:
    """This instrument takes no order of ours any more: tell a person."""
    lane, refusal = e.model, e.args[0]
    _note_refusal(e)
    if lane.barred.get(refusal.instrument) == refusal.reason:
        return
    lane.barred[refusal.instrument] = refusal.reason
    _alarm(e, "venue_degraded", f"{refusal.text}; no order on it before a person resumes the venue")


def reopen(e: EventData) -> None:
    """Orders may be created again."""
    e.model.timers.clear()
    e.model.until = 0


def lift(e: EventData) -> None:
    """A person resumes the venue: nothing there is barred."""
    lane = e.model
    lane.timers.clear()
    lane.until = 0
    lane.barred.clear()
    lane.refused_since = 0
    lane.alarmed.clear()


def lift_instruments(e: EventData) -> None:
    """A person resumes the venue: no instrument is barred; its own times stay."""
    e.model.barred.clear()


def forget_strikes(e: EventData) -> None:
    """An order was taken that was under way as the lane shut: refusals are counted anew."""
    e.model.strikes = e.model.bans = 0


def pass_trial(e: EventData) -> None:
    """An order was taken: whatever the venue refused before is over."""
    lane = e.model
    lane.strikes = lane.bans = 0
    lane.alarmed.clear()
    if not lane.barred:
        lane.refused_since = 0


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _wait_until(e: EventData, due: int) -> None:
    lane, out = e.model, e.args[1]
    lane.timers.clear()
    lane.until = lane.timers["reopen"] = due
    out.commands.append(Arm(lane.uid, "reopen", due))


def _note_refusal(e: EventData) -> None:
    lane, out = e.model, e.args[1]
    lane.refused_since = lane.refused_since or out.now


def _ask_later(e: EventData) -> None:
    lane, out = e.model, e.args[1]
    lane.timers["status"] = due = out.now + MODE_ASKED_NS
    out.commands.append(Arm(lane.uid, "status", due))


def _alarm_once(e: EventData, trigger: str, kind: str, text: str) -> None:
    """Tell a person, if nobody was told of this trigger since an order was last taken."""
    lane: Lane = e.model
    if trigger not in lane.alarmed:
        lane.alarmed.add(trigger)
        _alarm(e, kind, text)


def _alarm(e: EventData, kind: str, text: str) -> None:
    lane, out = e.model, e.args[1]
    out.commands.append(Alarm(out.now, kind, lane.id, text))


# ---------------------------------------------------------------- table

STATES = (
    State("open", "orders may be created", unbounded="as long as the venue takes them"),
    State("shut", "pushed back: too many requests, overload, or nothing could be sent",
        "reopen: the stated time, else 1 s to 30 s", group="shut / for a time"),
    State("banned", "the venue takes nothing of us", "reopen: the stated time, else 60 s, doubling",
        group="shut / for a time"),
    State("unready", "its mode refuses orders", "status: 30 s", group="shut / until told"),
    State("barred", "it refuses our credentials", unbounded="only an operator ends it",
        group="shut / until told"),
)  # fmt: skip
_ALL = ("open", "shut", "banned", "unready", "barred")
_REFUSED = "venue: one per order that it refuses"
ROWS = (
    # trigger           source                          dest        guard             actions
    Row("pushed_back",  "open",                         "shut",     None,             (push_back,),
        "too many requests, an overload, or no way to send", bound=_REFUSED),
    Row("pushed_back",  "shut",                         None,       is_stated_later,  (wait_longer,),
        "of an order that was under way; the venue states a later time"),
    Row("pushed_back",  ("shut", "banned", "unready", "barred"), None, None,          (ignore,),
        "an order that was under way: it counts once"),
    Row("ban_told",     ("open", "shut", "unready"),    "banned",   None,             (ban,),
        "every further request would lengthen it", bound=_REFUSED),
    Row("ban_told",     "banned",                       None,       is_stated_later,  (wait_longer,),
        "the venue states a later time"),
    Row("ban_told",     ("banned", "barred"),           None,       None,             (ignore,),
        "an order that was under way: it counts once"),
    Row("denied",       ("open", "shut", "banned", "unready"), "barred", None,        (bar,),
        "key revoked or without the right: asking again only makes it worse"),
    Row("denied",       "barred",                       None,       None,             (ignore,)),
    Row("mode_refused", ("open", "shut"),               "unready",  None,             (await_mode,),
        "the mode is not what we think it is", bound=_REFUSED),
    Row("mode_refused", ("banned", "unready", "barred"), None,      None,             (ignore,),
        "an order that was under way: it counts once"),
    Row("unfit",        _ALL,                           None,       None,             (bar_instrument,),
        "an order that this instrument can never have"),
    Row("order_taken",  "open",                         None,       None,             (pass_trial,),
        "it takes orders"),
    Row("order_taken",  ("shut", "banned", "unready", "barred"), None, None,          (forget_strikes,),
        "an order that was under way"),
    Row("reopen",       ("shut", "banned"),             "open",     None,             (reopen,),
        "the time is over"),
    Row("status",       "unready",                      None,       None,             (ask_mode,),
        bound="paced: 30 s, until the venue says its mode"),
    Row("mode_told",    "unready",                      "open",     None,             (reopen,),
        "its mode is known now; what the mode forbids, the gate forbids",
        bound="venue: one per word about its mode"),
    Row("mode_told",    ("open", "shut", "banned", "barred"), None, None,             (ignore,)),
    Row("resumed",      ("barred", "unready"),          "open",     None,             (lift,),
        "a person says that orders are to be tried again",
        bound="person: one per decision"),
    Row("resumed",      ("open", "shut", "banned"),     None,       None,             (lift_instruments,)),
)  # fmt: skip
TABLE = Table("lane", STATES, ROWS, "open", Lane)
