"""Replays a recording and keeps the steps of one subject: a close, a position, an order or a venue.

What concerns the subject is decided here, fact by fact, as the core takes them. A close and a
position wait for their venues, so that what those can do is part of their story. It must not say
anything about a step in words of its own; `words` has those.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from engine.dispatcher import fold
from engine.journal import Record
from engine.story.fills import Fill, Fills
from engine.story.moves import moves_of
from engine.story.probe import Taken, looking
from engine.story.story import Quote, Step, Story
from engine.story.tape import Tape, TapeError
from engine.story.words import Words
from engine.texts import printable
from machines.close_model import Close
from machines.core import Core, owner_of
from machines.lane import Lane
from machines.leg_model import Leg
from machines.messages import (
    Alarm,
    Arm,
    Cancel,
    CloseRequested,
    Fact,
    FillReported,
    ModeChanged,
    Place,
    QueryOrder,
    ReadRules,
    ReadTruth,
)
from machines.order_model import Order
from machines.session import Session
from machines.table import Out

#: Names of one kind that an error lists at the most.
NAMED_MAX = 20


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
        self._venues = self._own_venues()
        self._modes: dict[str, str] = {}

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
        turned = self._turns(fact)
        every = moves_of(out.trace or [], taken)
        moves = [move for move in every if self.concerns(move.model)]
        # What venues do once the close is over is no part of it any more.
        alone = self.close is not None and 0 < self.close.ended_at < fact.at
        if alone:
            turned = False
            moves = [move for move in moves if not isinstance(move.model, Lane | Session)]
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
            if self._commands(command) and not (alone and self._is_of_venue(command))
        ]
        if not (moves or commands or fills or turned or self._about(fact)):
            return
        text = self.words.fact(fact)
        step = Step(record.seq, record.at, record.wall_ns, fact, text, moves, commands, fills)
        step.first = every[0] if every else None
        step.turned = turned
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

    def _own_venues(self) -> frozenset[str]:
        """The venues that the legs of a pair, or a position, have to wait for; of an order none."""
        if "#" in self.subject.name:
            return frozenset()
        return frozenset(key.partition(":")[0] for key in self._keys)

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
        elif isinstance(model, Lane | Session):
            return model.id == name or model.id in self._venues
        else:
            mine = (model.id, "", "")
        return name in mine

    def _commands(self, command: Any) -> bool:
        if isinstance(command, Alarm):
            name = command.machine
            mine = name == self.subject.name or name.partition("#")[0] in self._keys
            return mine or self._is_of_venue(command)
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

    def _is_of_venue(self, command: Any) -> bool:
        """Whether a venue of the subject has called a person."""
        return isinstance(command, Alarm) and command.machine in self._venues

    def _turns(self, fact: Fact) -> bool:
        """Whether a venue of the subject says that its mode has changed; most words repeat it."""
        if not isinstance(fact, ModeChanged):
            return False
        before = self._modes.get(fact.venue, "online")
        self._modes[fact.venue] = fact.mode
        return fact.venue in self._venues and fact.mode != before

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
            step.left = {leg.id: leg.instrument.base(leg.rest) for leg in close.legs}
