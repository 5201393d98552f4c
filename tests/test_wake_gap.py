"""A process that stood still reads every venue before it does anything else."""

from pathlib import Path

import pytest

from engine.app import launch
from engine.clock import Pulse
from engine.conductor import EXIT_FLAT
from engine.dispatcher import Dispatcher
from machines.messages import LinkStale, OperatorCommanded
from machines.types import NS
from tests.live_engine import LiveEngine, config_text
from tests.live_run import Doomed, begun
from tests.rows import Bench


@pytest.mark.parametrize(("stood_ns", "gap"), [(NS, 0), (NS + 1, NS + 1), (12 * NS, 12 * NS)])
def test_only_what_lasts_for_more_than_a_second_is_a_wake_gap(stood_ns: int, gap: int) -> None:
    times = iter([5, 5 + stood_ns, 5 + stood_ns])
    pulse = Pulse(lambda: next(times))
    assert (pulse.slept(), pulse.slept()) == (gap, 0), "it is told once"


def test_no_venue_is_trusted_before_anything_that_waited_is_stepped() -> None:
    bench = Bench()
    ports = dict.fromkeys(bench.core.sessions)
    dispatcher = Dispatcher(bench.core, None, ports, lambda: bench.now)  # type: ignore[arg-type]
    waited = OperatorCommanded(bench.now, "halt")
    dispatcher.fact(waited)
    dispatcher.wake_gap(bench.now + 60 * NS)
    *stale, last = dispatcher.inbox
    assert stale == [LinkStale(bench.now, name, "wake gap") for name in ports]
    assert last is waited, "and time does not run backwards"


def suspended(doomed: Doomed) -> None:
    """The machine was asleep for a minute, and nobody has looked since."""
    doomed.engine.pulse._last -= 60 * NS


@pytest.mark.slow
def test_a_process_that_was_suspended_reads_anew_and_ends_flat(tmp_path: Path) -> None:
    live = LiveEngine(tmp_path, config_text())
    doomed = Doomed(begun(live), ripe=lambda each: bool(each.resting()), act=suspended)
    assert launch(doomed) == EXIT_FLAT, doomed.output.getvalue()
    text = doomed.output.getvalue()
    for venue in ("one", "two"):
        assert f"{venue}: untrusted (wake gap)" in " ".join(text.split())
