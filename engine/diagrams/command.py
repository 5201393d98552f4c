"""`unwind diagram`: draws, counts, compares and checks the machines; writes or prints the result.

Chooses what is wanted and hands it on; the exit status is 0, 1 for a finding, 2 for wrong input. It
must not draw or judge itself.
"""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.config import Config, ConfigError, load
from engine.diagrams import compare, coverage, graphs, overview, pages, review
from engine.diagrams.arrows import Arrow, moving_arrows, staying_arrows
from engine.diagrams.docs import Docs, MachineDoc, describe
from engine.diagrams.graphs import MissingGraphviz, Overlay
from engine.diagrams.lint import RULES, lint
from engine.diagrams.revision import JSON_NAME, RevisionError, docs_of
from engine.journal import JournalError
from engine.simulation.explore import Explorer, Violation
from engine.simulation.scenario import ScenarioError
from engine.simulation.small_world import World
from engine.story.tape import TapeError
from machines.core import TABLES
from machines.errors import ReplayDiverged

FORMATS = ("mermaid", "dot", "svg", "png", "md", "html", "json")
#: What can be printed as it is; the others need a folder to be written into.
PRINTED = ("mermaid", "dot", "svg", "md", "html", "json")
_ENDINGS = {"mermaid": "mmd", "dot": "dot", "svg": "svg", "png": "png"}
#: Where the committed pages are.
COMMITTED = Path("docs/machines")
#: Scenarios that the review page counts when none are named.
SCENARIOS = Path("tests/scenarios")
REVIEW_NAME = "review.html"
CHANGES_NAME = "changes.md"
#: How many facts fewer the small world with a person in it takes in a row.
PERSON_COSTS = 2
#: Differing lines that `--check` prints of each page.
SHOWN_LINES = 12


class Wanted(Struct):
    """What the command line asks for."""

    machines: list[str] = []
    formats: list[str] = []
    out: Path | None = None
    config: Path | None = None
    scenarios: list[Path] = []
    journals: list[Path] = []
    against: str = ""
    loops: bool = False
    unfolded: bool = False
    check: bool = False
    lint: bool = False
    facts: int = 6


class WrongInput(Exception):
    """The command cannot be carried out; the text says why and what to do."""


def main(wanted: Wanted) -> int:
    """Carry the command out; returns the exit status."""
    try:
        return _run(wanted)
    except (WrongInput, MissingGraphviz, RevisionError, TapeError, JournalError) as error:
        sys.stderr.write(f"{error}\n")
    except ReplayDiverged as error:
        sys.stderr.write(f"the journal was written by another version of the machines: {error}\n")
    except (ConfigError, ScenarioError) as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.lines()))
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return 2


def _run(wanted: Wanted) -> int:
    docs = _chosen(describe(), wanted.machines)
    formats = _formats(wanted)
    if wanted.check:
        return _check(docs, wanted.out or COMMITTED)
    if wanted.lint:
        return _lint(wanted.facts)
    if wanted.against:
        return _against(docs, wanted, formats)
    measured = _measured(wanted, formats)
    if measured is not None and (wanted.scenarios or wanted.journals) and not formats:
        return _counted(docs, measured)
    config = load(wanted.config) if wanted.config is not None else None
    _draw(docs, wanted, formats or ["mermaid"], measured, config)
    return 0


def _chosen(docs: Docs, names: Sequence[str]) -> Docs:
    known = [machine.name for machine in docs.machines]
    for name in names:
        if name not in known:
            raise WrongInput(f"--machine {name}: there is none; known: {', '.join(known)}")
    if not names:
        return docs
    return replace(docs, machines=tuple(m for m in docs.machines if m.name in names))


def _formats(wanted: Wanted) -> list[str]:
    found: list[str] = []
    for each in wanted.formats:
        if each != "all" and each not in FORMATS:
            raise WrongInput(f"--format {each}: allowed: {', '.join(FORMATS)}, all")
        found += FORMATS if each == "all" else [each]
    found = list(dict.fromkeys(found))
    if wanted.out is None:
        if len(found) > 1:
            raise WrongInput("several formats need a folder to be written into: --out DIR")
        if found and found[0] not in PRINTED:
            raise WrongInput(f"--format {found[0]} needs a folder to be written into: --out DIR")
    return found


def _measured(wanted: Wanted, formats: Sequence[str]) -> coverage.Coverage | None:
    if wanted.journals and wanted.scenarios:
        raise WrongInput("--coverage and --journal: give one of them")
    if wanted.journals:
        return coverage.of_journals(wanted.journals)
    paths = wanted.scenarios
    if not paths and "html" in formats and SCENARIOS.is_dir():
        paths = [SCENARIOS]
    if not paths:
        return None
    for path in paths:
        if not path.exists():
            raise WrongInput(f"--coverage {path}: there is no such file or folder")
    files = [file for path in paths for file in coverage.scenario_files(path)]
    if not files:
        raise WrongInput(f"--coverage: no scenario below {', '.join(map(str, paths))}")
    return coverage.of_scenarios(files)


# ---------------------------------------------------------------- drawing


def _draw(
    docs: Docs,
    wanted: Wanted,
    formats: Sequence[str],
    measured: coverage.Coverage | None,
    config: Config | None,
) -> None:
    laid = measured if wanted.scenarios or wanted.journals else None
    if wanted.out is None:
        texts = [
            data.decode() for _, data in _files(docs, wanted, formats[0], laid, measured, config)
        ]
        sys.stdout.write("\n".join(texts))
        return
    wanted.out.mkdir(parents=True, exist_ok=True)
    written = 0
    for each in formats:
        for name, data in _files(docs, wanted, each, laid, measured, config):
            (wanted.out / name).write_bytes(data)
            written += 1
        if each == "png" and not _has_fonts():
            sys.stderr.write(
                "no font is installed here, so the letters of the PNG are empty boxes; install "
                "one, such as the package fonts-dejavu-core, or use SVG\n"
            )
    sys.stdout.write(f"{written} files written to {wanted.out}\n")


def _files(
    docs: Docs,
    wanted: Wanted,
    kind: str,
    laid: coverage.Coverage | None,
    measured: coverage.Coverage | None,
    config: Config | None,
) -> Iterator[tuple[str, bytes]]:
    """Every file of one format, by name; without a folder, only what the machines need."""
    if kind == "json":
        yield JSON_NAME, msgspec.json.format(msgspec.json.encode(docs))
    elif kind == "md":
        found = pages.pages(docs)
        if wanted.machines:
            del found[pages.HOME]
        for name, text in found.items():
            yield name, text.encode()
    elif kind == "html":
        yield REVIEW_NAME, review.page(docs, config, measured).encode()
    else:
        for machine in docs.machines:
            arrows = _arrows(machine, wanted)
            look = Overlay(machine.name)
            if laid is not None:
                look = coverage.overlay(machine, arrows, laid)
            yield f"{machine.name}.{_ENDINGS[kind]}", _picture(machine, arrows, kind, look)
        if not wanted.machines:
            yield f"overview.{_ENDINGS[kind]}", _overview(docs, kind)


def _arrows(machine: MachineDoc, wanted: Wanted) -> list[Arrow]:
    arrows = moving_arrows(machine, folded=not wanted.unfolded)
    return arrows + (staying_arrows(machine, len(arrows) + 1) if wanted.loops else [])


def _picture(machine: MachineDoc, arrows: Sequence[Arrow], kind: str, look: Overlay) -> bytes:
    if kind == "mermaid":
        return graphs.mermaid(machine, arrows, look).encode()
    if kind == "dot":
        return graphs.dot(machine, arrows, look).encode()
    return graphs.draw(machine, arrows, kind, look)


def _overview(docs: Docs, kind: str) -> bytes:
    if kind == "mermaid":
        return overview.mermaid(docs).encode()
    return overview.dot(docs).encode() if kind == "dot" else overview.draw(docs, kind)


def _has_fonts() -> bool:
    folders = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library")
    own = (Path.home() / ".fonts", Path.home() / ".local/share/fonts", Path("C:/Windows/Fonts"))
    return any(
        next(Path(folder).rglob("*.[to]tf"), None)
        for folder in (*folders, *own)
        if Path(folder).is_dir()
    )


# ---------------------------------------------------------------- checking


def _check(docs: Docs, folder: Path) -> int:
    """Hold the committed pages against the tables; print what differs."""
    stale = 0
    wanted = pages.pages(docs)
    present = {path.name for path in folder.glob("*.md")} if folder.is_dir() else set()
    for name in sorted({*wanted, *present}):
        path = folder / name
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there == wanted.get(name, ""):
            continue
        stale += 1
        verdict = "is stale" if name in wanted and there else "is missing"
        sys.stdout.write(f"{path}: {verdict if name in wanted else 'is of no machine'}\n")
        lines = difflib.unified_diff(
            there.splitlines(),
            wanted.get(name, "").splitlines(),
            "committed",
            "tables",
            n=0,
            lineterm="",
        )
        sys.stdout.writelines(f"    {line}\n" for line in list(lines)[2 : 2 + SHOWN_LINES])
    if stale:
        sys.stdout.write(f"write them anew: unwind diagram --format md --out {folder}\n")
        return 1
    sys.stdout.write(f"{folder}: {len(wanted)} pages, as the tables say\n")
    return 0


def _counted(docs: Docs, measured: coverage.Coverage) -> int:
    sys.stdout.write(coverage.report(docs, measured))
    if not measured.judges:
        return 0
    found = coverage.findings(docs, measured.taken.rows)
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


def _lint(facts: int) -> int:
    """Check the tables without running them, then every interleaving of a few facts."""
    findings = lint(TABLES.values())
    for rule, sentence in RULES.items():
        mine = [finding for finding in findings if finding.rule == rule]
        sys.stdout.write(f"{'FAILED' if mine else 'ok':6} {rule}: {sentence}\n")
        sys.stdout.writelines(f"       {each.machine}: {each.text}\n" for each in mine)
    sys.stdout.flush()
    # A person's four keys multiply what can happen, so the world with one is shallower.
    worlds = [World(facts=facts), World(facts=max(1, facts - PERSON_COSTS), person=True)]
    clean = [_explored(world) for world in worlds]
    return 0 if not findings and all(clean) else 1


def _explored(world: World) -> bool:
    """Go through a small world and print what was seen; True if nothing was wrong."""
    started = time.process_time()
    found = Explorer(world, _so_far if sys.stderr.isatty() else None).run()
    spent = time.process_time() - started
    sys.stdout.write(
        f"{'FAILED' if found.violations else 'ok':6} small world: no invariant breaks in "
        f"{found.states} joint states of close, legs and orders, {found.steps} facts taken in "
        f"{spent:.0f} s: every interleaving of at most {world.facts} facts, {world.lots} lots, "
        f"{world.orders} orders a leg, {'with' if world.person else 'without'} a person at the "
        "keys\n"
    )
    sys.stdout.flush()
    shortest: dict[str, Violation] = {}
    for violation in found.violations:
        known = shortest.get(violation.text)
        if known is None or len(violation.path) < len(known.path):
            shortest[violation.text] = violation
    for each in shortest.values():
        sys.stdout.write(f"       {each.text}: after {'; '.join(each.path)}\n")
    return not found.violations


def _so_far(states: int) -> None:
    """Show on a terminal that a long search goes on."""
    sys.stderr.write(f"       {states} joint states so far\r")
    sys.stderr.flush()


# ---------------------------------------------------------------- comparing


def _against(docs: Docs, wanted: Wanted, formats: Sequence[str]) -> int:
    """Say what changed; with a folder, draw the machines that did."""
    before = _chosen_there(docs_of(wanted.against, Path.cwd()), wanted.machines)
    changes = compare.compare(before, docs)
    text = compare.markdown(changes, wanted.against)
    sys.stdout.write(text)
    if wanted.out is None:
        return 0
    wanted.out.mkdir(parents=True, exist_ok=True)
    (wanted.out / CHANGES_NAME).write_text(text, encoding="utf-8")
    kinds = [each for each in formats if each in _ENDINGS] or ["svg"]
    for change in changes.machines:
        if not change:
            continue
        sides = [compare.named(each, change.name) for each in (before, docs)]
        both = compare.both(*sides)
        arrows = _arrows(both, wanted)
        look = compare.overlay(change, both, arrows, wanted.against)
        for kind in kinds:
            name = f"{change.name}.{_ENDINGS[kind]}"
            (wanted.out / name).write_bytes(_picture(both, arrows, kind, look))
    return 0


def _chosen_there(docs: Docs, names: Sequence[str]) -> Docs:
    """As `_chosen`, but a machine that is new has no other side."""
    if not names:
        return docs
    return replace(docs, machines=tuple(m for m in docs.machines if m.name in names))
