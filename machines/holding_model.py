"""What is known of the position in one instrument: our own facts, and the venue's word.

Plain state and views of it; it decides nothing. Quantities are signed units, times ns.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from machines.book import Book
from machines.policy.reconciling import Verdict, is_behind, judge_round
from machines.types import Instrument, VenueSettings

if TYPE_CHECKING:
    from machines.env import Env
    from machines.lane import Lane
    from machines.leg_model import Leg
    from machines.messages import TradeRow
    from machines.order_model import Order
    from machines.session import Session


#: Ids of trades that are not ours, and of payments, remembered per instrument.
TRADES_MAX = 4096
#: What the venue did by itself and no stream has told, as many per instrument as are kept.
LISTED_MAX = 256


class Holding:
    """The position in one instrument.

    `qty` is what we believe to hold, `owned` the part of it that is ours to close: what strangers
    added is believed and not owned. `filled` counts what orders of closes have filled, either side,
    and never falls. The `read_*` fields describe the newest read. `orders` are our orders that may
    still fill; `latest` is the leg of the newest close of the position, which hears of them,
    `owner` that leg while it lives.
    """

    __slots__ = (
        "announced", "announced_at", "ask_count", "believed_at", "book", "contradicted_at",
        "contradicted_qty", "declared_at", "doubted_at", "dust", "entry", "filled", "foreign", "id",
        "instrument", "lane", "last_fill_at", "last_fill_venue_at", "last_fills", "latest",
        "listed", "order_count", "orders", "owned", "owner", "qty", "read_agreed", "read_at",
        "read_entry", "read_equal", "read_ok", "read_qty", "read_sent_at", "read_taken_at",
        "session", "state", "timers", "told_qty", "trades", "uid", "unexplained", "unexplained_at",
        "unexplained_until", "venue",
    )  # fmt: skip

    def __init__(
        self,
        instrument: Instrument,
        venue: VenueSettings,
        session: Session,
        lane: Lane,
        env: Env,
    ) -> None:
        self.id = instrument.key
        self.uid = env.enlist(self)
        self.state = "unread"
        self.timers: dict[str, int] = {}
        self.instrument = instrument
        self.venue = venue
        self.session = session
        self.lane = lane
        self.book = Book()
        self.qty = 0
        self.owned = 0
        self.entry: Decimal | None = None
        #: When a person declared what is held; 0: nobody has.
        self.declared_at = 0
        self.filled = 0
        self.dust = 0
        self.owner: Leg | None = None
        self.latest: Leg | None = None
        self.orders: list[Order] = []
        self.order_count = 0
        #: The newest change that is in `qty`: ours, or the venue's own doing.
        self.last_fill_at = 0
        self.last_fill_venue_at = 0
        #: Signed units of the changes of one side that came within the read lag of each other.
        self.last_fills = 0
        self.read_at = 0
        self.read_agreed = False
        self.read_equal = 0
        self.read_sent_at = 0
        self.read_taken_at = 0
        self.read_qty: int | None = None
        self.read_entry: Decimal | None = None
        self.read_ok = False
        #: Orders that are not ours rest there, as the newest read shows.
        self.foreign = False
        #: Strangers' trades that were told and are not in `qty`, and when the newest was told.
        self.announced = 0
        self.announced_at = 0
        #: What the venue did by itself, as reads list it and no stream has told, by trade id.
        self.listed: dict[str, TradeRow] = {}
        #: What reads made us believe without a trade that explains it, when, and the venue's time
        #: of that view: a fill of ours from before it, told later, is in `qty` already.
        self.unexplained = 0
        self.unexplained_at = 0
        self.unexplained_until = 0
        #: When reads last changed what is believed, and since when it is in question.
        self.believed_at = 0
        self.doubted_at = 0
        #: The position that nothing explains, of which a person was told.
        self.told_qty: int | None = None
        #: What the newest read showed that was not what we believed, and the venue's time of it.
        self.contradicted_qty: int | None = None
        self.contradicted_at = 0
        self.ask_count = 0
        self.trades: dict[str, None] | None = None

    @property
    def unowned(self) -> int:
        """What strangers added: held, and not ours to close before an operator adopts it."""
        return self.qty - self.owned

    @property
    def listed_units(self) -> int:
        """What the venue took by itself as reads list it, not yet in `qty`."""
        return sum(row.side * row.qty for row in self.listed.values())

    def change(self, units: int) -> None:
        """Book a change that we did: all of it is ours."""
        self.qty += units
        self.owned += units
        self._disown()

    def suffer(self, units: int) -> None:
        """Book a change that somebody else did: what it takes is lost, what it adds is not ours."""
        self.qty += units
        self._disown()

    def note_fill(self, units: int, at: int, venue_at: int) -> None:
        """Note the newest change that is in `qty`: a read that left before it may not show it."""
        if at > self.last_fill_at + self.venue.read_lag_ns or units * self.last_fills < 0:
            self.last_fills = 0
        self.last_fills += units
        self.last_fill_at = at
        self.last_fill_venue_at = max(self.last_fill_venue_at, venue_at)

    def _disown(self) -> None:
        """Nothing is ours beyond what is held."""
        qty, owned = self.qty, self.owned
        if qty * owned <= 0:
            self.owned = 0
        elif abs(owned) > abs(qty):
            self.owned = qty

    def accept(self, qty: int) -> None:
        """Take what is held as ours, all of it: declared, or adopted by a person."""
        self.qty = self.owned = qty
        self.unexplained = 0
        self.settle()

    def absorb(self, units: int) -> int:
        """How much of a change told late is in `qty` already, because reads had shown it before."""
        if units * self.unexplained <= 0:
            return 0
        part = min(abs(units), abs(self.unexplained))
        part = part if units > 0 else -part
        self.unexplained -= part
        return part

    def has_shown(self, row: TradeRow) -> bool:
        """Whether what the venue lists now is part of what reads showed without an explanation."""
        if row.venue_at > self.unexplained_until or row.side * self.unexplained <= 0:
            return False
        return self.trades is None or row.trade not in self.trades

    def settle(self) -> None:
        """Nothing that was told is outside of `qty` any more."""
        self.announced = self.announced_at = 0
        for trade in self.listed:
            self.remember(trade)
        self.listed.clear()

    def remember(self, trade: str) -> bool:
        """Remember an external trade or payment; False if it was known. The oldest go."""
        known = self.trades
        if known is None:
            known = self.trades = {}
        if trade in known:
            return False
        if len(known) >= TRADES_MAX:
            del known[next(iter(known))]
        known[trade] = None
        return True

    def list(self, row: TradeRow) -> None:
        """Note what a read says that the venue did by itself, unless it is in `qty` already."""
        known = self.trades is not None and row.trade in self.trades
        if not known and row.venue_at > self.declared_at and len(self.listed) < LISTED_MAX:
            self.listed[row.trade] = row

    def own_open(self, difference: int) -> int:
        """Units by which orders of ours that may still fill could have made a difference untold."""
        total = 0
        for order in self.orders:
            if order.side * difference > 0:
                total += order.open_qty
        return total


def verdict_of(holding: Holding) -> Verdict:
    """What the newest read says, held against what we believe."""
    shown = holding.read_qty
    return judge_round(
        believed=holding.qty,
        announced=holding.announced,
        taken=holding.listed_units if holding.listed else 0,
        shown=shown,
        complete=holding.read_ok,
        rounds=holding.read_equal,
        sent_at=holding.read_sent_at,
        taken_at=holding.read_taken_at,
        last_fill_at=holding.last_fill_at,
        last_fill_venue_at=holding.last_fill_venue_at,
        last_fills=holding.last_fills,
        announced_at=holding.announced_at,
        contradicted_at=holding.contradicted_at
        if holding.contradicted_qty not in (None, holding.qty)
        else 0,
        read_lag_ns=holding.venue.read_lag_ns,
        own_open=0 if shown is None else holding.own_open(shown - holding.qty),
        own_alive=bool(holding.orders),
    )


def void_contradicts(holding: Holding) -> bool:
    """Whether a read that proves nothing shows all the same that what we believe is not so.

    The venue lists what it took by itself, or the position is not ours, nor that of before our
    newest fills, while the trades or orders that would explain it are missing.
    """
    shown = holding.read_qty
    if verdict_of(holding) != "void":
        return False
    if shown is None or holding.read_ok or holding.listed_units:
        return holding.listed_units != 0
    difference = shown - holding.qty - holding.announced - holding.listed_units
    sent_at = holding.read_sent_at
    recent = holding.last_fill_at > 0 and (
        sent_at < holding.last_fill_at + holding.venue.read_lag_ns
        or holding.read_taken_at < holding.last_fill_venue_at
    )
    return difference != 0 and not (recent and is_behind(difference, holding.last_fills))


def trouble_of(holding: Holding, since: int) -> str:
    """What keeps a position in question, of which reads were asked from `since` on, in words."""
    answered = holding.read_ok and holding.read_sent_at >= since
    if answered and holding.read_qty is not None:
        return f"what is held of {holding.id} is not settled by its reads yet"
    return f"no usable read of {holding.id}"


def is_known(holding: Holding, since: int) -> bool:
    """Whether what is held is beyond question, by a trusted read asked at or after `since`.

    Fills of our own since that read leave it known.
    """
    return (
        holding.state == "settled"
        and holding.read_agreed
        and holding.read_ok
        and holding.read_sent_at >= since
        and holding.read_at > 0
        and holding.session.trusted
    )
