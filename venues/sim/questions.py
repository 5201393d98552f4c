"""Answers what a simulated venue is asked: queries of orders, truth, rules and its mode.

Decides whether and when an answer gets back, by the scripted answers and faults in force; what it
shows is the reader's. This module must not change orders, positions or books.
"""

from machines.messages import (
    ModeChanged,
    QueryFailed,
    QueryOrder,
    ReadMode,
    ReadRules,
    ReadTruth,
    RulesRead,
    TruthFailed,
    TruthRead,
)
from venues.port import Scheduler
from venues.sim.canned import Canned, is_scripted
from venues.sim.exchange import Exchange
from venues.sim.link import Link
from venues.sim.reads import PLAIN_READ, Reader, TruthFates
from venues.sim.rules import Rules
from venues.sim.selection import ALL


class Questions:
    """The way of questions to one exchange and of its answers back; each comes with its time."""

    __slots__ = ("_canned", "_exchange", "_link", "_reader", "_rules", "_scheduler")

    def __init__(
        self,
        exchange: Exchange,
        reader: Reader,
        canned: Canned,
        rules: Rules,
        link: Link,
        scheduler: Scheduler,
    ) -> None:
        self._exchange = exchange
        self._reader = reader
        self._canned = canned
        self._rules = rules
        self._link = link
        self._scheduler = scheduler

    def query(self, sent: tuple[QueryOrder, int]) -> None:
        """Look an order up by its own id."""
        command, sent_at = sent
        number = command.order
        fate = self._rules.request("query", command.instrument)
        if fate.mute:
            return
        at = self._link.response_at(fate.hold_ns)
        now = self._scheduler.now
        if fate.cause:
            self._link.deliver(QueryFailed(at, number, sent_at, fate.cause))
        elif fate.answer is not None and is_scripted(fate.answer):
            order = self._exchange.orders.get(number)
            self._link.deliver(self._canned.query(number, order, fate.answer, at, now, sent_at))
        else:
            self._link.deliver(self._reader.query(number, now, sent_at, at, fate.lag_ns))

    def truth(self, sent: tuple[ReadTruth, int]) -> None:
        """Tell positions, open orders and trades: three requests that are answered together."""
        command, sent_at = sent
        scope = command.scope
        if self._rules.quiet:
            fates = PLAIN_READ
        else:
            request = self._rules.request
            fates = TruthFates(
                request("positions", scope), request("open_orders", scope), request("fills", scope)
            )
        if fates.mute:
            return
        at = self._link.response_at(fates.hold_ns)
        name = self._exchange.name
        cause = fates.failure(scope)
        if cause:
            self._link.deliver(TruthFailed(at, sent_at, name, scope, cause))
            return
        now = self._scheduler.now
        rows = self._reader.truth(scope, now, fates)
        self._link.deliver(TruthRead(at, sent_at, now, name, scope, rows))

    def rules(self, sent: tuple[ReadRules, int]) -> None:
        """Tell the trading rules of an instrument."""
        index = sent[0].instrument
        at = self._told_at(index)
        if at is not None:
            self._link.deliver(RulesRead(at, index, self._exchange.instruments[index]))

    def mode(self, sent: tuple[ReadMode, int]) -> None:
        """Tell the present mode, whichever it is; to answers and faults a request for `rules`."""
        at = self._told_at(ALL)
        if at is not None:
            self._link.deliver(ModeChanged(at, self._exchange.name, self._exchange.mode))

    def _told_at(self, instrument: int) -> int | None:
        """Return when the answer to a request for `rules` arrives, or None if it tells nothing."""
        fate = self._rules.request("rules", instrument)
        refused = fate.answer is not None and fate.answer.outcome in ("reject", "not_found")
        if fate.mute or fate.cause or refused:
            return None
        return self._link.response_at(fate.hold_ns)
