"""A disk without room refuses a start, says so, and leaves nothing that stops the next one."""

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import journal_file
from engine.config import load
from engine.journal import open_journal
from engine.journal_connection import JournalConnection
from engine.journal_errors import (
    ROOM_MIN_BYTES,
    DiskFull,
    JournalError,
    JournalLocked,
    explained,
)
from engine.paths import BootError
from engine.recovery import boot
from tests.live_engine import LiveEngine
from tests.sessions import standing_text


@pytest.fixture
def file_size() -> Iterator[None]:
    """The bound of a file's size is as before at the end."""
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, bounds)


def bound_files(size: int) -> None:
    """Let no file grow beyond `size` bytes: writes fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


class Filling(JournalConnection):
    """Beside which the disk is full once its log holds everything."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT":
            bound_files(4096)
        return cursor


@pytest.mark.usefixtures("file_size")
def test_a_journal_of_which_a_part_is_in_its_log_still_does_not_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    monkeypatch.setattr(journal_file, "JournalConnection", Filling)
    with pytest.raises(JournalError, match="disk"):
        open_journal(path)
    bound_files(resource.RLIM_INFINITY)
    assert [each.name for each in tmp_path.iterdir()] == ["journal.db.lock"]
    monkeypatch.undo()
    open_journal(path).close()


def test_a_journal_that_somebody_reads_while_it_is_made_does_not_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Read(JournalConnection):
        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            if sql.startswith("PRAGMA wal_checkpoint"):
                return SimpleNamespace(fetchone=lambda: (1, 5, 0))
            return super().execute(sql, parameters)

    monkeypatch.setattr(journal_file, "JournalConnection", Read)
    with pytest.raises(JournalLocked, match="while it is made"):
        open_journal(tmp_path / "journal.db")
    assert [each.name for each in tmp_path.iterdir()] == ["journal.db.lock"]


@pytest.mark.parametrize(
    ("free", "kind", "words"),
    [
        (0, DiskFull, "the disk is full"),
        (ROOM_MIN_BYTES - 4096, DiskFull, "the disk is full"),
        (ROOM_MIN_BYTES, JournalError, "the disk failed"),
    ],
)
def test_a_write_that_failed_is_called_by_its_cause(
    monkeypatch: pytest.MonkeyPatch, free: int, kind: type[JournalError], words: str
) -> None:
    disk = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    found = explained("var/journal.db", error)
    assert type(found) is kind
    assert words in str(found)


# ---------------------------------------------------------------- a disk of its own


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; skips where this user may make none."""
    folder, mount = tmp_path / "disk", shutil.which("mount")
    folder.mkdir()
    made = mount is not None and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "unwind", folder], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    umount = shutil.which("umount")
    assert umount is not None
    subprocess.run([umount, folder], check=True)


@pytest.mark.slow  # starts twice for each of some forty amounts of room
def test_a_first_start_on_a_full_disk_is_gone_on_with_once_there_is_room(disk: Path) -> None:
    refused = 0
    for room in range(0, 160, 4):
        folder, ballast = disk / str(room), disk / "ballast"
        folder.mkdir()
        live = LiveEngine(folder, standing_text())
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - (room << 10)))
        try:
            boot(load(live.config)).journal.close()
        except (BootError, JournalError) as error:
            refused += 1
            said = str(error)
            assert "full" in said or os.strerror(errno.ENOSPC) in said, said
        ballast.unlink()
        again = boot(load(live.config))
        assert (again.is_first, again.lost) == (True, "")
        again.journal.close()
        shutil.rmtree(folder)
    assert 5 < refused < 40
