"""A process that stood still reads every venue anew before it does anything else."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio
import anyio.lowlevel
import pytest

import engine.app
from engine.app import launch
from engine.clock import Clock, steady_ns
from engine.conductor import EXIT_FLAT
from engine.config import load
from engine.dispatcher import WAKE_GAP_NS, Dispatcher
from engine.heartbeat import Heartbeat
from engine.journal import AsyncJournal, Record, read_journal
from engine.live import Engine
from engine.recovery import boot
from machines.core import Core
from machines.messages import (
    Alarm,
    CommandRefused,
    Fact,
    LinkStale,
    OperatorCommanded,
    Place,
    TimerFired,
)
from machines.types import NS
from tests.live_engine import LIMIT_S, LiveEngine, config_text
from tests.live_run import Doomed, begun, still
from tests.sessions import standing_text
from venues.port import Port

SLEEP_NS = 12 * NS
PLACE = Place(1, 5, 0, 1, 10, None, "GTC", False, False, 0, 1, 1, "market", "")


class Sleeper:
    """A clock that goes on while the process stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept = 0
        self.woke_at = 0
        self.clock: Clock

        def clock(floor: int = 0) -> Clock:
            self.clock = Clock(floor, monotonic=lambda: steady_ns() + self.slept)
            return self.clock

        monkeypatch.setattr(engine.app, "Clock", clock)

    def sleep(self) -> None:
        self.slept += SLEEP_NS
        self.woke_at = self.clock.now()


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    return Sleeper(monkeypatch)


@pytest.fixture
def live(tmp_path: Path) -> LiveEngine:
    return LiveEngine(tmp_path, still(config_text()).replace("at_s = 20", "at_s = 3"))


def after(live: LiveEngine, sleeper: Sleeper) -> list[Record]:
    """What was recorded since the process woke."""
    return [each for each in read_journal(live.paths.journal) if each.at >= sleeper.woke_at]


@pytest.mark.slow  # the real engine has to read its venues and close
def test_after_a_long_sleep_every_venue_is_stale_before_anything_else_is_stepped(
    live: LiveEngine, sleeper: Sleeper
) -> None:
    sessions: list[bool] = []

    def act(doomed: Doomed) -> None:
        sleeper.sleep()
        # As after a stop, the first to have its turn is whoever comes: a person, then a timer.
        doomed.engine.fact(OperatorCommanded(doomed.clock.now(), "retry", by="0:person"))
        sessions.append(doomed.engine.is_trusted())

    doomed = Doomed(begun(live), act=act)
    assert launch(doomed) == EXIT_FLAT, doomed.output.getvalue()
    assert sessions == [True]
    records = after(live, sleeper)
    heard = [each.fact for each in records[:3]]
    assert [(type(each), getattr(each, "venue", "")) for each in heard] == [
        (LinkStale, "one"), (LinkStale, "two"), (OperatorCommanded, ""),
    ]  # fmt: skip
    assert {cast(LinkStale, each).cause for each in heard[:2]} == {"wake gap"}
    assert [each.at for each in records] == sorted(each.at for each in records)
    stale = [each for each in records if isinstance(each.fact, LinkStale)]
    assert len(stale) == 2, "one sleep is noticed once"
    assert "session one live > stale" in doomed.output.getvalue()


@pytest.mark.slow  # the real engine has to read its venues and close
def test_an_order_that_was_decided_before_a_sleep_is_not_sent_after_it(
    live: LiveEngine, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = AsyncJournal.commit
    withheld: list[int] = []

    async def slow(self: AsyncJournal, records: Sequence[Record]) -> None:
        await commit(self, records)
        found = [i.order for each in records for i in each.intents if type(i) is Place]
        if found and not withheld:
            withheld.extend(found)
            sleeper.sleep()

    monkeypatch.setattr(AsyncJournal, "commit", slow)
    doomed = Doomed(begun(live))
    assert launch(doomed) == EXIT_FLAT, doomed.output.getvalue()
    sent = [command.order for _, command in doomed.sent if type(command) is Place]
    assert sent, "nothing was sent at all"
    assert not set(sent) & set(withheld)
    refused = [each.fact for each in after(live, sleeper) if isinstance(each.fact, CommandRefused)]
    assert [(each.order, each.gate) for each in refused] == [(n, "wake gap") for n in withheld]


# ---------------------------------------------------------------- the parts


def dispatcher_at(now: int) -> Dispatcher:
    core = cast(Core, SimpleNamespace(holdings=[]))
    nobody = cast(Port, None)
    return Dispatcher(core, None, {"a": nobody, "b": nobody}, lambda: now)


class Idle:
    """A journal that nobody writes to."""

    last_seq = 0
    epoch = 1


def test_a_process_that_nothing_reaches_notices_its_sleep_and_wakes_who_waits_for_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [0]
    clock = Clock(wall=lambda: 0, monotonic=lambda: times[0])
    started = boot(load(LiveEngine(tmp_path, standing_text()).config))
    started.journal.close()
    woken: list[str] = []

    async def at_once(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    async def main() -> list[Fact]:
        engine = Engine(
            started.core,
            cast(AsyncJournal, Idle()),
            clock,
            on_trace=lambda _: None,
            on_alarm=lambda _: None,
        )
        engine.connect({"one": cast(Port, None)})
        engine.on_wake = [lambda: woken.append("scheduler")]
        monkeypatch.setattr(anyio, "sleep", at_once)

        async def conductor() -> None:
            await engine.changed.wait()
            woken.append("conductor")

        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as group:
                group.start_soon(engine.live)
                group.start_soon(conductor)
                for _ in range(5):
                    times[0] += WAKE_GAP_NS
                    await anyio.lowlevel.checkpoint()
                assert not engine.dispatcher.inbox
                times[0] += WAKE_GAP_NS + 1
                while len(woken) < 2:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        return list(engine.dispatcher.inbox)

    assert anyio.run(main) == [LinkStale(clock.now(), "one", "wake gap")]
    assert sorted(woken) == ["conductor", "scheduler"]


@pytest.mark.parametrize("slept", [0, WAKE_GAP_NS])
def test_a_short_pause_changes_nothing(slept: int) -> None:
    dispatcher = dispatcher_at(7)
    dispatcher.batch.commands.append(PLACE)
    dispatcher.wake(slept)
    assert not dispatcher.inbox
    assert dispatcher.batch.commands == [PLACE]


def test_a_long_pause_goes_before_what_waits_and_keeps_all_commands_but_orders() -> None:
    dispatcher = dispatcher_at(7)
    waiting: Fact = TimerFired(7, 1, "rung", 3)
    dispatcher.inbox.append(waiting)
    alarm = Alarm(1, "stuck", "leg", "it waits")
    dispatcher.batch.commands += [alarm, PLACE]
    dispatcher.wake(WAKE_GAP_NS + 1)
    assert list(dispatcher.inbox) == [
        LinkStale(7, "a", "wake gap"),
        LinkStale(7, "b", "wake gap"),
        CommandRefused(7, 5, "wake gap"),
        waiting,
    ]
    assert dispatcher.batch.commands == [alarm]


def test_a_beat_tells_how_long_it_is_since_the_one_before() -> None:
    times = iter([100, 100, 400, 450])
    heart = Heartbeat(Clock(wall=lambda: 0, monotonic=lambda: next(times)))
    assert [heart.beat() for _ in range(3)] == [0, 300, 50]
