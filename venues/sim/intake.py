"""What becomes of an order that arrives at a simulated venue: judged, acknowledged, matched.

The profile decides whether an ack means receipt or a resting order, what form a refusal takes and
what a market order is. This module must not book fills or endings itself; the exchange does.
"""

from collections.abc import Callable

from venues.port import ARRIVE, Scheduler
from venues.sim.draws import Draws
from venues.sim.exchange import Exchange
from venues.sim.judge import mode_problem, reduce_only_problem, rule_problem
from venues.sim.link import Reply
from venues.sim.orders import SimOrder


class Intake:
    """The way of creates into one exchange."""

    __slots__ = ("_draws", "_exchange", "_scheduler")

    def __init__(self, exchange: Exchange, scheduler: Scheduler, draws: Draws) -> None:
        self._exchange = exchange
        self._scheduler = scheduler
        self._draws = draws

    def accept(self, order: SimOrder, reply: Reply) -> None:
        """Judge an order that has just arrived and do with it what the profile does."""
        exchange = self._exchange
        index = order.instrument
        order.arrived = True
        problem = mode_problem(order, exchange.mode) or rule_problem(
            order,
            exchange.instruments[index],
            exchange.capabilities,
            exchange.books[index],
            exchange.tick_steps[index],
        )
        if problem:
            exchange.refuse(order, problem, reply)
        elif exchange.capabilities.ack_means == "received":
            self._receive(order, reply)
        else:
            self._decide(order, reply)

    def _receive(self, order: SimOrder, reply: Reply) -> None:
        if self._exchange.capabilities.post_only == "sync_error" and self._would_cross(order):
            self._exchange.refuse(order, "WOULD_CROSS", reply)
        else:
            self.take_charge(order, reply, self._conclude)

    def take_charge(self, order: SimOrder, reply: Reply, then: Callable[[SimOrder], None]) -> None:
        """Acknowledge an order and call `then` once the verdict on it is due.

        A verdict comes at once where an ack means that the order rests.
        """
        if self._exchange.capabilities.ack_means == "resting":
            self._exchange.register(order, "OPEN")
            self._exchange.reports.acknowledge(order, reply)
            then(order)
            return
        self._exchange.register(order, "PENDING")
        self._exchange.reports.acknowledge(order, reply)
        low, high = self._exchange.profile.traits.verdict_ns
        wait = self._draws.between(low, high) if high > low else high
        if wait:
            self._scheduler.at(self._scheduler.now + wait, ARRIVE, then, order)
        else:
            then(order)

    def await_verdict(self, order: SimOrder) -> None:
        """Judge a restored order that was still waiting for its verdict."""
        self._scheduler.at(self._scheduler.now, ARRIVE, self._conclude, order)

    def _conclude(self, order: SimOrder) -> None:
        """Judge a received order, unless something else has decided its fate since."""
        if order.state != "PENDING" or order.scripted:
            return
        if (
            self._exchange.capabilities.deadline == "matching"
            and self._scheduler.now > order.deadline
        ):
            self._exchange.end(order, "EXPIRED", "EXPIRED")
        else:
            self._decide(order, None)

    def _would_cross(self, order: SimOrder) -> bool:
        if not order.post_only or order.limit is None:
            return False
        behind = self._exchange.profile.traits.stale_reject_ticks
        return self._exchange.books[order.instrument].crosses(order.side, order.limit, behind)

    def _decide(self, order: SimOrder, reply: Reply | None) -> None:
        """Judge against position and book; `reply` is None where the ack has long been given."""
        exchange = self._exchange
        if order.reduce_only:
            index = order.instrument
            position = exchange.account.holdings[index].qty
            capabilities = exchange.capabilities
            problem = reduce_only_problem(order, position, capabilities, exchange.books[index])
            if problem:
                if capabilities.reduce_only == "silent_drop":
                    self._drop(order, reply)
                else:
                    self._turn_down(order, problem, reply)
                return
        if order.post_only and self._would_cross(order) and self._crossing(order, reply):
            return
        exchange.register(order, "OPEN")
        if reply is not None:
            exchange.reports.acknowledge(order, reply)
        self._enter(order)

    def _drop(self, order: SimOrder, reply: Reply | None) -> None:
        """Swallow an order: an ack at most, then nothing, not even in a lookup."""
        if reply is not None:
            order.state = "OPEN"
            self._exchange.reports.acknowledge(order, reply)
        order.state = "DROPPED"
        self._exchange.orders.pop(order.number, None)

    def _turn_down(self, order: SimOrder, reason: str, reply: Reply | None) -> None:
        if reply is not None:
            self._exchange.refuse(order, reason, reply)
        else:
            self._exchange.end(order, "CANCELED", reason)

    def _crossing(self, order: SimOrder, reply: Reply | None) -> bool:
        """Treat a post-only order that would take; True if that ended it."""
        style = self._exchange.capabilities.post_only
        if style == "sync_error":
            self._turn_down(order, "WOULD_CROSS", reply)
            return True
        if style == "reprice":
            order.limit = self._exchange.books[order.instrument].far(order.side) - order.side
            return False
        if style == "none":
            return False
        self._exchange.register(order, "OPEN")
        if reply is not None:
            self._exchange.reports.acknowledge(order, reply)
        if style == "accept_then_expire":
            self._exchange.reports.say_open(order)
            self._exchange.end(order, "EXPIRED", "WOULD_CROSS")
        else:
            self._exchange.end(order, "CANCELED", "WOULD_CROSS")
        return True

    def _enter(self, order: SimOrder) -> None:
        """Let an accepted order take what it reaches, then rest or end."""
        exchange = self._exchange
        traits = exchange.profile.traits
        book = exchange.books[order.instrument]
        price = book.far(order.side)
        rests = order.tif == "GTC" and order.price is not None
        if order.price is None and (
            traits.market_rests or exchange.capabilities.market == "gtc_touch"
        ):
            order.limit = price or None
            rests = order.limit is not None
        if book.resting and book.meets_own(order):
            exchange.end(order, traits.ioc_end, "SELF_TRADE")
            return
        limit = order.limit
        reached = price > 0 and (limit is None or (limit - price) * order.side >= 0)
        if reached:
            exchange.fill_in_market(order, book.take(order), price, maker=False)
        if order.alive and order.left:
            if rests:
                book.rest(order)
                if traits.echo_open:
                    exchange.reports.say_open(order)
            else:
                reason = "NO_LIQUIDITY" if reached or not price else "SLIPPAGE_BOUND"
                exchange.end(order, traits.ioc_end, reason)
