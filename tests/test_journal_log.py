"""The write-ahead log: damage in what was recorded is refused, an unfinished last write is not."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.journal import Record, SyncJournal, open_journal, read_journal
from engine.journal_errors import DamagedLog, RestoredJournal, SequenceGap
from engine.journal_log import Log, examined, in_memory, look
from engine.lock import LockFile
from machines.messages import TimerFired

START = 1_700_000_000_000_000_000
HEADER, FRAME = 32, 24 + 4096
ENDS = ("", "-wal", ".lock")
#: Records of each batch; a large one has frames of its own for what a page cannot hold.
BATCHES = (1, 3, 60, 1, 2, 200, 5, 1, 1, 70)


def batch(journal: SyncJournal, size: int) -> list[Record]:
    first = journal.last_seq + 1
    return [
        Record(seq, START + seq, TimerFired(START + seq, 4, "rung" * 20, START), (), (), 0)
        for seq in range(first, first + size)
    ]


class Killed(NamedTuple):
    """A journal as a killed process leaves it.

    `begins` tells, for the first record of each batch, with which frame its transaction begins.
    `more` is the log with one batch more, which was never confirmed.
    """

    path: Path
    records: list[Record]
    begins: dict[int, int]
    more: bytes

    @property
    def log(self) -> bytes:
        return self.path.with_name("journal.db-wal").read_bytes()

    @property
    def frames(self) -> int:
        return (len(self.log) - HEADER) // FRAME

    def record_in(self, frame: int) -> int:
        """First record that is lost with a frame."""
        return max((seq for seq, begin in self.begins.items() if begin <= frame), default=1)


def copy(path: Path, folder: Path) -> Path:
    """Copy a journal as it is on disk at this moment."""
    folder.mkdir(parents=True)
    for end in ENDS:
        if path.with_name(path.name + end).exists():
            shutil.copy(f"{path}{end}", folder)
    return folder / path.name


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    path, begins, records = folder / "journal.db", {}, []
    log = path.with_name("journal.db-wal")
    open_journal(path).close()
    with closing(open_journal(path)) as journal:
        for size in BATCHES:
            begins[journal.last_seq + 1] = (log.stat().st_size - HEADER) // FRAME
            added = batch(journal, size)
            journal.append(added)
            records += added
        left = copy(path, folder / "copy")
        journal.append(batch(journal, 80))
        return Killed(left, records, begins, log.read_bytes())


def altered(killed: Killed, folder: Path, log: bytes) -> Path:
    path = copy(killed.path, folder)
    path.with_name("journal.db-wal").write_bytes(log)
    return path


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x10
    return bytes(changed)


def reading(path: Path) -> tuple[list[Record], DamagedLog | SequenceGap | None]:
    """What a reader gets, and how it ends."""
    records: list[Record] = []
    try:
        records.extend(read_journal(path))
    except (DamagedLog, SequenceGap) as error:
        return records, error
    return records, None


# ---------------------------------------------------------------- what the bytes show


def test_the_log_of_a_killed_process_is_whole(killed: Killed, tmp_path: Path) -> None:
    log = examined(killed.log)
    assert (log.end, log.bad, log.behind) == (killed.frames, killed.frames, 0)
    assert not log.doubtful
    with closing(open_journal(copy(killed.path, tmp_path / "again"))) as journal:
        assert list(journal.read()) == killed.records
        assert journal.lost_until == 0


def test_a_database_in_memory_is_what_the_whole_transactions_make(killed: Killed) -> None:
    with closing(in_memory(killed.path, examined(killed.log))) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        (last,) = connection.execute("SELECT max(last_seq) FROM journal").fetchone()
    assert last == len(killed.records)


def test_checksums_are_read_in_the_order_that_the_log_was_written_in(killed: Killed) -> None:
    # The same bytes under the other magic number are a log of another machine, with other sums.
    data = bytearray(killed.log)
    data[3] ^= 1
    assert examined(bytes(data)).headless


PLACES = (0, 5, 10, 18, 24, 24 + 2000, 24 + 4095)


@pytest.mark.slow  # every frame is verified some seven times
def test_a_flip_at_any_place_of_any_frame_is_found_there(killed: Killed) -> None:
    for frame in range(killed.frames):
        for place in PLACES:
            log = examined(flipped(killed.log, HEADER + frame * FRAME + place))
            assert log.bad == frame
            assert log.end <= frame
            assert (log.behind > 0) == (frame < killed.frames - 1)


@pytest.mark.parametrize("place", range(HEADER))
def test_a_flip_in_the_header_is_found(killed: Killed, place: int) -> None:
    assert examined(flipped(killed.log, place)).headless


@pytest.mark.parametrize("length", [0, 1, 24, 31])
def test_a_log_without_a_whole_header_holds_nothing(killed: Killed, length: int) -> None:
    assert not examined(killed.log[:length]).doubtful


def test_frames_of_an_earlier_round_of_the_log_prove_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(open_journal(path)) as journal:
        for _ in range(8):
            journal.append(batch(journal, 5))
        assert journal.checkpoint()
        journal.append(batch(journal, 5))
        log = look(path, alone=True)
        assert len(log.data) > HEADER + 10 * FRAME
        assert 0 < log.end == log.bad < 8
        assert not log.doubtful


# ---------------------------------------------------------------- damage is refused


@pytest.mark.slow  # opens and reads the journal once per frame and place
@pytest.mark.parametrize("place", [2, 12, 24 + 100])
def test_a_flip_in_any_frame_is_refused_with_the_first_bad_record(
    killed: Killed, tmp_path: Path, place: int
) -> None:
    for frame in range(killed.frames):
        log = flipped(killed.log, HEADER + frame * FRAME + place)
        path = altered(killed, tmp_path / str(frame), log)
        first = killed.record_in(frame)
        if frame == killed.frames - 1:
            # The newest frame is as if it had not been written: only the lock file knows of it.
            records, error = reading(path)
            assert records == killed.records[: first - 1]
            assert isinstance(error, SequenceGap)
            with closing(open_journal(path)) as journal:
                assert journal.lost_until == len(killed.records)
                assert list(journal.read()) == records
            continue
        if frame < min(killed.begins.values()):
            first = 1
        for attempt in (open_journal, lambda name: list(read_journal(name))):
            with pytest.raises(DamagedLog, match=f"record {first} is the first") as caught:
                attempt(path)
            assert caught.value.record == first
        assert path.with_name("journal.db-wal").read_bytes() == log, "the evidence is gone"


def test_a_log_with_a_bad_header_is_refused(killed: Killed, tmp_path: Path) -> None:
    path = altered(killed, tmp_path / "bad", flipped(killed.log, 9))
    with pytest.raises(DamagedLog, match=r"\(its header does not verify\); record 1 is the first"):
        open_journal(path)
    with pytest.raises(DamagedLog):
        list(read_journal(path))


def test_a_log_whose_middle_was_zeroed_is_refused(killed: Killed, tmp_path: Path) -> None:
    at = HEADER + 3 * FRAME
    zeroed = killed.log[:at] + bytes(FRAME) + killed.log[at + FRAME :]
    with pytest.raises(DamagedLog, match="with --fresh"):
        open_journal(altered(killed, tmp_path / "zeroed", zeroed))


@pytest.mark.parametrize("lock", [b"", b"00000000000000000002\n"])
def test_without_a_record_number_beside_it_any_frame_that_follows_is_damage(
    killed: Killed, tmp_path: Path, lock: bytes
) -> None:
    last = HEADER + (killed.frames - 2) * FRAME + 50
    path = altered(killed, tmp_path / "last", flipped(killed.log, last))
    path.with_name("journal.db.lock").write_bytes(lock)
    with pytest.raises(DamagedLog):
        open_journal(path)


def test_damage_before_a_later_transaction_is_refused_whatever_the_lock_file_says(
    killed: Killed, tmp_path: Path
) -> None:
    """A power failure may leave an older number there; only the last write can be torn by it."""

    def started(frame: int) -> None:
        damaged = flipped(killed.log, HEADER + frame * FRAME + 50)
        path = altered(killed, tmp_path / str(frame), damaged)
        lock = LockFile(path.with_name("journal.db.lock"))
        lock.store(lock.epoch, 1)
        lock.release()
        open_journal(path).close()

    last = max(killed.begins.values())
    for frame in range(min(killed.begins.values()) + 1, last):
        with pytest.raises(DamagedLog):
            started(frame)
    started(last)


def test_a_log_left_without_its_journal_is_not_taken_into_a_new_one(
    killed: Killed, tmp_path: Path
) -> None:
    path = copy(killed.path, tmp_path / "alone")
    path.unlink()
    path.with_name("journal.db.lock").unlink()
    with pytest.raises(RestoredJournal, match=r"its log journal\.db-wal is there"):
        open_journal(path)
    assert path.with_name("journal.db-wal").read_bytes() == killed.log


# ---------------------------------------------------------------- an unfinished write is not damage


def test_frames_without_an_end_lose_nothing_that_was_confirmed(
    killed: Killed, tmp_path: Path
) -> None:
    path = altered(killed, tmp_path / "killed", killed.more[: len(killed.log) + 2 * FRAME])
    log = look(path, alone=True)
    assert (log.end, log.bad, log.behind) == (killed.frames, killed.frames + 2, 0)
    assert_nothing_is_lost(killed, path)


def test_a_last_write_that_a_power_failure_tore_loses_nothing_that_was_confirmed(
    killed: Killed, tmp_path: Path
) -> None:
    at = len(killed.log)
    torn = killed.log + bytes(FRAME) + killed.more[at + FRAME :]
    path = altered(killed, tmp_path / "torn", torn)
    log = look(path, alone=True)
    assert log.behind > 0
    assert not log.proven
    assert_nothing_is_lost(killed, path)


def test_what_an_unfinished_write_leaves_behind_a_later_one_is_no_damage(
    killed: Killed, tmp_path: Path
) -> None:
    path = altered(killed, tmp_path / "killed", killed.more[: len(killed.log) + 2 * FRAME])
    with closing(open_journal(path)):
        # The new epoch stands where the first of those frames stood; the second is still there.
        left = copy(path, tmp_path / "left")
    log = look(left, alone=True)
    assert (log.end, log.bad, log.behind) == (killed.frames + 1, killed.frames + 1, 0)
    path = altered(killed, tmp_path / "longer", killed.more[:-FRAME])
    with closing(open_journal(path)):
        left = copy(path, tmp_path / "longer left")
    assert look(left, alone=True).behind > 0
    assert_nothing_is_lost(killed, left)


def assert_nothing_is_lost(killed: Killed, path: Path) -> None:
    assert reading(path) == (killed.records, None)
    with closing(open_journal(path)) as journal:
        assert list(journal.read()) == killed.records
        assert journal.lost_until == 0


# ---------------------------------------------------------------- a cut is a lost tail


@pytest.mark.slow  # opens and reads the journal once per length
def test_a_log_cut_at_any_length_is_known_to_have_lost_its_end(
    killed: Killed, tmp_path: Path
) -> None:
    whole = killed.log
    begun = min(killed.begins.values())  # the frames that make the epoch of this start
    for frame in range(killed.frames):
        for part in (0, 1, 3000)[: 1 + 2 * (frame % 3 == 0)]:
            length = HEADER + frame * FRAME + part
            path = altered(killed, tmp_path / str(length), whole[:length])
            records, error = reading(path)
            first = killed.record_in(frame)
            assert records == killed.records[: first - 1]
            assert isinstance(error, SequenceGap)
            assert error.record == first
            if frame < begun:
                with pytest.raises(RestoredJournal):
                    open_journal(path)
                continue
            with closing(open_journal(path)) as journal:
                assert journal.lost_until == len(killed.records)
                assert list(journal.read()) == records
                journal.append(batch(journal, 1))
            assert reading(path)[1] is None, "what was lost is told once"


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_log_without_frames_has_lost_everything(
    killed: Killed, tmp_path: Path, length: int
) -> None:
    path = altered(killed, tmp_path / "cut", killed.log[:length])
    with pytest.raises(SequenceGap, match=f"records 1 to {len(killed.records)} are missing"):
        list(read_journal(path))


def test_what_was_lost_is_known_until_the_next_process_has_recorded_something(
    killed: Killed, tmp_path: Path
) -> None:
    path = altered(killed, tmp_path / "cut", killed.log[:-1])
    for _ in range(3):
        with closing(open_journal(path)) as journal:
            assert journal.lost_until == len(killed.records)
    with closing(open_journal(path)) as journal:
        journal.append(batch(journal, 1))
    with closing(open_journal(path)) as journal:
        assert journal.lost_until == 0


# ---------------------------------------------------------------- a log in use


class Looks:
    """A log that differs from look to look, as one that is being written to."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = list(contents)

    def read_bytes(self) -> bytes:
        return self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]


@pytest.mark.parametrize("alone", [True, False])
def test_a_log_that_is_being_written_to_is_looked_at_again(
    killed: Killed, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    at = HEADER + 4 * FRAME
    half = killed.log[:at] + bytes(FRAME) + killed.log[at + FRAME :]
    changing = [flipped(killed.log, HEADER + frame * FRAME) for frame in range(10)]
    looks = Looks(half, killed.log)
    monkeypatch.setattr(Path, "read_bytes", lambda _: looks.read_bytes())
    assert look(killed.path, alone=alone).doubtful is alone
    looks.contents = [half]
    assert look(killed.path, alone=alone).doubtful
    looks.contents = changing
    assert look(killed.path, alone=alone).doubtful is alone


def test_no_log_holds_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "journal.db", alone=True) == Log()
