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
from engine.story.words import Words, owner_of, printable, rung
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

#: Names of one kind that an error lists at the most.
NAMED_MAX = 20


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
    """The steps about one subject, in order. Times are nanoseconds, `origin` is time 0.

    `orders` are those that the steps name; a core forgets the orders of closes long past.
    """

    subject: str
    title: str
    about: str
    origin: int
    steps: list[Step]
    core: Core
    close: Close | None
    records: int
    orders: dict[int, Order]


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

    def check(self, core: Core, orders: Iterable[Order]) -> None:
        """Raise TapeError, with what there is, if nothing of that name is in the recording.

        `orders` are those of the story, which the core may have forgotten since.
        """
        keys = [holding.instrument.key for holding in core.holdings]
        if self.name in core.pairs and self.name not in core.closes and self.name not in keys:
            raise TapeError(
                f"{self.name}: was not closed in this recording; closed were: {_some(core.closes)}"
            )
        names = list(dict.fromkeys(each.id for each in (*orders, *core.env.orders.values())))
        if self.name in (*core.pairs, *keys, *names, *core.sessions):
            return
        instrument, mark, _ = self.name.partition("#")
        mine = [name for name in names if name.startswith(f"{instrument}#")]
        if mark and mine:
            raise TapeError(f"{self.name}: there is no such order; there are {_some(mine)}")
        raise TapeError(
            f"{self.name!r}: nothing of that name is in this recording; pairs: "
            f"{_some(core.pairs)}; positions: {_some(keys)}; venues: {_some(core.sessions)}; an "
            f"order is named such as {(names or ['v:s#1'])[0]}"
        )


def _some(names: Iterable[str]) -> str:
    """Names for an error, which a large recording must not make longer than a screen."""
    every = list(names)
    more = f" and {len(every) - NAMED_MAX} more" if len(every) > NAMED_MAX else ""
    return ", ".join(every[:NAMED_MAX]) + more if every else "none"


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
    with looking(teller.taken, teller.concerns):
        count = fold(teller.core, tape.records(), teller.stepped)
    subject.check(teller.core, teller.orders.values())
    return teller.story(count)


class _Teller:
    """Collects steps while a core is folded.

    Of a pair that was closed several times, the close that is told begins with its request: what
    was collected before is let go, so that a long journal does not pile up.
    """

    def __init__(self, tape: Tape, subject: Subject) -> None:
        self.tape = tape
        self.subject = subject
        self.core = tape.build()
        self.core.tracing = True
        self.words = Words(self.core, tape.origin or 0)
        self.fills = Fills(self.core)
        self.steps: list[Step] = []
        self.orders: dict[int, Order] = {}
        self.close: Close | None = None
        self._newest: Close | None = None
        self._requests = 0
        self._taken: list[Taken] = []
        self._keys = self._own_keys()

    def taken(self, taken: Taken) -> None:
        """A row is about to be taken."""
        self._taken.append(taken)

    def stepped(self, record: Record, out: Out) -> None:
        """A fact ran to completion."""
        taken, self._taken = self._taken, []
        fact = record.fact
        if isinstance(fact, CloseRequested):
            self._requested(fact)
        fills = self._fills(fact)
        every = _moves(out.trace or [], taken)
        moves = [move for move in every if self.concerns(move.model)]
        if self.close is not None:
            owners = [owner_of(move.model) for move in moves]
            if self.close not in owners and (any(owners) or self._is_over):
                return
            moves = [
                m for m, owner in zip(moves, owners, strict=True) if owner in (self.close, None)
            ]
        commands = [
            (command, self.words.command(command))
            for command in out.commands
            if self._commands(command)
        ]
        if not (moves or commands or fills or self._about(fact)):
            return
        text = self.words.fact(fact)
        step = Step(record.seq, record.at, record.wall_ns, fact, text, moves, commands, fills)
        step.first = every[0] if every else None
        step.quotes = [
            self._quote(top.instrument, top.bid, top.ask)
            for top in record.seen
            if self._is_mine(top.instrument)
        ]
        self.steps.append(step)
        self._picture(step)
        for message in (fact, *out.commands):
            order = self._order_of(message)
            if order is not None:
                self.orders[order.uid] = order

    def story(self, count: int) -> Story:
        """What was collected, from the request of the close on. Raises TapeError without one."""
        if self._requests < self.subject.nth:
            times = "once" if self._requests == 1 else f"{self._requests} times"
            name = self.subject.name
            raise TapeError(f"{self.subject.text}: {name} was closed {times} only")
        origin = self.tape.origin
        if origin is None:
            origin = self.steps[0].at if self.steps else 0
        return Story(
            self.subject.text,
            printable(self._title()),
            printable(self.tape.about),
            origin,
            self.steps,
            self.core,
            self.close,
            count,
            self.orders,
        )

    # ------------------------------------------------------------ which close is told

    def _requested(self, fact: CloseRequested) -> None:
        """Begin anew if this asks for the close that is to be told, as far as is known."""
        close = self.core.closes.get(fact.pair)
        if fact.pair != self.subject.name or close is None or close is self._newest:
            return
        self._newest = close
        self._requests += 1
        if not self._is_over:
            self.close = close
            self.steps.clear()
            self.orders.clear()

    @property
    def _is_over(self) -> bool:
        """Whether a later close was asked for than the one that is told."""
        return 0 < self.subject.nth < self._requests

    def _title(self) -> str:
        close = self.close
        if close is None:
            return f"{self.subject.text} in {self.tape.name}"
        number = self.subject.nth or self._requests
        end = f"{close.state} {close.outcome}".strip()
        return f"close of {close.id}, number {number} in {self.tape.name}: {close.reason}, {end}"

    # ------------------------------------------------------------ what concerns the subject

    def _own_keys(self) -> frozenset[str]:
        """The instruments of the subject: of a pair its legs, of an order its own."""
        pair = self.core.pairs.get(self.subject.name)
        legs = {self._key(index) for index in pair.legs} if pair is not None else set()
        own = {self.subject.name.partition("#")[0]}
        return frozenset(legs | (own & {each.instrument.key for each in self.core.holdings}))

    def _key(self, instrument: int) -> str:
        return self.core.holdings[instrument].instrument.key

    def _is_mine(self, instrument: int) -> bool:
        """Whether an instrument belongs to the subject."""
        return self._key(instrument) in self._keys

    def concerns(self, model: Any) -> bool:
        """Whether a machine belongs to the subject."""
        name = self.subject.name
        if isinstance(model, Order):
            close = owner_of(model)
            mine = (model.id, model.instrument.key, close.id if close is not None else "")
        elif isinstance(model, Leg):
            mine = (model.id, model.close.id, "")
        else:
            mine = (model.id, "", "")
        return name in mine

    def _commands(self, command: Any) -> bool:
        if isinstance(command, Alarm):
            machine = command.machine
            return machine == self.subject.name or machine.partition("#")[0] in self._keys
        if isinstance(command, Arm):
            machine = self.core.machine(command.machine)
            return machine is not None and self.concerns(machine)
        if isinstance(command, Place | Cancel | QueryOrder):
            order = self._order_of(command)
            return order is not None and self.concerns(order)
        if isinstance(command, ReadTruth):
            if command.scope < 0:
                return command.venue == self.subject.name
            return self._is_mine(command.scope) and "#" not in self.subject.name
        return isinstance(command, ReadRules) and self._is_mine(command.instrument)

    def _about(self, fact: Fact) -> bool:
        """Whether a fact is part of the story even if no machine moved."""
        if isinstance(fact, CloseRequested):
            return fact.pair == self.subject.name
        if isinstance(fact, FillReported) and "#" not in self.subject.name:
            return self._is_mine(fact.instrument)
        order = self._order_of(fact)
        return order is not None and self.concerns(order)

    def _order_of(self, message: Any) -> Order | None:
        """The order that a fact or a command names, if it names one that is known."""
        return self.core.env.orders.get(getattr(message, "order", 0))

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
        return [fill for fill in fills if fill.key in self._keys]

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
