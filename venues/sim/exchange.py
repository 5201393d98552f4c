"""A simulated venue's own books: its orders, positions and trades.

Everything that happens to an order happens here, whether the market, a command or a script is the
cause, so that the account, the history and the reports always agree. This module must not know
commands, request delays or fault kinds; it judges and reports what has arrived, at present time.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from machines.messages import (
    FillReported,
    FundingPaid,
    ModeChanged,
    OrderRefused,
)
from machines.types import BUY, Instrument
from venues.port import Scheduler
from venues.profiles import Profile
from venues.sim.account import Account, Holding
from venues.sim.judge import fill_room
from venues.sim.link import Link, Reply
from venues.sim.matching import Book
from venues.sim.orders import ALIVE, ForeignOrder, Origin, SimOrder, SimTrade
from venues.sim.reports import Reports

#: Modes in which nothing fills.
_UNMATCHED = ("halted", "maintenance")


class Exchange:
    """State of one venue. `orders` finds an order by number once the venue knows of it."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        instruments: Sequence[Instrument],
        scheduler: Scheduler,
        link: Link,
        balance: Decimal,
        lean: bool,
    ) -> None:
        self.name = name
        self.profile = profile
        self.capabilities = profile.capabilities
        self.lean = lean
        self.mode = "online"
        self.orders: dict[int, SimOrder] = {}
        self.trades: list[SimTrade] = []
        self.foreign: dict[str, ForeignOrder] = {}
        self.account = Account(balance, lean)
        self.instruments: dict[int, Instrument] = {}
        self.books: dict[int, Book] = {}
        self.tick_steps: dict[int, int] = {}
        self.trade_count = 0
        self._scheduler = scheduler
        self._link = link
        link.greet = self._greet
        self.reports = Reports(profile, self.instruments, scheduler, link)
        for instrument in instruments:
            index = instrument.index
            self.instruments[index] = instrument
            self.books[index] = Book(index, profile.traits.strict)
            self.account.holdings[index] = Holding(instrument)
            self.tick_steps[index] = 1

    # ------------------------------------------------------------ creates

    def register(self, order: SimOrder, state: str) -> None:
        """Take an order into the books in a living state."""
        self.orders[order.number] = order
        order.arrived = True
        order.state = state
        if not self.lean:
            self.mark(order)

    def refuse(self, order: SimOrder, reason: str, reply: Reply) -> None:
        """Refuse a create by its answer."""
        self.book_refusal(order, reason, self.reports.word(reason))
        at = reply.at()
        if at is not None:
            self._link.deliver(OrderRefused(at, order.number, reason, order.text))

    def book_refusal(self, order: SimOrder, reason: str, text: str) -> None:
        """Note that a create was refused, without saying so."""
        order.state = "REJECTED"
        order.reason = reason
        order.text = text
        order.ended_at = self._scheduler.now
        self.mark(order)
        if self.profile.traits.keeps_refused and not self.lean:
            self.orders[order.number] = order

    # ------------------------------------------------------------ fills and ends

    def fill_in_market(self, order: SimOrder, qty: int, price: int, maker: bool) -> None:
        """Fill by the market, as far as reduce-only lets it."""
        room = qty
        if order.reduce_only:
            position = self.account.holdings[order.instrument].qty
            room = fill_room(order, qty, position, self.capabilities)
        if room:
            self.fill(order, room, price, maker)
        if room < qty and order.alive:
            self.end(order, "CANCELED", "REDUCE_ONLY_VIOLATION")

    def fill(
        self,
        order: SimOrder,
        qty: int,
        price: int,
        maker: bool,
        trade: str = "",
        quiet: bool = False,
    ) -> SimTrade:
        """Book a trade of an order, whatever its state and size; report it unless `quiet`."""
        now = self._scheduler.now
        order.cum += qty
        order.value += qty * price
        change = qty if order.side == BUY else -qty
        fee = self.account.fill(order.instrument, change, price, maker, now)
        if order.state in ALIVE:
            if order.cum >= order.qty:
                order.state = "FILLED"
                order.ended_at = now
                self.books[order.instrument].remove(order)
                if self.lean:
                    self.orders.pop(order.number, None)
            else:
                order.state = "PARTIALLY_FILLED"
        if not self.lean:
            self.mark(order)
        done = self._record(
            order.instrument, order.number, trade, order.side, price, qty, fee, maker, "own"
        )
        if not quiet:
            self.reports.say_fill(order, done)
        self._free_reduce_only(order.instrument)
        return done

    def _record(
        self,
        instrument: int,
        order: int,
        trade: str,
        side: int,
        price: int,
        qty: int,
        fee: Decimal,
        maker: bool,
        origin: Origin,
    ) -> SimTrade:
        self.trade_count += 1
        done = SimTrade(
            self._scheduler.now,
            instrument,
            order,
            trade or f"{self.name}-{self.trade_count}",
            side,
            price,
            qty,
            fee,
            maker,
            origin,
        )
        if not self.lean:
            self.trades.append(done)
        return done

    def _free_reduce_only(self, instrument: int) -> None:
        """End resting reduce-only orders that have nothing left to reduce."""
        book = self.books[instrument]
        if not book.resting or self.capabilities.reduce_only == "ignored":
            return
        position = self.account.holdings[instrument].qty
        for order in tuple(book.resting):
            if order.reduce_only and not order.scripted and order.side * position >= 0:
                self.end(order, "CANCELED", "REDUCE_ONLY_VIOLATION")

    def end(
        self,
        order: SimOrder,
        state: str,
        reason: str,
        text: str | None = None,
        quiet: bool = False,
    ) -> None:
        """End an order with what it has filled; report it unless `quiet`."""
        order.state = state
        order.reason = reason
        order.text = self.reports.word(reason) if text is None else text
        order.ended_at = self._scheduler.now
        self.books[order.instrument].remove(order)
        if self.lean:
            self.orders.pop(order.number, None)
        else:
            self.mark(order)
        if not quiet:
            self.reports.say_state(order)

    def external(self, instrument: int, change: int, price: int, kind: Origin) -> None:
        """Change a position by somebody else's doing; a liquidation cancels resting orders."""
        now = self._scheduler.now
        book = self.books[instrument]
        if kind == "liquidation":
            for order in tuple(book.resting):
                self.end(order, "CANCELED", "LIQUIDATED")
        fee = self.account.fill(instrument, change, price, False, now)
        side = 1 if change > 0 else -1
        done = self._record(instrument, 0, "", side, price, abs(change), fee, False, kind)
        self._link.frame(
            FillReported(
                self._link.stream_at(),
                now,
                instrument,
                0,
                done.trade,
                side,
                price,
                done.qty,
                None,
                fee,
                False,
                kind,
            ),
            instrument,
            fill=True,
        )
        self._free_reduce_only(instrument)

    # ------------------------------------------------------------ the market

    def match(self, book: Book) -> None:
        """Fill the resting orders that the new book reaches."""
        if self.mode != "online" and self.mode in _UNMATCHED:
            return
        for order, qty in book.reach():
            if order.alive:
                assert order.limit is not None
                self.fill_in_market(order, qty, order.limit, maker=True)

    def print_trade(self, instrument: int, side: int, price: int, qty: int) -> None:
        """Fill the resting orders that a trade of somebody else reaches."""
        if self.mode in _UNMATCHED:
            return
        for order, part in self.books[instrument].printed(side, price, qty):
            if order.alive:
                assert order.limit is not None
                self.fill_in_market(order, part, order.limit, maker=True)

    def fund(self, instrument: int, amount: Decimal, key: str, copies: int = 1) -> None:
        """Pay funding (received positive) and say so `copies` times."""
        self.account.fund(instrument, amount)
        for _ in range(copies):
            at = self._link.stream_at()
            self._link.frame(FundingPaid(at, instrument, amount, key), instrument)

    def set_mode(self, mode: str) -> None:
        """Change what the venue takes, and announce it."""
        self.mode = mode
        self._link.frame(ModeChanged(self._link.stream_at(), self.name, mode), -1)

    def _greet(self, at: int) -> None:
        """Tell a new connection the mode, unless it is the usual one."""
        if self.mode != "online":
            self._link.deliver(ModeChanged(at, self.name, self.mode))

    # ------------------------------------------------------------ bookkeeping

    def mark(self, order: SimOrder) -> None:
        """Remember the present state of an order for views of the past."""
        order.marks.append((self._scheduler.now, order.state, order.cum))

    def change_rules(self, instrument: int, **fields: object) -> None:
        """Replace some rules of an instrument, in units; the version rises."""
        old = self.instruments[instrument]
        self.instruments[instrument] = replace(old, version=old.version + 1, **fields)
