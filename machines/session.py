"""The session machine: whether what a venue tells us can be relied on.

Theory of operation. A link that stands is not yet a view that can be trusted: after every connect
or gap the positions, open orders and trades are read until two successive complete reads agree.
Only then is the venue TRUSTED (`live`) and may orders be created there; cancels and queries go at
any time. Silence, gaps and slow consumption make the view `stale`, a closed link sends the session
to `backoff` with full jitter; the number of attempts is forgotten only after a minute of health.
A gap while reading begins the reads anew: what was asked before it counts for nothing.

It knows nothing of orders or closes; the core tells those when trust comes and goes.

Invariants
1. `trusted` is true in `live` and nowhere else.
2. Every way into `live` passes two agreeing complete reads asked after the link opened and after
   the last gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.lane import Lane
from machines.messages import Alarm, Arm, Connect, LinkClosed, ReadTruth, TruthRead
from machines.policy.reconciling import ask_again_after
from machines.table import Row, State, Table
from machines.types import SessionSettings, VenueSettings

if TYPE_CHECKING:
    from transitions import EventData

    from machines.env import Env

MILLION = 1_000_000
#: What a venue that is not online still takes, in words.
_TAKEN = {
    "maintenance": "nothing",
    "halted": "nothing",
    "cancel_only": "cancels only",
    "post_only": "orders that rest only",
}


class Session:
    """The link to one venue. `mode` is what the venue announced, `trusted` our verdict."""

    __slots__ = (
        "alarmed", "ask_count", "attempts", "env", "id", "lane", "last_view", "mode", "mode_since", "opened_at",
        "settings", "state", "timers", "told", "uid", "untrusted_since", "venue",
    )  # fmt: skip

    def __init__(self, venue: VenueSettings, settings: SessionSettings, env: Env) -> None:
        self.id = venue.name
        self.venue = venue
        self.settings = settings
        self.env = env
        self.uid = env.enlist(self)
        self.state = "connecting"
        self.mode = "online"
        #: Since when the venue has not been online, as it announced; 0: it is.
        self.mode_since = 0
        self.timers: dict[str, int] = {}
        self.attempts = 0
        self.ask_count = 0
        self.opened_at = 0
        self.last_view: tuple[tuple[int, int | None, int], ...] | None = None
        self.alarmed = False
        self.lane = Lane(venue, env)
        #: Since when the venue is not trusted.
        self.untrusted_since = 0
        #: A person knows that the venue is not trusted, since it was last.
        self.told = False

    @property
    def trusted(self) -> bool:
        """Whether orders may be created at this venue."""
        return self.state == "live"


def _view(read: TruthRead) -> tuple[tuple[int, int | None, int], ...]:
    return tuple((row.instrument, row.qty, len(row.orders)) for row in read.rows)


# ---------------------------------------------------------------- guards


def was_asked_before(e: EventData) -> bool:
    """The read was asked before the link opened, or before the last gap."""
    opened_at: int = e.model.opened_at
    sent_at: int = e.args[0].sent_at
    return sent_at < opened_at


def says_online(e: EventData) -> bool:
    """The venue takes orders of every kind."""
    online: bool = e.args[0].mode == "online"
    return online


def read_is_incomplete(e: EventData) -> bool:
    """The read lacks open orders or trades of an instrument."""
    return not all(row.orders_complete and row.trades_complete for row in e.args[0].rows)


def reads_agree(e: EventData) -> bool:
    """This complete read equals the one before it."""
    session, read = e.model, e.args[0]
    return session.last_view is not None and session.last_view == _view(read)


# ---------------------------------------------------------------- actions


def connect(e: EventData) -> None:
    """Open the link, within `open_timeout`."""
    session, out = e.model, e.args[1]
    session.timers.clear()
    if session.trusted:
        session.untrusted_since = out.now
    out.commands.append(Connect(out.now, session.id))
    _arm(e, "open", session.settings.open_timeout_ns)


def read_truth(e: EventData) -> None:
    """Read positions, open orders and trades of the whole venue."""
    session, out = e.model, e.args[1]
    session.timers.clear()
    session.opened_at = out.now
    session.last_view = None
    session.ask_count = 0
    out.commands.append(ReadTruth(out.now, session.id, -1))
    _arm(e, "snapshot", session.settings.snapshot_ns)


def read_again(e: EventData) -> None:
    """Keep this view and read once more at once."""
    session, read, out = e.model, e.args[0], e.args[1]
    session.last_view = _view(read)
    out.commands.append(ReadTruth(out.now, session.id, -1))


def read_later(e: EventData) -> None:
    """The read proves nothing; read again after a pause."""
    session = e.model
    _arm(e, "ask", ask_again_after(session.ask_count))
    session.ask_count += 1
    _tell(e, getattr(e.args[0], "cause", "") or "its open orders or trades are missing")


def forget_view(e: EventData) -> None:
    """Two complete reads in succession are wanted: this one was none."""
    e.model.last_view = None


def venue_is_banned(e: EventData) -> bool:
    """The venue has banned us: every request would lengthen that."""
    session: Session = e.model
    return session.lane.banned_until > 0


def ask_after_ban(e: EventData) -> None:
    """Read when the ban is over."""
    session = e.model
    _arm(e, "ask", session.lane.banned_until - e.args[1].now)


def read_now(e: EventData) -> None:
    """The pause after a failed or incomplete read is over."""
    session, out = e.model, e.args[1]
    out.commands.append(ReadTruth(out.now, session.id, -1))


def become_trusted(e: EventData) -> None:
    """The view is complete and stable: creates are allowed again."""
    session = e.model
    session.timers.clear()
    session.told = False
    if session.mode == "online":
        session.mode_since = 0
    _arm(e, "stable", session.settings.live_stable_ns)


def forget_attempts(e: EventData) -> None:
    """A minute of health: the only reset of the attempt counter."""
    e.model.attempts = 0
    e.model.alarmed = False


def back_off(e: EventData) -> None:
    """Wait a jittered, growing time before the next connect; alarm after ten attempts."""
    session, out = e.model, e.args[1]
    settings = session.settings
    session.timers.clear()
    session.attempts += 1
    fact = e.args[0]
    if session.attempts > 1 or not isinstance(fact, LinkClosed):
        # A link that breaks once while it is being opened is everyday; no answer at all is not.
        _tell(e, getattr(fact, "cause", "") or "no answer in time")
    draw = fact.draw if isinstance(fact, LinkClosed) else MILLION // 2
    ceiling = min(settings.backoff_max_ns, settings.backoff_base_ns << min(session.attempts, 16))
    span = max(ceiling - settings.backoff_min_ns, 0)
    _arm(e, "retry", settings.backoff_min_ns + span * draw // MILLION)
    if session.attempts >= settings.attempts_alarm and not session.alarmed:
        session.alarmed = True
        text = f"{session.attempts} failed connects in a row"
        out.commands.append(Alarm(out.now, "session", session.id, text))


def lose_trust(e: EventData) -> None:
    """Say that the venue is untrusted: nothing is created there until two reads agree again."""
    e.model.timers.clear()
    e.model.untrusted_since = e.args[1].now
    _tell(e, getattr(e.args[0], "cause", "") or "unknown cause")


def _tell(e: EventData, cause: str) -> None:
    """Tell a person that the venue is not trusted, once until it is."""
    session, out = e.model, e.args[1]
    if not session.told:
        session.told = True
        text = f"untrusted ({cause}); no order is created there until two reads agree"
        out.commands.append(Alarm(out.now, "venue_degraded", session.id, text))


def note_mode(e: EventData) -> None:
    """The venue is not online: tell a person once, until it is."""
    session, fact, out = e.model, e.args[0], e.args[1]
    session.mode = fact.mode
    if not session.mode_since:
        session.mode_since = out.now
        text = f"{session.mode.replace('_', ' ')}; it takes {_TAKEN[session.mode]}"
        out.commands.append(Alarm(out.now, "venue_degraded", session.id, text))


def note_online(e: EventData) -> None:
    """The venue is online again, or says that it still is."""
    e.model.mode = "online"
    e.model.mode_since = 0


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""


def _arm(e: EventData, tag: str, span_ns: int) -> None:
    session, out = e.model, e.args[1]
    session.timers[tag] = due = out.now + span_ns
    out.commands.append(Arm(session.uid, tag, due))


# ---------------------------------------------------------------- table

STATES = (
    State("connecting", "opening the streams", "open: open_timeout_s"),
    State("syncing", "reading positions, orders and trades until two reads agree",
        "snapshot: snapshot_s; ask: 0.25 s to 5 s", group="linked"),
    State("live", "trusted: orders may be created", "stable: live_stable_s",
        unbounded="as long as the data is good", group="linked"),
    State("stale", "the data cannot be relied on; recovery is about to begin",
        unbounded="left within the same step", group="linked"),
    State("recovering", "reading again on the same link", "snapshot: snapshot_s; ask: 0.25 s to 5 s",
        group="linked"),
    State("backoff", "no link; waiting before the next connect", "retry: backoff_min_s to backoff_max_s"),
)  # fmt: skip

_READING = ("syncing", "recovering")
_LINKED = ("syncing", "live", "stale", "recovering")
_ALL = ("connecting", "syncing", "live", "stale", "recovering", "backoff")

# Why simulations do not take some rows.
_STALE = "stale: it recovers within the step that makes it stale"
ROWS = (
    # trigger        source                   dest          guard         actions
    Row("opened",    "connecting",            "syncing",    None,         (read_truth,),
        "the streams stand: positions, orders and trades are read"),
    Row("opened",    (*_LINKED, "backoff"),   None,         None,         (ignore,),
        untaken="live, recovering: a link opens once, and its venue's facts keep their order; "
        f"{_STALE}"),
    Row("open",      "connecting",            "backoff",    None,         (back_off,),
        "no answer in time"),
    Row("truth",     _READING,                None,         was_asked_before, (ignore,),
        "a view of before the gap counts for nothing"),
    Row("truth",     _READING,                None,         read_is_incomplete, (forget_view, read_later),
        "what is missing may stay so for a while: asked at once, it would be asked without end",
        bound="paced: 0.25 s, doubling to 5 s, within snapshot_s"),
    Row("truth",     "syncing",               "live",       reads_agree,  (become_trusted,),
        "two equal reads: orders may be created"),
    Row("truth",     "recovering",            "live",       reads_agree,  (become_trusted,),
        "two equal reads: orders may be created"),
    Row("truth",     _READING,                None,         None,         (read_again,),
        bound="venue: one per complete read, within snapshot_s"),
    Row("truth",     ("connecting", "live", "stale", "backoff"), None, None, (ignore,),
        untaken=_STALE),
    Row("truth_failed", _READING,             None,         was_asked_before, (ignore,),
        "the reads asked since have their own answers"),
    Row("truth_failed", _READING,             None,         None,         (read_later,),
        bound="paced: 0.25 s, doubling to 5 s, within snapshot_s"),
    Row("truth_failed", ("connecting", "live", "stale", "backoff"), None, None, (ignore,),
        untaken=_STALE),
    Row("ask",       _READING,                None,         venue_is_banned, (ask_after_ban,),
        bound="paced: once per ban"),
    Row("ask",       _READING,                None,         None,         (read_now,),
        bound="paced: 0.25 s, doubling to 5 s, within snapshot_s"),
    Row("snapshot",  _READING,                "backoff",    None,         (back_off,),
        "no answer in time"),
    Row("stale",     "live",                  "stale",      None,         (lose_trust,),
        "silence, a gap or a slow reader: the view may be wrong"),
    Row("stale",     _READING,                None,         None,         (read_truth,),
        "another gap: what was read before it counts for nothing",
        bound="venue: one per silence or gap"),
    Row("stale",     ("connecting", "stale", "backoff"), None, None,      (ignore,),
        untaken=_STALE),
    Row("recover",   "stale",                 "recovering", None,         (read_truth,),
        bound="venue: one per silence or gap"),
    Row("recover",   ("connecting", "syncing", "live", "recovering", "backoff"), None, None, (ignore,),
        untaken="live: it is told only to what is stale"),
    Row("stable",    "live",                  None,         None,         (forget_attempts,)),
    Row("closed",    "live",                  "backoff",    None,         (lose_trust, back_off),
        "the link broke"),
    Row("closed",    ("connecting", "syncing", "stale", "recovering"), "backoff", None, (back_off,),
        "the link broke",
        untaken=_STALE),
    Row("closed",    "backoff",               None,         None,         (ignore,)),
    Row("retry",     "backoff",               "connecting", None,         (connect,),
        "the pause before the next connect is over",
        bound="paced: backoff_min_s to backoff_max_s, a person is called after ten in a row"),
    Row("mode_told", _ALL,                    None,         says_online,  (note_online,),
        untaken=_STALE),
    Row("mode_told", _ALL,                    None,         None,         (note_mode,),
        "what the mode forbids, the gate forbids: a person is told",
        untaken=_STALE),
    Row("restarted", _ALL,                    "connecting", None,         (connect,),
        "a new process trusts nothing of an earlier one",
        bound="person: one per start of a process",
        untaken=_STALE),
)  # fmt: skip

TABLE = Table("session", STATES, ROWS, "connecting", Session)
