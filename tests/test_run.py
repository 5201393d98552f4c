"""`unwind run` as a person starts it: it ends flat, survives kill -9, and says what it leaves."""

import io
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import msgspec
import pytest
from rich.console import Console, Group
from rich.text import Text

from engine.board import LineBoard, TableBoard, make_board
from engine.clock import Clock, LiveScheduler
from engine.conductor import EXIT_FAILED, Conductor
from engine.config import load
from engine.journal import AsyncJournal, JournalError, Record, read_journal
from engine.journal_errors import DiskFull
from engine.live import Engine
from engine.pairs_table import status_parts
from engine.recovery import BootError, boot
from engine.snapshot import Watch, take_snapshot
from engine.supervisor import Supervisor
from engine.venue_actor import WAITING_MAX, BookError, BookFile, VenueActor
from engine.words import TABLES, why
from machines.messages import (
    Alarm,
    CallLost,
    CloseRequested,
    Command,
    Connect,
    EngineStarted,
    Fact,
    InstrumentTruth,
    LinkOpened,
    LinkStale,
    OperatorCommanded,
    Place,
    PositionDeclared,
    ReadTruth,
    TruthRead,
)
from machines.table import Transition
from machines.types import NS, VenueSettings
from tests.live_engine import LIMIT_S, LiveEngine, config_text, read_until
from tests.rows import Bench
from venues.sim.state import VenueState


def is_flat(text: str) -> bool:
    return "3 of 3 flat on the venues' own books" in text


def venue_state(path: Path) -> VenueState:
    state = BookFile(path).load()
    assert state is not None
    return msgspec.msgpack.decode(state, type=VenueState)


# ---------------------------------------------------------------- the whole process


@pytest.mark.slow  # starts the real process twice and lets it close on the wall clock
def test_a_run_ends_flat_and_a_second_one_starts_anew(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    first = live.call("run")
    assert (first.returncode, first.stderr) == (0, "")
    assert is_flat(first.stdout)
    second = live.call("run")
    assert second.returncode == 0
    assert is_flat(second.stdout)
    assert "all pairs are flat already" in second.stdout
    (archived,) = live.paths.directory.glob("journal.db.*Z")
    both = [*read_journal(archived), *read_journal(live.paths.journal)]
    asked = [record.fact for record in both if isinstance(record.fact, CloseRequested)]
    assert len(asked) == 6
    epochs = [record.fact.epoch for record in both if isinstance(record.fact, EngineStarted)]
    assert epochs == [1, 2], "an epoch came back, and with it order ids"


def kill_often(live: LiveEngine, moments: list[int]) -> int:
    """Start the engine again and again, killing it when it has printed so many lines."""
    killed = 0
    for moment in moments:
        with live.running() as process:
            assert process.stdout is not None
            printed = [process.stdout.readline() for _ in range(moment)]
            if "" in printed or any("all pairs are flat" in line for line in printed):
                break
            process.send_signal(signal.SIGKILL)
            killed += process.wait(LIMIT_S) == -signal.SIGKILL
    return killed


@pytest.mark.slow  # the real process is started and killed up to seven times, then finishes
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([1, 4, 6, 7, 8, 9], id="early"),
        pytest.param([12, 9, 14, 10, 11, 13], id="late"),
    ],
)
def test_a_killed_run_is_taken_up_where_it_was_and_sends_nothing_twice(
    tmp_path: Path, moments: list[int]
) -> None:
    live = LiveEngine(tmp_path, config_text())
    killed = kill_often(live, moments)
    assert killed >= 1
    last = live.call("run")
    assert last.returncode == 0, last.stdout + last.stderr
    assert is_flat(last.stdout), last.stdout
    # The first session, wherever it is now: a start after its last close puts it aside.
    folder = live.paths.directory
    journal = min(folder.glob("journal.db.*Z"), default=live.paths.journal)
    books = min(folder.glob("books.*Z"), default=live.paths.books)
    records = list(read_journal(journal))
    assert sum(isinstance(record.fact, EngineStarted) for record in records) >= 2
    assert sum(isinstance(record.fact, CloseRequested) for record in records) == 3
    placed = Counter(each.order for r in records for each in r.intents if isinstance(each, Place))
    assert set(placed.values()) == {1}, "an order number was used twice"
    lost = [record.fact for record in records if isinstance(record.fact, CallLost)]
    assert not [fact for fact in lost if fact.cause == "duplicate id"], "an order was sent twice"
    for name in ("one", "two"):
        state = venue_state(books / f"{name}.book")
        assert {holding.instrument: holding.qty for holding in state.holdings} == dict.fromkeys(
            (holding.instrument for holding in state.holdings), 0
        )
        for order in state.orders:
            assert order.number in placed, "the venue has an order without a journaled intent"
            assert order.cum <= order.qty
            assert order.state in ("FILLED", "CANCELED", "EXPIRED", "REJECTED")


@pytest.mark.slow  # a real process, stopped while its closes are waiting for a market
def test_ctrl_c_parks_what_is_open_and_the_next_run_finishes_it(tmp_path: Path) -> None:
    waits = config_text().replace(
        "[close.passive_limit]\ntimeout_s = 0.4", "[close.passive_limit]\ntimeout_s = 20"
    )
    quiet = waits.replace("trade_rate_per_s = 2", "trade_rate_per_s = 0").replace(
        "vol_bps_per_sqrt_s = 1", "vol_bps_per_sqrt_s = 0"
    )
    # Only what waits passively is begun, so that nothing can be naked when the signal comes.
    live = LiveEngine(tmp_path, quiet.replace("at_s = 0.15", "at_s = 20"))
    with live.running() as process:
        seen = read_until(process, "close one:SOL", "> passive_limit")
        assert "close eth" in seen
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 130, output
        assert errors == ""
    assert "no new closes" in output
    assert "eth: NOT ENDED (passive_limit)" in output
    assert "left: eth one:ETH 0.5, two:ETH -0.5 (passive_limit)" in output
    assert "goes on with the next: unwind run" in output
    for name in ("one", "two"):
        for order in venue_state(live.paths.book(name)).orders:
            assert order.state == "CANCELED", "an order was left at the venue"
    assert not live.paths.socket.exists()
    commands = [
        (record.fact.command, record.fact.by)
        for record in read_journal(live.paths.journal)
        if isinstance(record.fact, OperatorCommanded)
    ]
    assert commands == [("halt", "engine:stop")]
    with live.running() as process:
        read_until(process, "leg one:SOL waiting > passive_limit")
        killed = live.call("kill")
        assert (killed.returncode, killed.stdout) == (0, "kill: closing everything\n")
        output, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, output
        assert is_flat(output)


@pytest.mark.slow  # three starts of the real process
def test_a_changed_configuration_is_refused_until_the_session_is_put_aside(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    with live.running() as process:
        read_until(process, "close eth", "passive_limit")
        process.kill()
        process.wait(LIMIT_S)
    live.config.write_text(config_text(tick_one="0.02"), encoding="utf-8")
    before = live.paths.journal.read_bytes()
    refused = live.call("run")
    assert refused.returncode == 2
    assert "changed: instruments.one:ETH." in refused.stderr
    assert "--fresh" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert live.paths.journal.read_bytes()[:96] == before[:96]
    fresh = live.call("run", "--fresh")
    assert fresh.returncode == 0, fresh.stderr
    assert is_flat(fresh.stdout)


# ---------------------------------------------------------------- refusals at the start


def begun(live: LiveEngine) -> None:
    """Leave a session with one record and a book per venue behind."""
    started = boot(load(live.config))
    at = 10**18
    fact = EngineStarted(at, started.journal.epoch)
    started.journal.append([Record(1, at, fact, (), (), at)])
    started.journal.close()
    for name in started.settings:
        BookFile(started.paths.book(name)).save(b"state")


def newer_schema(live: LiveEngine) -> None:
    with closing(sqlite3.connect(live.paths.journal)) as connection:
        connection.execute("PRAGMA user_version = 99")


def torn_page(live: LiveEngine) -> None:
    with live.paths.journal.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def lost_session(live: LiveEngine) -> None:
    live.paths.session.unlink()


def torn_session(live: LiveEngine) -> None:
    live.paths.session.write_bytes(b"{")


def lost_book(live: LiveEngine) -> None:
    live.paths.book("two").unlink()


def lost_journal(live: LiveEngine) -> None:
    live.paths.journal.unlink()


def open_mode(live: LiveEngine) -> None:
    live.paths.journal.chmod(0o644)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (newer_schema, "start the newer program"),
        (torn_page, "the file is damaged"),
        (lost_session, "is missing"),
        (torn_session, "the session file is damaged"),
        (lost_book, "the book of two is missing"),
        (lost_journal, "replaced by an older copy or removed"),
        (open_mode, "chmod 600"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_left_as_it_was(
    tmp_path: Path, damage: Callable[[LiveEngine], None], words: str
) -> None:
    live = LiveEngine(tmp_path, config_text())
    begun(live)
    damage(live)
    folder = live.paths.directory
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises((BootError, JournalError), match=words):
        boot(load(live.config))
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # A refused start still took a number, so that it can never come back.
    for path in (live.paths.journal, live.paths.lock):
        before.pop(path, None), after.pop(path, None)
    assert after == before


def test_a_second_process_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    first = boot(load(live.config))
    with pytest.raises(JournalError, match="another process is running"):
        boot(load(live.config))
    with pytest.raises(JournalError, match="another process is running"):
        boot(load(live.config), fresh=True)
    first.journal.close()


def test_fresh_puts_a_session_aside_and_deletes_nothing(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    begun(live)
    kept = live.paths.book("one").read_bytes()
    started = boot(load(live.config), fresh=True)
    try:
        assert started.is_first
        assert started.journal.epoch == 2
        assert "put the earlier session aside" in started.notes[0]
    finally:
        started.journal.close()
    (books,) = live.paths.directory.glob("books.*Z")
    assert (books / "one.book").read_bytes() == kept
    (journal,) = live.paths.directory.glob("journal.db.*Z")
    assert len(list(read_journal(journal))) == 1


# ---------------------------------------------------------------- parts


def test_a_book_is_one_whole_state_whatever_is_left_behind(tmp_path: Path) -> None:
    book = BookFile(tmp_path / "one.book")
    assert book.load() is None
    book.save(b"first")
    book.path.with_name("one.book.new").write_bytes(b"half a sta")
    assert BookFile(book.path).load() == b"first"
    book.save(b"second")
    assert not book.is_new(b"second")
    assert BookFile(book.path).load() == b"second"
    assert book.path.stat().st_mode & 0o777 == 0o600


def test_a_book_is_not_written_through_a_link(tmp_path: Path) -> None:
    book, other = BookFile(tmp_path / "one.book"), tmp_path / "config.toml"
    other.write_text("mine")
    book.path.with_name("one.book.new").symlink_to(other)
    with pytest.raises(OSError, match=r"one\.book\.new"):
        book.save(b"a state")
    assert other.read_text() == "mine"


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_damaged_book_is_refused_by_name(tmp_path: Path, at: int) -> None:
    book = BookFile(tmp_path / "one.book")
    book.save(b"a state of some length")
    data = bytearray(book.path.read_bytes())
    data[at] ^= 1
    book.path.write_bytes(data)
    with pytest.raises(BookError, match=r"one\.book: the venue's book is damaged"):
        BookFile(book.path).load()


def test_time_goes_on_where_an_earlier_process_stopped() -> None:
    steps = iter([5, 5, 6, 9])
    clock = Clock(floor=1_000, wall=lambda: 400, monotonic=lambda: next(steps))
    assert [clock.now() for _ in range(3)] == [1_001, 1_002, 1_005]


class Engineless:
    """Takes what an actor delivers."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.saved_before: list[bytes] = []
        self.book: BookFile

    def fact(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.saved_before.append(BookFile(self.book.path).load() or b"")

    def top(self, *top: int) -> None:
        raise AssertionError(top)


class Ledger:
    """A venue that remembers how often it was changed."""

    def __init__(self, settings: VenueSettings) -> None:
        self.settings = settings
        self.changes = 0
        self.taken: list[Command] = []

    def submit(self, command: Command) -> None:
        self.taken.append(command)

    def export_state(self) -> bytes:
        return str(self.changes).encode()

    def positions(self) -> dict[int, int]:
        return {}


def actor_of(folder: Path, backlog: Callable[[], int]) -> tuple[VenueActor, Ledger, Engineless]:
    clock, settings, engine = Clock(), VenueSettings("one"), Engineless()
    engine.book = BookFile(folder / "one.book")
    actor = VenueActor(settings, engine, clock, LiveScheduler(clock), backlog, engine.book)
    ledger = Ledger(settings)
    actor.connect(ledger)
    return actor, ledger, engine


def test_the_engine_hears_of_nothing_that_the_venue_could_forget(tmp_path: Path) -> None:
    async def main() -> None:
        actor, ledger, engine = actor_of(tmp_path, lambda: 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(actor.run)
            for number in range(1, 4):
                ledger.changes = number
                actor.fact(LinkOpened(number, "one"))
                while len(engine.facts) < number:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert engine.saved_before == [b"1", b"2", b"3"]
        stamps = [fact.at for fact in engine.facts]
        assert stamps == sorted(set(stamps))

    anyio.run(main)


def test_facts_wait_while_the_journal_is_behind_and_too_many_make_the_link_stale(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        behind = [True]
        actor, _, engine = actor_of(tmp_path, lambda: 256 if behind[0] else 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(actor.run)
            for number in range(WAITING_MAX + 3):
                actor.fact(LinkOpened(number, "one"))
            await anyio.lowlevel.checkpoint()
            assert engine.facts == []
            behind[0] = False
            actor.room.set()
            while len(engine.facts) < 3:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert [type(fact) for fact in engine.facts] == [LinkStale, LinkOpened, LinkOpened]

    anyio.run(main)


class BrokenDisk:
    """A journal whose first commit with an order fails."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.epoch = 1
        self.checkpoint_due = False

    async def commit(self, records: Sequence[Record]) -> None:
        if any(record.intents for record in records):
            raise DiskFull("journal.db: the disk is full; nothing was recorded")
        self.last_seq = records[-1].seq


def test_a_full_disk_sends_nothing_and_ends_the_run_with_its_own_code(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    started = boot(load(live.config))
    sent: list[Command] = []
    alarms: list[Alarm] = []

    class Silent:
        """A venue that is trusted at once and takes note of what it is told."""

        def __init__(self, settings: VenueSettings, sink: Engine) -> None:
            self.settings = settings
            self.sink = sink

        def submit(self, command: Command) -> None:
            sent.append(command)
            now = self.sink.clock.now()
            name = self.settings.name
            if isinstance(command, Connect):
                self.sink.fact(LinkOpened(now, name))
            elif isinstance(command, ReadTruth):
                wanted = range(5) if command.scope < 0 else [command.scope]
                rows = tuple(
                    InstrumentTruth(index, self.sink.core.holdings[index].qty, None)
                    for index in wanted
                    if self.sink.core.holdings[index].venue.name == name
                )
                self.sink.fact(TruthRead(now, now, now, name, command.scope, rows))

    async def main() -> int:
        engine = Engine(
            started.core,
            cast(AsyncJournal, BrokenDisk()),
            Clock(),
            on_trace=lambda _: None,
            on_alarm=alarms.append,
        )
        engine.connect({name: Silent(each, engine) for name, each in started.settings.items()})
        conductor = Conductor(engine, started, lambda _: None)
        async with Supervisor(engine.task_failed) as supervisor:
            for task in (engine.commit, engine.dispatch, engine.fire_timers):
                supervisor.start(task.__name__, task)
            now = engine.clock.now()
            for index in range(5):
                engine.top(index, now, 10_000, 10**6, 10_004, 10**6, 10_002)
            code = await conductor.conduct(supervisor)
        assert not engine.live_orders()
        return code

    assert anyio.run(main) == EXIT_FAILED
    assert not any(isinstance(command, Place) for command in sent)
    assert [alarm.kind for alarm in alarms] == ["journal"]
    started.journal.close()


# ---------------------------------------------------------------- what is shown


def test_every_row_has_words_for_the_person_who_watches() -> None:
    for name, table in TABLES.items():
        for number, row in enumerate(table.rows):
            move = Transition(0, name, "x", row.trigger, str(row.source), row.dest or "", number)
            assert why(move).strip()


def test_lines_show_moves_and_alarms_and_keep_silent_about_the_rest() -> None:
    console = Console(width=80, file=io.StringIO())
    board = make_board(console, lambda: pytest.fail("no table here"), lambda: 3 * NS)
    assert isinstance(board, LineBoard)
    row = next(n for n, row in enumerate(TABLES["leg"].rows) if row.dest == "passive_limit")
    stay = Transition(4 * NS, "leg", "one:ETH", "x", "market", "market", row)
    board.trace([Transition(4 * NS, "leg", "one:ETH", "x", "idle", "passive_limit", row), stay])
    board.alarm(Alarm(4 * NS, "dust", "eth", "one:ETH 0.1"))
    board.finish()
    first, second = cast(io.StringIO, console.file).getvalue().splitlines()
    assert first.startswith("   1.000 leg one:ETH idle > passive_limit: ")
    assert second == "   0.000 ALARM dust eth: one:ETH 0.1"


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_the_terminal(tmp_path: Path, width: int) -> None:
    live = LiveEngine(tmp_path, config_text())
    started = boot(load(live.config))
    for key, spec in started.config.positions.items():
        instrument, qty = started.position(key, spec)
        started.core.step(PositionDeclared(NS, instrument.index, qty, spec.entry))
    started.core.step(CloseRequested(2 * NS, "eth", "TAKE_PROFIT"))
    started.journal.close()
    watch = Watch(started.core)
    picture = take_snapshot(started.core, watch, 9 * NS, started=NS, records=7, stopping=False)
    console = Console(width=width, height=24, file=io.StringIO(), force_terminal=True)
    console.print(Group(*status_parts(picture, width)))
    text = Text.from_ansi(cast(io.StringIO, console.file).getvalue()).plain
    assert max(len(line) for line in text.splitlines()) <= width
    for word in ("eth", "preparing", "btc", "held", "one:SOL", "0/0.500", "8.0 s", "7 records"):
        assert word in text
    assert ("TAKE_PROFIT" in text) == (width >= 130)
    board = make_board(console, lambda: picture, lambda: 9 * NS)
    assert isinstance(board, TableBoard)
    board.alarm(Alarm(9 * NS, "stuck", "eth", "open: one:ETH 0.5"))
    board.say("a sentence")
    board.finish()
    shown = Text.from_ansi(cast(io.StringIO, console.file).getvalue()).plain
    assert "stuck eth: open: one:ETH 0.5" in shown
    assert "a sentence" in shown


@pytest.mark.parametrize("state", ["open", "shut", "banned", "unready", "barred"])
@pytest.mark.parametrize("barred", [False, True])
def test_a_venue_that_takes_no_orders_is_shown_as_such(state: str, *, barred: bool) -> None:
    bench = Bench()
    lane = bench.core.lanes["b"]
    lane.state = state
    lane.barred = {1: "UNSUPPORTED"} if barred else {}
    picture = take_snapshot(
        bench.core, Watch(bench.core), bench.now, started=0, records=1, stopping=False
    )
    console = Console(width=120, file=io.StringIO())
    console.print(status_parts(picture, 120)[0])
    shown = cast(io.StringIO, console.file).getvalue()
    words = {"open": "unfit " if barred else ""}.get(state, f"{state} ")
    assert f"b live {words} " in shown
    assert "a live  " in shown
