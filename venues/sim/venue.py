"""The simulated venue as the engine sees it: a `Port` with delays, scripted answers and faults.

Commands travel to the exchange on the request path, its answers and frames come back on paths of
their own. This module must not judge or match; it decides only whether and when a request arrives
and an answer gets back. It is deterministic: time comes from the scheduler, chance from the draws.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from machines.messages import (
    CallLost,
    Cancel,
    CancelForeign,
    CancelRefused,
    Command,
    Connect,
    OrderReported,
    Place,
    QueryOrder,
    ReadMode,
    ReadRules,
    ReadTruth,
)
from machines.types import MS, Instrument, VenueSettings
from venues.port import ARRIVE, MARKET, Scheduler, Sink
from venues.profiles import Profile
from venues.sim.canned import Canned, is_scripted
from venues.sim.draws import Draws
from venues.sim.exchange import Exchange
from venues.sim.faults import Decision, Fault
from venues.sim.intake import Intake
from venues.sim.latency import Latency
from venues.sim.link import Link, Reply
from venues.sim.matching import Book
from venues.sim.orders import SimOrder, SimTrade, order_of
from venues.sim.questions import Questions
from venues.sim.reads import Reader, text_of
from venues.sim.rules import PLAIN, Fate, Rules
from venues.sim.script import Script
from venues.sim.state import export_state, import_state
from venues.sim.tops import Tops


class SimVenue:
    """One venue under a scheduler.

    `instruments` are this venue's; commands and calls name them by their global index. `decisions`
    is the run's list of fault activations. With `lean` it keeps no order log, no trades and no
    event counts (so no fault by `nth` before the first rule, no query of an ended order): for
    benchmarks.
    """

    def __init__(
        self,
        settings: VenueSettings,
        profile: Profile,
        instruments: Sequence[Instrument],
        scheduler: Scheduler,
        sink: Sink,
        latency: Latency,
        draws: Draws,
        balance: Decimal = Decimal(0),
        decisions: list[Decision] | None = None,
        lean: bool = False,
    ) -> None:
        name = settings.name
        self.settings = settings
        self.profile = profile
        self.rules = Rules(scheduler, [] if decisions is None else decisions, lean)
        self.link = Link(name, scheduler, sink, latency, self.rules, draws.child(f"link.{name}"))
        self._match_draws = draws.child(f"match.{name}")
        self.exchange = Exchange(name, profile, instruments, scheduler, self.link, balance, lean)
        self.intake = Intake(self.exchange, scheduler, self._match_draws)
        self.reader = Reader(self.exchange)
        self.script = Script(self)
        #: Every create in the order of sending, whether or not it arrived.
        self.orders: list[SimOrder] = []
        self._scheduler = scheduler
        self._sink = sink
        self._request = latency.request
        self._canned = Canned(self.exchange, self.intake, self.link)
        questions = Questions(
            self.exchange, self.reader, self._canned, self.rules, self.link, scheduler
        )
        self._draws = draws
        self._fault_draws: dict[str, Draws] = {}
        self._lean = lean
        self._by_instrument: dict[int, list[SimOrder]] = {}
        self._books = self.exchange.books
        self._plain = Reply(self.link, PLAIN)
        self.tops = Tops(self._books, scheduler, sink, latency.public, self.link, self.rules)
        self.tops.restock = self._restock
        self._handlers: dict[type, Callable[[Any], None]] = {
            Cancel: self._cancel,
            QueryOrder: questions.query,
            ReadTruth: questions.truth,
            ReadRules: questions.rules,
            ReadMode: questions.mode,
            Connect: self._connect,
            CancelForeign: self._cancel_foreign,
        }

    # ------------------------------------------------------------ the port

    def submit(self, command: Command) -> None:
        """Take one command; it arrives after the request latency, in order."""
        now = self._scheduler.now
        path = self._request
        due = now if path.direct else path.due(now)
        if type(command) is Place:
            self._scheduler.at(due, ARRIVE, self._place, self._log(command, now))
        else:
            self._scheduler.at(due, ARRIVE, self._handlers[type(command)], (command, now))

    def _log(self, command: Place, now: int) -> SimOrder:
        if self._lean:
            return order_of(command, now, 0)
        queue = self._by_instrument.setdefault(command.instrument, [])
        order = order_of(command, now, len(queue) + 1)
        queue.append(order)
        self.orders.append(order)
        return order

    def _place(self, order: SimOrder) -> None:
        rules = self.rules
        fate = PLAIN if rules.quiet else rules.request("create", order.instrument)
        if fate.cause:
            at = self.link.response_at(fate.hold_ns)
            self.link.deliver(CallLost(at, order.number, "place", fate.cause))
        now = self._scheduler.now
        late = now > order.deadline and self.profile.capabilities.deadline != "none"
        if fate.lost or late:
            return
        known = self.exchange.orders.get(order.number)
        if known is not None and self._duplicate(known):
            at = self.link.response_at()
            self.link.deliver(CallLost(at, order.number, "place", "duplicate id"))
            return
        reply = self._plain if fate is PLAIN else Reply(self.link, fate)
        if fate.answer is not None and is_scripted(fate.answer):
            self._canned.create(order, fate.answer, reply, now)
        else:
            self.intake.accept(order, reply)

    @property
    def now(self) -> int:
        """Present time in nanoseconds."""
        return self._scheduler.now

    def _duplicate(self, known: SimOrder) -> bool:
        dedupe = self.profile.capabilities.dedupe
        return dedupe == "forever" or (dedupe == "while_open" and known.alive)

    # ------------------------------------------------------------ cancels

    def _cancel(self, sent: tuple[Cancel, int]) -> None:
        command = sent[0]
        number = command.order
        fate = self.rules.request("cancel", command.instrument)
        if fate.cause:
            at = self.link.response_at(fate.hold_ns)
            self.link.deliver(CallLost(at, number, "cancel", fate.cause))
        if fate.lost:
            return
        order = self.exchange.orders.get(number)
        reply = self._plain if fate is PLAIN else Reply(self.link, fate)
        if fate.answer is not None and is_scripted(fate.answer):
            self._canned.cancel(number, order, fate.answer, reply, self._scheduler.now)
        elif self.exchange.mode == "maintenance":
            self._refuse_cancel(number, "VENUE_MODE", reply)
        elif order is None or not order.alive:
            self._refuse_cancel(number, "UNKNOWN_ORDER", reply)
        elif fate.decisions and self._troubled_cancel(order, fate, reply):
            return
        else:
            self._cancel_now(order, reply)

    def _refuse_cancel(self, number: int, reason: str, reply: Reply, text: str = "") -> None:
        at = reply.at()
        if at is not None:
            word = text or self.exchange.reports.word(reason)
            self.link.deliver(CancelRefused(at, number, reason, word))

    def _cancel_now(self, order: SimOrder, reply: Reply) -> int | None:
        """End an order at its owner's wish and answer; return when the answer arrives."""
        traits = self.profile.traits
        at = reply.at()
        if traits.cancel_answer == "requested":
            if at is not None:
                now = self._scheduler.now
                self.link.deliver(OrderReported(at, now, order.number, "cancel", order.state))
            self.exchange.end(order, "CANCELED", "CANCELED")
            return at
        self.exchange.end(order, "CANCELED", "CANCELED", quiet=True)
        if at is not None:
            self.link.deliver(self.exchange.reports.view(order, at, "cancel"))
        if traits.echo_cancel:
            self.exchange.reports.say_state(order)
        return at

    def _troubled_cancel(self, order: SimOrder, fate: Fate, reply: Reply) -> bool:
        """Carry out a fault of cancels; True if one applied."""
        refusal = fate.decision("cancel_reject_filled")
        if refusal is not None:
            part, whole = (int(item) for item in refusal.parameters["fill"].split("/"))
            qty = order.left * part // whole
            if qty:
                self.exchange.fill(order, qty, self._price(order), maker=True)
            self._refuse_cancel(order.number, "UNKNOWN_ORDER", reply, "filled")
            return True
        late = fate.decision("fill_after_cancel_ack")
        if late is None:
            return False
        lot = self.exchange.instruments[order.instrument].lot
        lots = order.left // lot
        qty = self._match_draws.between(1, lots) * lot if lots else order.left
        done = self.exchange.fill(order, qty, self._price(order), maker=True, quiet=True)
        if order.alive:
            at = self._cancel_now(order, reply)
        else:
            at = reply.at()
            if at is not None:
                self.link.deliver(self.exchange.reports.view(order, at, "cancel"))
        due = (at or self._scheduler.now) + late.parameters["delay_ms"] * MS
        self._scheduler.at(due, MARKET, self._say_late, (order, done))
        return True

    def _say_late(self, argument: tuple[SimOrder, SimTrade]) -> None:
        self.exchange.reports.say_fill(*argument)

    def _price(self, order: SimOrder) -> int:
        """Return the price at which a fault or script fills an order."""
        book = self._books[order.instrument]
        return order.limit or book.far(order.side) or book.midpoint()

    def _cancel_foreign(self, sent: tuple[CancelForeign, int]) -> None:
        command = sent[0]
        if self.exchange.foreign.pop(command.text_id, None) is not None:
            return
        for order in tuple(self._books[command.instrument].resting):
            if text_of(order) == command.text_id:
                self.exchange.end(order, "CANCELED", "CANCELED")

    def _connect(self, sent: tuple[Connect, int]) -> None:
        self.reader.forget_shown()
        self.link.open(self.link.response_at())

    # ------------------------------------------------------------ market data

    def set_book(
        self, instrument: int, bid: int, bid_qty: int, ask: int, ask_qty: int, mark: int = 0
    ) -> None:
        """Replace the top of book, publish it, and fill what it reaches.

        Ticks and units, 0 where a side is empty; `mark` 0 where the venue sends none.
        """
        book = self._books[instrument]
        book.bid = bid
        book.bid_qty = book.bid_left = bid_qty
        book.ask = ask
        book.ask_qty = book.ask_left = ask_qty
        book.mark = mark
        if self.tops.clear:
            self._sink.top(instrument, self._scheduler.now, bid, bid_qty, ask, ask_qty, mark)
        else:
            self.tops.publish(book)
        if book.resting:
            self.exchange.match(book)

    def _restock(self, book: Book) -> None:
        """A standing book is sent again, whole: what rests at its far side fills too."""
        book.restock()
        if book.resting:
            self.exchange.match(book)

    def trade(self, instrument: int, side: int, price: int, qty: int) -> None:
        """Print a trade of somebody else, whose aggressor had `side`, and fill what it reaches."""
        if self._books[instrument].resting:
            self.exchange.print_trade(instrument, side, price, qty)

    def review_path(self) -> None:
        """Decide again how books travel; called when a rule was added."""
        self.tops.review()

    # ------------------------------------------------------------ setup and truth

    def set_position(self, instrument: int, qty: int, entry: Decimal | None) -> None:
        """Put a position into the account (signed units), as before the start of the run."""
        self.exchange.account.give(instrument, qty, entry)

    def add_fault(self, table: Mapping[str, Any], instrument: int | None = None) -> None:
        """Put a fault table into force from now on; ValueError if it is malformed."""
        kind = str(table.get("kind"))
        draws = self._fault_draws.get(kind)
        if draws is None:
            draws = self._draws.child(f"fault.{kind}.{self.settings.name}")
            self._fault_draws[kind] = draws
        fault = Fault(table, self._scheduler.now, instrument, draws)
        if "at_s" in fault.given:
            self.link.close_at_age(fault)
            return
        self.rules.add_fault(fault)
        self.review_path()

    def republish(self) -> None:
        """Send every present book again, so that none ages; nothing is matched."""
        self.tops.publish_all()

    def start_republish(self, every_ns: Mapping[int, int] | None = None) -> None:
        """Send each book again at its interval (default 1 s) from now on, as idle actions."""
        self.tops.start_republish(every_ns or {})

    @property
    def idle_actions(self) -> int:
        """Scheduled actions that must not keep a run alive."""
        return self.tops.idle_actions

    @property
    def trades(self) -> list[SimTrade]:
        """Every trade of the account, oldest first."""
        return self.exchange.trades

    def positions(self) -> dict[int, int]:
        """Return the venue's own truth: signed units by instrument, zeros included."""
        holdings = self.exchange.account.holdings
        return {index: holding.qty for index, holding in holdings.items()}

    def orders_on(self, instrument: int) -> list[SimOrder]:
        """Return every create on an instrument in the order of sending."""
        return self._by_instrument.get(instrument, [])

    def export_state(self) -> bytes:
        """Return what the venue remembers over a restart of its process."""
        return export_state(self.exchange)

    def import_state(self, data: bytes) -> None:
        """Take up an exported state; requests that were on their way are lost."""
        for order in import_state(self.exchange, data):
            if order.state == "PENDING":
                self.intake.await_verdict(order)
            queue = self._by_instrument.setdefault(order.instrument, [])
            queue.append(order)
            self.orders.append(order)
