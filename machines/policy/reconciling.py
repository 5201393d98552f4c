"""What a venue's answers prove: absence of an order, its death, a position; decides, never asks.

Numbered properties of the decisions here:
1. An answer counts by when its question was *sent*, never by when it arrived.
2. A read can be stale without saying so: one that contradicts our own fills within the venue's
   read lag proves nothing.
3. Missing data is unknown, never zero.
"""

from typing import Literal

from machines.types import MS

ASK_FIRST_NS = 250 * MS
ASK_MAX_NS = 5_000 * MS
#: A position that is in question is read after this pause if no leg or close has asked, who wait
#: for the answer and ask sooner.
LOOK_AGAIN_NS = 10_000 * MS
#: How long an order of ours may stay after a read contradicts what it was sized by.
SUSPECT_NS = 200 * MS
#: Two not-found answers must have been asked at least this far apart.
MISSING_APART_NS = 1_000 * MS


def ask_again_after(count: int) -> int:
    """Pause before question number `count` + 1 about the same doubt: 0.25 s doubling to 5 s."""
    return min(ASK_FIRST_NS << count, ASK_MAX_NS) if count < 5 else ASK_MAX_NS


def look_again_after(count: int) -> int:
    """Pause before question number `count` + 1 about a position: 10 s, 0.25 s doubling to 10 s."""
    return min(ASK_FIRST_NS << min(count - 1, 6), LOOK_AGAIN_NS) if count else LOOK_AGAIN_NS


def absence_is_proved(
    *,
    acked: bool,
    deadline: str,
    lookup: str,
    countable_from: int,
    missing_first: int,
    missing_last: int,
    read_after: bool,
) -> bool:
    """Whether an order can be taken to have never existed (recovery.md section 5, rule ABSENT).

    All of: never acknowledged; the venue enforces a deadline; two not-found answers of an
    authoritative lookup, both asked at or after `countable_from` (send + D + L + u) and at least
    one second apart; and a trade read taken after that shows nothing of it.
    """
    if acked or deadline == "none" or lookup not in ("history", "lagging"):
        return False
    if not missing_first or missing_first < countable_from:
        return False
    return missing_last - missing_first >= MISSING_APART_NS and read_after


def death_is_witnessed(
    *,
    lookup: str,
    open_orders: str,
    countable_from: int,
    first: int,
    last: int,
    read_lag_ns: int,
) -> bool:
    """Whether rounds prove that an order has ended (recovery.md 5, "DEAD by witnesses").

    Only where the venue cannot be asked for an order that is over, and its list of open orders is
    declared complete and current. `first` and `last` are when the rounds were sent that lacked it,
    had all its trades and added up; `countable_from` is the last sign of life + L + u, 0 where
    nothing can be counted from: never seen, and no deadline that the venue enforces.
    """
    if lookup not in ("open_only", "none") or open_orders != "authoritative":
        return False
    return 0 < countable_from <= first and last - first >= read_lag_ns


#: What a round (positions, orders and trades of one read) says of the position in one instrument:
#: `void`: incomplete, or older than something we know; it counts for nothing.
#: `adds_up`: the position before, with everything known since, is the position now.
#: `may_lag`: it may show what was held before the newest fills.
#: `differs`: it does not add up, and proves nothing yet: one round alone, or too soon after a fill.
#: `own`: it may be explained once no order of ours can fill any more; those have to end first.
#: `explained`: two rounds add up with what was announced, or what the venue says that it took.
#: `suspected`: two rounds agree on what nothing explains, while an order of ours may still fill.
#: `foreign`: two rounds agree on what nothing explains.
#: `turned`: they agree on the other side, and nothing explains that: never believed.
Verdict = Literal[
    "void", "adds_up", "may_lag", "differs", "own", "explained", "suspected", "foreign", "turned"
]
#: What says that another position is held than is believed, as far as this read goes.
CONTRADICTING = frozenset({"differs", "own", "suspected", "foreign"})


def is_behind(difference: int, last_fills: int) -> bool:
    """Whether what a read shows beside what we believe is no more than our newest fills undone."""
    return difference * last_fills < 0 and abs(difference) <= abs(last_fills)


def judge_round(
    *,
    believed: int,
    announced: int,
    taken: int,
    shown: int | None,
    complete: bool,
    rounds: int,
    sent_at: int,
    taken_at: int,
    last_fill_at: int,
    last_fill_venue_at: int,
    last_fills: int,
    announced_at: int,
    contradicted_at: int,
    read_lag_ns: int,
    own_open: int,
    own_alive: bool,
) -> Verdict:
    """Hold the position that a round shows against what is known (recovery.md 5, "Adding up").

    Signed units. `believed` has every own fill, those told by the round too. `announced` is what
    strangers were said to have traded since (the newest told at `announced_at`), `taken` what the
    venue lists as its own doing; neither is in `believed`. `last_fills` is what filled of late,
    each within the read lag of the one before: no read lags by more. `rounds` is how many complete
    rounds in a row showed this position. `own_open` is what orders of ours could have filled untold
    towards the difference, `own_alive` whether any order of ours may still fill. `contradicted_at`
    is when a read last showed another position than is believed now, 0 if none has: one that agrees
    within the read lag of that may show what was before.
    """
    if shown is None or not complete:
        return "void"
    if last_fill_at and (sent_at < last_fill_at or taken_at < last_fill_venue_at):
        return "void"
    if announced_at and sent_at < announced_at + (read_lag_ns if shown == believed else 0):
        return "void"
    known = announced + taken
    if shown == believed and not announced and not taken:
        lagging = contradicted_at > 0 and sent_at < contradicted_at + read_lag_ns
        return "may_lag" if lagging else "adds_up"
    difference = shown - believed
    recent = last_fill_at > 0 and sent_at < last_fill_at + read_lag_ns
    if recent and not known and is_behind(difference, last_fills):
        return "may_lag"
    if rounds < 2:
        return "differs"
    if own_open:
        return "own"
    # What was announced and has not come, twice and past the lag, is not so: the books say it.
    explained = shown in (believed + known, believed + taken)
    if recent and (announced or not explained):
        return "differs"
    if explained:
        return "own" if own_alive else "explained"
    if own_alive:
        return "suspected"
    turned = shown * believed < 0 and (shown - taken) * believed < 0
    return "turned" if turned else "foreign"
