"""`unwind diagram`: draws, counts, compares and checks the machines; writes or prints the result.

Chooses what is wanted and hands it on; the exit status is 0, 1 for a finding, 2 for wrong input. It
must not draw or judge itself.
"""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from engine.config import Config, ConfigError, load
from engine.diagrams import compare, coverage, graphs, pages
from engine.diagrams.docs import Docs, describe
from engine.diagrams.drawing import ENDINGS, FORMATS, PRINTED, Drawing, Style, has_fonts, picture
from engine.diagrams.graphs import MissingGraphviz
from engine.diagrams.lint import RULES, lint
from engine.diagrams.revision import RevisionError, docs_of
from engine.journal import JournalError
from engine.simulation.explore import Explorer, Violation
from engine.simulation.scenario import ScenarioError
from engine.simulation.small_world import World
from engine.story.tape import TapeError
from engine.texts import put
from machines.core import TABLES
from machines.errors import ReplayDiverged

#: Where the committed pages are.
COMMITTED = Path("docs/machines")
#: Scenarios that the review page counts when none are named.
SCENARIOS = Path("tests/scenarios")
CHANGES_NAME = "changes.md"
#: How the colours of a picture of changes are read.
CHANGED_KEY = (
    "Green, +: added. Red, dashed, -: removed.",
    "Amber, ~: changed, or some of its rows are.",
)
#: Facts in a row in the small world, where no other number is given.
FACTS = 6
#: How many facts fewer the small world with a person in it takes in a row.
OTHERS_COST = 2
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
    facts: int | None = None


class WrongInput(Exception):
    """The command cannot be carried out; the text says why and what to do."""


def main(wanted: Wanted) -> int:
    """Carry the command out; returns the exit status."""
    try:
        return _run(wanted)
    except (WrongInput, MissingGraphviz, RevisionError, TapeError, JournalError) as error:
        put([str(error)], sys.stderr)
    except ReplayDiverged as error:
        put([f"the journal was written by another version of the machines: {error}"], sys.stderr)
    except (ConfigError, ScenarioError) as error:
        put(error.lines(), sys.stderr)
    except BrokenPipeError:
        raise
    except OSError as error:
        put([f"{error.filename}: {error.strerror}"], sys.stderr)
    return 2


def _run(wanted: Wanted) -> int:
    _refuse_contradictions(wanted)
    whole = describe()
    docs = _chosen(whole, wanted.machines)
    formats = _formats(wanted)
    if wanted.check:
        return _check(docs, wanted.out or COMMITTED)
    if wanted.lint:
        return _lint(FACTS if wanted.facts is None else wanted.facts)
    if wanted.against:
        return _against(docs, wanted, formats)
    config = load(wanted.config) if wanted.config is not None else None
    measured = _measured(wanted, formats, config)
    if measured is not None and (wanted.scenarios or wanted.journals) and not formats:
        return _counted(docs, measured)
    laid = measured if wanted.scenarios or wanted.journals else None
    _draw(
        Drawing(docs, whole, _style(wanted), config, measured, laid),
        formats or ["mermaid"],
        wanted.out,
    )
    return 0


def _style(wanted: Wanted) -> Style:
    return Style(loops=wanted.loops, unfolded=wanted.unfolded)


def _refuse_contradictions(wanted: Wanted) -> None:
    """Say so where one option would be ignored because of another."""
    asked = {
        "--check": wanted.check,
        "--lint": wanted.lint,
        "--against": bool(wanted.against),
        "--coverage": bool(wanted.scenarios),
        "--journal": bool(wanted.journals),
    }
    modes = [name for name, is_asked in asked.items() if is_asked]
    if len(modes) > 1:
        raise WrongInput(f"{' and '.join(modes)}: give one of them")
    mode = modes[0] if modes else ""
    how = {
        "--machine": bool(wanted.machines),
        "--format": bool(wanted.formats),
        "--out": wanted.out is not None and mode == "--lint",
        "--config": wanted.config is not None,
        "--loops": wanted.loops,
        "--unfolded": wanted.unfolded,
    }
    useless = [name for name, is_given in how.items() if is_given]
    if mode in ("--check", "--lint") and useless:
        raise WrongInput(f"{mode} is about all machines as they are: leave out {useless[0]}")
    if wanted.facts is not None and mode != "--lint":
        raise WrongInput("--facts: only for --lint")
    drawn = set(wanted.formats) or {"mermaid"}
    if wanted.config is not None and not drawn & {"html", "all"} and mode != "--journal":
        raise WrongInput("--config: only --format html shows configured values")
    if (wanted.loops or wanted.unfolded) and not drawn & {*ENDINGS, "all"}:
        raise WrongInput(f"--loops, --unfolded: only for {', '.join(ENDINGS)}")
    if mode == "--against":
        if wanted.formats and wanted.out is None:
            raise WrongInput("--against prints text; pictures need a folder: --out DIR")
        if not drawn & {*ENDINGS, "all"}:
            raise WrongInput(f"--against --format: allowed: {', '.join(ENDINGS)}, all")
    elif mode and drawn <= {"md", "json"}:
        raise WrongInput(f"{mode}: md and json show no counts; choose another --format")


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


def _measured(
    wanted: Wanted, formats: Sequence[str], config: Config | None
) -> coverage.Coverage | None:
    if wanted.journals:
        return coverage.of_journals(wanted.journals, config)
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


def _draw(drawing: Drawing, formats: Sequence[str], out: Path | None) -> None:
    """Print the one format that was asked for, or write all of them into a folder."""
    if out is None:
        sys.stdout.write("\n".join(data.decode() for _, data in drawing.files(formats[0])))
        return
    _make_folder(out)
    written = 0
    for each in formats:
        for name, data in drawing.files(each):
            (out / name).write_bytes(data)
            written += 1
        if each == "png" and not has_fonts():
            sys.stderr.write(
                "no font is installed here, so the letters of the PNG are empty boxes; install "
                "one, such as the package fonts-dejavu-core, or use SVG\n"
            )
    put([f"{_files(written)} written to {out}"], sys.stdout)


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise WrongInput(
            f"--out {path}: is a file, or would lie in one; name a folder to write into"
        ) from error
    except OSError as error:
        raise WrongInput(
            f"--out {path}: cannot be made ({error.strerror}); name a folder that you may write to"
        ) from error


# ---------------------------------------------------------------- checking


def _check(docs: Docs, folder: Path) -> int:
    """Hold the committed pages against the tables; print what differs."""
    if not folder.is_dir():
        raise WrongInput(
            f"--check: there is no folder {folder} here; go to a checkout, or name one: --out DIR"
        )
    stale = 0
    wanted = pages.pages(docs)
    present = {path.name for path in folder.glob("*.md")}
    for name in sorted({*wanted, *present}):
        path = folder / name
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if there == wanted.get(name, ""):
            continue
        stale += 1
        verdict = "is stale" if name in wanted and there else "is missing"
        sys.stdout.write(f"{path}: {verdict if name in wanted else 'is of no machine'}\n")
        if name not in wanted or not there:
            continue
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
    put(coverage.report(docs, measured).splitlines(), sys.stdout)
    if not measured.judges:
        return 0
    rows = measured.taken.rows
    sys.stdout.writelines(f"{line}\n" for line in coverage.ended(docs, rows))
    found = len(coverage.findings(docs, rows))
    count = len(measured.sources)
    sys.stdout.write(
        f"{'FAILED' if found else 'ok':6} {count} scenario{'' if count == 1 else 's'}: "
        + (f"{found} rows to look at, as above\n" if found else "a row not taken says why\n")
    )
    return 1 if found else 0


def _lint(facts: int) -> int:
    """Check the tables without running them, then every interleaving of a few facts."""
    findings = lint(TABLES.values())
    for rule, sentence in RULES.items():
        mine = [finding for finding in findings if finding.rule == rule]
        sys.stdout.write(f"{'FAILED' if mine else 'ok':6} {rule}: {sentence}\n")
        sys.stdout.writelines(f"       {each.machine}: {each.text}\n" for each in mine)
    sys.stdout.flush()
    # A person's four keys, or a stranger and a gap, multiply what can happen: those worlds are
    # shallower.
    fewer = max(1, facts - OTHERS_COST)
    worlds = [
        World(facts=facts),
        World(facts=fewer, person=True),
        World(facts=fewer, stranger=True),
    ]
    clean = [_explored(world) for world in worlds]
    return 0 if not findings and all(clean) else 1


def _who(world: World) -> str:
    """Who else is in a small world."""
    if world.person:
        return "with a person at the keys"
    return "with a stranger's trade and a gap" if world.stranger else "with nobody else"


def _explored(world: World) -> bool:
    """Go through a small world and print what was seen; True if nothing was wrong."""
    started = time.process_time()
    found = Explorer(world, _so_far if sys.stderr.isatty() else None).run()
    spent = time.process_time() - started
    sys.stdout.write(
        f"{'FAILED' if found.violations else 'ok':6} small world: no invariant breaks in "
        f"{found.states} joint states of close, legs and orders, {found.steps} facts taken in "
        f"{spent:.0f} s: every interleaving of at most {world.facts} facts, {world.lots} lots, "
        f"{world.orders} orders a leg, {_who(world)}\n"
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
    _make_folder(wanted.out)
    (wanted.out / CHANGES_NAME).write_text(text, encoding="utf-8")
    written = 1
    kinds = [each for each in formats if each in ENDINGS] or ["svg"]
    style = _style(wanted)
    for change in changes.machines:
        if not change:
            continue
        sides = [compare.named(each, change.name) for each in (before, docs)]
        both = compare.both(*sides)
        arrows = style.arrows(both)
        look = compare.overlay(change, both, arrows, wanted.against)
        look = style.keyed(replace(look, key=(*CHANGED_KEY, *graphs.KEY)))
        for kind in kinds:
            name = f"{change.name}.{ENDINGS[kind]}"
            (wanted.out / name).write_bytes(picture(both, arrows, kind, look))
            written += 1
    # Beside the text, which is made to be put into a request for review.
    put([f"{_files(written)} written to {wanted.out}"], sys.stderr)
    return 0


def _chosen_there(docs: Docs, names: Sequence[str]) -> Docs:
    """As `_chosen`, but a machine that is new has no other side."""
    if not names:
        return docs
    return replace(docs, machines=tuple(m for m in docs.machines if m.name in names))
