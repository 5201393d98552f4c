"""A journal without a file: it keeps its rows in a list, for simulation.

The list outlives the engine that it records. It must not be given to an engine whose orders are
real.
"""

from collections.abc import Iterator, Sequence

from engine.journal_errors import DuplicateIntent
from engine.journal_front import Front
from engine.journal_rows import Head, Record, Row, decoded, seal
from machines.messages import Place


class MemoryJournal(Front):
    """The same rows in a list, for simulation; the list outlives the engine that it records.

    With `durable=False` a batch waits for `commit`, and `crash` loses what waits.
    """

    def __init__(self, epoch: int = 1, *, durable: bool = True) -> None:
        super().__init__(Head(epoch))
        self.rows: list[Row] = []
        self.durable = durable
        self._end = self._head if durable else Head(epoch)
        self._waiting: list[Row] = []
        self._used: set[int] = set()

    def append(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch; durable on return if the journal is."""
        row = seal(self._end, records)
        orders = [i.order for r in records for i in r.intents if type(i) is Place]
        if orders:
            if len(set(orders)) < len(orders) or not self._used.isdisjoint(orders):
                raise DuplicateIntent(f"an order number of {orders} was used before")
            self._used.update(orders)
        self._end.last_seq, self._end.last_hash = row.last_seq, row.hash
        (self.rows if self.durable else self._waiting).append(row)

    def commit(self) -> None:
        """Make durable what waits."""
        self.rows += self._waiting
        self._waiting.clear()
        self._head.last_seq, self._head.last_hash = self._end.last_seq, self._end.last_hash

    def crash(self) -> int:
        """Lose what waits, as the end of a process does; gives the number of records lost."""
        lost = self._end.last_seq - self.last_seq
        if not lost:
            return 0
        self._waiting.clear()
        self._end.last_seq, self._end.last_hash = self.last_seq, self.last_hash
        self._used = {i.order for r in self.read() for i in r.intents if type(i) is Place}
        return lost

    def reopen(self) -> None:
        """Begin the next epoch, as the start of a process does."""
        self._head.epoch += 1
        self._end.epoch = self._head.epoch

    def read(self) -> Iterator[Record]:
        """Give all durable records in order, checked against chain and numbering; lazily."""
        return decoded(self.rows, "journal in memory")
