"""A start believes what is left only as far as journal, lock file, books and session file agree."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.aside import Aside
from engine.books import LOST_TAIL, Book, Heard, read_books
from engine.config import load
from engine.control import CommandWanted, ControlError, StatusWanted, ask
from engine.journal import JournalError, Record, read_journal
from engine.journal_errors import OlderJournal, RestoredJournal, RestoredLock
from engine.recovery import BootError, boot
from engine.session_file import Session, read_session, write_session
from engine.venue_actor import BookError
from machines.messages import (
    CloseRequested,
    EngineStarted,
    FillReported,
    OperatorCommanded,
    OrderReported,
    Place,
    PositionDeclared,
)
from machines.types import NS
from tests.live_engine import LIMIT_S, LiveEngine, read_until
from tests.sessions import PERSON, Process, copied, running, standing_text

HEADER, FRAME = 32, 24 + 4096


def closing_one_and_resting_another(process: Process) -> None:
    """Close one pair for good, let another rest, and have a person halt it."""
    now = process.kernel.now
    process.say(CloseRequested(now, "btc", "MANUAL", urgency="immediate"))
    process.run(NS)
    process.say(CloseRequested(process.kernel.now, "eth", "TAKE_PROFIT"))
    process.run(NS // 10)
    process.say(OperatorCommanded(process.kernel.now, "halt", by=PERSON))
    process.run(NS // 10)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """What a process left that was killed while it was halted by a person."""
    live = LiveEngine(tmp_path_factory.mktemp("left"), standing_text())
    with running(live) as process:
        closing_one_and_resting_another(process)
        return copied(live, tmp_path_factory.mktemp("killed"))


@pytest.fixture
def live(left: LiveEngine, tmp_path: Path) -> LiveEngine:
    return copied(left, tmp_path)


def cut(live: LiveEngine, frames: int) -> None:
    """Take frames off the end of the log."""
    log = live.paths.beside("-wal")
    os.truncate(log, log.stat().st_size - frames * FRAME)


def records(live: LiveEngine) -> list[Record]:
    return list(read_journal(live.paths.journal))


def commands(of: list[Record]) -> list[tuple[str, str]]:
    return [
        (each.fact.command, each.fact.by) for each in of if isinstance(each.fact, OperatorCommanded)
    ]


def placed(of: list[Record]) -> Counter[int]:
    return Counter(each.order for record in of for each in record.intents if type(each) is Place)


# ---------------------------------------------------------------- a lost end


def test_what_is_whole_goes_on_where_it_was(live: LiveEngine) -> None:
    before = records(live)
    with running(live) as process:
        assert process.boot.lost == ""
        assert process.boot.notes == []
        assert process.boot.core.env.halted_by == PERSON
    assert records(live)[: len(before)] == before
    assert commands(records(live)) == [("halt", PERSON)]


@pytest.mark.parametrize("frames", [1, 3, 12])
def test_a_halt_that_was_lost_with_the_end_of_the_log_is_not_undone(
    live: LiveEngine, frames: int
) -> None:
    cut(live, frames)
    with running(live) as process:
        (note,) = process.boot.notes
        assert "are missing at its end" in note
        assert "starts halted" in note
        assert "unwind resume" in note
        process.run(30 * NS)
        first = process.boot.journal.epoch
        since = [each for each in process.boot.journal.read() if each.seq > first_of(live, first)]
        assert not placed(since)
    told = [each for each in records(live) if each.seq >= first_of(live, 2)]
    assert isinstance(told[0].fact, EngineStarted)
    assert commands(told[:2]) == [("halt", LOST_TAIL)]


def first_of(live: LiveEngine, epoch: int) -> int:
    """The record with which a process began."""
    starts = [r for r in read_journal(live.paths.journal) if r.fact == EngineStarted(r.at, epoch)]
    return starts[0].seq


@pytest.mark.parametrize("frames", [1, 8, 12, 21, 28])
def test_after_a_person_resumes_it_goes_on_and_sends_nothing_twice(
    live: LiveEngine, left: LiveEngine, frames: int
) -> None:
    sent = set(placed(records(left)))
    cut(live, frames)
    with running(live) as process:
        process.run(2 * NS)
        process.say(OperatorCommanded(process.kernel.now, "resume", by=PERSON))
        for pair in ("eth", "btc", "one:SOL"):
            asked = CloseRequested(process.kernel.now, pair, "MANUAL", urgency="immediate")
            process.say(asked)
        process.run(60 * NS)
        positions = {
            index: qty for port in process.ports.values() for index, qty in port.positions().items()
        }
        assert set(positions.values()) == {0}
        assert not process.boot.is_held
    mine = placed(records(live))
    assert set(mine.values()) == {1}
    assert not {order for order in mine if order >> 40 == 2} & sent


def test_what_was_lost_is_told_once(live: LiveEngine, tmp_path: Path) -> None:
    cut(live, 10)
    with running(live) as process:
        assert len(process.boot.lost) > 0
        killed = copied(live, tmp_path / "held")
        process.say(OperatorCommanded(process.kernel.now, "resume", by=PERSON))
        resumed = copied(live, tmp_path / "resumed")
    with running(killed) as process:
        assert process.boot.lost == ""
        assert "halted since a start that found" in process.boot.notes[0]
        assert process.boot.core.env.halted
    with running(resumed) as process:
        assert (process.boot.lost, process.boot.notes) == ("", [])
        assert not process.boot.core.env.halted


def test_a_start_that_is_killed_before_its_first_word_forgets_nothing(live: LiveEngine) -> None:
    cut(live, 4)
    for _ in range(3):
        started = boot(load(live.config))
        assert "are missing at its end" in started.lost
        started.journal.close()


def test_orders_that_only_a_book_knows_tell_of_a_lost_end(live: LiveEngine) -> None:
    cut(live, 12)
    live.paths.lock.write_bytes(live.paths.lock.read_bytes()[:21])  # of an earlier version
    with running(live) as process:
        assert "it does not know 2 orders that the venues' books show" in process.boot.lost
        assert process.boot.core.env.halted_by == LOST_TAIL
        process.run(5 * NS)
        process.say(OperatorCommanded(process.kernel.now, "resume", by=PERSON))
    with running(live) as process:
        assert process.boot.lost == "", "those orders are known to be lost"


def test_a_log_that_was_removed_starts_halted_with_the_configured_positions(
    live: LiveEngine,
) -> None:
    live.paths.beside("-wal").unlink()
    with running(live) as process:
        assert "records 1 to" in process.boot.lost
        assert process.boot.core.env.halted
    declared = [each for each in records(live) if type(each.fact) is PositionDeclared]
    assert len(declared) == len(process.boot.config.positions)


def test_a_log_that_was_removed_still_belongs_to_its_configuration(live: LiveEngine) -> None:
    live.paths.beside("-wal").unlink()
    live.config.write_text(standing_text().replace("backoff_ms = 50", "backoff_ms = 60"))
    with pytest.raises(BootError, match="another configuration; changed: pairs"):
        boot(load(live.config))


@pytest.fixture
def done(tmp_path: Path) -> LiveEngine:
    """What was left of a session whose every close had ended, halted at its end."""
    text = standing_text(closes=True).replace('reason = "', 'urgency = "immediate"\nreason = "')
    (tmp_path / "done").mkdir()
    live = LiveEngine(tmp_path / "done", text)
    with running(live) as process:
        for number, close in enumerate(process.boot.config.run.closes):
            asked = CloseRequested(
                process.kernel.now, close.pair, close.reason, close.urgency, by=f"run:{number}"
            )
            process.say(asked)
        process.run(30 * NS)
        assert process.boot.is_finished()
        process.say(OperatorCommanded(process.kernel.now, "halt", by=PERSON))
        return copied(live, tmp_path / "killed")


def test_a_session_that_is_done_is_put_aside(done: LiveEngine) -> None:
    started = boot(load(done.config))
    assert started.is_first
    assert "all pairs are flat already" in started.notes[0]
    started.journal.close()


def test_a_session_that_seems_done_is_not_put_aside_when_its_end_is_lost(
    done: LiveEngine,
) -> None:
    cut(done, 1)
    started = boot(load(done.config))
    assert not started.is_first
    assert started.lost
    started.journal.close()


@pytest.mark.slow  # the real process, which has to wait for a person
def test_a_run_that_seems_done_waits_for_a_person_when_its_end_is_lost(done: LiveEngine) -> None:
    cut(done, 1)
    with done.running() as process:
        seen = read_until(process, "session two", "> live")
        assert "so the engine starts halted" in seen
        status = ask(done.paths.socket, StatusWanted()).status
        assert status is not None
        assert status["halted"]
        with suppress(ControlError):  # nothing is left to do, so it may end before it answers
            ask(done.paths.socket, CommandWanted("resume"))
        output, errors = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, ""), output


# ---------------------------------------------------------------- what contradicts the journal


def without_journal(live: LiveEngine) -> None:
    live.paths.journal.unlink()
    live.paths.beside("-wal").unlink()


def without_journal_and_lock(live: LiveEngine) -> None:
    without_journal(live)
    live.paths.lock.unlink()


def with_books_alone(live: LiveEngine) -> None:
    without_journal_and_lock(live)
    live.paths.session.unlink()


def with_the_session_file_alone(live: LiveEngine) -> None:
    without_journal_and_lock(live)
    for name in ("one", "two"):
        live.paths.book(name).unlink()


def with_the_log_alone(live: LiveEngine) -> None:
    with_the_session_file_alone(live)
    live.paths.session.unlink()
    live.paths.beside("-wal").write_bytes(b"a log")


@pytest.mark.parametrize(
    "damage",
    [
        without_journal,
        without_journal_and_lock,
        with_books_alone,
        with_the_session_file_alone,
        with_the_log_alone,
    ],
)
def test_a_journal_that_is_gone_is_missed_while_anything_of_it_is_left(
    live: LiveEngine, damage: Callable[[LiveEngine], None]
) -> None:
    damage(live)
    for _ in range(2):
        with pytest.raises((BootError, JournalError), match=r"older copy or removed.*--fresh"):
            boot(load(live.config))
        assert not live.paths.journal.exists()


def test_an_old_lock_file_alone_is_a_first_start_with_new_ids(live: LiveEngine) -> None:
    with_the_session_file_alone(live)
    live.paths.session.unlink()
    live.paths.lock.write_bytes(b"00000000000000000041\n")
    started = boot(load(live.config))
    assert (started.journal.epoch, started.is_first, started.lost) == (42, True, "")
    started.journal.close()


def test_a_lock_file_older_than_the_journal_is_refused(live: LiveEngine, left: LiveEngine) -> None:
    with running(live) as process:
        process.run(NS)
    live.paths.lock.write_bytes(left.paths.lock.read_bytes())
    with pytest.raises(RestoredLock, match="--fresh"):
        boot(load(live.config))


def test_books_of_a_later_start_refuse_an_older_journal_however_often_it_is_tried(
    live: LiveEngine, left: LiveEngine
) -> None:
    with running(live) as process:
        process.say(OperatorCommanded(process.kernel.now, "resume", by=PERSON))
        process.run(30 * NS)
    for path in (live.paths.journal, live.paths.beside("-wal"), live.paths.lock):
        path.unlink(missing_ok=True)
        path.write_bytes((left.paths.directory / path.name).read_bytes())
        path.chmod(0o600)
    for _ in range(3):
        with pytest.raises(RestoredJournal, match="the venues' books know of process start 2"):
            boot(load(live.config))


@pytest.mark.parametrize("name", ["one", "two"])
def test_an_older_copy_of_a_book_is_refused(live: LiveEngine, tmp_path: Path, name: str) -> None:
    with running(live) as process:
        before = copied(live, tmp_path / "before")
        process.say(OperatorCommanded(process.kernel.now, "resume", by=PERSON))
        process.run(30 * NS)
        after = copied(live, tmp_path / "after")
    after.paths.book(name).write_bytes(before.paths.book(name).read_bytes())
    with pytest.raises(BootError, match=r"do not show .*older copies.*--fresh"):
        boot(load(after.config))


def test_a_damaged_book_is_refused_before_the_journal_is_touched(live: LiveEngine) -> None:
    data = bytearray(live.paths.book("one").read_bytes())
    data[-1] ^= 1
    live.paths.book("one").write_bytes(data)
    lock = live.paths.lock.read_bytes()
    with pytest.raises(BookError, match="damaged"):
        boot(load(live.config))
    assert live.paths.lock.read_bytes() == lock


# ---------------------------------------------------------------- what was heard, and the books


def order(number: int, instrument: int = 0) -> Record:
    place = Place(1, number, instrument, 1, 5, None, "IOC", False, True, 2, 0, 1, "market", "x")
    return Record(1, 1, EngineStarted(1, 1), (), (place,), 0)


def heard(status: str, cum: int = 0) -> Record:
    return Record(2, 1, OrderReported(1, 1, 7, "stream", status, cum), (), (), 0)


@pytest.mark.parametrize(
    ("said", "shown", "missing"),
    [
        (heard("OPEN"), {7: (0, True)}, False),
        (heard("OPEN"), {7: (5, False)}, False),
        (heard("OPEN"), {}, True),
        (heard("PARTIALLY_FILLED", 2), {7: (1, True)}, True),
        (heard("CANCELED"), {7: (0, False)}, False),
        (heard("CANCELED"), {7: (0, True)}, True),
    ],
)
def test_a_book_must_show_at_least_what_was_heard(
    said: Record, shown: dict[int, tuple[int, bool]], *, missing: bool
) -> None:
    memory = Heard()
    memory.take(order(7))
    memory.take(said)
    found = memory.missing([Book(Path("one.book"), shown, set())])
    assert found == ("what was heard of order 7" if missing else "")


def test_an_order_that_a_venue_may_swallow_need_not_be_in_its_book() -> None:
    memory = Heard(frozenset({0}))
    memory.take(order(7))
    memory.take(heard("OPEN"))
    assert memory.missing([]) == ""
    memory.take(heard("PARTIALLY_FILLED", 1))
    assert memory.missing([]) == "what was heard of order 7"


def test_a_trade_that_was_heard_must_be_in_a_book(live: LiveEngine) -> None:
    memory = Heard()
    for record in read_journal(live.paths.journal):
        memory.take(record)
    books = read_books(live.paths.books)
    assert memory.missing(books) == ""
    fill = next(r.fact for r in read_journal(live.paths.journal) if type(r.fact) is FillReported)
    for book in books:
        book.trades.discard(fill.trade)
    assert memory.missing(books) == f"the trade {fill.trade}"


# ---------------------------------------------------------------- the session file


def test_any_flipped_bit_of_a_session_file_is_refused_or_changes_nothing(
    live: LiveEngine,
) -> None:
    path = live.paths.session
    whole, said = path.read_bytes(), read_session(path)
    assert said is not None
    for place in [*range(0, len(whole) - 120, 13), *range(len(whole) - 120, len(whole))]:
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            found = read_session(path)
        except ValueError:
            continue
        assert found is not None
        assert (found.shape, found.finished) == (said.shape, said.finished)


def test_a_session_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.db.session"
    path.write_bytes(b'{"shape":{"pairs":{}},"finished":true}')
    assert read_session(path) == Session({"pairs": {}}, True, -1, "")


def finished_at(live: LiveEngine, last: int) -> None:
    session = read_session(live.paths.session)
    assert session is not None
    write_session(live.paths.session, Session(session.shape, True, last))


@pytest.mark.parametrize("off", [-3, 5])
def test_a_session_that_ended_elsewhere_than_its_journal_is_not_finished(
    live: LiveEngine, off: int
) -> None:
    finished_at(live, len(records(live)) + off)
    started = boot(load(live.config))
    assert started.notes == []
    assert not started.is_first, "an unfinished session was put aside"
    started.journal.close()


def test_a_session_that_ended_where_its_journal_was_cut_is_not_finished(live: LiveEngine) -> None:
    cut(live, 3)
    for _ in range(2):
        started = boot(load(live.config))
        assert started.lost
        assert not started.is_first
        started.journal.close()
        finished_at(live, started.journal.last_seq)


def test_a_finished_session_is_put_aside_at_the_end_of_its_journal(live: LiveEngine) -> None:
    finished_at(live, len(records(live)))
    started = boot(load(live.config))
    assert started.is_first
    started.journal.close()


def test_a_session_of_older_machines_is_put_aside_if_it_is_finished_and_else_refused(
    live: LiveEngine,
) -> None:
    last = len(records(live))
    with closing(sqlite3.connect(live.paths.journal)) as connection, connection:
        connection.execute("UPDATE meta SET value = 1 WHERE key = 'machines'")
    with pytest.raises(OlderJournal, match="end that session with the program that began it"):
        boot(load(live.config))
    finished_at(live, last)
    started = boot(load(live.config))
    assert started.is_first
    started.journal.close()


def test_a_finished_session_without_its_journal_is_refused_unless_that_was_its_end(
    live: LiveEngine,
) -> None:
    last = len(records(live))
    without_journal(live)
    finished_at(live, last - 1)
    with pytest.raises(BootError, match="older copy or removed"):
        boot(load(live.config))
    finished_at(live, last)
    started = boot(load(live.config))
    assert started.is_first
    started.journal.close()


@pytest.mark.parametrize("moves", range(4))
def test_putting_a_finished_session_aside_is_gone_on_with_after_a_death(
    live: LiveEngine, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    finished_at(live, len(records(live)))
    done = [0]
    rename = Path.rename

    def dying(self: Path, target: Path) -> Path:
        if done[0] == moves and "Z" in target.name:
            raise OSError("killed")
        done[0] += 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(BootError, match="killed"):
        boot(load(live.config))
    monkeypatch.undo()
    started = boot(load(live.config))
    assert (started.is_first, started.lost) == (True, "")
    assert started.journal.epoch == 2
    started.journal.close()


# ---------------------------------------------------------------- the socket


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_no_socket_in_its_place_is_left_alone(live: LiveEngine, kind: str) -> None:
    path = live.paths.socket
    if kind == "file":
        path.write_text("notes")
    elif kind == "link":
        path.symlink_to("notes")
    else:
        path.mkdir()
    with pytest.raises(BootError, match="is no socket and is left alone"):
        boot(load(live.config))
    assert os.path.lexists(path)


def test_names_under_which_things_are_put_aside_are_free(live: LiveEngine) -> None:
    first = Aside(live.paths).name
    (live.paths.directory / first).touch()
    assert Aside(live.paths).name != first
