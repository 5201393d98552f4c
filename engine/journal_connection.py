"""The one connection that writes a journal: a batch becomes durable as a whole, or not at all.

Beside each row, in the same transaction, stand the order numbers of its intents, so that no number
can be used twice (I3). It must not read a journal, nor keep the fate of an order: that is in the
fold alone.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Literal

from engine.journal_errors import JournalError, LeaseLost, explained
from engine.journal_rows import Head, Record, seal
from engine.lock import SUFFIX as LOCK_SUFFIX
from machines.messages import Place

#: Given to `execute` in place of SQL it runs `commit_batch`; SQLite itself would refuse the words.
COMMIT_BATCH = "COMMIT BATCH"

# The lease writes what is there already: it must hit a row, but dirties no page.
_LEASE = "UPDATE meta SET value = value WHERE key = 'epoch' AND value = ?"
_ROW = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INTENT = "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)"

Sync = Literal["FULL", "NORMAL"]


class JournalConnection(sqlite3.Connection):
    """The one writing connection of a journal; `head` is what it has durably written.

    `note(seq)` is told the last record after each commit, before the commit is confirmed.
    A batch has to be one call in one thread. aiosqlite calls the public methods of a connection in
    its thread, one per await, so the batch travels as `execute(COMMIT_BATCH, (records,))`.
    """

    def __init__(
        self,
        database: Any,
        *args: Any,
        head: Head,
        sync: Sync,
        exclusive: bool,
        note: Callable[[int], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(database, *args, **kwargs)
        self.head = head
        self._note = note
        self._path = database
        self._cursor = self.cursor()
        try:
            self._configure(sync, exclusive)
        except BaseException:
            self.close()
            raise

    def _configure(self, sync: Sync, exclusive: bool) -> None:
        pragma = self._cursor.execute
        if exclusive:
            pragma("PRAGMA locking_mode = EXCLUSIVE")
        pragma("PRAGMA busy_timeout = 250")
        if pragma("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise JournalError(f"{self._path}: no write-ahead log here; use a local file system")
        for setting in (
            f"synchronous = {sync}",
            "fullfsync = ON",
            "wal_autocheckpoint = 0",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "mmap_size = 0",
            "temp_store = MEMORY",
        ):
            pragma(f"PRAGMA {setting}")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement, or `commit_batch` when that is what `sql` names."""
        if sql == COMMIT_BATCH:
            return self.commit_batch(*parameters)
        return super().execute(sql, parameters)

    def commit_batch(self, records: Sequence[Record]) -> sqlite3.Cursor:
        """Make a non-empty batch durable as a whole, or raise a JournalError and leave nothing.

        Where only the note fails, the batch is written and still raises: it counts as unconfirmed.
        """
        head = self.head
        row = seal(head, records)
        orders = [
            (i.order, r.seq, i.instrument, i.leg, i.attempt, i.qty, i.deadline)
            for r in records
            if r.intents
            for i in r.intents
            if type(i) is Place
        ]
        cursor = self._cursor
        try:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute(_LEASE, (head.epoch,))
            if cursor.rowcount != 1:
                text = f"{self._path}: a later process took over from epoch {head.epoch}"
                raise LeaseLost(f"{text}; stop this one")
            cursor.execute(_ROW, row)
            if orders:
                cursor.executemany(_INTENT, orders)
            cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise explained(self._path, error) from error
        finally:
            if self.in_transaction:
                self.rollback()
        head.last_seq = row.last_seq
        head.last_hash = row.hash
        head.unchecked += len(row.body) + 8192
        if self._note is not None:
            try:
                self._note(row.last_seq)
            except OSError as error:
                raise explained(f"{self._path}{LOCK_SUFFIX}", error) from error
        return cursor
