"""How many two-legged closes per CPU second the real core and simulated venue complete on a tape.

    python -m benchmarks.closes --ticks 200000 --hz 1 [--pairs 200] [--journal off|normal|full]

Every order takes its full path: fact, tables, journal, port, matching, report. Each pair is two
closes of one leg, opened by a market order through the order machine alone; the rules and the
expected digests are those of the close workload that docs/performance.md describes. Prints one JSON
line. CPU seconds cover the run from the first quote to the last, tape and set-up excluded.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.tape import SPREAD, START_NS, quotes
from engine.dispatcher import Dispatcher
from engine.journal import Journal, Sync, open_journal
from engine.memory import spare_collector
from engine.simulation.kernel import Kernel, settle
from machines.core import Core
from machines.messages import CloseRequested, EngineStarted, Fact, FillReported, OrderPlaced
from machines.table import Out
from machines.types import (
    BUY,
    NS,
    SELL,
    AggressiveSettings,
    CloseSettings,
    Instrument,
    MarketSettings,
    PairSettings,
    PassiveSettings,
    VenueSettings,
)
from venues.profiles import profile
from venues.sim.draws import Draws
from venues.sim.latency import no_latency
from venues.sim.venue import SimVenue

SIZE = 5
#: Rung times of leg A and leg B: odd, so that no deadline meets a quote of its own instrument.
RUNG_NS = (15_000_500_000, 15_000_501_000)
RUNGS = ("passive_limit", "aggressive_limit", "market")


def ladder(rung_ns: int) -> CloseSettings:
    """The ladder of the workload: own touch, one tick inside, market; no step within a rung."""
    return CloseSettings(
        passive_limit=PassiveSettings(price="own_touch", timeout_ns=rung_ns, requotes_max=0),
        aggressive_limit=AggressiveSettings(
            timeout_ns=rung_ns,
            attempt_timeout_ns=2 * rung_ns,
            inside_attempts=1,
            slippage_max_bps=Decimal(1000),
        ),
        market=MarketSettings(),
        break_even=False,
        book_max_age_ns=3600 * NS,
    )


class Workload:
    """The pairs' cycles: open both legs, close each on its own, begin again."""

    def __init__(self, pairs: int, journal: Journal | None, *, recording: bool) -> None:
        self.pairs = pairs
        self.kernel = kernel = Kernel(START_NS - NS)
        kind = profile("ideal", {"echo_open": False, "echo_cancel": False})
        self.venues = venues = [VenueSettings(name, kind.capabilities) for name in ("a", "b")]
        self.instruments = instruments = [self._instrument(index) for index in range(2 * pairs)]
        ladders = [ladder(RUNG_NS[0]), ladder(RUNG_NS[1])]
        self.names = [each.key for each in instruments]
        self.specs = specs = [
            PairSettings(each.key, (each.index,), ladders[each.index % 2]) for each in instruments
        ]
        self.core = Core(instruments, venues, specs, recording=recording, tracing=False)
        ports: dict[str, SimVenue] = {}
        self.dispatcher = Dispatcher(
            self.core, journal, ports, lambda: kernel.now, on_step=self.stepped
        )
        for number, settings in enumerate(venues):
            own = instruments[number::2]
            ports[settings.name] = SimVenue(
                settings, kind, own, kernel, self.dispatcher, no_latency(), Draws(1), lean=True
            )
        self.ports = [ports["a"], ports["b"]]
        self.flat = [True] * (2 * pairs)
        self.quoted = [False] * pairs
        self.ended = [0] * pairs
        self.closes = self.cash = self.facts = 0
        self.rungs = dict.fromkeys(RUNGS, 0)
        self.dispatcher.wire()
        self.dispatcher.fact(EngineStarted(kernel.now, journal.epoch if journal is not None else 1))
        self.settle()

    def _instrument(self, index: int) -> Instrument:
        venue = "ab"[index % 2]
        return Instrument(
            index,
            f"{venue}:P{index // 2}",
            venue,
            f"P{index // 2}",
            tick=Decimal("0.1"),
            unit=Decimal("0.010"),
            lot=1,
            min_qty=1,
            min_notional=1,
        )

    def settle(self) -> None:
        """Do all that is due; what this instant decided becomes durable together, then leaves."""
        settle(self.kernel, self)
        while self.dispatcher.must_commit:
            self.dispatcher.commit()
            settle(self.kernel, self)

    def turn(self, dispatcher: Dispatcher) -> None:
        """Let the engine run; intents wait for the commit at the end of the instant."""
        dispatcher.drain()
        if dispatcher.batch.commands:
            dispatcher.send_reads()

    def stepped(self, fact: Fact, out: Out) -> None:
        """Watch fills go by: an opened leg is closed, a closed one ends its half of the cycle."""
        self.facts += 1
        if type(fact) is not FillReported:
            return
        index = fact.instrument
        self.cash -= fact.side * fact.price
        rung = self.core.env.orders[fact.order].rung
        if rung == "single":
            self.dispatcher.fact(CloseRequested(fact.at, self.names[index], "MANUAL"))
            return
        self.rungs[rung] += 1
        self.flat[index] = True
        if self.flat[index ^ 1]:
            self.closes += 1
            self.ended[index // 2] = fact.at

    def run(self, tape: list[tuple[int, int, int]]) -> None:
        """Replay the tape quote by quote."""
        kernel, dispatcher = self.kernel, self.dispatcher
        due, inbox, timers = kernel.heap, dispatcher.inbox, dispatcher.timers
        a, b = self.ports[0].set_book, self.ports[1].set_book
        flat, quoted, ended = self.flat, self.quoted, self.ended
        for at, index, bid in tape:
            while timers.earliest <= at:
                deadline = timers.next_due(self.core)
                if deadline is not None and deadline <= at:
                    kernel.now = deadline
                    self.settle()
            kernel.now = at
            if index & 1:
                b(index, bid, SIZE, bid + SPREAD, SIZE)
                if inbox or due:
                    self.settle()
                quoted[index >> 1] = True
                continue
            a(index, bid, SIZE, bid + SPREAD, SIZE)
            if inbox or due:
                self.settle()
            pair = index >> 1
            if flat[index] and flat[index + 1] and at > ended[pair] and quoted[pair]:
                flat[index] = flat[index + 1] = False
                dispatcher.fact(OrderPlaced(at, index, BUY, 1, by="open"))
                dispatcher.fact(OrderPlaced(at, index + 1, SELL, 1, by="open"))
                self.settle()
        dispatcher.commit()


def rss_mb() -> float:
    """Resident memory of this process in MiB."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Closes per CPU second on the close workload.")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--ticks", type=int, default=1_000_000, help="quotes of all instruments")
    parser.add_argument("--hz", type=int, default=10, help="quotes per second and instrument")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--journal", choices=("off", "normal", "full"), default="off")
    parser.add_argument("--quiet", action="store_true", help="quotes only, no cycle ever starts")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        tape = quotes(args.seed, args.pairs, args.ticks, args.hz)
    except ValueError as error:
        raise SystemExit(f"closes: {error}") from None
    with tempfile.TemporaryDirectory(prefix="unwind-bench-") as directory:
        journal = None
        if args.journal != "off":
            sync: Sync = "FULL" if args.journal == "full" else "NORMAL"
            journal = open_journal(Path(directory) / "journal.db", sync, exclusive=True)
        workload = Workload(args.pairs, journal, recording=journal is not None)
        if args.quiet:
            workload.ended = [tape[-1][0]] * args.pairs
        spare_collector()
        before = rss_mb()
        wall, cpu = time.perf_counter(), time.process_time()
        workload.run(tape)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        records = journal.last_seq if journal is not None else 0
        if journal is not None:
            journal.close()
    digest = [workload.closes, *workload.rungs.values(), workload.cash]
    report = vars(args) | {
        "DIGEST": digest,
        "closes": workload.closes,
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "closes_per_cpu_s": round(workload.closes / cpu, 1),
        "facts_per_cpu_s": round(workload.facts / cpu),
        "ticks_per_cpu_s": round(len(tape) / cpu),
        "facts": workload.facts,
        "records": records,
        "rss_mb": {"tape": round(before, 1), "after": round(rss_mb(), 1)},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
