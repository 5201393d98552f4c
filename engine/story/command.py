"""`unwind trace`, `why` and `replay`: open a recording, tell it, and print or write the result.

Exit status 0, 1 where a recording is not what was recorded, 2 for wrong input. It must not tell a
story itself.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from engine.config import ConfigError, load
from engine.journal import JournalError, Record
from engine.journal_errors import BadRecord, CorruptJournal
from engine.journal_file import intact_until
from engine.recovery import Paths
from engine.simulation.scenario import ScenarioError
from engine.story import page, picture, sequence, timeline
from engine.story.reasons import reasons
from engine.story.replay import Replay
from engine.story.story import Story
from engine.story.tape import Tape, TapeError, open_tape
from engine.story.telling import Subject, only_close, tell
from engine.texts import put
from machines.errors import ReplayDiverged
from machines.table import Out

FORMATS = ("text", "mermaid", "svg", "html")
#: Where a checkout keeps its scenarios, which the ids of the catalogue name.
SCENARIOS = Path("tests/scenarios")
#: How many records the person who steps asks for.
_COUNT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_CATALOGUE = re.compile(r"[cpf]\d+[a-z]?", re.IGNORECASE)


def trace(
    subject: str,
    file: Path | None,
    config: Path,
    kind: str,
    out: Path | None,
    *,
    everything: bool,
) -> int:
    """Tell the life of a close, position, order or venue in one of the formats."""
    if kind not in FORMATS:
        return _refuse(f"--format {kind}: allowed: {', '.join(FORMATS)}")

    def show(story: Story) -> None:
        if kind != "text":
            teller = {"mermaid": sequence.mermaid, "svg": picture.svg, "html": page.page}[kind]
            _put(teller(story), out)
            return
        console = Console(highlight=False, emoji=False)
        if out is None:
            timeline.show(story, console, everything=everything)
            return
        lines = timeline.lines(story, console.size.width, everything=everything)
        _put("".join(f"{line.text}\n" for line in lines), out)

    return _tell(subject, file, config, show)


def why(subject: str, file: Path | None, config: Path, *, everything: bool) -> int:
    """Print one sentence per transition."""

    def show(story: Story) -> None:
        console = Console(highlight=False, emoji=False)
        console.print(story.title, style="bold", markup=False, soft_wrap=True)
        for text in reasons(story, everything=everything):
            for line in textwrap.wrap(text, max(console.size.width, 40), subsequent_indent="    "):
                console.print(line, markup=False, soft_wrap=True)

    return _tell(subject, file, config, show)


def _put(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TapeError(
            f"--out {out}: cannot be written: {error.strerror}; name a file in a folder that exists"
        ) from error
    put([f"written to {out}"], sys.stdout)


class _Recording(Struct):
    """Where a recording is, and what of it is asked for; nothing: the one close that it holds."""

    path: Path
    subject: str = ""


def _tell(subject: str, file: Path | None, config: Path, show: Callable[[Story], None]) -> int:
    def work(found: _Recording) -> int:
        tape = open_tape(found.path)
        show(tell(tape, Subject(found.subject or only_close(tape))))
        return 0

    return _answered(lambda: _recording(subject, file, config), work)


def _recording(subject: str, file: Path | None, config: Path) -> _Recording:
    """The recording and the subject: the file named, a catalogue's scenario, or the journal."""
    if file is not None:
        return _Recording(file, subject)
    scenario = _of_catalogue(subject)
    if scenario is not None:
        return _Recording(scenario)
    read = load(config)
    if _CATALOGUE.fullmatch(subject) and subject not in read.pairs:
        raise TapeError(
            f"{subject}: no scenario of that id is in {SCENARIOS}, and no pair has that name; "
            "look there, or name a recording with --file"
        )
    journal = Paths(read).journal
    if not journal.exists():
        raise TapeError(
            f"{journal}: there is no journal yet; run unwind run first, or name a journal or a "
            "scenario with --file"
        )
    return _Recording(journal, subject)


def _of_catalogue(text: str) -> Path | None:
    """The scenario that an id of the catalogue names; says so if there are more of it."""
    if not _CATALOGUE.fullmatch(text):
        return None
    found = sorted(each for each in SCENARIOS.rglob("*.toml") if _is_of(each, text))
    if len(found) > 1:
        others = ", ".join(str(each) for each in found[1:])
        put([f"{text} is {found[0]}; there is more of it: {others}"], sys.stderr)
    return found[0] if found else None


def _is_of(file: Path, subject: str) -> bool:
    """Whether a scenario has that id, or one of the letters that follow it (C02a, C02b)."""
    found = file.stem.partition("_")[0]
    return found == subject.lower() or found[:-1] == subject.lower()


# ---------------------------------------------------------------- replay


def replay(file: Path, until: int | None, config: Path | None, *, step: bool, hashes: bool) -> int:
    """Fold a recording, verify it, and print states."""

    def find() -> _Recording:
        return _Recording((None if file.exists() else _of_catalogue(str(file))) or file)

    def work(found: _Recording) -> int:
        read = load(config) if config is not None else None
        return _replay(open_tape(found.path, read), until, step=step, hashes=hashes)

    return _answered(find, work)


class _Stopped(Exception):
    """The person who steps has seen enough."""


def _replay(tape: Tape, until: int | None, *, step: bool, hashes: bool) -> int:
    run = Replay(tape)
    waiting = _Stepper(run) if step else None

    def stepped(record: Record, out: Out) -> None:
        if hashes:
            sys.stdout.write(f"{record.seq} {run.digest()}\n")
        if waiting is not None:
            waiting.show(record, out)

    try:
        count = run.run(until, stepped if step or hashes else None)
    except _Stopped:
        return 0
    if until is not None and run.seq < until:
        return _refuse(f"--until {until}: the recording ends at record {run.seq}")
    if not hashes:
        put(run.state_lines(), sys.stdout)
    starts = f"{run.epochs} process start{'' if run.epochs == 1 else 's'}"
    sys.stdout.write(f"{count} records folded, {starts}; every hash, number and intent agrees\n")
    return 0


class _Stepper:
    """Shows one record after another; on a terminal it waits before each."""

    def __init__(self, run: Replay) -> None:
        self.run = run
        self.asks = sys.stdin.isatty()
        self.left = 0

    def show(self, record: Record, out: Out) -> None:
        """Print a record and, on a terminal, wait: Enter, a number of records, s or q."""
        put(self.run.step_lines(record, out), sys.stdout)
        if not self.asks:
            return
        if self.left > 0:
            self.left -= 1
            return
        while True:
            sys.stdout.write("Enter: next, 20: twenty more, s: state, q: quit > ")
            sys.stdout.flush()
            answer = sys.stdin.readline()
            word = answer.strip()
            if not answer or word == "q":
                raise _Stopped
            if word == "s":
                put(self.run.state_lines(), sys.stdout)
                continue
            self.left = int(word) - 1 if _COUNT.fullmatch(word) else 0
            return


# ---------------------------------------------------------------- what goes wrong


def _answered(find: Callable[[], _Recording], work: Callable[[_Recording], int]) -> int:
    """Do the work on a recording; what goes wrong becomes a message and an exit status."""
    path = Path()
    try:
        found = find()
        path = found.path
        return work(found)
    except BrokenPipeError:
        raise
    except TapeError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename or path}: {error.strerror or error}")
    except (ConfigError, ScenarioError) as error:
        return _refuse("\n".join(error.lines()))
    except JournalError as error:
        return _damaged(error, path)
    except ReplayDiverged as error:
        return _diverged(error, path)
    except (ArithmeticError, LookupError, ValueError) as error:
        return _refuse(f"{path}: holds what cannot be told: {error!r}")


def _refuse(text: str) -> int:
    put([text], sys.stderr)
    return 2


def _damaged(error: JournalError, path: Path) -> int:
    """Say what is wrong with a journal, and up to where it can be relied on."""
    put([str(error)], sys.stderr)
    if isinstance(error, BadRecord):
        first = error.record
    elif isinstance(error, CorruptJournal):
        first = intact_until(path) + 1
    else:
        return 2
    sys.stderr.write(f"first bad record: {first}; before it, {first - 1} records are intact\n")
    return 1


def _diverged(error: ReplayDiverged, path: Path) -> int:
    text = (
        f"{path}: this version decides otherwise than the one that recorded it; replay it with "
        f"that version ({error})"
    )
    put([text], sys.stderr)
    return 1
