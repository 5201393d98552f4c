"""The actions of a scenario's timeline as plain values, one struct per action of the format.

Quantities and prices stay `Decimal`, because only the scaled instruments know ticks and units;
times are in nanoseconds. Holds values only: `action_keys` reads them, what an action does is the
world's and the venues' business.
"""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from engine.simulation.expect_keys import Expect

OrderPick = int | Literal["live", "last_terminal"]


class Book(Struct, frozen=True):
    """The top of a book is replaced; `mark` None leaves the mark to the mid."""

    instrument: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    mark: Decimal | None = None


class Trade(Struct, frozen=True):
    """A print by an aggressor of `side`."""

    instrument: str
    side: str
    price: Decimal
    qty: Decimal


class Fill(Struct, frozen=True):
    """The venue fills an order of the engine by exactly `qty`; `price` None is its own limit."""

    instrument: str
    qty: Decimal
    price: Decimal | None = None
    order: OrderPick = "live"


class Report(Struct, frozen=True):
    """The fate of one order of the engine, or (without `effect`) only a message about it."""

    instrument: str
    order: OrderPick
    status: str | None = None
    cum: Decimal | None = None
    price: Decimal | None = None
    reason: str | None = None
    trade: str | None = None
    qty: Decimal | None = None
    path: str = "stream"
    effect: bool = True


class Answer(Struct, frozen=True):
    """A canned answer to the next matching requests; `count` 0 is all of them.

    `retry_after_ns` is what a refusal of a create or cancel states, from its arrival.
    """

    venue: str
    on: str
    outcome: str
    instrument: str | None = None
    nth: tuple[int, ...] | None = None
    count: int = 1
    for_ns: int | None = None
    cum: Decimal | None = None
    status: str | None = None
    code: str | None = None
    reason: str | None = None
    delay_ns: int = 0
    effect: bool = True
    retry_after_ns: int | None = None


class Close(Struct, frozen=True):
    """A close is asked for; `name` is a pair, or a position if `is_position`."""

    name: str
    reason: str
    is_position: bool = False
    urgency: str | None = None
    ratio: tuple[int, int] = (1, 1)


class Operator(Struct, frozen=True):
    """An operator's command. `subject` has what else it says, as text; `order` is "v:s#n" or n.

    `qty` is the size in base units that a person says is held.
    """

    command: str
    subject: dict[str, str] = {}
    order: str | int | None = None
    cum: Decimal | None = None
    qty: Decimal | None = None


class External(Struct, frozen=True):
    """A change of position, in base units, that the engine did not ask for."""

    instrument: str
    qty: Decimal
    price: Decimal
    kind: str


class Funding(Struct, frozen=True):
    """A funding payment, by rate on the marked position or as an amount."""

    instrument: str
    rate: Decimal | None = None
    amount: Decimal | None = None


class Fault(Struct, frozen=True):
    """A fault of the catalogue: `table` is its checked table, for the venues or the world."""

    kind: str
    table: dict[str, Any]


class Crash(Struct, frozen=True):
    """The fault `crash`, which the world carries out: kill at a window of the send protocol.

    `window` is w1 to w5 (simulation.md section 9); `down_ns` None is drawn at each activation.
    """

    window: str = "w1"
    down_ns: int | None = None
    nth: tuple[int, ...] | None = None
    count: int | None = None
    for_ns: int | None = None
    probability: tuple[int, int] | None = None
    venue: str | None = None
    instrument: str | None = None
    on: str | None = None


class Engine(Struct, frozen=True):
    """What happens to the process of the engine."""

    command: str
    for_ns: int = 0


class SetRules(Struct, frozen=True):
    """The rules of an instrument change at its venue."""

    instrument: str
    min_qty: Decimal | None = None
    min_notional: Decimal | None = None
    tick: Decimal | None = None
    lot: Decimal | None = None


class SetMode(Struct, frozen=True):
    """The mode of a venue changes."""

    venue: str
    mode: str


class ExpectNow(Struct, frozen=True):
    """An expectation that is checked at this moment."""

    expect: Expect


Action = (
    Book
    | Trade
    | Fill
    | Report
    | Answer
    | Close
    | Operator
    | External
    | Funding
    | Fault
    | Crash
    | Engine
    | SetRules
    | SetMode
    | ExpectNow
)


class After(Struct, frozen=True):
    """The n-th event of a kind, and the time from it to the action."""

    event: str
    instrument: str | None = None
    machine: str | None = None
    state: str | None = None
    nth: int = 1
    plus_ns: int = 0


class Entry(Struct, frozen=True):
    """One entry of the timeline: exactly one of `at` and `after` is set."""

    label: str
    action: Action
    at: int | None = None
    after: After | None = None
