"""Damages the files of a killed session and looks what a start makes of them.

    python -m tests.damages --count 300 --seed 1

The session was taken up once, and was halted by a person who got an answer. Whatever is damaged, a
start must refuse, or make the same decisions as from the whole files and stay halted: from all
records, or from those that are left and with a word that some are missing. Anything else is
`silent`, and must not be. Prints a table of kinds and outcomes, and every silent damage with its
seed. It must not assert anything.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine.journal import JournalError, Record, read_journal
from engine.paths import BootError
from engine.venue_actor import BookError
from machines.messages import CloseRequested, EngineStarted, OperatorCommanded, Place
from machines.types import NS
from tests.live_engine import LiveEngine
from tests.sessions import PERSON, Process, copied, running, standing_text

OUTCOMES = ("refused", "same decisions", "halted, said what is lost", "silent")
REFUSED, SAME, HALTED, SILENT = OUTCOMES


class Session(NamedTuple):
    """The files of one session at three moments of its life, and what it recorded until `whole`."""

    earlier: LiveEngine
    whole: LiveEngine
    later: LiveEngine
    records: list[Record]


def make_session(folder: Path) -> Session:
    """Close one pair, die; go on with another, be halted, die; and what came after that."""
    (folder / "a").mkdir(parents=True)
    first = LiveEngine(folder / "a", standing_text())
    with running(first) as process:
        _close(process, "btc", "immediate")
        process.run(NS)
        _close(process, "one:SOL")
        process.run(NS // 10)
        earlier = copied(first, folder / "earlier")
    second = copied(earlier, folder / "b")
    with running(second) as process:
        process.run(NS)
        _close(process, "eth")
        process.run(NS // 10)
        _say(process, "halt")
        process.run(NS)
        whole = copied(second, folder / "whole")
    records = list(read_journal(whole.paths.journal))
    third = copied(whole, folder / "c")
    with running(third) as process:
        _say(process, "resume")
        process.run(60 * NS)
        later = copied(third, folder / "later")
    return Session(earlier, whole, later, records)


def _close(process: Process, pair: str, urgency: str | None = None) -> None:
    process.say(CloseRequested(process.kernel.now, pair, "MANUAL", urgency))


def _say(process: Process, command: str) -> None:
    process.say(OperatorCommanded(process.kernel.now, command, by=PERSON))


# ---------------------------------------------------------------- damages


def flip(data: bytearray, draws: Random) -> None:
    data[draws.randrange(len(data))] ^= 1 << draws.randrange(8)


def flip_several(data: bytearray, draws: Random) -> None:
    for _ in range(draws.randint(2, 40)):
        flip(data, draws)


def zero_a_block(data: bytearray, draws: Random) -> None:
    size = draws.choice((1, 16, 512, 4096))
    start = draws.randrange(len(data)) // size * size
    data[start : start + size] = bytes(len(data[start : start + size]))


def overwrite_a_block(data: bytearray, draws: Random) -> None:
    start = draws.randrange(len(data))
    size = len(data[start : start + draws.choice((4, 64, 4096))])
    data[start : start + size] = draws.randbytes(size)


def cut(data: bytearray, draws: Random) -> None:
    del data[draws.randrange(len(data)) :]


def cut_at_a_page(data: bytearray, draws: Random) -> None:
    del data[draws.randrange(len(data)) // 4096 * 4096 :]


def take_out_a_piece(data: bytearray, draws: Random) -> None:
    start = draws.randrange(len(data))
    del data[start : start + draws.choice((1, 24, 4096, 4120))]


def double_a_piece(data: bytearray, draws: Random) -> None:
    start = draws.randrange(len(data))
    size = draws.choice((1, 24, 4096, 4120))
    data[start:start] = data[start : start + size]


def append_nonsense(data: bytearray, draws: Random) -> None:
    data.extend(draws.randbytes(draws.choice((1, 20, 4120))))


BYTES: dict[str, Callable[[bytearray, Random], None]] = {
    "flip": flip,
    "several flips": flip_several,
    "zeroed block": zero_a_block,
    "overwritten block": overwrite_a_block,
    "cut": cut,
    "cut at a page": cut_at_a_page,
    "piece taken out": take_out_a_piece,
    "piece doubled": double_a_piece,
    "nonsense appended": append_nonsense,
}
#: The log is damaged as often as all the others together.
FILES = (
    *("journal.db-wal",) * 6,
    "journal.db", "journal.db.lock", "journal.db.session", "journal.db-shm",
    "books/one.book", "books/two.book",
)  # fmt: skip


class Damage(NamedTuple):
    """One damage, and what a start and a reader made of it."""

    seed: int
    file: str
    kind: str
    outcome: str
    said: str


def damage(session: Session, seed: int, folder: Path) -> Damage:
    """Damage one file of the whole session, as `seed` says, and try to start and to read."""
    draws = Random(seed)
    live = copied(session.whole, folder)
    name = draws.choice(FILES)
    path = live.paths.directory / name
    kind = draws.choice((*BYTES, "removed", "older copy", "newer copy"))
    if kind == "removed":
        path.unlink()
    elif kind in BYTES:
        data = bytearray(path.read_bytes())
        BYTES[kind](data, draws)
        path.write_bytes(data)
    else:
        other = session.earlier if kind == "older copy" else session.later
        shutil.copyfile(other.paths.directory / name, path)
    whole = (session.whole.paths.directory / name).read_bytes()
    if path.exists() and path.read_bytes() == whole:
        kind = "no change"
    return Damage(seed, name, kind, *judged(session, live))


def judged(session: Session, live: LiveEngine) -> tuple[str, str]:
    """What a reader and then a start make of the files: an outcome, and what was said."""
    known = session.records
    read, reading = _read(live)
    if read != known[: len(read)]:
        return SILENT, "a reader got other records"
    if len(read) < len(known) and not reading:
        return SILENT, f"a reader got {len(read)} of {len(known)} records and no word"
    try:
        process = Process(live)
    except (BootError, BookError, JournalError) as error:
        return REFUSED, str(error)
    try:
        process.run(30 * NS)
        started = process.boot
        found = list(started.journal.read())
        began = next(n for n, each in enumerate(found) if _begins(each, started.journal.epoch))
        kept, new = found[:began], found[began:]
        if kept != known[: len(kept)]:
            return SILENT, "a start made other decisions"
        if any(type(intent) is Place for each in new for intent in each.intents):
            return SILENT, "an order was placed although a person had halted"
        if not started.core.env.halted:
            return SILENT, "a halt was undone"
        if len(kept) < len(known) and not started.lost:
            return SILENT, f"{len(known) - len(kept)} records were lost without a word"
        return (HALTED, started.lost) if started.lost else (SAME, "")
    finally:
        process.leave()


def _begins(record: Record, epoch: int) -> bool:
    return type(record.fact) is EngineStarted and record.fact.epoch == epoch


def _read(live: LiveEngine) -> tuple[list[Record], str]:
    """The records that a reader gets, and what ends the reading early."""
    records: list[Record] = []
    try:
        for record in read_journal(live.paths.journal):
            records.append(record)  # noqa: PERF402 - what came before an error counts
    except JournalError as error:
        return records, str(error)
    return records, ""


def damages(session: Session, seeds: range, folder: Path) -> list[Damage]:
    """One damage per seed."""
    found = []
    for seed in seeds:
        place = folder / str(seed)
        found.append(damage(session, seed, place))
        shutil.rmtree(place)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--show", action="store_true", help="print every damage")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unwind-damages-") as name:
        folder = Path(name)
        session = make_session(folder / "session")
        found = damages(session, range(args.seed, args.seed + args.count), folder)
    for each in found:
        if args.show or each.outcome == SILENT:
            print(f"seed {each.seed}: {each.kind} of {each.file}: {each.outcome} {each.said}")
    print_table(found)
    sys.exit(any(each.outcome == SILENT for each in found))


def print_table(found: list[Damage]) -> None:
    """Print how often each kind of damage had each outcome."""
    counts = Counter((each.kind, each.outcome) for each in found)
    print(f"{'':20}" + "".join(f"{outcome:>27}" for outcome in OUTCOMES))
    for kind in sorted({each.kind for each in found}):
        row = "".join(f"{counts[kind, outcome]:>27}" for outcome in OUTCOMES)
        print(f"{kind:20}{row}")
    total = Counter(each.outcome for each in found)
    print(f"{f'all {len(found)}':20}" + "".join(f"{total[outcome]:>27}" for outcome in OUTCOMES))


if __name__ == "__main__":
    main()
