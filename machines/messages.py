"""Facts (what happened) and commands (what to do): the protocol of the core.

Facts carry event and ingest time in integer nanoseconds (`venue_at`, `at`); ids arrive inside them.
Both unions are array-like msgpack with explicit integer tags, so the journal stores them as they
are; fields are append-only. Prices are ticks, quantities units (see `machines.types`), `order` is
the logical order number (epoch << 40 | sequence), `instrument` an index into the configured list.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from machines.types import Instrument

# ---------------------------------------------------------------- parts


class OpenOrder(Struct, frozen=True, array_like=True):
    """One resting order in a truth read; `order` is 0 when the id is not ours."""

    order: int
    side: int
    qty: int
    cum: int
    price: int | None
    text_id: str = ""


class TradeRow(Struct, frozen=True, array_like=True):
    """One trade in a truth read (fields as in `FillReported`): ours, or what the venue did to us.

    `order` is 0 for a liquidation, a deleveraging or a settlement, as `origin` says.
    """

    order: int
    trade: str
    venue_at: int
    side: int
    price: int
    qty: int
    fee: Decimal
    maker: bool
    origin: Literal["own", "liquidation", "adl", "settlement", "manual"] = "own"


class InstrumentTruth(Struct, frozen=True, array_like=True):
    """What one venue says about one instrument; `qty` None means unknown, never zero.

    `qty` is signed units; the flags say whether a list is known to be whole.
    """

    instrument: int
    qty: int | None
    entry: Decimal | None
    orders: tuple[OpenOrder, ...] = ()
    trades: tuple[TradeRow, ...] = ()
    orders_complete: bool = True
    trades_complete: bool = True


# ---------------------------------------------------------------- facts


class EngineStarted(Struct, frozen=True, array_like=True, tag=1):
    """A process took over the journal under a new epoch; nothing of the earlier ones is trusted."""

    at: int
    epoch: int


class PositionDeclared(Struct, frozen=True, array_like=True, tag=2):
    """The operator's record of a position that the engine is to hold (first start only)."""

    at: int
    instrument: int
    qty: int
    entry: Decimal | None


class CloseRequested(Struct, frozen=True, array_like=True, tag=3):
    """Somebody asks for the pair to be closed; `ratio` is (numerator, denominator)."""

    at: int
    pair: str
    reason: str
    urgency: str | None = None
    ratio: tuple[int, int] = (1, 1)
    by: str = "operator"

    @property
    def is_part(self) -> bool:
        """Whether only a part of what is held is to be closed."""
        return self.ratio[0] != self.ratio[1]


class OperatorCommanded(Struct, frozen=True, array_like=True, tag=4):
    """halt, resume, kill, retry, cancel, adopt, write_off, settle, release, stop_entries.

    `target` is a pair, an instrument or (`resume`) a venue. `qty` is the size, in base units and
    without a sign, that a person says is held where the venue shows no positions (`adopt`).
    """

    at: int
    command: str
    target: str = ""
    order: int = 0
    cum: int | None = None
    by: str = "operator"
    qty: Decimal | None = None


class TimerFired(Struct, frozen=True, array_like=True, tag=5):
    """A timer that machine `machine` had armed under `tag` for `due`."""

    at: int
    machine: int
    tag: str
    due: int


class TopSeen(Struct, frozen=True, array_like=True, tag=6):
    """Top of book as a decision consumed it; mark is 0 when the venue sends none."""

    at: int
    venue_at: int
    instrument: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    mark: int = 0


class TopMoved(Struct, frozen=True, array_like=True, tag=7):
    """The book changed in a way that a leg was waiting for."""

    at: int
    instrument: int


class OrderSent(Struct, frozen=True, array_like=True, tag=8):
    """The first byte of the order left, after its intent was durable."""

    at: int
    order: int


class OrderReported(Struct, frozen=True, array_like=True, tag=9):
    """Evidence about one order. `cum` None means the message does not say.

    `average` is given only where the venue reports a true average (never a limit price or zero).
    `price` and `qty` are what the venue booked, when it says so.
    """

    at: int
    venue_at: int
    order: int
    path: Literal["ack", "cancel", "stream", "query", "read"]
    status: str
    cum: int | None = None
    average: Decimal | None = None
    reason: str = ""
    text: str = ""
    price: int | None = None
    qty: int | None = None


class OrderRefused(Struct, frozen=True, array_like=True, tag=10):
    """The venue (or its rate gate) refused to create the order, definitively and for this id.

    `retry_at` is when the venue takes orders again, as far as it said so; 0: it did not.
    """

    at: int
    order: int
    reason: str
    text: str = ""
    retry_at: int = 0


class CancelRefused(Struct, frozen=True, array_like=True, tag=11):
    """The venue refused a cancel; by itself this says nothing about the order.

    `retry_at` as in `OrderRefused`.
    """

    at: int
    order: int
    reason: str
    text: str = ""
    retry_at: int = 0


class CallLost(Struct, frozen=True, array_like=True, tag=12):
    """A place or cancel ended as Unknown: timeout, reset, 5xx, unparsable answer.

    `text` is the code of a refusal that no table knows; empty for every other cause.
    """

    at: int
    order: int
    call: Literal["place", "cancel"]
    cause: str
    text: str = ""


class OrderMissing(Struct, frozen=True, array_like=True, tag=13):
    """A query by own id answered not-found; `sent_at` is when the query was sent."""

    at: int
    order: int
    sent_at: int
    authority: Literal["history", "lagging", "open_only", "none"]


class QueryFailed(Struct, frozen=True, array_like=True, tag=14):
    """A query by own id failed; an error carries no information about the order."""

    at: int
    order: int
    sent_at: int
    cause: str


class FillReported(Struct, frozen=True, array_like=True, tag=15):
    """One trade. `order` 0 means no order of ours: `origin` says whose doing it was."""

    at: int
    venue_at: int
    instrument: int
    order: int
    trade: str
    side: int
    price: int
    qty: int
    cum: int | None
    fee: Decimal
    maker: bool
    origin: Literal["own", "liquidation", "adl", "settlement", "manual"] = "own"


class TruthRead(Struct, frozen=True, array_like=True, tag=16):
    """Positions, open orders and recent trades of a venue, asked at `sent_at`.

    `taken_at` is the venue time of the view. With `scope` -1 it covers every configured
    instrument of the venue, else just that one.
    """

    at: int
    sent_at: int
    taken_at: int
    venue: str
    scope: int
    rows: tuple[InstrumentTruth, ...]


class TruthFailed(Struct, frozen=True, array_like=True, tag=17):
    """A truth read failed as a whole."""

    at: int
    sent_at: int
    venue: str
    scope: int
    cause: str


class RulesRead(Struct, frozen=True, array_like=True, tag=18):
    """The venue's present rules of one instrument."""

    at: int
    instrument: int
    rules: Instrument


class LinkOpened(Struct, frozen=True, array_like=True, tag=19):
    """The streams of a venue are connected and subscribed."""

    at: int
    venue: str


class LinkClosed(Struct, frozen=True, array_like=True, tag=20):
    """The link to a venue broke or could not be opened; `draw` is a jitter in millionths."""

    at: int
    venue: str
    cause: str
    draw: int = 0


class LinkStale(Struct, frozen=True, array_like=True, tag=21):
    """The link stands but its data cannot be relied on: silence, gap, slow consumer."""

    at: int
    venue: str
    cause: str


class ModeChanged(Struct, frozen=True, array_like=True, tag=22):
    """The venue announced a mode: online, post_only, cancel_only, maintenance, halted."""

    at: int
    venue: str
    mode: str


class FundingPaid(Struct, frozen=True, array_like=True, tag=23):
    """A funding payment in quote currency (received positive); `key` makes it unique."""

    at: int
    instrument: int
    amount: Decimal
    key: str


class PositionMoved(Struct, frozen=True, array_like=True, tag=24):
    """The venue reports a position that no fill of ours explains (style position_only)."""

    at: int
    venue_at: int
    instrument: int
    qty: int
    origin: str


class CommandRefused(Struct, frozen=True, array_like=True, tag=25):
    """A production gate refused to send a command (invariants.md section 2); a bug report."""

    at: int
    order: int
    gate: str


class OrderPlaced(Struct, frozen=True, array_like=True, tag=26):
    """Somebody outside a ladder (an opening, a benchmark) asks for one plain order."""

    at: int
    instrument: int
    side: int
    qty: int
    price: int | None = None
    by: str = "operator"


Fact = (
    EngineStarted
    | PositionDeclared
    | CloseRequested
    | OperatorCommanded
    | TimerFired
    | TopSeen
    | TopMoved
    | OrderSent
    | OrderReported
    | OrderRefused
    | CancelRefused
    | CallLost
    | OrderMissing
    | QueryFailed
    | FillReported
    | TruthRead
    | TruthFailed
    | RulesRead
    | LinkOpened
    | LinkClosed
    | LinkStale
    | ModeChanged
    | FundingPaid
    | PositionMoved
    | CommandRefused
    | OrderPlaced
)

# ---------------------------------------------------------------- commands


class Place(Struct, frozen=True, array_like=True, tag=101):
    """Create an order. `price` None is a native market order; `touch` and `rung` are for reports.

    `leg` and `attempt` go into the client id (recovery.md section 6). `deadline` is the venue time
    after which the venue must not execute it.
    """

    at: int
    order: int
    instrument: int
    side: int
    qty: int
    price: int | None
    tif: Literal["GTC", "IOC"]
    post_only: bool
    reduce_only: bool
    deadline: int
    leg: int
    attempt: int
    rung: str
    why: str


class Cancel(Struct, frozen=True, array_like=True, tag=102):
    """Cancel an order by its own id; idempotent."""

    at: int
    order: int
    instrument: int


class QueryOrder(Struct, frozen=True, array_like=True, tag=103):
    """Ask the venue for one order by its own id."""

    at: int
    order: int
    instrument: int


class ReadTruth(Struct, frozen=True, array_like=True, tag=104):
    """Read positions, open orders and trades of a venue; `scope` -1 for all its instruments."""

    at: int
    venue: str
    scope: int


class ReadRules(Struct, frozen=True, array_like=True, tag=105):
    """Read the trading rules of one instrument again."""

    at: int
    instrument: int


class Connect(Struct, frozen=True, array_like=True, tag=106):
    """Open the streams of a venue."""

    at: int
    venue: str


class CancelForeign(Struct, frozen=True, array_like=True, tag=107):
    """Cancel a resting order of ours that no machine owns (an orphan), by its venue text id."""

    at: int
    instrument: int
    text_id: str


class ReadMode(Struct, frozen=True, array_like=True, tag=110):
    """Ask a venue for its mode; the answer is `ModeChanged`, also where the mode is the same."""

    at: int
    venue: str


class Arm(Struct, frozen=True, array_like=True, tag=108):
    """Wake machine `machine` with `TimerFired(tag)` at `due`; re-arming replaces."""

    machine: int
    tag: str
    due: int


class Alarm(Struct, frozen=True, array_like=True, tag=109):
    """Tell a person; raised once per machine, kind and subject until the cause is cleared.

    `since` is when the cause began, 0 for a cause that is an instant.
    """

    at: int
    kind: str
    machine: str
    text: str
    since: int = 0


Command = (
    Place
    | Cancel
    | QueryOrder
    | ReadTruth
    | ReadRules
    | ReadMode
    | Connect
    | CancelForeign
    | Arm
    | Alarm
)

#: Commands that can change an order: durable before they leave (I1).
INTENTS = frozenset({Place, Cancel, CancelForeign})
