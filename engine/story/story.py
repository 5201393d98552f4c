"""One story: the steps of a replay that concern a close, a position, an order or a venue.

A step is one fact, the rows that it made machines take, and the commands that came of it. Around it
stands what a picture needs: the books that were consumed, what remains on each leg, what is naked.
It must not tell the story; that is done by `timeline`, `sequence`, `picture` and `reasons`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.dispatcher import fold
from engine.journal import Record
from engine.story.fills import Fill, Fills
from engine.story.probe import Asked, Taken, looking
from engine.story.tape import Tape, TapeError
from engine.story.words import Words, owner_of, rung
from machines.close_model import Close
from machines.core import Core
from machines.holding import Book
from machines.leg_model import Leg
from machines.messages import (
    Alarm,
    Arm,
    Cancel,
    CloseRequested,
    Fact,
    FillReported,
    Place,
    QueryOrder,
    ReadRules,
    ReadTruth,
)
from machines.order_model import Order
from machines.table import Out, Transition
from machines.types import Instrument


class Move(Struct):
    """One row that a machine took. `because` says who sent the trigger, with what.

    `note` and `rung` are those of `Taken`, `outcome` is that of a close after the row.
    """

    at: int
    transition: Transition
    model: Any
    message: Any
    asked: list[Asked]
    because: str
    note: str = ""
    rung: int = -1
    outcome: str = ""

    @property
    def moves(self) -> bool:
        """Whether the state changed."""
        return self.transition.source != self.transition.dest


class Quote(Struct):
    """A book that a decision consumed."""

    key: str
    bid: Decimal | None
    ask: Decimal | None


class LegView(Struct):
    """A leg after a step: `rest` in base units with its sign, `price` of its live order."""

    key: str
    state: str
    rung: int
    rest: Decimal
    price: Decimal | None


class Step(Struct):
    """One fact and what came of it, as far as the subject is concerned.

    `first` is the row that the fact itself led to, of whichever machine.
    """

    seq: int
    at: int
    wall: int
    fact: Fact
    text: str
    moves: list[Move] = []
    commands: list[tuple[Any, str]] = []
    fills: list[Fill] = []
    quotes: list[Quote] = []
    legs: list[LegView] = []
    naked: Decimal = Decimal(0)
    first: Move | None = None


class Story(Struct):
    """The steps about one subject, in order. Times are nanoseconds, `origin` is time 0."""

    subject: str
    title: str
    about: str
    origin: int
    steps: list[Step]
    core: Core
    close: Close | None
    records: int


class Subject:
    """What a story is about: a pair (its n-th close), an instrument, an order or a venue."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name, mark, number = text.rpartition("@") if "@" in text else (text, "", "")
        self.nth = 0
        if mark:
            if not (self.name and number.isdigit() and int(number)):
                raise TapeError(f"{text!r}: write NAME@n for the n-th close of a pair")
            self.nth = int(number)

    def check(self, core: Core) -> None:
        """Raise TapeError, with what there is, if nothing of that name is in the recording."""
        keys = [holding.instrument.key for holding in core.holdings]
        orders = [order.id for order in core.env.orders.values()]
        closes = [f"{name}" for name in core.closes]
        known = [*core.pairs, *keys, *orders, *core.sessions]
        if self.name in core.pairs and self.name not in core.closes and self.name not in keys:
            raise TapeError(
                f"{self.name}: was not closed in this recording; closed were: "
                f"{', '.join(closes) or 'none'}"
            )
        if self.name not in known:
            mine = [
                order for order in orders if order.startswith(self.name.partition("#")[0] + "#")
            ]
            if "#" in self.name and mine:
                raise TapeError(f"{self.name}: there is no such order; there are {', '.join(mine)}")
            raise TapeError(
                f"{self.name!r}: nothing of that name is in this recording; pairs: "
                f"{', '.join(core.pairs)}; positions: {', '.join(keys)}; venues: "
                f"{', '.join(core.sessions)}; an order is named such as {(orders or ['v:s#1'])[0]}"
            )


def only_close(tape: Tape) -> str:
    """The pair that a recording closes, if it closes one alone. Raises TapeError."""
    found = dict.fromkeys(
        record.fact.pair for record in tape.records() if isinstance(record.fact, CloseRequested)
    )
    if len(found) != 1:
        raise TapeError(
            f"{tape.name}: closes {', '.join(found) or 'nothing'}; name one of them, and the "
            "recording with --file"
        )
    return next(iter(found))


def tell(tape: Tape, subject: Subject) -> Story:
    """Replay a recording and keep what concerns the subject.

    Raises TapeError if there is nothing of that name, JournalError at the first record that is not
    intact, ReplayDiverged where this version decides otherwise than the one that recorded.
    """
    teller = _Teller(tape, subject)
    with looking(teller.taken):
        count = fold(teller.core, tape.records(), teller.stepped)
    subject.check(teller.core)
    return teller.story(count)


class _Teller:
    """Collects steps while a core is folded."""

    def __init__(self, tape: Tape, subject: Subject) -> None:
        self.tape = tape
        self.subject = subject
        self.core = tape.build()
        self.core.tracing = True
        self.words = Words(self.core, tape.origin or 0)
        self.fills = Fills(self.core)
        self.steps: list[Step] = []
        self.requests: list[tuple[Close, int]] = []
        self._taken: list[Taken] = []

    def taken(self, taken: Taken) -> None:
        """A row is about to be taken."""
        self._taken.append(taken)

    def stepped(self, record: Record, out: Out) -> None:
        """A fact ran to completion."""
        taken, self._taken = self._taken, []
        fact = record.fact
        if isinstance(fact, CloseRequested):
            close = self.core.closes.get(fact.pair)
            if close is not None and all(close is not known for known, _ in self.requests):
                self.requests.append((close, record.at))
        every = _moves(out.trace or [], taken)
        moves = [move for move in every if self._concerns(move.model)]
        commands = [
            (command, self.words.command(command))
            for command in out.commands
            if self._commands(command)
        ]
        fills = self._fills(fact)
        if not (moves or commands or fills or self._about(fact)):
            return
        text = self.words.fact(fact)
        step = Step(record.seq, record.at, record.wall_ns, fact, text, moves, commands)
        step.first = every[0] if every else None
        step.quotes = [
            self._quote(top.instrument, top.bid, top.ask)
            for top in record.seen
            if self._is_mine(top.instrument)
        ]
        step.fills = fills
        self.steps.append(step)
        self._picture(step)

    def story(self, count: int) -> Story:
        """What was collected, from the request of the close on."""
        close, asked = self._close()
        steps = self.steps
        if close is not None:
            steps = [step for step in steps if self._of_close(step, close, asked)]
            for step in steps:
                step.moves = [m for m in step.moves if owner_of(m.model) in (close, None)]
        origin = self.tape.origin
        if origin is None:
            origin = asked or (steps[0].at if steps else 0)
        title = self._title(close)
        return Story(
            self.subject.text, title, self.tape.about, origin, steps, self.core, close, count
        )

    # ------------------------------------------------------------ what concerns the subject

    def _close(self) -> tuple[Close | None, int]:
        """The close that the subject names, and when it was asked for."""
        mine = [each for each in self.requests if each[0].id == self.subject.name]
        if not mine:
            return None, 0
        number = self.subject.nth or len(mine)
        if number > len(mine):
            times = "once" if len(mine) == 1 else f"{len(mine)} times"
            raise TapeError(f"{self.subject.text}: {self.subject.name} was closed {times} only")
        return mine[number - 1]

    def _of_close(self, step: Step, close: Close, asked: int) -> bool:
        owners = [owner_of(move.model) for move in step.moves]
        if any(owners):
            return close in owners
        later = [at for other, at in self.requests if other.id == close.id and at > asked]
        return asked <= step.at and not (later and step.at >= later[0])

    def _title(self, close: Close | None) -> str:
        if close is None:
            return f"{self.subject.text} in {self.tape.name}"
        number = [each for each, _ in self.requests if each.id == close.id].index(close) + 1
        end = f"{close.state} {close.outcome}".strip()
        return f"close of {close.id}, number {number} in {self.tape.name}: {close.reason}, {end}"

    def _concerns(self, model: Any) -> bool:
        name = self.subject.name
        if isinstance(model, Order):
            close = owner_of(model)
            mine = (model.id, model.instrument.key, close.id if close is not None else "")
        elif isinstance(model, Leg):
            mine = (model.id, model.close.id, "")
        else:
            mine = (model.id, "", "")
        return name in mine

    def _is_mine(self, instrument: int) -> bool:
        """Whether an instrument belongs to the subject."""
        name = self.subject.name
        key = self.core.holdings[instrument].instrument.key
        pair = self.core.pairs.get(name)
        return (
            key == name
            or name.startswith(f"{key}#")
            or (pair is not None and instrument in pair.legs)
        )

    def _commands(self, command: Any) -> bool:
        if isinstance(command, Alarm):
            return command.machine == self.subject.name or any(
                command.machine.partition("#")[0] == holding.instrument.key
                and self._is_mine(holding.instrument.index)
                for holding in self.core.holdings
            )
        if isinstance(command, Arm):
            machine = self.core.machine(command.machine)
            return machine is not None and self._concerns(machine)
        if isinstance(command, Place | Cancel | QueryOrder):
            order = self.core.env.orders.get(command.order)
            return order is not None and self._concerns(order)
        if isinstance(command, ReadTruth):
            if command.scope < 0:
                return command.venue == self.subject.name
            return self._is_mine(command.scope) and "#" not in self.subject.name
        return isinstance(command, ReadRules) and self._is_mine(command.instrument)

    def _about(self, fact: Fact) -> bool:
        """Whether a fact is part of the story even if no machine moved."""
        if isinstance(fact, CloseRequested):
            return fact.pair == self.subject.name
        if isinstance(fact, FillReported):
            return self._is_mine(fact.instrument)
        order = getattr(fact, "order", 0)
        known = self.core.env.orders.get(order) if order else None
        return known is not None and self._concerns(known)

    # ------------------------------------------------------------ pictures of a moment

    def _quote(self, instrument: int, bid: int, ask: int) -> Quote:
        rules = self.core.holdings[instrument].instrument
        return Quote(
            rules.key, rules.price(bid) if bid else None, rules.price(ask) if ask else None
        )

    def _fills(self, fact: Fact) -> list[Fill]:
        """What a fact told of fills that was not known before, of the subject's positions."""
        name = self.subject.name
        fills = self.fills.of(fact)
        if "#" in name:
            return [fill for fill in fills if fill.order == name]
        return [fill for fill in fills if fill.key in self._keys()]

    def _keys(self) -> list[str]:
        holdings = self.core.holdings
        return [h.instrument.key for h in holdings if self._is_mine(h.instrument.index)]

    def _picture(self, step: Step) -> None:
        close = self.core.closes.get(self.subject.name)
        if close is not None:
            step.naked = close.naked if close.started_at and not close.ended_at else Decimal(0)
            step.legs = [_leg_view(leg) for leg in close.legs]


def _leg_view(leg: Leg) -> LegView:
    order = leg.order
    resting = order is not None and order.alive and order.price is not None
    shown = leg.instrument.price(order.price) if resting and order and order.price else None
    return LegView(leg.id, leg.state, leg.rung, leg.instrument.base(leg.rest), shown)


def _moves(trace: Iterable[Transition], taken: list[Taken]) -> list[Move]:
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


def rules_of(story: Story) -> Callable[[Book], Instrument | None]:
    """The instrument of a book of the story's core, by asking."""
    known = {id(each.book): each.instrument for each in story.core.holdings}
    return lambda book: known.get(id(book))
