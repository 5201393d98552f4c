"""The lock file: one process at a time, and two numbers that a death leaves as they are."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from engine.journal import AsyncJournal, JournalError, Record, open_journal
from engine.journal_errors import CorruptJournal, RestoredJournal, RestoredLock
from engine.lock import Claim, LockFile, claim_of
from machines.messages import TimerFired

OLD = b"00000000000000000007\n"


@contextmanager
def held(path: Path, *, even_damaged: bool = False) -> Iterator[LockFile]:
    lock = LockFile(path, even_damaged=even_damaged)
    try:
        yield lock
    finally:
        lock.release()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db.lock"


def stored(path: Path) -> bytes:
    with held(path) as lock:
        lock.store(7, 40)
        lock.note(123)
    return path.read_bytes()


def record(seq: int) -> Record:
    return Record(seq, seq, TimerFired(seq, 4, "rung", 0), (), (), 0)


def test_both_numbers_are_read_back(path: Path) -> None:
    assert claim_of(path) is None
    with held(path) as lock:
        assert (lock.epoch, lock.seq) == (0, None)
        lock.store(7, 40)
        assert claim_of(path) == Claim(7, 40)
        lock.note(41)
    with held(path) as lock:
        assert (lock.epoch, lock.seq) == (7, 41)
    assert claim_of(path) == Claim(7, 41)


def test_a_file_of_an_earlier_version_says_the_epoch_alone(path: Path) -> None:
    path.write_bytes(OLD)
    with held(path) as lock:
        assert (lock.epoch, lock.seq) == (7, None)
        lock.store(8, 3)
    assert claim_of(path) == Claim(8, 3)


def test_any_flipped_bit_is_damage(path: Path) -> None:
    whole = stored(path)
    for place in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(ValueError, match=r"no epoch|does not agree"):
                LockFile(path)
            assert claim_of(path) is None


def test_a_file_cut_anywhere_is_damage_or_says_the_epoch_alone(path: Path) -> None:
    whole = stored(path)
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        if length == len(OLD):
            assert claim_of(path) == Claim(7, None)
            continue
        with pytest.raises(ValueError, match=r"no epoch|does not agree"):
            LockFile(path)


@pytest.mark.parametrize("more", [b"x", b"\n", OLD, b"0" * 500])
def test_a_file_that_goes_on_is_damage(path: Path, more: bytes) -> None:
    path.write_bytes(stored(path) + more)
    with pytest.raises(ValueError, match="does not agree"):
        LockFile(path)


def test_a_damaged_file_can_be_taken_by_who_writes_it_anew(path: Path) -> None:
    path.write_bytes(stored(path)[:-1] + b"damage" * 30)
    with held(path, even_damaged=True) as lock:
        assert (lock.epoch, lock.seq) == (0, None)
        assert "does not agree" in lock.damage
        lock.store(9, 1)
        assert lock.damage == ""
    assert claim_of(path) == Claim(9, 1)


# ---------------------------------------------------------------- beside a journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_the_lock_file_knows_each_record_before_its_commit_is_confirmed(
    journal: Path, path: Path
) -> None:
    with closing(open_journal(journal)) as sync:
        for seq in range(1, 4):
            sync.append([record(seq)])
            assert claim_of(path) == Claim(1, seq)

    async def main() -> None:
        front = await AsyncJournal.take_over(open_journal(journal))
        assert claim_of(path) == Claim(2, 3)
        await front.commit([record(4), record(5)])
        assert claim_of(path) == Claim(2, 5)
        await front.aclose()

    anyio.run(main)


def test_a_lock_file_that_cannot_be_written_makes_a_commit_fail_that_is_on_disk(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_journal(journal)) as front:

        def fail(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", fail)
        with pytest.raises(JournalError, match=r"journal\.db\.lock.*the disk is full"):
            front.append([record(1)])
        assert front.last_seq == 1, "what was written is known"
        assert list(front.read()) == [record(1)]


@pytest.mark.parametrize("lock", [b"", b"00000000000000000001\n", None])
def test_a_lock_file_older_than_the_newest_record_is_refused(
    journal: Path, path: Path, lock: bytes | None
) -> None:
    for seq in (1, 2):
        with closing(open_journal(journal)) as front:
            front.append([record(seq)])
    if lock is None:
        path.unlink()
    else:
        path.write_bytes(lock)
    with pytest.raises(RestoredLock, match=r"the journal has records of 2.*--fresh"):
        open_journal(journal)


def test_a_lock_file_older_than_starts_that_recorded_nothing_is_none(
    journal: Path, path: Path
) -> None:
    with closing(open_journal(journal)) as front:
        front.append([record(1)])
    left = path.read_bytes()
    for _ in range(3):
        open_journal(journal).close()
    path.write_bytes(left)
    with closing(open_journal(journal)) as front:
        assert (front.epoch, front.lost_until) == (5, 0)


def test_an_epoch_that_a_venue_has_seen_refuses_an_older_journal(journal: Path) -> None:
    open_journal(journal).close()
    with pytest.raises(RestoredJournal, match="the venues' books know of process start 3"):
        open_journal(journal, shown_epoch=3)
    with closing(open_journal(journal, shown_epoch=3, accept_restore=True)) as front:
        assert front.epoch == 4


def test_a_journal_begun_beside_an_old_lock_file_has_lost_nothing(
    journal: Path, path: Path
) -> None:
    with closing(open_journal(journal)) as front:
        front.append([record(1)])
    journal.unlink()
    with closing(open_journal(journal, accept_restore=True)) as front:
        assert (front.epoch, front.last_seq, front.lost_until) == (2, 0, 0)
    assert claim_of(path) == Claim(2, 0)


def test_a_damaged_lock_file_refuses_with_what_to_do(journal: Path, path: Path) -> None:
    open_journal(journal).close()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptJournal, match="restore a copy of it, or start with --fresh"):
        open_journal(journal)
