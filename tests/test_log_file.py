"""The log: for its user alone, bounded, and no reason to stop."""

import errno
import os
from pathlib import Path

import pytest

from engine.log_file import KEPT, LogFile


def logs(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime_ns)


def test_logs_that_are_put_aside_are_bounded_and_for_their_user_alone(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        log = LogFile(tmp_path / "unwind.log", bytes_max=10)
        for number in range(KEPT + 3):
            log.write(f"message {number}\n")
        log.write("last\n")
        log.stop()
    finally:
        os.umask(umask)
    files = logs(tmp_path)
    assert [each.read_text() for each in files] == [
        *(f"message {number}\n" for number in range(3, KEPT + 3)), "last\n",
    ]  # fmt: skip
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


def test_a_log_goes_on_behind_what_is_there_and_writes_what_is_no_text_by_number(
    tmp_path: Path,
) -> None:
    path = tmp_path / "unwind.log"
    path.write_text("earlier\n")
    path.chmod(0o644)
    log = LogFile(path)
    log.write("now \udcff\n")
    log.stop()
    assert path.read_text() == "earlier\nnow \\udcff\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_on_a_full_disk_is_told_of_once_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LogFile(tmp_path / "unwind.log")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.write("lost\n")
        log.write("lost as well\n")
    log.write("kept\n")
    log.stop()
    assert (tmp_path / "unwind.log").read_text() == "kept\n"
    (said,) = capsys.readouterr().err.splitlines()
    assert "the log cannot be written" in said
    assert "No space left on device" in said


def test_a_log_is_written_as_a_whole_where_the_system_takes_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    log = LogFile(tmp_path / "unwind.log")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        log.write("a whole message\n")
    log.stop()
    assert (tmp_path / "unwind.log").read_text() == "a whole message\n"


def test_a_pipe_in_place_of_the_log_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "unwind.log")
    with pytest.raises(OSError, match="No such device"):
        LogFile(tmp_path / "unwind.log")
