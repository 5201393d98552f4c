"""The close's actions around truth reads: asking, asking again, counting two equal ones.

What a read proves is a policy's word (`policy.reconciling`); here it is only asked for and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from machines.close_guards import is_known_at_start, is_proved
from machines.messages import (
    Arm,
    ReadTruth,
)
from machines.policy.reconciling import ask_again_after
from machines.table import Out

if TYPE_CHECKING:
    from transitions import EventData

    from machines.close_model import Close
    from machines.leg_model import Leg


def _ask(close: Close, out: Out, legs: Iterable[Leg]) -> None:
    """Read these legs; if no answer settles it, ask again after a pause, 0.25 s doubling to 5 s.

    A venue that has banned us is not asked: every request would lengthen that.
    """
    for leg in legs:
        if not leg.holding.lane.banned_until:
            out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))
    close.timers["ask"] = due = out.now + ask_again_after(close.ask_count)
    close.ask_count += 1
    out.commands.append(Arm(close.uid, "ask", due))


def ask_truth(e: EventData) -> None:
    """Begin to prepare: what is young enough counts, the rest is asked for."""
    close, out = e.model, e.args[1]
    close.wanted_at = out.now - close.settings.truth_max_age_ns
    close.ask_count = 0
    close.clear_timers()
    out.tell(close, "truth")


def look_again(e: EventData) -> None:
    """Look whether everything is known by now."""
    close, out = e.model, e.args[1]
    out.tell(close, "truth")


def ask_anew(e: EventData) -> None:
    """Something moved: what is missing now is asked for at once, whatever pause was running."""
    close = e.model
    close.ask_count = min(close.ask_count, 1)
    close.timers.pop("ask", None)


def ask_missing_truth(e: EventData) -> None:
    """Cancel own orders, of earlier closes too, and read every leg whose truth is missing.

    A venue that is not trusted is being read as a whole already.
    """
    close, out = e.model, e.args[1]
    for leg in close.legs:
        for order in leg.holding.orders:
            if order.state == "live" or not order.cancel_wanted:
                out.tell(order, "cancel_asked")
    if not close.ask_count:
        _await_answers(close, out)
    missing = [leg for leg in close.legs if not is_known_at_start(leg)]
    _ask(close, out, [leg for leg in missing if leg.holding.session.trusted])


def ask_missing_reads(e: EventData) -> None:
    """The pause is over: read every leg of which two equal reads are not there yet."""
    close, out = e.model, e.args[1]
    _ask(close, out, [leg for leg in close.legs if not is_proved(leg)])


def _await_answers(close: Close, out: Out) -> None:
    close.timers["silent"] = due = out.now + close.settings.alarm_after_ns
    out.commands.append(Arm(close.uid, "silent", due))


def begin_reconciling(e: EventData) -> None:
    """Every leg has ended: ask the venues for what is left."""
    close, out = e.model, e.args[1]
    close.withdrawing = False
    close.level()
    close.note_exposure(out)
    _read_afresh(close, out)


def begin_again(e: EventData) -> None:
    """A fill arrived after the end: own the positions again, ask the venues, end anew."""
    close, out = e.model, e.args[1]
    close.ended_at = 0
    close.outcome = ""
    for leg in close.legs:
        if leg.holding.owner is None:
            leg.holding.owner = leg
    close.note_exposure(out)
    _read_afresh(close, out)


def _read_afresh(close: Close, out: Out) -> None:
    close.wanted_at = out.now
    close.ask_count = 0
    close.agreed = [0] * len(close.legs)
    _await_answers(close, out)
    _ask(close, out, close.legs)


def account(e: EventData) -> None:
    """Account the exposure; nothing else follows."""
    e.model.level()
    e.model.note_exposure(e.args[1])


def restart_reads(e: EventData) -> None:
    """Something moved while the venues were being read: the reads count for nothing."""
    close, out = e.model, e.args[1]
    close.level()
    close.note_exposure(out)
    _read_afresh(close, out)


def count_read(e: EventData) -> None:
    """Count a read that agrees and ask for the second; what two have settled counts as both."""
    close, leg, out = e.model, e.args[0], e.args[1]
    leg.agreed_at = leg.holding.read_sent_at
    if leg.holding.believed_at == out.now:
        close.agreed[leg.number] = 2
        close.note_exposure(out)
    else:
        close.agreed[leg.number] += 1
        if close.agreed[leg.number] < 2:
            close.ask_count = 0
            _ask(close, out, [leg])
    if min(close.agreed) >= 2:
        out.tell(close, "evidence")
