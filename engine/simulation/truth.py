"""What is really so in a simulated run: positions and orders at the venues, intents in the journal.

It looks where the engine cannot, and goes through what is new only, since a run is looked at after
every instant. It must not ask the engine, nor judge what it finds.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from contextlib import closing

import msgspec

from engine.journal import Record, SyncJournal
from engine.journal_memory import MemoryJournal
from machines.messages import Place
from machines.types import TERMINAL
from venues.sim.orders import SimOrder, SimTrade
from venues.sim.venue import SimVenue


class _Seen:
    """How far one venue's lists were gone through, and the orders that may still change."""

    __slots__ = ("open", "orders", "trades", "venue")

    def __init__(self, venue: SimVenue) -> None:
        self.venue = venue
        self.orders = 0
        self.trades = 0
        self.open: list[SimOrder] = []

    def refresh(self) -> list[SimOrder]:
        orders = self.venue.orders
        self.open = [order for order in self.open if order.state not in TERMINAL]
        self.open += orders[self.orders :]
        self.orders = len(orders)
        return self.open


class Truth:
    """The venues' own books."""

    def __init__(self, venues: Iterable[SimVenue]) -> None:
        self._seen = [_Seen(venue) for venue in venues]

    def positions(self) -> dict[int, int]:
        """Every venue's own truth, signed units by instrument."""
        held: dict[int, int] = {}
        for seen in self._seen:
            held.update(seen.venue.positions())
        return held

    def live_orders(self, excused: Container[int] = ()) -> Mapping[int, int]:
        """How many orders can fill at the venues, by instrument, without the `excused` numbers."""
        alive: Counter[int] = Counter()
        for seen in self._seen:
            alive.update(
                order.instrument
                for order in seen.refresh()
                if order.alive and order.number not in excused
            )
        return alive

    def open_orders(self) -> list[SimOrder]:
        """The orders that could fill when they were counted last."""
        return [order for seen in self._seen for order in seen.open]

    def tape(self) -> tuple[list[SimTrade], list[int]]:
        """All trades since the last call, and the instruments of orders they made larger than sent.

        Of one venue they come in the order in which they happened.
        """
        told: list[SimTrade] = []
        overfilled: list[int] = []
        for seen in self._seen:
            trades = seen.venue.trades
            if len(trades) == seen.trades:
                continue
            for trade in trades[seen.trades :]:
                told.append(trade)
                order = seen.venue.exchange.orders.get(trade.order)
                if order is not None and order.cum > order.qty:
                    overfilled.append(order.instrument)
            seen.trades = len(trades)
        return told, overfilled

    def start_over(self) -> None:
        """Go through all orders again: a script may have brought a dead one back to life."""
        for seen in self._seen:
            seen.open = []
            seen.orders = 0


class Written:
    """The intents in a journal, decoded from what it really holds."""

    def __init__(self) -> None:
        self._seen = 0

    def new(self, journal: MemoryJournal | SyncJournal) -> list[int]:
        """Order numbers that became durable since the last call."""
        if isinstance(journal, MemoryJournal):
            rows = journal.rows[self._seen :]
            self._seen += len(rows)
            return [
                intent.order
                for row in rows
                for record in msgspec.msgpack.decode(row.body, type=list[Record])
                for intent in record.intents
                if isinstance(intent, Place)
            ]
        with closing(sqlite3.connect(f"file:{journal.path}?mode=ro", uri=True)) as reader:
            rows_after = "SELECT cid FROM outbox WHERE seq > ?"
            orders = [cid for (cid,) in reader.execute(rows_after, (self._seen,))]
        self._seen = journal.last_seq
        return orders
