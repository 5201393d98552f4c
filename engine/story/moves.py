"""The rows that machines took in one step, each with who sent its trigger, and why.

Puts the trace of a core beside what was seen while it ran. It must not choose among rows; which of
them belong to a story is decided in `telling`.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.story.probe import Taken
from engine.story.story import Move
from engine.story.words import rung
from machines.close_model import Close
from machines.leg_model import Leg
from machines.messages import Fact
from machines.order_model import Order
from machines.table import Transition


def moves_of(trace: Iterable[Transition], taken: list[Taken]) -> list[Move]:
    """Put together what the trace says and what was looked at, in the order of rows."""
    waiting = list(taken)
    moves: list[Move] = []
    for transition in trace:
        while waiting and (waiting[0].row, waiting[0].model.id) != (transition.row, transition.id):
            # A row whose action raised was looked at, and left no trace.
            waiting.pop(0)
        if not waiting:
            break
        seen = waiting.pop(0)
        because = _because(transition, seen, moves)
        outcome = seen.model.outcome if isinstance(seen.model, Close) else ""
        moves.append(
            Move(
                transition.at,
                transition,
                seen.model,
                seen.message,
                seen.asked,
                because,
                seen.note,
                seen.rung,
                outcome,
            )
        )
    return moves


#: What an order has told its leg, and a leg its close, by trigger.
_TOLD = {
    "order_live": "order {} is known to rest",
    "order_filling": "order {} has filled more",
    "order_ended": "order {} is dead",
    "order_doubted": "the fate of order {} is in doubt",
    "leg_moved": "leg {} has moved",
    "passive_over": "the passive time of leg {} is over",
}
#: What a close asks of a leg, by trigger.
_ASKED = {
    "start": "close {} starts it",
    "hold": "close {} holds its legs back",
    "exhaust": "close {} has no round left",
    "retry_asked": "close {} asks it to try again",
}


def _because(transition: Transition, seen: Taken, before: list[Move]) -> str:
    """Who sent the trigger of a row that another machine caused; empty for the fact itself."""
    message, model, trigger = seen.message, seen.model, transition.trigger
    if not before or isinstance(message, Fact):
        return ""
    if isinstance(message, Order | Leg) and message is not model and trigger in _TOLD:
        return _TOLD[trigger].format(message.id)
    if isinstance(model, Leg) and trigger in _ASKED:
        return _ASKED[trigger].format(model.close.id)
    if isinstance(model, Leg) and trigger == "escalate" and isinstance(message, int):
        coupled = f", as {seen.note}" if seen.note else ""
        return f"close {model.close.id} asks for {rung(message)}{coupled}"
    if isinstance(model, Close) and isinstance(message, tuple):
        return f"it is asked for again: {message[1]}, {message[0]}"
    if isinstance(model, Order) and trigger == "cancel_asked":
        return next((_asker(move.model) for move in reversed(before) if _owns(move, model)), "")
    return ""


def _owns(move: Move, order: Order) -> bool:
    leg = order.leg
    return leg is not None and (move.model is leg or move.model is leg.close)


def _asker(model: Leg | Close) -> str:
    return f"{type(model).__name__.lower()} {model.id} asks for its cancel"
