"""What `[run]` has asked for is asked for once, however its list is changed between two starts."""

from pathlib import Path

import pytest

from engine.config import load
from engine.recovery import Boot, boot
from machines.messages import CloseRequested
from machines.types import NS
from tests.live_engine import LiveEngine
from tests.sessions import copied, running, standing_text

HALF = '[[run.closes]]\npair = "eth"\nreason = "HARD_STOP"\nratio = "1/2"\n'
OTHER = '[[run.closes]]\npair = "btc"\nreason = "MANUAL"\nat_s = 90\n'
THIRD = '[[run.closes]]\npair = "eth"\nreason = "HARD_STOP"\nratio = "1/3"\n'
WHOLE = '[[run.closes]]\npair = "eth"\nreason = "HARD_STOP"\n'


def text(*closes: str) -> str:
    return standing_text() + "[run]\n" + "".join(closes)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """Half of one pair was asked for by the configuration and closed; the process was killed."""
    live = LiveEngine(tmp_path_factory.mktemp("left"), text(HALF, OTHER))
    with running(live) as process:
        asked = process.boot.config.run.closes[0]
        process.say(
            CloseRequested(
                process.kernel.now, "eth", asked.reason, asked.urgency, asked.ratio, "run:0"
            )
        )
        process.run(30 * NS)
        return copied(live, tmp_path_factory.mktemp("killed"))


def restarted(left: LiveEngine, folder: Path, *closes: str) -> Boot:
    live = copied(left, folder)
    live.config.write_text(text(*closes))
    started = boot(load(live.config))
    started.journal.close()
    return started


@pytest.mark.parametrize(
    ("closes", "done"),
    [
        ((HALF, OTHER), [True, False]),
        ((OTHER, HALF), [False, True]),
        ((OTHER, THIRD, HALF), [False, False, True]),
        ((HALF, OTHER, HALF), [True, False, False]),
        ((HALF.replace("1/2", "2/4"), OTHER), [True, False]),
        ((HALF + "at_s = 3\n", OTHER), [True, False]),
        ((WHOLE, OTHER), [False, False]),
    ],
    ids=["as it was", "moved", "added before it", "added once more", "in other numbers", "later",
         "of everything"],
)  # fmt: skip
def test_a_request_is_known_by_what_it_asks_for(
    left: LiveEngine, tmp_path: Path, closes: tuple[str, ...], done: list[bool]
) -> None:
    started = restarted(left, tmp_path, *closes)
    assert [started.is_done(number) for number in range(len(closes))] == done


def test_what_a_person_asked_for_in_the_same_words_is_no_request_of_the_configuration(
    tmp_path: Path,
) -> None:
    live = LiveEngine(tmp_path, text(HALF, OTHER))
    with running(live) as process:
        now = process.kernel.now
        process.say(CloseRequested(now, "eth", "HARD_STOP", None, (1, 2), "0:person"))
        process.run(NS)
    started = boot(load(live.config))
    started.journal.close()
    assert not started.is_done(0)
