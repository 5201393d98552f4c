"""A journal whose file is taken away while the engine runs is noticed, said, and ends the run."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest

from engine.books import read_books
from engine.clock import Clock
from engine.conductor import EXIT_FAILED
from engine.config import load
from engine.journal import AsyncJournal, Record, open_journal
from engine.journal_errors import MissingJournal
from engine.live import Engine, EngineFailed
from engine.recovery import boot
from engine.supervisor import Supervisor
from machines.messages import Alarm, OperatorCommanded, TimerFired
from tests.live_engine import LIMIT_S, LiveEngine, config_text, read_until
from tests.sessions import standing_text


def removed(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("end", ["", "-wal", ".lock"])
@pytest.mark.parametrize(
    "change", [removed, renamed, replaced_by_a_copy], ids=lambda it: it.__name__
)
def test_every_file_of_an_open_journal_is_held_to_its_place(
    tmp_path: Path, end: str, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "journal.db"

    async def main() -> None:
        journal = await AsyncJournal.take_over(open_journal(path))
        try:
            await journal.commit([Record(1, 1, TimerFired(1, 4, "rung", 0), (), (), 0)])
            journal.check_place()
            assert await journal.checkpoint("TRUNCATE")
            journal.check_place()
            change(path.with_name(path.name + end))
            words = "was removed" if change in (removed, renamed) else "was replaced by another"
            for _ in range(2):
                with pytest.raises(MissingJournal, match=f"{words}.*--fresh"):
                    journal.check_place()
        finally:
            await journal.aclose()

    anyio.run(main)


class Lost:
    """A journal whose file is gone from the start."""

    last_seq = 0
    epoch = 1
    checkpoint_due = False

    def check_place(self) -> None:
        raise MissingJournal("journal.db: was removed while the engine was running")


def test_a_lost_journal_is_the_end_of_creating_and_answers_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    started = boot(load(LiveEngine(tmp_path, standing_text()).config))
    alarms: list[Alarm] = []
    answered: list[str] = []

    async def main() -> Engine:
        engine = Engine(
            started.core,
            cast(AsyncJournal, Lost()),
            Clock(),
            on_trace=lambda _: None,
            on_alarm=alarms.append,
        )
        engine.connect({})

        async def person() -> None:
            with pytest.raises(EngineFailed, match="was removed"):
                await engine.ask(OperatorCommanded(1, "halt"))
            answered.append("failed")

        with anyio.fail_after(LIMIT_S):
            async with Supervisor(engine.task_failed) as tasks:
                tasks.start("person", person, vital=False)
                while not engine.dispatcher.inbox:
                    await anyio.lowlevel.checkpoint()
                monkeypatch.setattr(anyio, "sleep", at_once)
                tasks.start("journal", engine.tend_journal)
                while not answered:
                    await anyio.lowlevel.checkpoint()
        return engine

    engine = anyio.run(main)
    started.journal.close()
    assert engine.dispatcher.down
    assert "was removed" in engine.failure
    assert answered == ["failed"]
    assert [alarm.kind for alarm in alarms if alarm.machine == "engine"] == ["journal"]


@pytest.mark.slow  # the real process has to notice it, cancel its orders and end
def test_a_journal_that_is_removed_under_a_running_engine_ends_it_with_its_own_code(
    tmp_path: Path,
) -> None:
    waits = config_text().replace(
        "[close.passive_limit]\ntimeout_s = 0.4", "[close.passive_limit]\ntimeout_s = 20"
    )
    quiet = waits.replace("trade_rate_per_s = 2", "trade_rate_per_s = 0").replace(
        "vol_bps_per_sqrt_s = 1", "vol_bps_per_sqrt_s = 0"
    )
    live = LiveEngine(tmp_path, quiet.replace("at_s = 0.15", "at_s = 20"))
    with live.running() as process:
        read_until(process, "leg one:SOL", "> passive_limit")
        live.paths.journal.unlink()
        output, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == EXIT_FAILED, output
    assert "journal.db: was removed while the engine was running" in errors
    assert "--fresh" in errors
    orders = [order for book in read_books(live.paths.books) for order in book.orders.values()]
    assert len(orders) >= 3
    assert not any(alive for _, alive in orders), "an order was left at the venue"
    refused = live.call("run")
    assert refused.returncode == 2
    assert "replaced by an older copy or removed" in refused.stderr
    with live.running("--fresh") as process:
        read_until(process, "put the earlier session aside")
        process.send_signal(signal.SIGKILL)
