"""The holding machine: whether what we believe to hold in an instrument is what the venue shows.

Theory of operation. What we believe is what was held, plus our own fills, plus what the venue told
of its own doing. A *round* (positions, open orders and trades of one read) adds up if that is what
it shows. After a start or a gap nothing is placed on the instrument until a round adds up. Where one
does not, nothing is placed either and another one is awaited: sent after the read lag of the newest
fill, and with no order of ours left that could be the reason. When two such rounds agree, the venue
has the last word: what it lists as a liquidation is booked with its price, what strangers announced
is done, and what nothing explains is foreign. A person is told of that, and it is believed; the
close that owns the position is frozen, unless it was only made smaller while nothing was hidden by
a gap. That the other side is held is never believed without a trade that explains it.

It holds whether or not anything is being closed. Believing is not owning: what strangers added is
not ours to close until an operator adopts it. It knows neither ladder nor sibling; legs ask it
before they place, and read again by themselves while they wait for it.

Invariants
1. Belief changes by own fills, by what the venue is known to have done, by two agreeing rounds, or
   by a person's word, and by nothing else.
2. Nothing is placed except in `settled`.
3. A change that nothing explains raises `foreign_exposure` when two rounds show it.
4. Every fill counts once: one that a read had already made us believe is not added again.

Beside this file: what is known (`holding_model`), guards and actions (`holding_moves`), what a
round proves (`policy.reconciling`).
"""

from __future__ import annotations

from machines.holding_model import Holding
from machines.holding_moves import (
    ask_after_ban,
    ask_later,
    ask_once_more,
    believe,
    book_taken,
    confirm,
    count,
    doubt,
    end_own_orders,
    explanation_may_come,
    forget_rounds,
    freeze_close,
    freeze_unadopted,
    ignore,
    is_asked_by_another,
    judge_again,
    more_is_held,
    note_strangers_trade,
    nothing_is_held,
    order_exceeds_what_is_shown,
    own_order_may_explain,
    read_now,
    round_adds_up,
    round_contradicts,
    round_is_void,
    round_may_lag,
    rounds_are_explained,
    rounds_are_foreign,
    rounds_are_suspected,
    rounds_turned,
    suspect_soon,
    tell_foreign,
    venue_is_banned,
    venue_is_untrusted,
    void_round_contradicts,
)
from machines.table import Row, State, Table

STATES = (
    State("unread", "a start or a gap: no round has added up since; nothing is placed",
        "ask: 10 s, then 0.25 s to 10 s; suspect: 0.2 s", unbounded="until then the session's own reads bound it", group="in question"),
    State("doubted", "what is held is in question; another round is awaited, nothing is placed",
        "ask: 10 s, then 0.25 s to 10 s; suspect: 0.2 s", group="in question"),
    State("settled", "what we believe to hold is what the venue showed last", "ask: 0.25 s to 5 s",
        unbounded="as long as nothing contradicts it"),
)  # fmt: skip

_ASKING = ("unread", "doubted")
_ALL = (*_ASKING, "settled")
_ROUND = "venue: one per round"
_NO_FRAMES = "the simulated venues tell every change as a trade"
ROWS = (
    # trigger           source      dest        guard                   actions
    Row("gap",          _ALL,       "unread",   None,                   (forget_rounds,),
        "what happened in a gap was not told",
        bound="venue: one per start or gap"),
    # -- a round was read
    Row("read",         "unread",   None,       (venue_is_untrusted, round_contradicts), (suspect_soon,),
        "our orders there may be larger than what is left: they end, unless the next read says at once",
        bound=_ROUND),
    Row("read",         "unread",   None,       (venue_is_untrusted, void_round_contradicts), (suspect_soon,),
        "what would explain it is not told yet, but our orders there may be larger than what is left",
        bound=_ROUND),
    Row("read",         _ALL,       None,       venue_is_untrusted,     (ignore,),
        "its session reads until two agree, which count here as well",
        untaken="doubted, settled: a venue that is not trusted has left every position unread",
        bound=_ROUND),
    Row("read",         "settled",  "doubted",  void_round_contradicts, (doubt, suspect_soon, ask_later),
        "another position than ours, and what would explain it is not told: nothing is placed until it is",
        bound=_ROUND),
    Row("read",         "settled",  None,       round_is_void,          (ignore,),
        "it counts for nothing"),
    Row("read",         "settled",  None,       round_adds_up,          (confirm,)),
    Row("read",         "settled",  None,       round_may_lag,          (ignore,),
        "a read behind our own fills shows what was held before them"),
    Row("read",         "settled",  "doubted",  None,                   (doubt, judge_again),
        "it does not add up: what is in question is judged by the rows below",
        bound=_ROUND),
    Row("read",         _ASKING,    None,       void_round_contradicts, (suspect_soon, ask_later),
        "what would explain it is not told yet, but our orders there may be larger than what is left",
        bound=_ROUND),
    Row("read",         _ASKING,    None,       round_is_void,          (ask_later,),
        "it counts for nothing; another one is awaited",
        bound=_ROUND),
    Row("read",         _ASKING,    "settled",  round_adds_up,          (confirm,),
        "what was held, with our own fills, is what the venue shows"),
    Row("read",         _ASKING,    "settled",  rounds_are_explained,   (believe,),
        "the venue lists what it took, or a stranger's trade was announced: nothing is left open"),
    Row("read",         _ASKING,    None,       rounds_turned,          (tell_foreign, freeze_unadopted, ask_later),
        "the other side, and no trade explains it: never believed, a person decides",
        bound=_ROUND),
    Row("read",         _ASKING,    None,       rounds_are_suspected,   (tell_foreign, freeze_unadopted, end_own_orders, ask_later),
        "nothing explains it, whatever our own order does: a person decides; believed once that has ended",
        bound=_ROUND),
    Row("read",         "unread",   "settled",  nothing_is_held,        (tell_foreign, believe),
        "somebody closed it in the gap: nothing can be sold here that is not there",
        bound=_ROUND),
    Row("read",         "unread",   "settled",  rounds_are_foreign,     (tell_foreign, freeze_unadopted, believe),
        "own fills and foreign changes fell into one gap: a person decides, whether it grew or shrank",
        bound=_ROUND),
    Row("read",         "doubted",  "settled",  (rounds_are_foreign, more_is_held), (tell_foreign, freeze_unadopted, believe),
        "more is held than we know of: believed, and not ours to close",
        bound=_ROUND),
    Row("read",         "doubted",  "settled",  rounds_are_foreign,     (tell_foreign, believe),
        "a stranger took a part: less is left to close",
        bound=_ROUND),
    Row("read",         _ASKING,    None,       own_order_may_explain,  (end_own_orders, ask_later),
        "our own order may have filled untold: it ends, then the next round says",
        bound=_ROUND),
    Row("read",         "unread",   None,       round_contradicts,      (suspect_soon, ask_later),
        "our orders there may be larger than what is left: they end, unless the next round says at once",
        bound=_ROUND),
    Row("read",         "doubted",  None,       order_exceeds_what_is_shown, (suspect_soon, ask_later),
        "an order larger than what may be left ends, unless the next round says at once",
        bound=_ROUND),
    Row("read",         _ASKING,    None,       None,                   (ask_later,),
        "it does not add up yet: too soon after a fill, or one round alone",
        bound=_ROUND),
    Row("suspect",      _ASKING,    None,       None,                   (end_own_orders,),
        "a position that was contradicted is still in question",
        bound="paced: once per contradiction"),
    Row("ask",          "settled",  None,       explanation_may_come,   (read_now, ask_once_more),
        "a liquidation may be listed later than the position shows it",
        bound="paced: 0.25 s, doubling to 5 s, until the read lag is over"),
    Row("ask",          "settled",  None,       None,                   (ignore,),
        "what took it is not listed: it stays a stranger's doing"),
    Row("ask",          _ASKING,    None,       venue_is_banned,        (ask_after_ban,),
        bound="paced: once per ban"),
    Row("ask",          _ASKING,    None,       is_asked_by_another,    (ask_later,),
        "the leg or the close reads by itself",
        bound="paced: 10 s, then 0.25 s, doubling to 10 s, until a round adds up"),
    Row("ask",          _ASKING,    None,       None,                   (read_now, ask_later),
        bound="paced: 10 s, then 0.25 s, doubling to 10 s, until a round adds up"),
    # -- told by others
    Row("strange",      "settled",  "doubted",  None,                   (note_strangers_trade, doubt, freeze_close, ask_later),
        "somebody else traded here: believed when two rounds show it",
        bound="venue: one per trade of somebody else"),
    Row("strange",      _ASKING,    None,       None,                   (note_strangers_trade, freeze_close, ask_later)),
    Row("taken",        _ALL,       None,       None,                   (book_taken,),
        "liquidated, deleveraged or settled by the venue: a fill with its own price"),
    Row("moved",        "settled",  "doubted",  None,                   (doubt, read_now, ask_later),
        "a position frame may precede or trail the fills: only rounds settle it",
        untaken=_NO_FRAMES,
        bound="venue: one per frame"),
    Row("moved",        _ASKING,    None,       None,                   (ignore,),
        untaken=_NO_FRAMES),
    # -- a person
    Row("counted",      _ALL,       None,       None,                   (count,),
        "a person says what is held where the venue shows no positions",
        bound="person: one per decision"),
    Row("adopted",      _ALL,       "settled",  None,                   (confirm,),
        "an operator takes what is held as ours",
        bound="caller: one per decision of a person"),
)  # fmt: skip
TABLE = Table("holding", STATES, ROWS, "unread", Holding)
