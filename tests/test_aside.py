"""`--fresh` puts aside whatever is there, in any state: nothing is lost, no order id comes back."""

import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.aside import ASSUMED
from engine.config import load
from engine.journal import JournalError
from engine.journal_errors import JournalLocked
from engine.lock import LockFile, claim_of
from engine.paths import BootError
from engine.recovery import Boot, boot
from machines.messages import CloseRequested
from machines.types import NS
from tests.live_engine import LiveEngine
from tests.sessions import copied, running, standing_text


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """An unfinished session of the third start, with orders of the third start in its books."""
    live = LiveEngine(tmp_path_factory.mktemp("left"), standing_text())
    for _ in range(2):
        boot(load(live.config)).journal.close()
    with running(live) as process:
        process.say(CloseRequested(process.kernel.now, "eth", "TAKE_PROFIT"))
        process.run(NS // 10)
        assert process.boot.journal.epoch == 3
        return copied(live, tmp_path_factory.mktemp("killed"))


@pytest.fixture
def live(left: LiveEngine, tmp_path: Path) -> LiveEngine:
    return copied(left, tmp_path)


def contents(live: LiveEngine) -> list[bytes]:
    """What all files hold, under whatever name.

    But for the lock file, and the index of the log, which every reading makes anew.
    """
    files = [each for each in live.paths.directory.rglob("*") if each.is_file()]
    files = [each for each in files if each != live.paths.lock and "-shm" not in each.name]
    return sorted(each.read_bytes() for each in files)


def started_over(live: LiveEngine) -> Boot:
    """Start with --fresh; all that was there is there still, under one date."""
    before = contents(live)
    started = boot(load(live.config), fresh=True)
    started.journal.close()
    assert started.is_first
    assert not started.lost
    after = contents(live)
    for data in before:
        assert data in after or not data, "something was deleted"
        after.remove(data)
    stamps = {each.name.split("Z")[0][-15:] for each in live.paths.directory.glob("*.*Z*")}
    assert len(stamps) <= 1
    return started


def nothing(live: LiveEngine) -> None:
    pass


def no_journal(live: LiveEngine) -> None:
    live.paths.journal.unlink()


def no_journal_nor_log(live: LiveEngine) -> None:
    no_journal(live)
    live.paths.beside("-wal").unlink()


def no_session(live: LiveEngine) -> None:
    live.paths.session.unlink()


def torn_session(live: LiveEngine) -> None:
    live.paths.session.write_bytes(b"{")


def session_that_is_a_folder(live: LiveEngine) -> None:
    live.paths.session.unlink()
    live.paths.session.mkdir()


def torn_lock(live: LiveEngine) -> None:
    live.paths.lock.write_bytes(b"0000x\n")


def lock_of_nonsense(live: LiveEngine) -> None:
    live.paths.lock.write_bytes(b"99999999999999999999\n")


def no_lock(live: LiveEngine) -> None:
    live.paths.lock.unlink()


def lock_that_is_a_folder(live: LiveEngine) -> None:
    live.paths.lock.unlink()
    live.paths.lock.mkdir()


def lock_that_is_a_link(live: LiveEngine) -> None:
    live.paths.lock.unlink()
    live.paths.lock.symlink_to("elsewhere")


def journal_that_is_a_letter(live: LiveEngine) -> None:
    live.paths.journal.write_bytes(b"Dear reader,\n" * 500)


def journal_that_is_a_folder(live: LiveEngine) -> None:
    live.paths.journal.unlink()
    live.paths.journal.mkdir()
    (live.paths.journal / "file").write_text("x")


def journal_of_another_program(live: LiveEngine) -> None:
    live.paths.journal.unlink()
    live.paths.beside("-wal").unlink()
    with closing(sqlite3.connect(live.paths.journal)) as connection:
        connection.execute("CREATE TABLE meta (key, value)")


def half_made_journal(live: LiveEngine) -> None:
    no_journal(live)
    live.paths.beside(".new").write_bytes(b"half a journal")
    live.paths.beside(".new-journal").write_bytes(b"and its log")


def damaged_log(live: LiveEngine) -> None:
    with live.paths.beside("-wal").open("r+b") as file:
        file.seek(9)
        file.write(b"x")


def damaged_book(live: LiveEngine) -> None:
    live.paths.book("one").write_bytes(b"no book")


def books_that_are_a_file(live: LiveEngine) -> None:
    for name in ("one", "two"):
        live.paths.book(name).unlink()
    live.paths.books.rmdir()
    live.paths.books.write_text("books")


def socket_left_over(live: LiveEngine) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(live.paths.socket))


def file_in_place_of_the_socket(live: LiveEngine) -> None:
    live.paths.socket.write_text("notes of a person")


@pytest.mark.parametrize(
    "state",
    [
        nothing,
        no_journal,
        no_journal_nor_log,
        no_session,
        torn_session,
        session_that_is_a_folder,
        torn_lock,
        lock_of_nonsense,
        no_lock,
        lock_that_is_a_folder,
        lock_that_is_a_link,
        journal_that_is_a_letter,
        journal_that_is_a_folder,
        journal_of_another_program,
        half_made_journal,
        damaged_log,
        damaged_book,
        books_that_are_a_file,
        socket_left_over,
        file_in_place_of_the_socket,
    ],
)
def test_whatever_is_there_is_put_aside_and_starts_go_on(
    live: LiveEngine, state: Callable[[LiveEngine], None]
) -> None:
    state(live)
    started = started_over(live)
    assert started.journal.epoch == 4, "the third start's ids could come back"
    assert "put the earlier session aside" in started.notes[0]
    left_over = {live.paths.journal.name, live.paths.lock.name, live.paths.session.name, "books"}
    named = {each.name for each in live.paths.directory.iterdir() if "Z" not in each.name}
    assert named == left_over
    boot(load(live.config)).journal.close()


def test_a_damaged_lock_file_is_kept_under_the_date_too(live: LiveEngine) -> None:
    torn_lock(live)
    started = started_over(live)
    (kept,) = live.paths.directory.glob("journal.db.*Z.lock")
    assert kept.read_bytes() == b"0000x\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (
        "the lock file was damaged, 3 is the newest process start that is named"
        in (started.notes[0])
    )


def test_books_name_the_newest_start_where_journal_and_lock_file_do_not(live: LiveEngine) -> None:
    no_journal_nor_log(live)
    torn_lock(live)
    assert started_over(live).journal.epoch == 4


@pytest.mark.parametrize("lock", [torn_lock, no_lock])
def test_where_nothing_names_a_start_a_safe_number_is_assumed_and_said(
    live: LiveEngine, lock: Callable[[LiveEngine], None]
) -> None:
    journal_that_is_a_letter(live)
    live.paths.beside("-wal").unlink()
    damaged_book(live)
    live.paths.book("two").unlink()
    lock(live)
    started = started_over(live)
    assert started.journal.epoch == ASSUMED + 1
    assert f"{ASSUMED} times are assumed" in started.notes[0]


def test_what_is_assumed_lies_beyond_every_archived_session(live: LiveEngine) -> None:
    started_over(live)
    journal_that_is_a_letter(live)
    torn_lock(live)
    started = boot(load(live.config), fresh=True)
    started.journal.close()
    assert started.journal.epoch == 3 + ASSUMED + 1


def test_a_damaged_number_in_the_journal_is_no_process_start(live: LiveEngine) -> None:
    with closing(sqlite3.connect(live.paths.journal, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = 1 << 40 WHERE key = 'epoch'")
    assert started_over(live).journal.epoch == 4


def test_with_nothing_there_a_fresh_start_is_a_first_one(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, standing_text())
    started = started_over(live)
    assert (started.journal.epoch, started.notes) == (1, [])


def test_a_running_engine_is_not_put_aside(live: LiveEngine) -> None:
    lock = LockFile(live.paths.lock)
    before = contents(live)
    with pytest.raises(JournalError, match="another process is running"):
        boot(load(live.config), fresh=True)
    lock.release()
    assert contents(live) == before


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("more", ["", 'socket = "other.sock"\nbooks = "other"\n'])
def test_an_engine_with_another_journal_in_the_same_folder_is_not_put_aside_nor_joined(
    live: LiveEngine, fresh: bool, more: str
) -> None:
    """Books and socket do not bear the journal's name, and whoever shares them trades twice."""
    socket_left_over(live)
    running = boot(load(live.config))
    before = contents(live)
    other = f'[engine]\njournal = "other.db"\nlog = "other.log"\n{more}'
    live.config.write_text(live.config.read_text().replace("[engine]\n", other))
    with pytest.raises(JournalLocked, match=r"on another one in its folder.*engine\.directory"):
        boot(load(live.config), fresh=fresh)
    assert contents(live) == before
    assert live.paths.socket.is_socket()
    running.journal.close()
    boot(load(live.config), fresh=True).journal.close()


def test_a_lock_file_that_is_a_link_is_not_moved_under_a_running_engine(live: LiveEngine) -> None:
    running = boot(load(live.config))
    lock_that_is_a_link(live)
    with pytest.raises(JournalLocked, match="another process is running"):
        boot(load(live.config), fresh=True)
    assert live.paths.lock.is_symlink()
    running.journal.close()


def test_a_move_that_fails_is_told_and_the_rest_is_put_aside_by_the_next(
    live: LiveEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self == live.paths.beside("-wal"):
            raise OSError(30, "Read-only file system")
        return rename(self, target)

    before = contents(live)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(BootError, match="cannot be archived"):
        boot(load(live.config), fresh=True)
    monkeypatch.undo()
    assert contents(live) == before
    with pytest.raises((BootError, JournalError), match="--fresh"):
        boot(load(live.config))
    started = boot(load(live.config), fresh=True)
    started.journal.close()
    assert started.journal.epoch == 4
    assert claim_of(live.paths.lock) is not None
