"""The journal: what happened and what was decided, on disk before anything of it is sent.

Opening is `open_journal`: lock file, check without writing, new epoch. It gives a `SyncJournal`,
which boot reads and simulation keeps; a live engine goes on with `AsyncJournal.take_over`. Both
write the same bytes, and so does `MemoryJournal`. A journal that cannot be trusted raises a
`JournalError` whose text says what to do, and stays as it was.

It must not interpret a record, read a clock or number anything. How a batch becomes a row is in
`journal_rows`, how a row becomes durable in `journal_connection`, journals without a file in
`journal_memory`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread, current_thread
from typing import Any, Literal

import aiosqlite
import anyio
import anyio.to_thread

from engine.journal_connection import COMMIT_BATCH, JournalConnection, Sync
from engine.journal_errors import JournalError, explaining
from engine.journal_file import (
    FLOOR,
    begin_epoch,
    check_foldable,
    compared,
    create,
    inspected,
    left_alone,
    locked,
    missing_end,
    read_only,
    rows_of,
)
from engine.journal_front import Front, Journal
from engine.journal_log import SUFFIX as LOG_SUFFIX
from engine.journal_memory import MemoryJournal
from engine.journal_place import Place
from engine.journal_rows import Head, Record, decoded
from engine.lock import SUFFIX as LOCK_SUFFIX
from engine.lock import LockFile, claim_of

#: What a user of a journal needs; its other errors and parts come from their own rooms.
__all__ = [
    "AsyncJournal",
    "Journal",
    "JournalError",
    "MemoryJournal",
    "Record",
    "SyncJournal",
    "open_journal",
    "read_journal",
]

# Overwriting a short log costs a fifth less than growing it: a new length is a flush of its own.
_SYNC_CHECKPOINT_BYTES = 4 << 20


# ---------------------------------------------------------------- fronts


class SyncJournal(Front):
    """The journal on disk, written in the caller's thread: boot, simulation, benchmark.

    Made by `open_journal`. Not for an event loop: a slow disk stops whoever calls.
    """

    def __init__(
        self, connection: JournalConnection, path: Path, lock: LockFile, lost_until: int = 0
    ) -> None:
        super().__init__(connection.head)
        self.path = path
        #: Last record that was written and is not there any more; 0 if none is missing.
        self.lost_until = lost_until
        self._connection = connection
        self._lock = lock

    def append(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch; durable on return (with sync NORMAL: but for power loss)."""
        self._connection.commit_batch(records)
        if self._head.unchecked > _SYNC_CHECKPOINT_BYTES:
            self.checkpoint()

    def read(self) -> Iterator[Record]:
        """Give all records in order, checked against chain and numbering; lazily."""
        with explaining(self.path):
            yield from decoded(rows_of(self._connection), self.path)

    def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "PASSIVE") -> bool:
        """Move the write-ahead log into the file; False when a reader kept part of it back."""
        with explaining(self.path):
            self._connection.execute(FLOOR, (self.last_seq, self.epoch))
            row = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._head.unchecked = 0
        return not row[0] and row[1] == row[2]

    def close(self) -> None:
        """Checkpoint, close the file and give the lock back. Idempotent."""
        if self._lock.held:
            try:
                self.checkpoint("TRUNCATE")
            finally:
                self.detach().release()

    def detach(self) -> LockFile:
        """Close the file only and hand out the lock, for another front to take over."""
        self._connection.close()
        return self._lock


class AsyncJournal(Front):
    """The journal on disk, written in aiosqlite's thread, one hop per batch; asyncio only.

    It does not read: boot has read, and the state is in memory from then on.
    """

    def __init__(
        self, connection: aiosqlite.Connection, head: Head, path: Path, lock: LockFile, place: Place
    ) -> None:
        super().__init__(head)
        self.path = path
        self._connection = connection
        self._lock = lock
        self._place = place

    def check_place(self) -> None:
        """Raise MissingJournal when one of its files was removed or replaced."""
        self._place.check()

    @classmethod
    async def take_over(cls, journal: SyncJournal) -> "AsyncJournal":
        """Go on with an opened journal, under its lock and epoch; `journal` is closed by this."""
        head, path, lock = journal._head, journal.path, journal.detach()
        workers: list[Thread] = []

        def connect(*args: Any, **kwargs: Any) -> JournalConnection:
            workers.append(current_thread())
            return JournalConnection(
                *args, head=head, sync="FULL", exclusive=False, note=lock.note, **kwargs
            )

        try:
            place = Place([path, path.with_name(path.name + LOG_SUFFIX), lock.path])
            with anyio.CancelScope(shield=True), explaining(path):
                connection = await aiosqlite.connect(path, isolation_level=None, factory=connect)
        except BaseException:
            # A thread that could not connect says goodbye to the loop, which must still be there.
            with anyio.CancelScope(shield=True):
                for worker in workers:
                    await anyio.to_thread.run_sync(worker.join)
            lock.release()
            raise
        return cls(connection, head, path, lock, place)

    async def commit(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch; durable on return.

        Cancellation waits for the end of the commit. After an error, and after a cancellation that
        came from outside anyio, nothing of the batch may be sent; `last_seq` says what was written.
        """
        with anyio.CancelScope(shield=True):
            await self._connection.execute(COMMIT_BATCH, (records,))

    async def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "PASSIVE") -> bool:
        """Move the write-ahead log into the file; False when a reader kept part of it back."""
        with anyio.CancelScope(shield=True), explaining(self.path):
            await self._connection.execute(FLOOR, (self.last_seq, self.epoch))
            sql = f"PRAGMA wal_checkpoint({mode})"
            (row,) = await self._connection.execute_fetchall(sql)
        self._head.unchecked = 0
        return not row[0] and row[1] == row[2]

    async def aclose(self) -> None:
        """Checkpoint, close the file and give the lock back. Idempotent."""
        if self._lock.held:
            with anyio.CancelScope(shield=True):
                try:
                    await self.checkpoint("TRUNCATE")
                finally:
                    await self._connection.close()
                    self._lock.release()


# ---------------------------------------------------------------- opening


def open_journal(
    path: str | Path,
    sync: Sync = "FULL",
    *,
    exclusive: bool = False,
    accept_restore: bool = False,
    lock: LockFile | None = None,
    shown_epoch: int = 0,
) -> SyncJournal:
    """Lock, check and take over a journal under a new epoch; made if there is none.

    The lock file is `path` + ".lock"; one that is held already is handed in, and given back when
    this fails. `exclusive` is faster and keeps every other reader out. `accept_restore` takes an
    older copy, or a new journal, although the lock file knows of a newer one; only a person can
    decide that. `shown_epoch` is the newest that anything else is known to have seen, like a
    venue. Raises JournalError, with the journal as it was.
    """
    path = Path(path)
    lock = lock or locked(path)
    connection = None
    try:
        with explaining(path):
            found = path.exists()
            head = inspected(path, True, lock.seq) if found else left_alone(path)
            check_foldable(path, head)
            if not accept_restore:
                compared(path, head, lock.epoch, shown_epoch)
            epoch = max(head.epoch, lock.epoch, shown_epoch) + 1
            # A journal that begins has lost nothing, whatever the one before it had.
            begins = not found or (accept_restore and not head.last_seq)
            written = 0 if begins else lock.seq or 0
            if not found:
                head = create(path, epoch, lock)
            connection = JournalConnection(
                path,
                isolation_level=None,
                head=head,
                sync="FULL",
                exclusive=exclusive,
                note=lock.note,
            )
            if found:
                begin_epoch(connection, head, epoch)
                # What was lost stays known until something is recorded under the new epoch.
                lock.store(epoch, max(written, head.last_seq))
            connection.execute(f"PRAGMA synchronous = {sync}")
    except BaseException:
        if connection is not None:
            connection.close()
        lock.release()
        raise
    return SyncJournal(connection, path, lock, written if written > head.last_seq else 0)


def read_journal(path: str | Path) -> Iterator[Record]:
    """Give the records of a journal, also of one in use, without lock, epoch or a write to it.

    Reads the whole file for its check before the first record. Raises JournalError; where the end
    is missing, after the last record that is there.
    """
    path = Path(path)
    beside = path.with_name(path.name + LOCK_SUFFIX)
    with explaining(path):
        claim = claim_of(beside)
        head = inspected(path, False, claim.seq if claim else None)
        check_foldable(path, head)
        with closing(read_only(path, alone=False)) as connection:
            yield from decoded(rows_of(connection), path)
        # Read before the journal, so that a process that records meanwhile is no contradiction.
        if claim and (claim.seq or 0) > head.last_seq and claim_of(beside) == claim:
            advice = "unwind run finds what they did at the venues, and starts halted"
            raise missing_end(path, head.last_seq, claim.seq or 0, advice)
