"""Carries out scripted answers to creates, cancels and queries.

With `effect` the venue's own books change as the answer says; without it the request has no effect
and the answer is all there is. This module must not select answers; it gets the one that applies.
"""

from typing import Literal

from msgspec.structs import replace

from machines.messages import (
    CallLost,
    CancelRefused,
    OrderMissing,
    OrderRefused,
    OrderReported,
    QueryFailed,
)
from machines.types import TERMINAL
from venues.sim.exchange import Exchange
from venues.sim.intake import Intake
from venues.sim.link import Link, Reply
from venues.sim.orders import SimOrder
from venues.sim.rules import Answer
from venues.sim.words import UNMAPPED, normal_status


def is_scripted(answer: Answer | None) -> bool:
    """Return whether an answer says more than that the request goes through."""
    if answer is None or answer.outcome in ("timeout", "error"):
        return False
    return not (answer.outcome == "accept" and answer.effect) or not _is_bare(answer)


def _is_bare(answer: Answer) -> bool:
    return answer.cum is None and answer.status is None


def _ending(answer: Answer, default: str) -> tuple[str, str, str]:
    """Return status, reason and text that an answer gives an order."""
    status, named = normal_status(answer.status or default)
    text = answer.text or (answer.status if answer.status and answer.status != status else "")
    return status, answer.reason or named, text or ""


def _lost(answer: Answer, at: int, number: int, call: Literal["place", "cancel"]) -> CallLost:
    """Return the end of a call whose refusal leaves in doubt what became of the order."""
    code = answer.text if answer.cause == UNMAPPED else ""
    return CallLost(at, number, call, answer.cause, code)


class Canned:
    """Scripted answers of one venue."""

    __slots__ = ("_exchange", "_intake", "_link")

    def __init__(self, exchange: Exchange, intake: Intake, link: Link) -> None:
        self._exchange = exchange
        self._intake = intake
        self._link = link

    # ------------------------------------------------------------ create

    def create(self, order: SimOrder, answer: Answer, reply: Reply, now: int) -> None:
        """Answer a create as scripted."""
        if answer.outcome in ("reject", "not_found"):
            self._refuse(order, answer, reply)
        elif not answer.effect:
            self._pretend(order, answer, reply, now)
        elif answer.outcome == "rest":
            order.arrived = True
            order.pinned = True
            order.limit = order.price or self._touch(order)
            self._intake.take_charge(order, reply, self._rest)
        elif answer.outcome == "end":
            order.arrived = True
            self._intake.take_charge(order, reply, lambda due: self._end(due, answer))
        else:
            self._accept(order, answer, reply)

    def _refuse(self, order: SimOrder, answer: Answer, reply: Reply) -> None:
        """Refuse a create, in words that may leave it in doubt."""
        reason = answer.reason or "UNRECOGNISED"
        text = answer.text or "rejected"
        if answer.effect:
            order.arrived = True
            self._exchange.book_refusal(order, reason, text)
        at = reply.at()
        if at is None:
            return
        if answer.cause:
            self._link.deliver(_lost(answer, at, order.number, "place"))
        else:
            self._link.deliver(OrderRefused(at, order.number, reason, text, answer.retry_at(at)))

    def _pretend(self, order: SimOrder, answer: Answer, reply: Reply, now: int) -> None:
        """Acknowledge an order that the venue does not have."""
        at = reply.at()
        if at is None:
            return
        received = self._exchange.capabilities.ack_means == "received"
        status, reason, text = _ending(answer, "PENDING" if received else "OPEN")
        self._link.deliver(
            OrderReported(
                at, now, order.number, "ack", status, answer.cum, reason=reason, text=text
            )
        )

    def _touch(self, order: SimOrder) -> int:
        book = self._exchange.books[order.instrument]
        return book.far(order.side) or book.midpoint()

    def _rest(self, order: SimOrder) -> None:
        if order.scripted or not order.alive:
            return
        if order.state == "PENDING":
            self._exchange.register(order, "OPEN")
        self._exchange.books[order.instrument].rest(order)
        if self._exchange.profile.traits.echo_open:
            self._exchange.reports.say_open(order)

    def _end(self, order: SimOrder, answer: Answer) -> None:
        """Fill at most what the answer allows at the touch, then end."""
        if order.scripted or not order.alive:
            return
        if order.state == "PENDING":
            self._exchange.register(order, "OPEN")
        part = min(answer.cum or 0, order.left)
        if part:
            book = self._exchange.books[order.instrument]
            crossing = order.limit is None or book.crosses(order.side, order.limit)
            price = self._touch(order) if crossing or order.limit is None else order.limit
            self._exchange.fill(order, part, price, maker=not crossing)
        if order.alive:
            status, reason, text = _ending(answer, "CANCELED")
            self._exchange.end(order, status, reason, text or self._exchange.reports.word(reason))

    def _accept(self, order: SimOrder, answer: Answer, reply: Reply) -> None:
        """Acknowledge with a scripted status or fill, made true in the books first."""
        order.pinned = True
        order.limit = order.price or self._touch(order)
        self._exchange.register(order, "OPEN")
        if answer.cum:
            self._exchange.fill(order, answer.cum, self._touch(order), maker=False, quiet=True)
        self._settle(order, answer)
        if order.alive:
            self._exchange.books[order.instrument].rest(order)
        at = reply.at()
        if at is not None:
            self._link.deliver(
                self._shown(order, answer, self._exchange.reports.view(order, at, "ack"))
            )

    def _settle(self, order: SimOrder, answer: Answer) -> None:
        """End an order quietly if the answer names an end."""
        if answer.status is None or not order.alive:
            return
        status, reason, text = _ending(answer, "OPEN")
        if status == "FILLED":
            price = order.limit or self._touch(order)
            self._exchange.fill(order, order.left, price, maker=True, quiet=True)
        elif status in TERMINAL:
            self._exchange.end(order, status, reason, text, quiet=True)

    @staticmethod
    def _shown(order: SimOrder, answer: Answer, view: OrderReported) -> OrderReported:
        """Return a view as the answer words it."""
        if answer.status is not None:
            status, reason, text = _ending(answer, "OPEN")
            view = replace(view, status=status, reason=reason, text=text)
        return view if answer.cum is None else replace(view, cum=answer.cum)

    # ------------------------------------------------------------ cancel and query

    def cancel(
        self, number: int, order: SimOrder | None, answer: Answer, reply: Reply, now: int
    ) -> None:
        """Answer a cancel as scripted."""
        dead = answer.effect and (order is None or not order.alive)
        if answer.outcome in ("reject", "not_found") or dead:
            self._refuse_cancel(number, answer, reply)
            return
        status, reason, text = _ending(answer, "CANCELED")
        cum = answer.cum
        if answer.effect and order is not None:
            self._grow(order, answer)
            if status in TERMINAL and order.alive:
                self._exchange.end(order, status, reason or "CANCELED", text, quiet=True)
        if cum is None and order is not None:
            cum = order.cum
        at = reply.at()
        if at is not None:
            self._link.deliver(
                OrderReported(at, now, number, "cancel", status, cum, reason=reason, text=text)
            )
        ended = answer.effect and order is not None and not order.alive
        if ended and order is not None and self._exchange.profile.traits.echo_cancel:
            self._exchange.reports.say_state(order)

    def _refuse_cancel(self, number: int, answer: Answer, reply: Reply) -> None:
        at = reply.at()
        if at is None:
            return
        if answer.cause and answer.outcome == "reject":
            self._link.deliver(_lost(answer, at, number, "cancel"))
            return
        # Where the outcome itself says what is meant, words in no table add nothing.
        reason = "UNKNOWN_ORDER" if answer.cause or not answer.reason else answer.reason
        self._link.deliver(CancelRefused(at, number, reason, answer.text, answer.retry_at(at)))

    def _grow(self, order: SimOrder, answer: Answer) -> None:
        """Fill quietly up to the cumulative that an answer states."""
        if answer.cum is not None and answer.cum > order.cum:
            price = order.limit or self._touch(order)
            self._exchange.fill(order, answer.cum - order.cum, price, maker=True, quiet=True)

    def query(
        self,
        number: int,
        order: SimOrder | None,
        answer: Answer,
        at: int,
        now: int,
        sent_at: int,
    ) -> OrderReported | OrderMissing | QueryFailed:
        """Return the scripted answer to a query; a refusal by the right code is a not-found."""
        missing = self._exchange.profile.dialect.missing
        if answer.outcome == "not_found" or (answer.outcome == "reject" and answer.text in missing):
            return OrderMissing(at, number, sent_at, self._exchange.capabilities.lookup)
        if answer.outcome == "reject":
            return QueryFailed(at, number, sent_at, answer.text or "rejected")
        if order is None:
            status, reason, text = _ending(answer, "OPEN")
            return OrderReported(
                at, now, number, "query", status, answer.cum, reason=reason, text=text
            )
        if answer.effect:
            self._grow(order, answer)
            self._settle(order, answer)
        return self._shown(order, answer, self._exchange.reports.view(order, at, "query"))
