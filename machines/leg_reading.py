"""The leg's actions around a refusal that doubts position or rules: asking, asking again, trusting.

What a read proves is a policy's word (`policy.reconciling`); the gate stays shut until it is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.holding_model import trouble_of
from machines.messages import (
    Alarm,
    Arm,
    ReadRules,
    ReadTruth,
)
from machines.policy.reconciling import ask_again_after
from machines.policy.refusing import READ_FIRST, REFRESH_RULES
from machines.table import Out

if TYPE_CHECKING:
    from transitions import EventData

    from machines.leg_model import Leg


def heed_reason(e: EventData) -> None:
    """Ask for the position or the rules where the reason of the order's end doubts them."""
    leg, order, out = e.model, e.args[0], e.args[1]
    if order.end_reason in READ_FIRST:
        leg.read_after = out.now
        out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))
    if order.end_reason in REFRESH_RULES:
        out.commands.append(ReadRules(out.now, leg.instrument.index))


def reread(e: EventData) -> None:
    """Ask for the position again: the last question settled nothing, or got no answer."""
    leg, out = e.model, e.args[1]
    out.commands.append(ReadTruth(out.now, leg.venue.name, leg.instrument.index))
    reread_later(leg, out)


def reread_after_ban(e: EventData) -> None:
    """Ask when the ban is over."""
    leg, out = e.model, e.args[1]
    leg.timers["reread"] = due = leg.holding.lane.banned_until
    out.commands.append(Arm(leg.uid, "reread", due))


def reread_later(leg: Leg, out: Out) -> None:
    """Arm the next question, with back-off."""
    leg.timers["reread"] = due = out.now + ask_again_after(leg.ask_count)
    leg.ask_count += 1
    out.commands.append(Arm(leg.uid, "reread", due))


def read_soon(e: EventData) -> None:
    """What is held is in question: begin to ask for it, unless the venue itself is being read."""
    leg, out = e.model, e.args[1]
    holding = leg.holding
    if holding.state != "settled" and holding.session.trusted and "reread" not in leg.timers:
        leg.ask_count = 0
        reread_later(leg, out)


def call_person(e: EventData) -> None:
    """Say that a venue does not tell what is held there."""
    leg, out = e.model, e.args[1]
    leg.close.alarmed.add("venue_degraded")
    since = leg.read_after or leg.holding.doubted_at
    text = f"{leg.venue.name}: {trouble_of(leg.holding, since)}"
    out.commands.append(Alarm(out.now, "venue_degraded", leg.close.id, text, since))


def trust_position(e: EventData) -> None:
    """What we believe is confirmed: the refusal had another reason."""
    leg = e.model
    leg.read_after = 0
    leg.timers.pop("reread", None)
