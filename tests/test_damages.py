"""Whatever is damaged in the files of a killed session, nothing is lost without a word.

`python -m tests.damages` tries more of it and prints a table.
"""

import shutil
from pathlib import Path

import pytest

from engine.config import load
from engine.journal import read_journal
from engine.journal_errors import DamagedLog
from engine.journal_log import look
from engine.recovery import boot
from tests.damages import HALTED, REFUSED, SAME, SILENT, Session, damages, judged, make_session
from tests.sessions import copied

HEADER, FRAME = 32, 24 + 4096
SEEDS = range(1, 61)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return make_session(tmp_path_factory.mktemp("session"))


@pytest.mark.slow  # sixty starts of a session
def test_no_damage_of_one_file_is_silent(session: Session, tmp_path: Path) -> None:
    found = damages(session, SEEDS, tmp_path)
    assert [each for each in found if each.outcome == SILENT] == []
    assert {each.outcome for each in found} == {REFUSED, SAME, HALTED}


def test_whole_files_make_the_same_decisions(session: Session, tmp_path: Path) -> None:
    assert judged(session, copied(session.whole, tmp_path)) == (SAME, "")


@pytest.mark.slow  # a start per frame of the log
@pytest.mark.parametrize("place", [6, 24 + 1000])
def test_a_flip_in_any_frame_of_a_session_is_refused_by_a_start_and_by_a_reader(
    session: Session, tmp_path: Path, place: int
) -> None:
    count = look(session.whole.paths.journal, alone=True).end
    assert count > 20
    for frame in range(count - 1):
        live = copied(session.whole, tmp_path / str(frame))
        with live.paths.beside("-wal").open("r+b") as log:
            log.seek(HEADER + frame * FRAME + place)
            (byte,) = log.read(1)
            log.seek(-1, 1)
            log.write(bytes([byte ^ 4]))
        with pytest.raises(DamagedLog) as started:
            boot(load(live.config))
        with pytest.raises(DamagedLog) as read:
            list(read_journal(live.paths.journal))
        assert started.value.record == read.value.record
        assert f"record {started.value.record} is the first" in str(started.value)
        shutil.rmtree(live.paths.directory)


@pytest.mark.slow  # two starts and a run per frame of the log
def test_a_log_cut_anywhere_starts_halted_and_says_what_is_missing(
    session: Session, tmp_path: Path
) -> None:
    whole = session.whole.paths.beside("-wal").read_bytes()
    for frame in range(len(whole) // FRAME):
        for length in (HEADER + frame * FRAME, HEADER + frame * FRAME + 1 + frame * 97 % FRAME):
            live = copied(session.whole, tmp_path / str(length))
            live.paths.beside("-wal").write_bytes(whole[:length])
            outcome, said = judged(session, live)
            assert outcome == HALTED
            assert "are missing at its end" in said
            shutil.rmtree(live.paths.directory)
