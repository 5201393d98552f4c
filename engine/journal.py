"""The journal: what happened and what was decided, on disk before anything of it is sent.

It must not interpret a record, read a clock or number anything: records come numbered, and what
they mean is the fold's affair. A batch of records is one row; rows are chained by hash, records
count from 1 without gaps (I21). Beside each row, in the same transaction, stand the order numbers
of its intents, so that no number can be used twice (I3); the fate of an order is in the fold alone.

Opening is `open_journal`: lock file, check without writing, new epoch. It gives a `SyncJournal`,
which boot reads and simulation keeps; a live engine goes on with `AsyncJournal.take_over`. Both
write the same bytes, and so does `MemoryJournal`; `NullJournal` keeps nothing. A journal that
cannot be trusted raises a `JournalError` whose text says what to do, and stays as it was.
"""

import errno
import os
import sqlite3
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import aiosqlite
import anyio
import msgspec

from engine.lock import LockFile, sync_directory
from machines.messages import Command, Fact, Place, TopSeen

APPLICATION = 0x756E_776A  #: `application_id` of the file, "unwj"
SCHEMA = 1  #: version of the tables
MACHINES = 1  #: version of facts, commands and tables; an older engine cannot fold a newer one
CODEC = 1  #: version of a row's body: msgpack array of `Record`

CHECKPOINT_BYTES = 16 << 20  #: of log, above which a live engine checkpoints when it is idle
# Overwriting a short log costs a fifth less than growing it: a new length is a flush of its own.
_SYNC_CHECKPOINT_BYTES = 4 << 20
EPOCH_MAX = (1 << 23) - 1  #: order numbers above it exceed SQLite's signed integer
GENESIS = bytes(32)

#: Given to `execute` in place of SQL it runs `commit_batch`; SQLite itself would refuse the words.
COMMIT_BATCH = "COMMIT BATCH"

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE journal (
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    ts_mono INTEGER NOT NULL, ts_wall INTEGER NOT NULL, n INTEGER NOT NULL,
    codec INTEGER NOT NULL, body BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL
) STRICT""",
    """CREATE TABLE outbox (
    cid INTEGER PRIMARY KEY, seq INTEGER NOT NULL, instrument INTEGER NOT NULL,
    leg INTEGER NOT NULL, attempt INTEGER NOT NULL, qty INTEGER NOT NULL, deadline INTEGER NOT NULL
) STRICT""",
)
_META = "INSERT INTO meta VALUES ('schema', ?), ('machines', ?), ('epoch', 0), ('floor', 0)"
# The lease writes what is there already: it must hit a row, but dirties no page.
_LEASE = "UPDATE meta SET value = value WHERE key = 'epoch' AND value = ?"
_EPOCH = "UPDATE meta SET value = ? WHERE key = 'epoch' AND value = ?"
_FLOOR = """UPDATE meta SET value = ? WHERE key = 'floor'
    AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value = ?)"""
_ROW = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INTENT = "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)"
_PAGE = "SELECT * FROM journal WHERE first_seq > ? ORDER BY first_seq LIMIT 256"

Sync = Literal["FULL", "NORMAL"]


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step of the core: the fact, the book tops its decision consumed, the intents it made.

    `seq` counts from 1; `at` is the step's time, `wall_ns` the wall clock beside it.
    """

    seq: int
    at: int
    fact: Fact
    seen: tuple[TopSeen, ...]
    intents: tuple[Command, ...]
    wall_ns: int


class Row(NamedTuple):
    """One batch as the table holds it."""

    first_seq: int
    last_seq: int
    epoch: int
    ts_mono: int
    ts_wall: int
    n: int
    codec: int
    body: bytes
    prev_hash: bytes
    hash: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Record])
_HEADER = struct.Struct(">7q")


# ---------------------------------------------------------------- errors


class JournalError(Exception):
    """The journal cannot be opened, read or written; the text says what to do."""


class JournalLocked(JournalError):
    """Another process holds the journal."""


class ForeignFile(JournalError):
    """The file is no journal of this program."""


class NewerJournal(JournalError):
    """A newer version of the program wrote it."""


class CorruptJournal(JournalError):
    """The file is damaged below the level of records."""


class BrokenChain(JournalError):
    """A record is not what was written; `record` is the first of the damaged batch."""

    def __init__(self, text: str, record: int) -> None:
        super().__init__(text)
        self.record = record


class SequenceGap(JournalError):
    """Records are missing, from `record` on."""

    def __init__(self, text: str, record: int) -> None:
        super().__init__(text)
        self.record = record


class RestoredJournal(JournalError):
    """The lock file has seen a newer journal than this one."""


class LeaseLost(JournalError):
    """Another process took the journal over: this one must not send any more."""


class DuplicateIntent(JournalError):
    """An order number was used before (I3): our bug."""


class DiskFull(JournalError):
    """There was no room for the commit, which left nothing behind."""


class ReadOnlyJournal(JournalError):
    """The file or its file system does not take writes."""


_BY_CODE: dict[int, tuple[type[JournalError], str]] = {
    sqlite3.SQLITE_BUSY: (JournalLocked, "another process is writing to it; stop that process"),
    sqlite3.SQLITE_LOCKED: (JournalLocked, "another process is writing to it; stop that process"),
    sqlite3.SQLITE_FULL: (DiskFull, "the disk is full; nothing was recorded, make room and retry"),
    sqlite3.SQLITE_READONLY: (ReadOnlyJournal, "it cannot be written; check mode and mount"),
    sqlite3.SQLITE_CORRUPT: (CorruptJournal, "the file is damaged; restore a copy of it"),
    sqlite3.SQLITE_NOTADB: (
        ForeignFile,
        "it is no journal, or its first page is damaged; choose another path or restore a copy",
    ),
    sqlite3.SQLITE_CONSTRAINT: (DuplicateIntent, "a number was used twice; nothing was recorded"),
}
_BY_ERRNO: dict[int | None, int] = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_READONLY,
    errno.EPERM: sqlite3.SQLITE_READONLY,
}


def _explained(path: object, error: sqlite3.Error | OSError) -> JournalError:
    if isinstance(error, OSError):
        code = _BY_ERRNO.get(error.errno, 0)
    else:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind, sentence = _BY_CODE.get(
        code, (JournalError, "the disk failed; check it before a restart")
    )
    return kind(f"{path}: {sentence} ({error})")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _explained(path, error) from error


# ---------------------------------------------------------------- rows


class Head:
    """Where a journal ends: what the next batch continues. Shared by a front and its connection."""

    __slots__ = ("epoch", "last_hash", "last_seq", "unchecked")

    def __init__(self, epoch: int = 0, last_seq: int = 0, last_hash: bytes = GENESIS) -> None:
        self.epoch = epoch
        self.last_seq = last_seq
        self.last_hash = last_hash
        self.unchecked = 0  #: bytes written since the last checkpoint, estimated


def seal(head: Head, records: Sequence[Record]) -> Row:
    """Make the row that continues `head` with a non-empty batch; `head` stays.

    Raises SequenceGap when the records do not follow on.
    """
    last = records[-1]
    first_seq, last_seq, n = records[0].seq, last.seq, len(records)
    if first_seq != head.last_seq + 1 or last_seq - first_seq != n - 1:
        text = f"batch {first_seq} to {last_seq} of {n} does not follow record {head.last_seq}"
        raise SequenceGap(text, head.last_seq + 1)
    epoch, at, wall, prev = head.epoch, last.at, last.wall_ns, head.last_hash
    body = _ENCODER.encode(records)
    header = _HEADER.pack(first_seq, last_seq, epoch, at, wall, n, CODEC)
    digest = blake2b(prev + header + body, digest_size=32).digest()
    return Row(first_seq, last_seq, epoch, at, wall, n, CODEC, body, prev, digest)


def _verified(rows: Iterable[Row], where: object) -> Iterator[Row]:
    """Pass rows on while each is intact and follows the one before."""
    seq, chain = 0, GENESIS
    for row in rows:
        header = _HEADER.pack(*row[:7])
        digest = blake2b(row.prev_hash + header + row.body, digest_size=32).digest()
        if digest == row.hash and row.first_seq != seq + 1:
            text = f"{where}: records {seq + 1} to {row.first_seq - 1} are missing; restore a copy"
            raise SequenceGap(text, seq + 1)
        if digest != row.hash or row.prev_hash != chain or row.last_seq - seq != row.n:
            span = f"record {row.first_seq}, in the batch up to {row.last_seq},"
            raise BrokenChain(f"{where}: {span} was altered; restore a copy", row.first_seq)
        if row.codec != CODEC:
            text = (
                f"{where}: record {row.first_seq} has codec {row.codec}, this program reads {CODEC}"
            )
            raise NewerJournal(f"{text}; start the newer program")
        seq, chain = row.last_seq, row.hash
        yield row


def _decoded(rows: Iterable[Row], where: object) -> Iterator[Record]:
    for row in _verified(rows, where):
        try:
            records = _DECODER.decode(row.body)
        except msgspec.DecodeError as error:
            text = f"{where}: the batch from record {row.first_seq} cannot be decoded ({error})"
            raise CorruptJournal(f"{text}; start the version that wrote it") from error
        if [record.seq for record in records] != list(range(row.first_seq, row.last_seq + 1)):
            text = f"{where}: the batch from record {row.first_seq} is not numbered in order"
            raise SequenceGap(text, row.first_seq)
        yield from records


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    """Read in pages, so that an abandoned iteration leaves no read transaction open."""
    seq = 0
    while page := connection.execute(_PAGE, (seq,)).fetchall():
        yield from map(Row._make, page)
        seq = page[-1][0]


# ---------------------------------------------------------------- the connection


class JournalConnection(sqlite3.Connection):
    """The one writing connection of a journal; `head` is what it has durably written.

    A batch has to be one call in one thread. aiosqlite calls the public methods of a connection in
    its thread, one per await, so the batch travels as `execute(COMMIT_BATCH, (records,))`.
    """

    def __init__(
        self, database: Any, *args: Any, head: Head, sync: Sync, exclusive: bool, **kwargs: Any
    ) -> None:
        super().__init__(database, *args, **kwargs)
        self.head = head
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
        """Make a non-empty batch durable as a whole, or raise a JournalError and leave nothing."""
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
            raise _explained(self._path, error) from error
        finally:
            if self.in_transaction:
                self.rollback()
        head.last_seq = row.last_seq
        head.last_hash = row.hash
        head.unchecked += len(row.body) + 8192
        return cursor


# ---------------------------------------------------------------- fronts


class Journal(Protocol):
    """What the synchronous loop needs of a journal."""

    @property
    def epoch(self) -> int:
        """Number of this process start."""

    @property
    def last_seq(self) -> int:
        """Number of the last durable record, and the count of them; 0 before the first."""

    def append(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch that continues `last_seq`, or raise and leave nothing of it."""


class _Front:
    """Views of the head, the same for all journals."""

    def __init__(self, head: Head) -> None:
        self._head = head

    @property
    def epoch(self) -> int:
        """Number of this process start."""
        return self._head.epoch

    @property
    def last_seq(self) -> int:
        """Number of the last durable record, and the count of them; 0 before the first."""
        return self._head.last_seq

    @property
    def last_hash(self) -> bytes:
        """Hash of the last durable row."""
        return self._head.last_hash

    @property
    def checkpoint_due(self) -> bool:
        """Whether the log has grown enough for a checkpoint, off the way of a send."""
        return self._head.unchecked > CHECKPOINT_BYTES


class SyncJournal(_Front):
    """The journal on disk, written in the caller's thread: boot, simulation, benchmark.

    Made by `open_journal`. Not for an event loop: a slow disk stops whoever calls.
    """

    def __init__(self, connection: JournalConnection, path: Path, lock: LockFile) -> None:
        super().__init__(connection.head)
        self.path = path
        self._connection = connection
        self._lock = lock

    def append(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch; durable on return (with sync NORMAL: but for power loss)."""
        self._connection.commit_batch(records)
        if self._head.unchecked > _SYNC_CHECKPOINT_BYTES:
            self.checkpoint()

    def read(self) -> Iterator[Record]:
        """Give all records in order, checked against chain and numbering; lazily."""
        with _explaining(self.path):
            yield from _decoded(_rows(self._connection), self.path)

    def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "PASSIVE") -> bool:
        """Move the write-ahead log into the file; False when a reader kept part of it back."""
        with _explaining(self.path):
            self._connection.execute(_FLOOR, (self.last_seq, self.epoch))
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


class AsyncJournal(_Front):
    """The journal on disk, written in aiosqlite's thread, one hop per batch; asyncio only.

    It does not read: boot has read, and the state is in memory from then on.
    """

    def __init__(
        self, connection: aiosqlite.Connection, head: Head, path: Path, lock: LockFile
    ) -> None:
        super().__init__(head)
        self.path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    async def take_over(cls, journal: SyncJournal) -> "AsyncJournal":
        """Go on with an opened journal, under its lock and epoch; `journal` is closed by this."""
        head, path, lock = journal._head, journal.path, journal.detach()
        factory = partial(JournalConnection, head=head, sync="FULL", exclusive=False)
        try:
            with anyio.CancelScope(shield=True), _explaining(path):
                connection = await aiosqlite.connect(path, isolation_level=None, factory=factory)
        except BaseException:
            lock.release()
            raise
        return cls(connection, head, path, lock)

    async def commit(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch; durable on return.

        Cancellation waits for the end of the commit. After an error, and after a cancellation that
        came from outside anyio, nothing of the batch may be sent; `last_seq` says what was written.
        """
        with anyio.CancelScope(shield=True):
            await self._connection.execute(COMMIT_BATCH, (records,))

    async def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "PASSIVE") -> bool:
        """Move the write-ahead log into the file; False when a reader kept part of it back."""
        with anyio.CancelScope(shield=True), _explaining(self.path):
            await self._connection.execute(_FLOOR, (self.last_seq, self.epoch))
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


class MemoryJournal(_Front):
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
        return _decoded(self.rows, "journal in memory")


class NullJournal(_Front):
    """Counts and forgets: what an engine costs without a journal."""

    def __init__(self, epoch: int = 1) -> None:
        super().__init__(Head(epoch))

    def append(self, records: Sequence[Record]) -> None:
        """Count a non-empty batch."""
        self._head.last_seq = records[-1].seq


# ---------------------------------------------------------------- opening


def open_journal(
    path: str | Path,
    sync: Sync = "FULL",
    *,
    exclusive: bool = False,
    accept_restore: bool = False,
) -> SyncJournal:
    """Lock, check and take over a journal under a new epoch; made if there is none.

    The lock file is `path` + ".lock". `exclusive` is faster and keeps every other reader out.
    `accept_restore` takes an older copy although the lock file knows of a newer journal; only a
    person can decide that. Raises JournalError, with the journal as it was.
    """
    path = Path(path)
    lock = _lock(path)
    connection = None
    try:
        with _explaining(path):
            head = _inspected(path, alone=True) if path.exists() else Head()
            if head.epoch < lock.epoch and not accept_restore:
                raise RestoredJournal(
                    f"{path}: the lock file knows of process start {lock.epoch}, the journal of "
                    f"{head.epoch}: it was replaced by an older copy or removed. Put the newest "
                    "one back, or settle all orders and accept the restore"
                )
            if not path.exists():
                _create(path)
            connection = JournalConnection(
                path, isolation_level=None, head=head, sync="FULL", exclusive=exclusive
            )
            _begin_epoch(connection, head, max(head.epoch, lock.epoch) + 1)
            lock.store(head.epoch)
            connection.execute(f"PRAGMA synchronous = {sync}")
    except BaseException:
        if connection is not None:
            connection.close()
        lock.release()
        raise
    return SyncJournal(connection, path, lock)


def read_journal(path: str | Path) -> Iterator[Record]:
    """Give the records of a journal, also of one in use, without lock, epoch or a write to it.

    Reads the whole file for its check before the first record. Raises JournalError.
    """
    path = Path(path)
    with _explaining(path):
        _inspected(path, alone=False)
        with closing(_read_only(path, alone=False)) as connection:
            yield from _decoded(_rows(connection), path)


def _lock(path: Path) -> LockFile:
    name = path.with_name(path.name + ".lock")
    try:
        return LockFile(name)
    except BlockingIOError as error:
        text = f"{path}: another process is running on this journal; stop it or use another path"
        raise JournalLocked(text) from error
    except ValueError as error:
        text = f"{name}: the lock file is damaged ({error}); write the last epoch into it"
        raise CorruptJournal(text) from error
    except OSError as error:
        raise _explained(name, error) from error


def _read_only(path: Path, alone: bool) -> sqlite3.Connection:
    """Open for reading; `immutable`, when nothing is in the log, makes no side files either."""
    log = path.with_name(path.name + "-wal")
    quiet = alone and not (log.exists() and log.stat().st_size)
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _inspected(path: Path, alone: bool) -> Head:
    """Check a file without writing: whose it is, versions, pages, chain, end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ForeignFile(f"{path}: is no file; choose another path")
    if alone and mode & 0o077:
        raise JournalError(f"{path}: others may open it; run chmod 600 on it")
    if alone and not mode & 0o200:
        raise ReadOnlyJournal(f"{path}: is read-only; run chmod 600 on it")
    with closing(_read_only(path, alone)) as connection:

        def value(sql: str) -> Any:
            return connection.execute(sql).fetchone()[0]

        if value("PRAGMA application_id") != APPLICATION:
            raise ForeignFile(f"{path}: is no journal of this program; choose another path")
        schema = value("PRAGMA user_version")
        if schema > SCHEMA:
            text = f"{path}: has schema {schema}, this program knows {SCHEMA}"
            raise NewerJournal(f"{text}; start the newer program")
        if (finding := value("PRAGMA quick_check(1)")) != "ok":
            raise CorruptJournal(f"{path}: the file is damaged ({finding}); restore a copy of it")
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        if meta["machines"] > MACHINES:
            text = (
                f"{path}: was written by machines {meta['machines']}, this program has {MACHINES}"
            )
            raise NewerJournal(f"{text}; start the newer program")
        head = Head(meta["epoch"])
        for row in _verified(_rows(connection), path):
            head.last_seq, head.last_hash = row.last_seq, row.hash
        if head.last_seq < meta["floor"]:
            text = f"{path}: records {head.last_seq + 1} to {meta['floor']} are missing at the end"
            raise SequenceGap(f"{text}; restore a copy", head.last_seq + 1)
    return head


def _create(path: Path) -> None:
    """Make an empty journal under another name first: a half-made one is never found."""
    new = path.with_name(path.name + ".new")
    scraps = [new.with_name(new.name + end) for end in ("", "-wal", "-journal")]
    for scrap in scraps:
        scrap.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(
            JournalConnection(new, isolation_level=None, head=Head(), sync="FULL", exclusive=True)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            for table in _TABLES:
                connection.execute(table)
            connection.execute(_META, (SCHEMA, MACHINES))
            connection.execute("COMMIT")
    except BaseException:
        for scrap in scraps:
            scrap.unlink(missing_ok=True)
        raise
    new.rename(path)
    sync_directory(path.parent)


def _begin_epoch(connection: JournalConnection, head: Head, epoch: int) -> None:
    if epoch > EPOCH_MAX:
        raise JournalError(f"process start {epoch} has no order numbers left; begin a new journal")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute(_EPOCH, (epoch, head.epoch)).rowcount != 1:
            raise LeaseLost("another process took the journal over while it was opened; stop it")
        connection.execute(_FLOOR, (head.last_seq, epoch))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()
    head.epoch = epoch
