"""Kills the shipped rehearsal at random moments and starts it again until its end.

    python -m tests.kills --kills 50 --seed 1

prints every moment and how it ended; exit code 0 only if every rehearsal ended flat. A moment is a
time after the start, or an order that has been recorded and has not reached its venue: that is the
one of which the next process knows least. It must not change the configuration: what ships is what
is tried.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from engine.app import run
from engine.venue_actor import VenueActor
from machines.messages import Command, Place

ROOT = Path(__file__).parent.parent
#: A first run ends within about 15 s and sends about as many orders; later moments meet nobody.
LAST_S = 12.0
LAST_ORDER = 25
#: Deaths of one rehearsal, at most.
DEATHS_MAX = 3
#: A rehearsal that takes longer has no end.
LIMIT_S = 200
FLAT = "7 of 7 flat on the venues' own books"


class Moment(Struct, frozen=True):
    """When a process dies: `after_s` its start, or with its n-th order on the way."""

    after_s: float = 0
    order: int = 0

    def __str__(self) -> str:
        return f"order {self.order}" if self.order else f"{self.after_s:.3f} s"


class Rehearsal(Struct):
    """One folder: when its processes were killed, and how the last one ended."""

    number: int
    killed: list[Moment]
    code: int
    flat: bool
    lasted_s: float
    output: str

    @property
    def good(self) -> bool:
        return self.code == 0 and self.flat

    def line(self) -> str:
        """What a person reads of it."""
        moments = ", ".join(str(each) for each in self.killed) or "no moment"
        end = "flat" if self.flat else "NOT FLAT"
        return (
            f"{self.number:4} killed at {moments}: exit {self.code}, {end}, {self.lasted_s:.1f} s"
        )


def plans(kills: int, seed: int) -> Iterator[list[Moment]]:
    """The deaths of one rehearsal after another, `kills` in all."""
    draws = random.Random(seed)
    left = kills
    while left > 0:
        deaths = min(left, draws.choice((1, 1, DEATHS_MAX)))
        yield [_moment(draws, deaths) for _ in range(deaths)]
        left -= deaths


def _moment(draws: random.Random, deaths: int) -> Moment:
    if draws.randrange(2):
        return Moment(order=draws.randint(1, LAST_ORDER // deaths))
    return Moment(after_s=draws.uniform(0.05, LAST_S / deaths))


def rehearse(number: int, moments: list[Moment]) -> Rehearsal:
    """Start the shipped configuration in a folder of its own, kill it, and let it end."""
    with TemporaryDirectory(prefix="unwind-") as folder:
        config = Path(folder) / "config.toml"
        shutil.copy(ROOT / "config.toml", config)
        killed = [moment for moment in moments if _dies(config, moment)]
        start = time.monotonic()
        last = subprocess.run(
            [sys.executable, "-m", "engine", "run", "--config", str(config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        lasted = time.monotonic() - start
    output = last.stdout + last.stderr
    return Rehearsal(number, killed, last.returncode, FLAT in last.stdout, lasted, output)


def _dies(config: Path, moment: Moment) -> bool:
    """Let a process die at a moment; False if it ended before that."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kills", "--child", str(config), str(moment.order)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return process.wait(moment.after_s or LIMIT_S) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def _run_to_order(config: Path, number: int) -> int:
    """Run, and die as by kill -9 when the n-th order was handed over and has not arrived."""
    submit, left = VenueActor.submit, number

    def dying(actor: VenueActor, command: Command) -> None:
        nonlocal left
        submit(actor, command)
        if isinstance(command, Place):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    VenueActor.submit = dying  # type: ignore[method-assign, assignment]
    return run(config)


def main() -> int:
    """Rehearse as the command line says; return the exit code."""
    if sys.argv[1:2] == ["--child"]:
        return _run_to_order(Path(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--jobs", type=int, default=1, help="rehearsals at the same time")
    given = parser.parse_args()
    say = sys.stdout.write
    say(f"{given.kills} kills, seed {given.seed}\n")
    drawn = list(plans(given.kills, given.seed))
    bad = killed = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for done in pool.map(rehearse, range(1, len(drawn) + 1), drawn):
            say(f"{done.line()}\n")
            sys.stdout.flush()
            killed += len(done.killed)
            if not done.good:
                bad += 1
                say(done.output)
    say(f"{killed} processes killed; {len(drawn) - bad} of {len(drawn)} rehearsals ended flat\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
