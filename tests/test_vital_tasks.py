"""Whatever ends a task that the process cannot do without ends as a failed journal does.

Each test runs the real engine with its embedded venues, lets a part of it fail while own orders
rest, and looks at what left, at the venues' books, at the exit code and at the next start.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from engine import aftermath
from engine.app import launch
from engine.conductor import EXIT_FAILED, EXIT_FLAT
from engine.control import Answer, CommandWanted, ask
from engine.journal import AsyncJournal, JournalError, Record
from engine.journal_errors import DiskFull, LeaseLost
from engine.recovery import Boot
from engine.supervisor import Supervisor, describe
from engine.venue_actor import BookFile, VenueActor
from machines.messages import (
    Cancel,
    Command,
    Fact,
    FillReported,
    OperatorCommanded,
    Place,
    TopMoved,
)
from machines.table import Out
from machines.types import MS
from tests.live_engine import LiveEngine, config_text
from tests.live_run import RESTING, Doomed, Task, begun, still
from venues.port import Port
from venues.sim.orders import SimOrder

pytestmark = pytest.mark.slow  # every test runs the real engine, most of them twice

TASKS = (
    "signals",
    "scheduler",
    "venue one",
    "venue two",
    "committer",
    "dispatcher",
    "timers",
    "heartbeat",
    "journal",
)


def goes_on(live: LiveEngine) -> None:
    """Start again, in a market that moves; the next process must close what is left."""
    live.config.write_text(config_text(), encoding="utf-8")
    again = Doomed(begun(live))
    assert launch(again) == EXIT_FLAT, again.output.getvalue()
    assert "3 of 3 flat on the venues' own books" in again.output.getvalue()


def ends_orderly(live: LiveEngine, doomed: Doomed, errors: str) -> None:
    """Nothing was created any more, nothing rests, and what is left was said."""
    assert doomed.created_late == []
    assert doomed.resting() == []
    assert "no own order may still fill" in errors
    assert "no pair is naked" in errors
    assert "goes on with the next: unwind run" in doomed.output.getvalue()


@pytest.mark.parametrize("task", TASKS)
def test_a_failed_vital_task_cancels_what_rests_and_ends_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    doomed = Doomed(begun(live), task, KeyError("lost"))
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert len(doomed.rested) == RESTING
    assert f"ended early: {task}: KeyError: 'lost'" in errors
    assert f"own orders that have ended: {RESTING}" in errors
    ends_orderly(live, doomed, errors)
    goes_on(live)


def test_the_tasks_above_are_all_the_vital_ones(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    doomed = Doomed(begun(live), "timers", KeyError("lost"))
    launch(doomed)
    assert tuple(doomed.vital()) == TASKS


ERRORS: dict[str, BaseException | None] = {
    "OverflowError: too large": OverflowError("too large"),
    "MemoryError": MemoryError(),
    "RecursionError: too deep": RecursionError("too deep"),
    "OSError: [Errno 5] the disk": OSError(5, "the disk"),
    "SystemExit: 0": SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "ValueError: a, KeyError: 'b'": ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "Stray: it was cancelled by nobody who may": asyncio.CancelledError(),
    "Returned: it returned, and should not have": None,
}


@pytest.mark.parametrize("said", ERRORS)
def test_every_class_of_error_ends_a_vital_task_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    doomed = Doomed(begun(live), "dispatcher", ERRORS[said])
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert len(doomed.rested) == RESTING
    assert f"ended early: dispatcher: {said}\n" in errors
    ends_orderly(live, doomed, errors)


# ---------------------------------------------------------------- the core


class FaultyCore:
    """The step of a core, which raises at the n-th fact and changes half of what it should."""

    def __init__(self, step: Callable[[Fact], Out], n: int, error: BaseException) -> None:
        self.step = step
        self.left = n
        self.error = error

    def __call__(self, fact: Fact) -> Out:
        self.left -= 1
        if self.left == 0:
            self.step(fact)
            raise self.error
        return self.step(fact)


@pytest.mark.parametrize("n", [1, 5, 15, 25, 40, 60])
def test_an_error_inside_a_step_of_the_core_ends_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n: int
) -> None:
    error = KeyError("lost") if n % 2 else OverflowError("too large")
    live = LiveEngine(tmp_path, still(config_text()))
    started = begun(live)
    started.core.step = FaultyCore(started.core.step, n, error)  # type: ignore[method-assign]
    doomed = Doomed(started)
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert f"ended early: dispatcher: {type(error).__name__}" in errors
    assert doomed.created_late == []
    assert doomed.resting() == []
    assert "no own order may still fill" in errors
    goes_on(live)


def test_a_fact_that_nobody_understands_ends_the_process_and_not_its_aftermath(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    started = begun(live)
    quote, quoted_late = started.core.quote, []

    def poison(doomed: Doomed) -> None:
        for order in started.core.env.orders.values():
            text = cast(int, "1")
            fact = FillReported(0, 0, 0, order.uid, "t", 1, 1, text, 1, Decimal(0), True)
            doomed.engine.fact(fact)

    doomed = Doomed(started, act=poison)

    def quoted(*top: int) -> TopMoved | None:
        if doomed.failed:
            quoted_late.append(top)
        return quote(*top)

    started.core.quote = quoted  # type: ignore[method-assign, assignment]
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert "ended early: dispatcher: TypeError" in errors
    doomed.engine.top(0, 0, 1, 1, 2, 1, 1)
    assert quoted_late == [], "a core that has failed was asked once more"
    ends_orderly(live, doomed, errors)


def test_a_core_that_can_no_longer_be_read_still_leaves_nothing_resting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    started = begun(live)

    def ruined(doomed: Doomed) -> bool:
        if len(doomed.resting()) < RESTING:
            return False
        started.core.closes["eth"].legs = (None, None)  # type: ignore[assignment]
        return True

    doomed = Doomed(started, "dispatcher", KeyError("lost"), ripe=ruined)
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert doomed.resting() == []
    assert "no own order may still fill" in errors
    assert "which pair is naked cannot be told: AttributeError" in errors


# ---------------------------------------------------------------- the journal


class BrokenJournal(AsyncJournal):
    """A journal that fails every commit from now on."""

    error: JournalError

    async def commit(self, records: Sequence[Record]) -> None:
        raise self.error


def breaking(error: JournalError) -> Callable[[Doomed], None]:
    """Let the journal of a process fail at its next commit, and see to it that there is one."""

    def act(doomed: Doomed) -> None:
        doomed.engine.journal.__class__ = BrokenJournal
        cast(BrokenJournal, doomed.engine.journal).error = error
        doomed.engine.fact(OperatorCommanded(doomed.clock.now(), "retry"))

    return act


def test_a_failed_journal_ends_as_any_other_vital_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    doomed = Doomed(begun(live), act=breaking(DiskFull("the disk is full")))
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert len(doomed.rested) == RESTING
    assert "ended early: the disk is full\n" in errors
    assert "ALARM journal engine: the disk is full" in doomed.output.getvalue()
    ends_orderly(live, doomed, errors)
    goes_on(live)


def test_a_process_that_was_replaced_sends_nothing_and_says_what_it_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    lost = LeaseLost("another process has the journal")
    doomed = Doomed(begun(live), act=breaking(lost))
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert sorted(doomed.resting()) == sorted(doomed.rested)
    assert "another process owns the accounts: nothing was sent any more" in errors
    assert errors.count("may still fill: ") == RESTING
    assert "may still fill: one:SOL#1, sell 3.000, of which 0.000 has filled" in errors


class SlowJournal(AsyncJournal):
    """A journal beside which another part fails while the first intent becomes durable."""

    def fail(self) -> None:
        raise AssertionError

    async def commit(self, records: Sequence[Record]) -> None:
        if any(record.intents for record in records):
            self.fail()
        await super().commit(records)


def test_an_intent_that_becomes_durable_after_the_failure_is_not_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, config_text())

    def act(doomed: Doomed) -> None:
        doomed.engine.journal.__class__ = SlowJournal
        slow = cast(SlowJournal, doomed.engine.journal)
        slow.fail = lambda: doomed.engine.fail("another part")  # type: ignore[method-assign]

    doomed = Doomed(begun(live), ripe=lambda _: True, act=act)
    assert launch(doomed) == EXIT_FAILED
    assert doomed.sent, "nothing was to be sent"
    assert not [command for _, command in doomed.sent if isinstance(command, Place)]
    assert "ended early: another part\n" in capsys.readouterr().err
    goes_on(live)


# ---------------------------------------------------------------- the ports


class FaultyPort:
    """A venue's port that raises at some of the commands, and passes on the others."""

    def __init__(self, port: VenueActor, faulty: Callable[[Command], bool]) -> None:
        self.settings = port.settings
        self.port = port
        self.faulty = faulty
        self.taken: list[Command] = []

    def submit(self, command: Command) -> None:
        self.taken.append(command)
        if self.faulty(command):
            raise KeyError("unknown to the adapter")
        self.port.submit(command)


class Behind(Doomed):
    """A process that reaches the venue `two` through a faulty port."""

    def __init__(self, started: Boot, faulty: Callable[[Command], bool]) -> None:
        super().__init__(started)
        self.faulty = faulty
        self.port: FaultyPort

    def vital(self) -> dict[str, Task]:
        tasks = super().vital()
        self.port = FaultyPort(self.actors["two"], self.faulty)
        ports: dict[str, Port] = {**self.engine.ports, "two": self.port}
        self.engine.ports = self.engine.dispatcher.ports = ports
        self.engine.dispatcher.wire()
        return tasks


def test_a_port_that_raises_ends_the_process_and_is_still_told_to_cancel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftermath, "CONFIRM_NS", 200 * MS)
    live = LiveEngine(tmp_path, config_text())
    seen: list[Command] = []

    def second_order(command: Command) -> bool:
        seen.append(command)
        return isinstance(command, Place) and sum(isinstance(each, Place) for each in seen) == 2

    doomed = Behind(begun(live), second_order)
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert "ended early: committer: KeyError: 'unknown to the adapter'" in errors
    assert doomed.created_late == []
    assert doomed.resting() == []
    assert any(isinstance(command, Cancel) for command in doomed.port.taken)
    # Whether it took the order that it raised at, only the venue could say.
    assert errors.count("may still fill: two:") == 1
    goes_on(live)


def test_orders_that_cannot_be_cancelled_are_named_within_a_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftermath, "CONFIRM_NS", 900 * MS)
    monkeypatch.setattr(aftermath, "READ_NS", 200 * MS)
    live = LiveEngine(tmp_path, still(config_text()))

    def resting_at_two() -> list[SimOrder]:
        return [each for each in doomed.venues["two"].exchange.orders.values() if each.alive]

    doomed = Behind(begun(live), lambda command: bool(resting_at_two()))
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    left = resting_at_two()
    assert "venue two takes no command: KeyError: 'unknown to the adapter'" in errors
    assert errors.count("may still fill: two:") == len(left) == 1
    assert "may still fill: one:" not in errors
    cancels = [each for each in doomed.port.taken if isinstance(each, Cancel)]
    # One of its leg, at which the port raised; then one at once and one after half a second.
    assert len(cancels) == 3


def test_a_pair_that_is_naked_is_named_with_what_the_venues_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = still(config_text())
    moving = 'mid = "2000.00", spread_ticks = 4, vol_bps_per_sqrt_s = 0, trade_rate_per_s = '
    assert moving in text
    live = LiveEngine(tmp_path, text.replace(f"{moving}0", f"{moving}50", 1))

    def is_naked(doomed: Doomed) -> bool:
        return bool(net(doomed))

    def net(doomed: Doomed) -> Decimal:
        return sum(eth(doomed).values(), Decimal(0))

    def eth(doomed: Doomed) -> dict[str, Decimal]:
        units = doomed.venues["one"].positions() | doomed.venues["two"].positions()
        rules = {each.index: each for each in doomed.boot.instruments if each.symbol == "ETH"}
        return {each.key: each.base(units[index]) for index, each in rules.items()}

    doomed = Doomed(begun(live), "timers", KeyError("lost"), ripe=is_naked)
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    one, two = (f"{eth(doomed)[key].normalize():f}" for key in ("one:ETH", "two:ETH"))
    said = f"{net(doomed).normalize():f} (one:ETH {one}, two:ETH {two}), as the venues show it"
    assert f"naked: eth {said}" in errors
    assert doomed.resting() == []


# ---------------------------------------------------------------- whoever conducts, books, people


def test_an_error_of_the_conductor_ends_the_process_as_orderly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))
    started = begun(live)
    doomed = Doomed(started)
    known = started.is_done

    def is_done(number: int) -> bool:
        if hasattr(doomed, "engine") and len(doomed.resting()) >= RESTING:
            doomed.rested = doomed.resting()
            raise KeyError(number)
        return known(number)

    started.is_done = is_done  # type: ignore[method-assign]
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert "ended early: conductor: KeyError: 1" in errors
    ends_orderly(live, doomed, errors)


class FullBook(BookFile):
    """A venue's book on a disk that is full."""

    __slots__ = ()

    def is_new(self, state: bytes) -> bool:
        return True

    def save(self, state: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_book_that_cannot_be_saved_leaves_nothing_resting_at_the_venue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, still(config_text()))

    def fill_disk(doomed: Doomed) -> None:
        for actor in doomed.actors.values():
            actor.book.__class__ = FullBook
        doomed.engine.fact(OperatorCommanded(doomed.clock.now(), "halt"))

    doomed = Doomed(begun(live), act=fill_disk)
    assert launch(doomed) == EXIT_FAILED
    errors = capsys.readouterr().err
    assert "ended early: venue " in errors
    assert "OSError: [Errno 28] No space left on device" in errors
    assert doomed.resting() == []
    assert "no own order may still fill" in errors


def test_a_book_that_cannot_be_saved_at_the_very_end_is_a_failure_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveEngine(tmp_path, config_text())

    class FullAtLast(Doomed):
        """A process whose disk is full once its closes have ended."""

        async def _conduct(self) -> int:
            conduct = self.conductor.conduct

            async def conducted(supervisor: Supervisor) -> int:
                code = await conduct(supervisor)
                self.actors["one"].book.__class__ = FullBook
                return code

            self.conductor.conduct = conducted  # type: ignore[method-assign]
            return await super()._conduct()

    doomed = FullAtLast(begun(live))
    assert launch(doomed) == EXIT_FAILED
    assert "ended early: a venue's book cannot be saved" in capsys.readouterr().err


def test_a_command_that_the_engine_dies_of_is_answered_with_why(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text(closes=False))
    started = begun(live)
    step = started.core.step

    def dying(fact: Fact) -> Out:
        if isinstance(fact, OperatorCommanded):
            raise KeyError("lost")
        return step(fact)

    started.core.step = dying  # type: ignore[method-assign]
    answers: list[Answer] = []

    class Asking(Doomed):
        """A process whose operator halts it as soon as its venues are trusted."""

        def vital(self) -> dict[str, Task]:
            return {**super().vital(), "operator": self._operator}

        async def _operator(self) -> None:
            while not self.engine.is_trusted():
                await anyio.lowlevel.checkpoint()
            for _ in range(2):
                path = started.paths.socket
                answers.append(await anyio.to_thread.run_sync(ask, path, CommandWanted("halt")))
            await anyio.sleep_forever()

    assert launch(Asking(started)) == EXIT_FAILED
    said = "nothing is taken any more, the engine is ending: dispatcher: KeyError: 'lost'"
    assert answers[0] == Answer(False, said)


# ---------------------------------------------------------------- the supervisor


def told_by(*tasks: Task, vital: bool = True) -> list[tuple[str, str, bool]]:
    """Supervise tasks until each has failed; what was told, in order."""
    told: list[tuple[str, str, bool]] = []

    async def main() -> None:
        def note(name: str, error: BaseException, vital: bool) -> None:
            told.append((name, describe(error), vital))
            if name == "untellable":
                raise RuntimeError("telling has failed too")

        async with Supervisor(note) as supervisor:
            supervisor.start("patient", anyio.sleep_forever)
            for task in tasks:
                supervisor.start(task.__name__, task, vital=vital)
            while len(told) < len(tasks):
                await anyio.lowlevel.checkpoint()

    anyio.run(main)
    return told


def test_a_failing_task_ends_alone_and_is_told_once() -> None:
    async def fragile() -> None:
        raise RuntimeError("broken")

    assert told_by(fragile, vital=False) == [("fragile", "RuntimeError: broken", False)]


def test_a_failure_that_cannot_be_told_hurts_no_other_task() -> None:
    async def untellable() -> None:
        raise RuntimeError("broken")

    async def later() -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("broken as well")

    names = [name for name, _, _ in told_by(untellable, later)]
    assert names == ["untellable", "later"]


def test_a_supervisor_that_ends_takes_no_cancellation_for_a_failure() -> None:
    assert told_by() == []
