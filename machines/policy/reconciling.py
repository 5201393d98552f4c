"""What a venue's answers prove: absence of an order, truth of a position; decides, never asks.

Numbered properties of the decisions here:
1. An answer counts by when its question was *sent*, never by when it arrived.
2. A read can be stale without saying so: one that contradicts our own fills within the venue's
   read lag proves nothing.
3. Missing data is unknown, never zero.
"""

from typing import Literal

from msgspec import Struct

from machines.types import MS

ASK_FIRST_NS = 250 * MS
ASK_MAX_NS = 5_000 * MS
#: Two not-found answers must have been asked at least this far apart.
MISSING_APART_NS = 1_000 * MS


def ask_again_after(count: int) -> int:
    """Pause before question number `count` + 1 about the same doubt: 0.25 s doubling to 5 s."""
    return min(ASK_FIRST_NS << count, ASK_MAX_NS) if count < 5 else ASK_MAX_NS


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


class Judgement(Struct, frozen=True):
    """What a truth read says about one leg.

    `agrees`: equals our belief. `stale`: counts for nothing, read again. `smaller`, `larger`: the
    venue holds less, or more, than we believe, beyond what a lagging read can explain. `unknown`:
    the read is incomplete.
    """

    kind: Literal["agrees", "stale", "smaller", "larger", "unknown"]
    qty: int = 0


def judge_read(
    *,
    believed: int,
    read_qty: int | None,
    complete: bool,
    sent_at: int,
    taken_at: int,
    last_fill_at: int,
    last_fill_venue_at: int,
    read_lag_ns: int,
    foreign_at: int = 0,
) -> Judgement:
    """Compare one position read with the position our own fills amount to (signed units).

    `foreign_at` is when we were told of a change that is not in `believed`, 0 if of none: a read
    asked before it is stale, and one that agrees within the read lag does not show it yet.
    """
    if read_qty is None or not complete:
        return Judgement("unknown")
    if foreign_at and sent_at < foreign_at + (read_lag_ns if read_qty == believed else 0):
        return Judgement("stale")
    if last_fill_at and (sent_at < last_fill_at or taken_at < last_fill_venue_at):
        return Judgement("stale")
    if read_qty == believed:
        return Judgement("agrees", read_qty)
    if last_fill_at and sent_at < last_fill_at + read_lag_ns:
        return Judgement("stale")
    same_side = believed != 0 and read_qty * believed >= 0
    if same_side and abs(read_qty) < abs(believed):
        return Judgement("smaller", read_qty)
    return Judgement("larger", read_qty)
