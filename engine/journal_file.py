"""The file of a journal: its tables, how it is made, checked without writing, and taken over.

It must not repair anything. A file that cannot be trusted is an error and stays as it was.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from engine import journal_log
from engine.journal_connection import JournalConnection
from engine.journal_errors import (
    CorruptJournal,
    DamagedLog,
    ForeignFile,
    JournalError,
    JournalLocked,
    LeaseLost,
    NewerJournal,
    OlderJournal,
    ReadOnlyJournal,
    RestoredJournal,
    RestoredLock,
    SequenceGap,
    explained,
)
from engine.journal_rows import Head, Row, decoded, verified
from engine.lock import SUFFIX as LOCK_SUFFIX
from engine.lock import FolderLock, LockFile, sync_directory

APPLICATION = 0x756E_776A  #: `application_id` of the file, "unwj"
SCHEMA = 1  #: version of the tables
MACHINES = 2  #: version of facts, commands and tables; records are folded by their own alone
EPOCH_MAX = (1 << 23) - 1  #: order numbers above it exceed SQLite's signed integer

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
_META = "INSERT INTO meta VALUES ('schema', ?), ('machines', ?), ('epoch', ?), ('floor', 0)"
_META_KEYS = ("schema", "machines", "epoch", "floor")
_EPOCH = "UPDATE meta SET value = ? WHERE key = 'epoch' AND value = ?"
#: Notes (record, epoch): a journal that ends before this record has lost its end.
FLOOR = """UPDATE meta SET value = ? WHERE key = 'floor'
    AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value = ?)"""
_PAGE = "SELECT * FROM journal WHERE first_seq > ? ORDER BY first_seq LIMIT 256"


def folder_locked(path: Path) -> FolderLock:
    """Take the lock of the folder of a journal; see `FolderLock`. Raises JournalError."""
    try:
        return FolderLock(path.parent)
    except BlockingIOError as error:
        raise JournalLocked(
            f"{path}: another process is running on this journal, or on another one in its folder "
            f"{path.parent}; stop it, or use another folder (engine.directory)"
        ) from error
    except OSError as error:
        raise explained(path.parent, error) from error


def locked(path: Path, *, even_damaged: bool = False, folder: FolderLock | None = None) -> LockFile:
    """Take the lock of a journal and of its folder; see `LockFile`. Raises JournalError."""
    name = path.with_name(path.name + LOCK_SUFFIX)
    folder = folder or folder_locked(path)
    try:
        return LockFile(name, even_damaged=even_damaged, folder=folder)
    except BlockingIOError as error:
        text = f"{path}: another process is running on this journal; stop it or use another path"
        raise JournalLocked(text) from error
    except ValueError as error:
        text = f"{name}: the lock file is damaged ({error}); restore a copy of it"
        raise CorruptJournal(f"{text}, or start with --fresh") from error
    except OSError as error:
        raise explained(name, error) from error


def read_only(path: Path, alone: bool) -> sqlite3.Connection:
    """Open for reading; where nobody else can be writing, without any side file.

    That is so with an empty log for who is alone with the file, and without a log in a folder that
    nobody can write to: a writer has one for as long as it is there.
    """
    log = path.with_name(path.name + "-wal")
    if os.access(path.parent, os.W_OK):
        quiet = alone and not (log.exists() and log.stat().st_size)
    else:
        quiet = not log.exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def inspected(path: Path, alone: bool, seq: int | None = None) -> Head:
    """Check a file without writing: whose it is, its log, versions, pages, chain, end.

    `seq` is the last record that is known from elsewhere to have been written.
    """
    _check_kind(path, alone)
    _check_log(path, alone, seq)
    with closing(read_only(path, alone)) as connection:
        meta = _checked_meta(path, connection)
        head = Head(meta["epoch"])
        head.machines = meta["machines"]
        for row in verified(rows_of(connection), path):
            head.last_seq, head.last_hash, head.recorded = row.last_seq, row.hash, row.epoch
        if head.last_seq < meta["floor"]:
            raise missing_end(path, head.last_seq, meta["floor"], "restore a copy")
    return head


def check_foldable(path: Path, head: Head) -> None:
    """Refuse records of older machines: with other tables they would tell another story."""
    if 0 < head.machines < MACHINES:
        raise OlderJournal(
            f"{path}: was written by machines {head.machines}, this program has {MACHINES} and "
            "cannot go on with them; end that session with the program that began it, or start "
            "with --fresh, which puts it aside"
        )


def left_alone(path: Path) -> Head:
    """The head of a journal that is to be made, where nothing of an earlier one is left."""
    log = path.with_name(path.name + journal_log.SUFFIX)
    if log.exists() and log.stat().st_size:
        raise RestoredJournal(
            f"{path}: it was replaced by an older copy or removed, while its log {log.name} is "
            "there. Put it back, or start with --fresh, which puts the log aside"
        )
    return Head()


def compared(path: Path, head: Head, locked_epoch: int, shown_epoch: int) -> None:
    """Hold a journal against what else knows of process starts: ids must never repeat."""
    newest = max(locked_epoch, shown_epoch)
    if head.epoch < newest:
        who = "the lock file knows" if newest == locked_epoch else "the venues' books know"
        raise RestoredJournal(
            f"{path}: {who} of process start {newest}, the journal of {head.epoch}: it was "
            "replaced by an older copy or removed. Put the newest one back, or start with --fresh"
        )
    if locked_epoch < head.recorded:
        raise RestoredLock(
            f"{path}{LOCK_SUFFIX}: the lock file knows of process start {locked_epoch}, the "
            f"journal has records of {head.recorded}: it was replaced by an older copy or removed. "
            "Put the newest one back, or start with --fresh"
        )


def missing_end(path: Path, last: int, known: int, advice: str) -> SequenceGap:
    """The error of a journal that ends at record `last` where `known` was written."""
    text = f"{path}: records {last + 1} to {known} are missing at the end"
    return SequenceGap(f"{text}; {advice}", last + 1)


def _check_kind(path: Path, alone: bool) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ForeignFile(f"{path}: is no file; choose another path")
    if alone and mode & 0o077:
        raise JournalError(f"{path}: others may open it; run chmod 600 on it")
    if alone and not mode & 0o200:
        raise ReadOnlyJournal(f"{path}: is read-only; run chmod 600 on it")


def _check_log(path: Path, alone: bool, seq: int | None) -> None:
    log = journal_log.look(path, alone=alone)
    if not log.doubtful:
        return
    last = _last_intact(path, log)
    if not (log.headless or log.proven) and seq is not None and seq <= last:
        return  # what does not verify was never confirmed: the process died while it wrote
    name = f"{path}{journal_log.SUFFIX}"
    later = f"a frame does not verify, {log.behind} written after it are there"
    what = "its header does not verify" if log.headless else later
    raise DamagedLog(
        f"{name}: the log is damaged ({what}); record {last + 1} is the first that cannot be read"
        f"{f', {seq} was the last' if seq else ''}; restore a copy of journal and log, or start "
        "with --fresh, which puts them aside",
        last + 1,
    )


def _checked_meta(path: Path, connection: sqlite3.Connection) -> dict[str, int]:
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
    if not all(isinstance(meta.get(key), int) for key in _META_KEYS):
        raise CorruptJournal(f"{path}: the file is damaged (its versions); restore a copy of it")
    if meta["machines"] > MACHINES:
        text = f"{path}: was written by machines {meta['machines']}, this program has {MACHINES}"
        raise NewerJournal(f"{text}; start the newer program")
    if meta["schema"] > SCHEMA:
        text = f"{path}: has schema {meta['schema']}, this program knows {SCHEMA}"
        raise NewerJournal(f"{text}; start the newer program")
    return meta


def intact_until(path: Path) -> int:
    """The last record of a damaged journal that can still be read and is what was written."""
    try:
        return _last_intact(path, journal_log.look(path, alone=False))
    except OSError:
        return 0


def _last_intact(path: Path, log: journal_log.Log) -> int:
    last = 0
    try:
        with closing(journal_log.in_memory(path, log)) as connection:
            for record in decoded(rows_of(connection), path):
                last = record.seq
    except (JournalError, sqlite3.Error, OSError, UnicodeDecodeError):
        # Whatever ends the reading of a damaged file, the records before it are what counts.
        return last
    return last


def create(path: Path, epoch: int, lock: LockFile) -> Head:
    """Make an empty journal of process start `epoch`; it has its name only when all of it is done.

    The lock file knows of the epoch before: a process that dies in between leaves no journal at
    all, and never one that its lock file contradicts. Raises JournalError and errors of the disk;
    then there is no journal, nor any scrap of one.
    """
    _check_epoch(epoch)
    new = path.with_name(path.name + ".new")
    scraps = [new.with_name(new.name + end) for end in ("", "-wal", "-shm", "-journal")]
    for scrap in scraps:
        scrap.unlink(missing_ok=True)
    head = Head(epoch)
    try:
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(
            JournalConnection(new, isolation_level=None, head=head, sync="FULL", exclusive=True)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            for table in _TABLES:
                connection.execute(table)
            connection.execute(_META, (SCHEMA, MACHINES, epoch))
            connection.execute("COMMIT")
            # Closing would do it as well, and would say nothing where it fails.
            _empty_log(connection)
        lock.store(epoch, 0)
        new.rename(path)
    except BaseException:
        for scrap in scraps:
            scrap.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return head


def _empty_log(connection: JournalConnection) -> None:
    """Move the log into the file, all of it."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise JournalLocked("another process reads the journal while it is made; stop it")


def _check_epoch(epoch: int) -> None:
    if epoch > EPOCH_MAX:
        raise JournalError(f"process start {epoch} has no order numbers left; begin a new journal")


def begin_epoch(connection: JournalConnection, head: Head, epoch: int) -> None:
    """Note a new process start in a journal that is there."""
    _check_epoch(epoch)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute(_EPOCH, (epoch, head.epoch)).rowcount != 1:
            raise LeaseLost("another process took the journal over while it was opened; stop it")
        connection.execute(FLOOR, (head.last_seq, epoch))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()
    head.epoch = epoch


def rows_of(connection: sqlite3.Connection) -> Iterator[Row]:
    """Read in pages, so that an abandoned iteration leaves no read transaction open."""
    seq = 0
    while page := connection.execute(_PAGE, (seq,)).fetchall():
        yield from map(Row._make, page)
        seq = page[-1][0]
