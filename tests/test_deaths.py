"""A start may be killed before anything that it does to the disk: the next one always goes on."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from engine.config import load
from engine.journal import JournalError
from engine.lock import LockFile, claim_of
from engine.paths import BootError
from engine.recovery import Boot, boot
from engine.session_file import read_session, write_session
from machines.messages import CloseRequested
from machines.types import NS
from tests.live_engine import LiveEngine
from tests.sessions import copied, running, standing_text

#: What changes a disk: functions that are not written in Python, by name.
CHANGES = frozenset(
    "chmod close execute fchmod fsync ftruncate mkdir open pwrite rename replace unlink write "
    "commit rollback rmdir".split()
)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """What the second process of a session left when it was killed."""
    live = LiveEngine(tmp_path_factory.mktemp("left"), standing_text())
    boot(load(live.config)).journal.close()
    with running(live) as process:
        process.say(CloseRequested(process.kernel.now, "eth", "TAKE_PROFIT"))
        process.run(NS // 10)
        return copied(live, tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def finished(unfinished: LiveEngine, tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """The same, ended and marked as finished."""
    live = copied(unfinished, tmp_path_factory.mktemp("finished"))
    started = boot(load(live.config))
    started.mark(finished=True)
    started.journal.close()
    return live


def snapshots(live: LiveEngine, folder: Path, start: Callable[[], object]) -> list[LiveEngine]:
    """The files as a kill would leave them before each change that `start` makes to the disk."""
    seen: set[tuple[tuple[str, bytes], ...]] = set()
    found: list[LiveEngine] = []

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event != "c_call" or argument.__name__ not in CHANGES:
            return
        held = contents(live)
        if held not in seen:
            seen.add(held)
            place = folder / str(len(found))
            place.mkdir()
            if live.paths.directory.exists():
                found.append(copied(live, place))
            else:
                shutil.copy(live.config, place)
                found.append(LiveEngine(place, live.config.read_text()))

    sys.setprofile(look)
    try:
        start()
    finally:
        sys.setprofile(None)
    return found


def contents(live: LiveEngine) -> tuple[tuple[str, bytes], ...]:
    there = live.paths.directory.rglob("*")
    return tuple(
        sorted((os.fspath(each), b"" if each.is_dir() else each.read_bytes()) for each in there)
    )


def started(live: LiveEngine, *, fresh: bool = False) -> Callable[[], None]:
    def start() -> None:
        boot(load(live.config), fresh=fresh).journal.close()

    return start


def known(live: LiveEngine) -> int:
    claim = claim_of(live.paths.lock)
    return claim.epoch if claim else 0


@pytest.mark.slow  # starts once for each of some thirty moments
def test_a_first_start_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, standing_text())
    left = snapshots(live, tmp_path, started(live))
    assert len(left) > 10
    for each in left:
        begun = boot(load(each.config))
        begun.journal.close()
        assert (begun.is_first, begun.lost, begun.notes) == (True, "", [])


@pytest.mark.slow  # starts once for each of some twenty moments
def test_a_start_that_puts_a_finished_session_aside_may_be_killed_at_any_moment(
    finished: LiveEngine, tmp_path: Path
) -> None:
    live = copied(finished, tmp_path)
    before = known(live)
    left = snapshots(live, tmp_path, started(live))
    assert len(left) > 15
    for each in left:
        begun = boot(load(each.config))
        begun.journal.close()
        assert (begun.is_first, begun.lost) == (True, "")
        assert begun.journal.epoch > before, "an order number may come back"


def test_a_start_that_goes_on_may_be_killed_at_any_moment(
    unfinished: LiveEngine, tmp_path: Path
) -> None:
    live = copied(unfinished, tmp_path)
    before = known(live)
    left = snapshots(live, tmp_path, started(live))
    assert len(left) > 5
    for each in left:
        begun = boot(load(each.config))
        begun.journal.close()
        assert (begun.is_first, begun.lost) == (False, "")
        assert begun.journal.epoch > before


@pytest.mark.slow  # starts once or twice for each of some fifty moments
@pytest.mark.parametrize("lock_is_there", [True, False])
def test_a_fresh_start_may_be_killed_at_any_moment_and_what_is_left_is_begun_or_named(
    unfinished: LiveEngine, tmp_path: Path, lock_is_there: bool
) -> None:
    live = copied(unfinished, tmp_path)
    before = known(live)
    if not lock_is_there:
        live.paths.lock.unlink()
    left = snapshots(live, tmp_path, started(live, fresh=True))
    assert len(left) > 20
    for each in left:
        # The session file goes last: an interrupted move is seen, and named.
        anew = _begun(each, refusable=each.paths.session.exists())
        assert anew.journal.epoch > before, "an order number may come back"


def _begun(live: LiveEngine, *, refusable: bool) -> Boot:
    """Start, where that may be refused with --fresh."""
    try:
        begun = boot(load(live.config))
    except (BootError, JournalError):
        if not refusable:
            raise
        begun = boot(load(live.config), fresh=True)
    begun.journal.close()
    return begun


# ---------------------------------------------------------------- what earlier versions left


def without_session(live: LiveEngine, epoch: int) -> None:
    """A journal without records beside the lock file of the session before it."""
    lock = LockFile(live.paths.lock)
    last, seq = lock.epoch, lock.seq
    lock.release()
    started(live, fresh=True)()
    live.paths.session.unlink()
    live.paths.books.rmdir()
    with sqlite3.connect(live.paths.journal) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
    connection.close()
    lock = LockFile(live.paths.lock)
    lock.store(last, seq or 0)
    lock.release()


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_journal_that_nothing_belongs_to_yet_is_begun(
    unfinished: LiveEngine, tmp_path: Path, epoch: int
) -> None:
    live = copied(unfinished, tmp_path)
    assert known(live) == 2
    without_session(live, epoch)
    begun = boot(load(live.config))
    begun.journal.close()
    assert (begun.is_first, begun.lost) == (True, "")
    assert begun.journal.epoch == max(epoch, 2) + 1


def test_a_journal_that_has_lost_all_of_its_records_is_not_begun_anew(
    unfinished: LiveEngine, tmp_path: Path
) -> None:
    live = copied(unfinished, tmp_path)
    without_session(live, 2)
    with pytest.raises((BootError, JournalError), match="--fresh"):
        boot(load(live.config))


def test_an_empty_journal_with_books_or_a_session_file_is_not_begun_anew(
    unfinished: LiveEngine, tmp_path: Path
) -> None:
    live = copied(unfinished, tmp_path)
    session = read_session(live.paths.session)
    assert session is not None
    without_session(live, 0)
    shutil.copytree(unfinished.paths.books, live.paths.books)
    with pytest.raises(JournalError, match="the lock file knows of process start 2"):
        boot(load(live.config))
    shutil.rmtree(live.paths.books)
    write_session(live.paths.session, session)
    with pytest.raises(JournalError, match="the lock file knows of process start 2"):
        boot(load(live.config))
