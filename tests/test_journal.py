"""The journal: nothing recorded is lost or altered unseen, and nothing is half recorded."""

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest

from engine import journal as fronts
from engine import journal_rows as rows
from engine.journal import (
    AsyncJournal,
    JournalError,
    Record,
    open_journal,
    read_journal,
)
from engine.journal_connection import COMMIT_BATCH, JournalConnection
from engine.journal_errors import (
    BrokenChain,
    CorruptJournal,
    DiskFull,
    DuplicateIntent,
    ForeignFile,
    JournalLocked,
    LeaseLost,
    NewerJournal,
    OlderJournal,
    ReadOnlyJournal,
    RestoredJournal,
    SequenceGap,
)
from engine.journal_file import EPOCH_MAX
from engine.journal_memory import MemoryJournal
from engine.journal_rows import Head
from engine.lock import LockFile
from machines.messages import (
    Cancel,
    CancelForeign,
    FillReported,
    InstrumentTruth,
    OpenOrder,
    Place,
    TimerFired,
    TopSeen,
    TradeRow,
    TruthRead,
)

START = 1_700_000_000_000_000_000
EPOCH = 1 << 40


def record(seq: int, order: int = 0) -> Record:
    """A step that consumed a fill and a book, and decided one order and two cancels."""
    at = START + seq
    number = EPOCH + (order or seq)
    fill = FillReported(at, at - 5, 3, number, f"t{seq}", 1, 30_000, 7, 7, Decimal("0.120"), True)
    place = Place(
        at, number, 3, -1, 7, None, "IOC", False, True, at + 9, 1, 2, "market", "deadline"
    )
    intents = (place, Cancel(at, number - 1, 3), CancelForeign(at, 3, "x-1"))
    return Record(seq, at, fill, (TopSeen(at, at, 3, 29_999, 5, 30_001, 4),), intents, at + 1)


def plain(seq: int) -> Record:
    """A step without intents."""
    return Record(seq, START + seq, TimerFired(START + seq, 4, "rung", START), (), (), START + seq)


def fill_up(journal, batches: int, size: int = 1) -> list[Record]:
    """Append records after the last one; gives them."""
    added = []
    for _ in range(batches):
        first = journal.last_seq + 1
        batch = [record(seq) for seq in range(first, first + size)]
        journal.append(batch)
        added += batch
    return added


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "unwind.db"


@pytest.fixture
def written(path) -> list[Record]:
    """A closed journal of 60 records in 20 batches, and what is in it."""
    with closing(open_journal(path)) as journal:
        return fill_up(journal, 20, 3)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@contextmanager
def refused(path: Path, kind: type[JournalError], match: str):
    """Opening must fail with this error and change nothing on disk."""
    lock = path.with_name(path.name + ".lock")
    lock.touch(0o600)
    before = contents(path.parent)
    with pytest.raises(kind, match=match) as caught:
        open_journal(path)
    assert contents(path.parent) == before
    yield caught.value
    LockFile(lock).release()


@asynccontextmanager
async def taken_over(path: Path):
    journal = await AsyncJournal.take_over(open_journal(path))
    async with aclosing(journal):
        yield journal


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for sql in statements:
            connection.execute(sql)


# ---------------------------------------------------------------- what is recorded


@pytest.mark.parametrize("sync", ["FULL", "NORMAL"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_what_was_recorded_is_read_back_after_a_restart(path, sync, exclusive):
    with closing(open_journal(path, sync, exclusive=exclusive)) as journal:
        records = fill_up(journal, 3, 2)
        journal.append([plain(7)])
        assert list(journal.read()) == [*records, plain(7)]
    with closing(open_journal(path)) as journal:
        assert (journal.last_seq, journal.epoch) == (7, 2)
        more = fill_up(journal, 1)
        assert list(journal.read()) == [*records, plain(7), *more]


def test_a_truth_read_survives_the_journal():
    trade = TradeRow(EPOCH, "t1", START, 1, 3, 4, Decimal("-0.10"), False)
    row = InstrumentTruth(2, None, Decimal("1.50"), (OpenOrder(0, 1, 2, 0, None, "web"),), (trade,))
    fact = TruthRead(START, START, START, "aster", -1, (row,))
    journal = MemoryJournal()
    journal.append([Record(1, START, fact, (), (), 0)])
    (read,) = journal.read()
    assert read.fact == fact
    assert str(read.fact.rows[0].entry) == "1.50"


def test_all_journals_write_the_same_bytes(tmp_path):
    batches = [[record(1)], [record(2), plain(3), record(4)], [plain(5)]]

    async def write(path: Path) -> None:
        async with taken_over(path) as journal:
            for batch in batches:
                await journal.commit(batch)
            assert journal.last_seq == 5

    anyio.run(write, tmp_path / "async.db")
    memory = MemoryJournal()
    with closing(open_journal(tmp_path / "sync.db")) as journal:
        for batch in batches:
            journal.append(batch)
            memory.append(batch)
        assert journal.last_hash == memory.last_hash
    tables = []
    for name in ("async.db", "sync.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            tables.append(
                [
                    connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - own names
                    for table in ("journal", "outbox")
                ]
            )
    assert tables[0] == tables[1]
    assert tables[0][0] == memory.rows
    assert [row[:2] for row in tables[0][1]] == [(EPOCH + n, n) for n in (1, 2, 4)]


def test_reading_needs_no_lock_and_leaves_the_journal_in_use_alone(path):
    with closing(open_journal(path)) as journal:
        records = fill_up(journal, 5)
        assert list(read_journal(path)) == records
        records += fill_up(journal, 1)
        assert list(read_journal(path)) == records
        assert journal.epoch == 1


@pytest.mark.parametrize("writable", [True, False])
def test_reading_leaves_nothing_beside_a_journal_in_a_folder_that_is_read_only(
    path, written, writable, monkeypatch
):
    # A folder's mode does not stop a test that runs as root.
    monkeypatch.setattr(os, "access", lambda name, mode: writable)
    files = set(contents(path.parent))
    reading = read_journal(path)
    first = next(reading)
    assert (set(contents(path.parent)) == files) is not writable
    assert [first, *reading] == written


def test_an_abandoned_reading_does_not_hold_back_a_checkpoint(path):
    with closing(open_journal(path)) as journal:
        fill_up(journal, 300)
        reading = journal.read()
        assert next(reading) == record(1)
        assert journal.checkpoint("TRUNCATE")
        assert path.with_name("unwind.db-wal").stat().st_size == 0
        assert sum(1 for _ in reading) == 299


def test_a_long_run_keeps_its_log_short(path, monkeypatch):
    monkeypatch.setattr(fronts, "_SYNC_CHECKPOINT_BYTES", 100_000)
    with closing(open_journal(path, "NORMAL")) as journal:
        records = fill_up(journal, 200)
        assert path.with_name("unwind.db-wal").stat().st_size < 300_000
        assert list(journal.read()) == records


def test_the_settings_are_those_of_the_specification(path):
    with closing(open_journal(path)) as journal:
        value = {
            name: journal._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "journal_mode synchronous fullfsync wal_autocheckpoint busy_timeout foreign_keys"
                " trusted_schema temp_store"
            ).split()
        }
    assert value == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "wal_autocheckpoint": 0,
        "busy_timeout": 250,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "temp_store": 2,
    }


def test_every_file_is_for_its_owner_alone(path):
    before = os.umask(0)
    try:
        with closing(open_journal(path)) as journal:
            fill_up(journal, 1)
            modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in path.parent.iterdir()}
    finally:
        os.umask(before)
    names = {"unwind.db", "unwind.db-wal", "unwind.db-shm", "unwind.db.lock"}
    assert modes == dict.fromkeys(names, 0o600)


# ---------------------------------------------------------------- what a commit refuses


@pytest.fixture(params=["sync", "memory"])
def any_journal(request, path):
    if request.param == "memory":
        yield MemoryJournal()
    else:
        with closing(open_journal(path)) as journal:
            yield journal


@pytest.mark.parametrize("seqs", [[1], [2], [4], [5], [3, 5], [3, 3], [3, 5, 4]])
def test_a_batch_that_does_not_follow_on_is_refused_whole(any_journal, seqs):
    records = fill_up(any_journal, 2)
    with pytest.raises(SequenceGap) as caught:
        any_journal.append([plain(seq) for seq in seqs])
    assert caught.value.record == 3
    assert list(any_journal.read()) == records
    fill_up(any_journal, 1)


@pytest.mark.parametrize("orders", [(1, 9), (9, 2), (8, 8)])
def test_an_order_number_used_twice_refuses_its_batch_whole(any_journal, orders):
    records = fill_up(any_journal, 2)
    with pytest.raises(DuplicateIntent):
        any_journal.append([record(3, orders[0]), record(4, orders[1])])
    assert any_journal.last_seq == 2
    assert list(any_journal.read()) == records
    any_journal.append([record(3, 8), record(4, 9)])
    assert any_journal.last_seq == 4


def test_a_process_that_lost_its_lease_records_nothing(path):
    with closing(open_journal(path)) as old:
        records = fill_up(old, 2)
        with closing(JournalConnection(path, head=Head(), sync="FULL", exclusive=False)) as twin:
            twin.execute("UPDATE meta SET value = 2 WHERE key = 'epoch'")
            twin.commit()
        with pytest.raises(LeaseLost, match="stop this one"):
            old.append([plain(3)])
        assert list(old.read()) == records
        with pytest.raises(LeaseLost):
            old.append([plain(3)])


def test_a_locked_database_refuses_and_recovers(path):
    with closing(open_journal(path)) as journal:
        journal._connection.execute("PRAGMA busy_timeout = 0")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalLocked, match="another process"):
                journal.append([plain(1)])
        journal.append([plain(1)])
        assert list(journal.read()) == [plain(1)]


def test_a_full_disk_refuses_and_leaves_the_earlier_state(path):
    with closing(open_journal(path)) as journal:
        records = fill_up(journal, 5)
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull, match="make room"):
            fill_up(journal, 50)
        full_at = journal.last_seq
        assert list(journal.read())[:5] == records
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 50}")
        fill_up(journal, 10)
    assert sum(1 for _ in read_journal(path)) == full_at + 10


@contextmanager
def file_size_limited(size: int):
    """No file may grow beyond `size` bytes: writes fail half way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10, 24, 1000, 4120, 4130, 8000])
def test_a_write_that_fails_half_way_leaves_the_earlier_state(path, room):
    with closing(open_journal(path)) as journal:
        records = fill_up(journal, 5)
        log = path.with_name("unwind.db-wal").stat().st_size
        with file_size_limited(log + room), pytest.raises(JournalError, match="disk"):
            journal.append([record(6)])
        assert (journal.last_seq, list(journal.read())) == (5, records)
        records += fill_up(journal, 2)
    assert list(read_journal(path)) == records


def test_a_journal_that_cannot_be_made_leaves_no_file(path):
    with file_size_limited(2000), pytest.raises(JournalError, match="disk"):
        open_journal(path)
    assert [file.name for file in path.parent.iterdir()] == ["unwind.db.lock"]
    open_journal(path).close()


def test_a_connection_that_cannot_write_says_so(path, written):
    uri = path.as_uri() + "?mode=ro"
    head = Head(1, 60)
    connection = JournalConnection(
        uri, uri=True, isolation_level=None, head=head, sync="FULL", exclusive=False
    )
    with closing(connection), pytest.raises(ReadOnlyJournal, match="check mode"):
        connection.commit_batch([plain(61)])
    assert head.last_seq == 60


def test_a_commit_without_the_connection_class_is_no_silent_success():
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError, match="syntax"),
    ):
        connection.execute(COMMIT_BATCH)


# ---------------------------------------------------------------- the asynchronous front


def test_cancellation_waits_for_the_end_of_a_commit(path):
    reached: list[object] = []

    async def main() -> None:
        async with taken_over(path) as journal:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await journal.commit([record(1)])
                reached.append(journal.last_seq)
                await anyio.lowlevel.checkpoint()
                reached.append("not cancelled")
            await journal.commit([record(2)])
            await journal.aclose()

    anyio.run(main)
    assert reached == [1]
    assert list(read_journal(path)) == [record(1), record(2)]


def test_a_task_cancelled_from_outside_does_not_break_the_next_commit(path):
    async def main() -> None:
        async with taken_over(path) as journal:
            task = asyncio.create_task(journal.commit([record(1)]))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await journal.commit([record(2)])
            assert journal.last_seq == 2

    anyio.run(main)
    assert list(read_journal(path)) == [record(1), record(2)]


def test_an_asynchronous_commit_fails_with_the_same_errors(path):
    async def main() -> None:
        async with taken_over(path) as journal:
            await journal.commit([record(1)])
            with pytest.raises(DuplicateIntent):
                await journal.commit([record(2, 1)])
            with pytest.raises(SequenceGap):
                await journal.commit([record(3)])
            assert journal.last_seq == 1
            await journal.commit([record(2)])
            assert not journal.checkpoint_due
            assert await journal.checkpoint()

    anyio.run(main)
    assert list(read_journal(path)) == [record(1), record(2)]


def test_the_asynchronous_front_keeps_the_lock(path):
    async def main() -> None:
        async with taken_over(path):
            with pytest.raises(JournalLocked):
                open_journal(path)

    anyio.run(main)
    open_journal(path).close()


def test_a_take_over_that_fails_gives_the_lock_back(path, monkeypatch):
    journal = open_journal(path)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("no")

    monkeypatch.setattr(JournalConnection, "_configure", fail)
    with pytest.raises(JournalError):
        anyio.run(AsyncJournal.take_over, journal)
    monkeypatch.undo()
    open_journal(path).close()


# ---------------------------------------------------------------- simulation


def test_a_crash_in_memory_loses_what_waits_and_nothing_else():
    journal = MemoryJournal(durable=False)
    journal.append([record(1)])
    assert journal.last_seq == 0
    journal.commit()
    journal.append([record(2)])
    journal.append([record(3)])
    assert journal.last_seq == 1
    assert journal.crash() == 2
    journal.reopen()
    assert list(journal.read()) == [record(1)]
    journal.append([record(2)])
    journal.commit()
    assert (journal.epoch, journal.last_seq) == (2, 2)
    assert [row.epoch for row in journal.rows] == [1, 2]
    assert journal.crash() == 0


# ---------------------------------------------------------------- boot


def test_a_killed_process_leaves_everything_it_committed(path, tmp_path):
    killed = tmp_path / "killed" / "unwind.db"
    killed.parent.mkdir()
    with closing(open_journal(path)) as journal:
        records = fill_up(journal, 30)
        for end in ("", "-wal", ".lock"):
            shutil.copy(f"{path}{end}", f"{killed}{end}")
    with closing(open_journal(killed)) as journal:
        assert list(journal.read()) == records
        assert journal.epoch == 2
        fill_up(journal, 1)


def test_a_torn_log_loses_its_last_commits_only(path, tmp_path):
    with closing(open_journal(path)) as journal:
        records = fill_up(journal, 10)
        log = path.with_name("unwind.db-wal").read_bytes()
        file, lock = path.read_bytes(), path.with_name("unwind.db.lock").read_bytes()
    for cut in (1, 4096, 9000, 20_000):
        folder = tmp_path / str(cut)
        folder.mkdir()
        torn = folder / "unwind.db"
        for end, data in (("", file), ("-wal", log[:-cut]), (".lock", lock)):
            torn.with_name(torn.name + end).write_bytes(data)
        torn.chmod(0o600)
        with closing(open_journal(torn)) as journal:
            left = list(journal.read())
            assert len(left) < 10
            assert left == records[: len(left)]
            fill_up(journal, 1)


@pytest.mark.parametrize("column", ["body", "prev_hash", "hash"])
def test_an_altered_byte_is_found_with_its_record(path, written, column):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        select = f"SELECT {column} FROM journal WHERE first_seq = 31"  # noqa: S608 - own name
        data = bytearray(connection.execute(select).fetchone()[0])
        data[20] ^= 1
        update = f"UPDATE journal SET {column} = ? WHERE first_seq = 31"  # noqa: S608 - own name
        connection.execute(update, (bytes(data),))
    with refused(path, BrokenChain, "record 31") as error:
        assert error.record == 31
    with pytest.raises(BrokenChain, match="record 31"):
        list(read_journal(path))


def test_a_flipped_byte_on_the_disk_is_found_with_its_record(path, written):
    data = bytearray(path.read_bytes())
    data[data.index(b"t44") + 1] ^= 1
    path.write_bytes(data)
    with refused(path, BrokenChain, "record 43, in the batch up to 45"):
        pass


@pytest.mark.parametrize("column", ["epoch", "ts_mono", "ts_wall", "codec", "last_seq", "n"])
def test_an_altered_header_is_found(path, written, column):
    alter(path, f"UPDATE journal SET {column} = {column} + 1 WHERE first_seq = 10")  # noqa: S608
    with refused(path, BrokenChain, "record 10"):
        pass


def test_a_row_of_another_history_is_found(path, written, tmp_path):
    with closing(open_journal(tmp_path / "other.db")) as other:
        other.append([plain(seq) for seq in range(1, 31)])
        other.append([plain(31), plain(32), plain(33)])
    alter(
        path,
        f"ATTACH '{tmp_path / 'other.db'}' AS other",
        "REPLACE INTO journal SELECT * FROM other.journal WHERE first_seq = 31",
    )
    with refused(path, BrokenChain, "record 31"):
        pass


def test_a_batch_that_is_none_is_named_with_its_record(path, written):
    row = rows.seal(Head(), [plain(1)])
    for nonsense in ({"n": "1"}, {"ts_mono": 1 << 70}, {"body": None}, {"prev_hash": "text"}):
        with pytest.raises(BrokenChain, match="the batch from record 1 is none") as caught:
            list(rows.verified([row._replace(**nonsense)], path))
        assert caught.value.record == 1


@pytest.mark.parametrize("key", ["schema", "machines", "epoch", "floor"])
def test_a_journal_whose_versions_are_gone_is_refused(path, written, key):
    alter(path, f"DELETE FROM meta WHERE key = '{key}'")  # noqa: S608 - own names
    with refused(path, CorruptJournal, "its versions"):
        pass


def test_missing_records_are_named(path, written):
    alter(path, "DELETE FROM journal WHERE first_seq IN (31, 34)")
    with refused(path, SequenceGap, "records 31 to 36 are missing") as error:
        assert error.record == 31


def test_records_missing_at_the_end_are_named(path, written):
    alter(path, "DELETE FROM journal WHERE first_seq > 52")
    with refused(path, SequenceGap, "records 55 to 60 are missing at the end"):
        pass


@pytest.mark.parametrize(
    "sql",
    ["PRAGMA user_version = 2", "UPDATE meta SET value = 99 WHERE key = 'machines'"],
)
def test_a_journal_of_a_newer_program_is_refused(path, written, sql):
    alter(path, sql)
    with refused(path, NewerJournal, "start the newer program"):
        pass


def test_a_journal_of_older_machines_is_refused_where_its_records_would_be_folded(path, written):
    alter(path, "UPDATE meta SET value = 1 WHERE key = 'machines'")
    with refused(path, OlderJournal, "end that session with the program that began it"):
        pass
    with pytest.raises(OlderJournal, match="start with --fresh"):
        list(read_journal(path))


def test_a_journal_of_another_codec_is_refused(path, monkeypatch):
    monkeypatch.setattr(rows, "CODEC", 2)
    with closing(open_journal(path)) as journal:
        fill_up(journal, 1)
    monkeypatch.undo()
    with refused(path, NewerJournal, "codec 2"):
        pass


def test_a_record_that_cannot_be_decoded_is_named(path, monkeypatch):
    with closing(open_journal(path)) as journal:
        fill_up(journal, 2)
        monkeypatch.setattr(rows, "_ENCODER", _OtherEncoder())
        journal.append([plain(3)])
        with pytest.raises(CorruptJournal, match="batch from record 3"):
            list(journal.read())


@pytest.mark.parametrize("content", [b"", b"hello, this is a letter\n" * 100, b"SQLite format 3\0"])
def test_a_file_that_is_no_journal_is_left_alone(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    with refused(path, ForeignFile, "no journal"):
        pass


def test_a_database_of_another_program_is_left_alone(path):
    alter(path, "CREATE TABLE meta (key, value)")
    path.chmod(0o600)
    with refused(path, ForeignFile, "no journal"):
        pass


def test_a_folder_is_no_journal(path):
    path.mkdir()
    with pytest.raises(ForeignFile, match="is no file"):
        open_journal(path)


def test_a_damaged_page_is_refused(path, written):
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    assert pages > 6
    for page in range(1, pages):
        damaged = data.copy()
        damaged[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
        path.write_bytes(damaged)
        with refused(path, CorruptJournal, "damaged"):
            pass


def test_a_file_cut_at_any_page_is_refused(path, written):
    data = path.read_bytes()
    for pages in range(1, len(data) // 4096):
        path.write_bytes(data[: pages * 4096])
        with refused(path, CorruptJournal, "damaged"):
            pass
    path.write_bytes(data)
    open_journal(path).close()


def test_a_refused_journal_keeps_its_log(path, written, tmp_path):
    killed = tmp_path / "killed" / "unwind.db"
    killed.parent.mkdir()
    with closing(open_journal(path)) as journal:
        fill_up(journal, 3)
        journal._connection.execute("DELETE FROM journal WHERE first_seq = 40")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{killed}{end}")
    before = contents(killed.parent)
    with pytest.raises(SequenceGap):
        open_journal(killed)
    after = contents(killed.parent)
    assert {name: after[name] for name in before} == before


def test_a_twin_is_refused_until_the_first_has_ended(path):
    with closing(open_journal(path)) as journal:
        fill_up(journal, 1)
        with pytest.raises(JournalLocked, match="another process"):
            open_journal(path)
        fill_up(journal, 1)
    with closing(open_journal(path)) as journal:
        assert journal.last_seq == 2


def test_a_closed_journal_may_be_closed_again(path):
    journal = open_journal(path)
    journal.close()
    journal.close()


def test_an_older_copy_is_refused_until_a_person_accepts_it(path, tmp_path):
    with closing(open_journal(path)) as journal:
        fill_up(journal, 1)
    copy = path.read_bytes()
    for _ in range(3):
        open_journal(path).close()
    path.write_bytes(copy)
    with refused(path, RestoredJournal, "process start 4, the journal of 1"):
        pass
    with closing(open_journal(path, accept_restore=True)) as journal:
        assert (journal.epoch, journal.last_seq) == (5, 1)
    with closing(open_journal(path)) as journal:
        assert journal.epoch == 6


def test_a_removed_journal_is_noticed(path, written):
    path.unlink()
    with refused(path, RestoredJournal, "removed"):
        pass


def test_a_crash_between_database_and_lock_file_is_no_restore(path, written):
    open_journal(path).close()
    lock = LockFile(path.with_name("unwind.db.lock"))
    lock.store(1)
    lock.release()
    with closing(open_journal(path)) as journal:
        assert journal.epoch == 3


def test_a_damaged_lock_file_is_refused(path, written):
    path.with_name("unwind.db.lock").write_bytes(b"0000x\n")
    with pytest.raises(CorruptJournal, match="lock file is damaged"):
        open_journal(path)


@pytest.mark.parametrize(("mode", "kind"), [(0o644, JournalError), (0o400, ReadOnlyJournal)])
def test_a_file_with_wrong_permissions_is_refused(path, written, mode, kind):
    path.chmod(mode)
    with refused(path, kind, "chmod 600"):
        pass


def test_a_journal_without_epochs_left_is_refused(path, written):
    alter(path, f"UPDATE meta SET value = {EPOCH_MAX} WHERE key = 'epoch'")  # noqa: S608
    with refused(path, JournalError, "begin a new journal"):
        pass


def test_the_lock_is_not_inherited_by_programs_that_are_started(path):
    lock = LockFile(path)
    assert not os.get_inheritable(lock._fd)
    lock.release()
    lock.release()
    assert not lock.held


class _OtherEncoder:
    """Writes records in a form that this version does not know."""

    def encode(self, records: list[Record]) -> bytes:
        return msgspec.msgpack.encode([["record", record.seq] for record in records])


def test_a_newer_schema_in_the_meta_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    open_journal(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'schema'")
        connection.commit()
    with pytest.raises(NewerJournal, match="schema 99"):
        open_journal(path)


@pytest.mark.parametrize("offset", [3584, 3840])
def test_random_bytes_in_the_first_page_are_a_clear_error(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "journal.db"
    open_journal(path).close()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(range(192, 256)))
    with pytest.raises(JournalError, match=r"journal\.db"):
        open_journal(path)
