"""How many journal records per second a core folds, and what a replayed record costs in parts.

    python -m benchmarks.replay [--ticks 40000] [--rounds 5]

The close workload is run once with a journal in memory; then each round folds its records into a
fresh core, decoded beforehand (`fold`) and straight from the verified, hash-chained rows
(`verify_decode_fold`). The state that comes out must equal the live one. Prints one JSON line.
"""

import argparse
import json
import time
from statistics import median

from benchmarks.closes import Workload
from benchmarks.tape import quotes
from engine.dispatcher import fold
from engine.journal import MemoryJournal
from engine.memory import spare_collector
from machines.core import Core
from machines.digest import digest


def fresh(workload: Workload) -> Core:
    """An empty core of the same configuration."""
    return Core(workload.instruments, workload.venues, workload.specs)


def rates(workload: Workload, journal: MemoryJournal, rounds: int) -> dict[str, list[float]]:
    """Records per CPU second of each round, folded from memory and from sealed rows."""
    live = digest(workload.core)
    records = list(journal.read())
    found: dict[str, list[float]] = {"fold": [], "verify_decode_fold": []}
    spare_collector()
    for _ in range(rounds):
        for name, source in (("fold", records), ("verify_decode_fold", journal.read())):
            core = fresh(workload)
            cpu = time.process_time()
            count = fold(core, source)
            found[name].append(count / (time.process_time() - cpu))
            if digest(core) != live:
                raise SystemExit(f"replay: {name} does not give the live state")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Journal records folded per CPU second.")
    parser.add_argument("--ticks", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    journal = MemoryJournal()
    workload = Workload(1, journal, recording=True)
    workload.run(quotes(7, 1, args.ticks, 1))
    found = rates(workload, journal, args.rounds)
    report: dict[str, object] = {"records": journal.last_seq, "rows": len(journal.rows)}
    report["bytes_per_record"] = round(
        sum(len(row.body) for row in journal.rows) / journal.last_seq
    )
    for name, each in found.items():
        report[f"{name}_per_s"] = [round(min(each)), round(median(each)), round(max(each))]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
