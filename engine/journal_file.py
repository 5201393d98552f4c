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

from engine.journal_connection import JournalConnection
from engine.journal_errors import (
    CorruptJournal,
    ForeignFile,
    JournalError,
    JournalLocked,
    LeaseLost,
    NewerJournal,
    ReadOnlyJournal,
    SequenceGap,
    explained,
)
from engine.journal_rows import Head, Row, verified
from engine.lock import LockFile, sync_directory

APPLICATION = 0x756E_776A  #: `application_id` of the file, "unwj"
SCHEMA = 1  #: version of the tables
MACHINES = 1  #: version of facts, commands and tables; an older engine cannot fold a newer one
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
_META = "INSERT INTO meta VALUES ('schema', ?), ('machines', ?), ('epoch', 0), ('floor', 0)"
_EPOCH = "UPDATE meta SET value = ? WHERE key = 'epoch' AND value = ?"
#: Notes (record, epoch): a journal that ends before this record has lost its end.
FLOOR = """UPDATE meta SET value = ? WHERE key = 'floor'
    AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value = ?)"""
_PAGE = "SELECT * FROM journal WHERE first_seq > ? ORDER BY first_seq LIMIT 256"


def locked(path: Path) -> LockFile:
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


def inspected(path: Path, alone: bool) -> Head:
    """Check a file without writing: whose it is, versions, pages, chain, end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ForeignFile(f"{path}: is no file; choose another path")
    if alone and mode & 0o077:
        raise JournalError(f"{path}: others may open it; run chmod 600 on it")
    if alone and not mode & 0o200:
        raise ReadOnlyJournal(f"{path}: is read-only; run chmod 600 on it")
    with closing(read_only(path, alone)) as connection:

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
        if meta["schema"] > SCHEMA:
            text = f"{path}: has schema {meta['schema']}, this program knows {SCHEMA}"
            raise NewerJournal(f"{text}; start the newer program")
        head = Head(meta["epoch"])
        for row in verified(rows_of(connection), path):
            head.last_seq, head.last_hash = row.last_seq, row.hash
        if head.last_seq < meta["floor"]:
            text = f"{path}: records {head.last_seq + 1} to {meta['floor']} are missing at the end"
            raise SequenceGap(f"{text}; restore a copy", head.last_seq + 1)
    return head


def create(path: Path) -> None:
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


def begin_epoch(connection: JournalConnection, head: Head, epoch: int) -> None:
    if epoch > EPOCH_MAX:
        raise JournalError(f"process start {epoch} has no order numbers left; begin a new journal")
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
