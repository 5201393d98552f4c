"""The close's actions around truth reads: asking, asking again, counting two equal ones.

What a read proves is a policy's word (`policy.reconciling`); here it is only asked for and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.close_guards import judge_at_start
from machines.leg_model import judge
from machines.messages import (
    Arm,
    ReadTruth,
)
from machines.policy.reconciling import (
    Judgement,
    ask_again_after,
)
from machines.table import Out

if TYPE_CHECKING:
    from transitions import EventData

    from machines.close_model import Close
    from machines.leg_model import Leg


def _ask(close: Close, out: Out, leg: Leg) -> None:
    out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))


def ask_truth(e: EventData) -> None:
    """Begin to prepare: what is young enough counts, the rest is asked for."""
    close, out = e.model, e.args[1]
    close.wanted_at = out.now - close.settings.truth_max_age_ns
    close.ask_count = 0
    close.timers.clear()
    out.tell(close, "truth")


def ask_missing_truth(e: EventData) -> None:
    """Ask for what is missing or stale: at once the first time, then with back-off."""
    close, out = e.model, e.args[1]
    if close.state == "preparing" and not close.ask_count:
        close.timers["silent"] = due = out.now + close.settings.alarm_after_ns
        out.commands.append(Arm(close.uid, "silent", due))
        repeat_reads(e)
    if "ask" not in close.timers:
        close.timers["ask"] = due = out.now + ask_again_after(close.ask_count)
        close.ask_count += 1
        out.commands.append(Arm(close.uid, "ask", due))


def repeat_reads(e: EventData) -> None:
    """The pause is over: read every leg whose truth is still missing."""
    close, out = e.model, e.args[1]
    for leg, count in zip(close.legs, close.agreed, strict=True):
        if close.state == "reconciling":
            wanted = count < 2
        else:
            wanted = judge_at_start(leg, close.wanted_at).kind in ("unknown", "stale")
        if wanted:
            _ask(close, out, leg)


def begin_reconciling(e: EventData) -> None:
    """Every leg has ended: ask the venues for what is left."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _read_afresh(close, out)


def begin_again(e: EventData) -> None:
    """A fill arrived after the end: own the positions again and ask the venues."""
    close, out = e.model, e.args[1]
    close.ended_at = 0
    for leg in close.legs:
        if leg.holding.owner is None:
            leg.holding.owner = leg
    close.note_exposure(out)
    _read_afresh(close, out)


def _read_afresh(close: Close, out: Out) -> None:
    close.wanted_at = out.now
    close.ask_count = 0
    close.timers.pop("ask", None)
    close.agreed = [0] * len(close.legs)
    close.timers["silent"] = due = out.now + close.settings.alarm_after_ns
    out.commands.append(Arm(close.uid, "silent", due))
    for leg in close.legs:
        _ask(close, out, leg)


def account(e: EventData) -> None:
    """Account the exposure; nothing else follows."""
    e.model.note_exposure(e.args[1])


def restart_reads(e: EventData) -> None:
    """Something moved while the venues were being read: the reads count for nothing."""
    close, out = e.model, e.args[1]
    close.note_exposure(out)
    _read_afresh(close, out)


def count_read(e: EventData) -> None:
    """Count an agreeing read, adopt a confirmed smaller position, or ask again.

    A read of a venue that is not trusted counts for nothing: its view may lack orders and trades.
    """
    close, leg, out = e.model, e.args[0], e.args[1]
    holding = leg.holding
    verdict = judge(leg, close.wanted_at) if holding.session.trusted else Judgement("unknown")
    number = leg.number
    if verdict.kind == "smaller":
        holding.qty = verdict.qty
        close.agreed[number] = 2
        close.note_exposure(out)
    elif verdict.kind == "agrees":
        close.agreed[number] += 1
        if close.agreed[number] < 2:
            _ask(close, out, leg)
    else:
        ask_missing_truth(e)
        return
    if min(close.agreed) >= 2:
        out.tell(close, "evidence")
