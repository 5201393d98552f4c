"""Turns what a person asked for into a fact, or refuses it by name with what is known.

Reads the core and changes nothing. What is asked for may still turn out to be impossible by the
time the core takes it: `outcome` says in words what was done and what was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from engine.config_values import ratio
from engine.operator.protocol import CloseWanted, CommandWanted
from engine.operator.verbs import VERBS, Verb, typed
from engine.words import TABLES, sentence
from machines.core import Core
from machines.messages import OperatorCommanded
from machines.order_model import DOUBTS, Order
from machines.requests import STOPPING
from machines.table import Transition
from machines.types import REASON_URGENCY, URGENCY_RANK
from venues.instruments import base_to_units, to_units
from venues.numbers import UNITS_MAX, exact

_SHOWN_MAX = 80


class Refused(ValueError):
    """What was asked for cannot be; the text says what can."""


# ---------------------------------------------------------------- closes


def check_close(wanted: CloseWanted, pairs: Iterable[str]) -> tuple[int, int]:
    """Check a request for sense; return its ratio. Raises Refused."""
    _known("pair", wanted.pair, pairs)
    _known("reason", wanted.reason, REASON_URGENCY)
    if wanted.urgency is not None and wanted.urgency not in URGENCY_RANK:
        raise Refused(_unknown("urgency", wanted.urgency, URGENCY_RANK))
    try:
        return ratio(wanted.ratio)
    except ValueError as refused:
        text = f"must be above 0 and at most 1, as a/b ({refused})"
        raise Refused(f"the ratio {wanted.ratio[:_SHOWN_MAX]!r} {text}") from None


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {what} {name[:_SHOWN_MAX]!r}; known: {', '.join(known) or 'none'}"


def _known(what: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name not in names:
        raise Refused(_unknown(what, name, names))


# ---------------------------------------------------------------- words


def command_fact(wanted: CommandWanted, core: Core, now: int, by: str) -> OperatorCommanded:
    """Make the fact of a word. Raises Refused where the word or its arguments make no sense."""
    verb = VERBS.get(wanted.name)
    if verb is None:
        raise Refused(_unknown("command", wanted.name, VERBS))
    _check_arguments(verb, wanted)
    if wanted.order:
        return _settling(wanted, core, now, by)
    if wanted.venue:
        _known("venue", wanted.venue, core.sessions)
    if wanted.pair:
        _known("pair", wanted.pair, core.pairs)
        _check_alive(wanted.pair, core)
    qty = _held(wanted, core) if wanted.qty else None
    return OperatorCommanded(now, verb.name, wanted.pair or wanted.venue, by=by, qty=qty)


def _check_arguments(verb: Verb, wanted: CommandWanted) -> None:
    taken = {argument.name: argument for argument in verb.arguments}
    for name in CommandWanted.__struct_fields__[1:]:
        given = getattr(wanted, name)
        if given and name not in taken:
            takes = ", ".join(taken) or "nothing"
            raise Refused(f"{typed(verb.name)} takes no {name}; it takes: {takes}")
        if name in taken and taken[name].required and not given:
            raise Refused(f"{typed(verb.name)} needs: {name}")


def _check_alive(pair: str, core: Core) -> None:
    alive = [name for name, close in core.closes.items() if close.state != "reconciled"]
    if pair not in alive:
        others = ", ".join(sorted(alive)) or "none"
        raise Refused(f"no close of {pair} is alive; alive: {others}")


def _held(wanted: CommandWanted, core: Core) -> Decimal:
    """The size that a person says is held; whole units wherever it will have to stand in."""
    qty = _decimal("qty", wanted.qty)
    for index in core.pairs[wanted.pair].legs:
        holding = core.holdings[index]
        if qty > holding.instrument.base(UNITS_MAX):
            raise Refused(f"qty: {wanted.qty} is more than can be held of {holding.instrument.key}")
        if holding.venue.capabilities.position == "unavailable":
            try:
                base_to_units(qty, holding.instrument, f"qty of {holding.instrument.key}")
            except ValueError as error:
                raise Refused(str(error)) from error
    return qty


def _decimal(name: str, text: str) -> Decimal:
    """A quantity as typed, without a sign. Raises Refused."""
    try:
        value = exact(text, name)
    except ValueError as error:
        raise Refused(str(error)) from error
    if value < 0:
        raise Refused(f"{name}: {text} must not be negative; the side is known")
    return value


def _settling(wanted: CommandWanted, core: Core, now: int, by: str) -> OperatorCommanded:
    order = _order_named(wanted.order, core)
    instrument = order.instrument
    try:
        cum = to_units(_decimal("filled", wanted.filled), instrument, "filled")
    except ValueError as error:
        raise Refused(str(error)) from error
    size, known = instrument.quantity(order.qty), instrument.quantity(order.cum)
    if not order.cum <= cum <= order.qty:
        raise Refused(
            f"filled: {wanted.filled} of {order.id} cannot be: {known:f} of {size:f} is known to "
            "have filled"
        )
    return OperatorCommanded(now, "settle", instrument.key, order.uid, cum, by)


def _order_named(name: str, core: Core) -> Order:
    """The order in doubt of this name, or the only one on the instrument of this name."""
    doubted = [order for order in core.env.orders.values() if order.state in DOUBTS]
    found = [order for order in doubted if name in (order.id, order.instrument.key)]
    if len(found) == 1:
        return found[0]
    ids = ", ".join(order.id for order in found or doubted) or "none"
    shown = name[:_SHOWN_MAX]
    if found:
        raise Refused(f"several orders of {shown!r} are in doubt, name one: {ids}")
    for order in core.env.orders.values():
        if order.id == name:
            raise Refused(f"{name} is {order.state}, not in doubt; in doubt: {ids}")
    raise Refused(f"no order {shown!r} is in doubt; in doubt: {ids}")


# ---------------------------------------------------------------- what came of it


def outcome(fact: OperatorCommanded, answer: str, trace: Sequence[Transition]) -> tuple[bool, str]:
    """Whether the core did what a word asked for, and in words what it did or why it did not."""
    verb = VERBS[fact.command]
    if answer == STOPPING:
        return False, answer
    if not verb.trigger:
        return True, answer
    heard = [move for move in trace if move.trigger == verb.trigger]
    # A close that passes a word on has done nothing by itself.
    last = [move for move in heard if move.machine == "leg"] or heard
    done = [move for move in last if not _was_ignored(move)]
    if answer != fact.command:
        # The core has words of its own for it.
        return bool(done), answer
    if done:
        return True, "; ".join(f"{move.id} {sentence(move)}" for move in done)
    stays = "; ".join(map(_still, last)) or "nobody was there to hear it"
    return False, f"nothing was changed: {stays}"


def _was_ignored(move: Transition) -> bool:
    """Whether the row of a transition says that there is nothing to do."""
    row = TABLES[move.machine].rows[move.row]
    return row.dest is None and all(
        (action.__doc__ or "").startswith("Nothing to do") for action in row.actions
    )


def _still(move: Transition) -> str:
    """Where a machine stands that had nothing to do, and why that is so where the row says it."""
    reason = TABLES[move.machine].rows[move.row].why
    return f"{move.id} is {move.source}{f': {reason}' if reason else ''}"
