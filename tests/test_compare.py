"""What a change did to the machines is said and drawn: exactly that, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from engine.diagrams.arrows import moving_arrows
from engine.diagrams.command import CHANGES_NAME, Wanted, main
from engine.diagrams.compare import (
    ADDED,
    CHANGED,
    REMOVED,
    Changes,
    both,
    compare,
    markdown,
    overlay,
)
from engine.diagrams.docs import Docs, describe
from engine.diagrams.reading import Effect
from engine.diagrams.revision import RevisionError, docs_of
from machines.table import Row, State
from tests.tables import changed, without

ROOT = Path(__file__).resolve().parent.parent


def against(before: Docs, after: Docs) -> str:
    return markdown(compare(before, after), "before")


def test_nothing_changed_is_said_in_one_sentence(docs: Docs) -> None:
    assert against(docs, docs) == (
        "The machines are those of before: no state, row, guard or command changed.\n"
    )
    assert not compare(docs, docs)


def test_a_row_that_is_gone_is_shown_and_no_other(docs: Docs) -> None:
    after = describe(changed("order", without("missing", "contradicted")))
    changes = compare(docs, after)
    assert [machine.name for machine in changes.machines if machine] == ["order"]
    (change,) = changes.machines[0].rows
    assert change.sign == "-"
    text = markdown(changes, "before")
    assert text.splitlines()[:4] == ["# Machines against before", "", "## order", ""]
    assert text.splitlines()[4].startswith("* - row `missing`: contradicted > ")


def test_a_row_that_is_new_is_shown_with_what_it_does(docs: Docs) -> None:
    before = describe(changed("order", without("missing", "contradicted")))
    text = against(before, docs)
    assert "* + row `missing`: contradicted > " in text
    assert "    * actions: " in text


def test_a_row_that_leads_elsewhere_is_one_that_changed(docs: Docs) -> None:
    def lead(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(dest="frozen") if row is rows[at(rows, "evidence", "stuck")] else row
            for row in rows
        ]

    def at(rows: tuple[Row, ...], trigger: str, dest: str) -> int:
        return next(n for n, row in enumerate(rows) if (row.trigger, row.dest) == (trigger, dest))

    text = against(docs, describe(changed("close", lead)))
    assert text.count("\n* ") == 1
    assert "* ~ row `evidence`: reconciling > frozen" in text
    assert "    * to: stuck > frozen" in text


def test_a_guard_taken_away_and_an_action_added_are_said(docs: Docs) -> None:
    def bare(rows: tuple[Row, ...]) -> list[Row]:
        number = next(n for n, row in enumerate(rows) if row.guards)
        row = rows[number]._replace(guard=None, actions=rows[0].actions)
        return [*rows[:number], row, *rows[number + 1 :]]

    text = against(docs, describe(changed("session", bare)))
    assert "    * if: " in text
    assert " > (none)" in text
    assert text.count("\n* ") == 1


def test_another_turn_among_the_rows_of_a_trigger_is_a_change(docs: Docs) -> None:
    def swapped(rows: tuple[Row, ...]) -> list[Row]:
        each = [n for n, r in enumerate(rows) if (r.trigger, r.source) == ("evidence", each_source)]
        first, second = each[:2]
        found = list(rows)
        found[first], found[second] = found[second], found[first]
        return found

    each_source = "reconciling"
    text = against(docs, describe(changed("close", swapped)))
    assert "    * turn: 2 > 1 of " in text
    assert "    * turn: 1 > 2 of " in text
    assert text.count("\n* ") == 2


def test_a_state_and_its_meaning_are_compared(docs: Docs) -> None:
    def other(states: dict[str, State]) -> dict[str, State]:
        states["stuck"] = states["stuck"]._replace(meaning="waits for better days", deadline="")
        states["lost"] = State("lost", "nobody knows")
        return states

    text = against(docs, describe(changed("leg", states=other)))
    assert "* ~ state `stuck`: waits for better days" in text
    assert "> waits for better days" in text
    assert "* + state `lost`: nobody knows" in text
    assert "* - state `lost`: nobody knows" in against(describe(changed("leg", states=other)), docs)


def test_a_guard_and_an_action_that_say_or_do_something_else_are_told(docs: Docs) -> None:
    leg = docs.machine("leg")
    name = next(each.name for each in leg.callbacks.values() if each.effects and each.settings)
    other = msgspec.structs.replace(
        leg.callbacks[name], doc="Be bold.", effects=(Effect("command", "Jump"),), settings=()
    )
    changed_leg = msgspec.structs.replace(leg, callbacks=leg.callbacks | {name: other})
    after = msgspec.structs.replace(
        docs, machines=tuple(changed_leg if each is leg else each for each in docs.machines)
    )
    heads = [line for line in against(docs, after).splitlines() if line.startswith("* ")]
    assert len(heads) == 3
    assert heads[0].startswith(f"* ~ `{name}` says: ")
    assert heads[0].endswith(" > Be bold.")
    assert heads[1].startswith(f"* ~ `{name}` may do: -")
    assert heads[1].endswith(", +Jump")
    assert heads[2].startswith(f"* ~ `{name}` reads: -")


def test_a_rule_for_two_legs_is_compared(docs: Docs) -> None:
    rules = list(docs.joint)
    rules[0] = msgspec.structs.replace(rules[0], rung="market", why="at once")
    text = against(docs, Docs(docs.machines, tuple(rules)))
    assert f"* ~ {rules[0].a} beside {rules[0].b}: " in text
    rules[0] = msgspec.structs.replace(docs.joint[0], why="at once")
    text = against(docs, Docs(docs.machines, tuple(rules)))
    assert text.rstrip().endswith(f"why: {docs.joint[0].why} > at once")


# ---------------------------------------------------------------- in the picture


def test_what_is_new_is_green_what_is_gone_red_and_what_changed_amber(docs: Docs) -> None:
    def other(rows: tuple[Row, ...]) -> list[Row]:
        moving = [n for n, row in enumerate(rows) if row.dest not in (None, row.source)]
        found = list(rows)
        found[moving[-1]] = found[moving[-1]]._replace(why="now for this")
        del found[moving[0]]
        new = next(row for row in rows if row.trigger == "closed")
        return [*found, new._replace(trigger="halt", source="live", dest="connecting")]

    after = describe(changed("session", other))
    changes = compare(docs, after)
    change = next(each for each in changes.machines if each)
    union = both(docs.machine("session"), after.machine("session"))
    arrows = moving_arrows(union, folded=False)
    looks = overlay(change, union, arrows, "before").arrows
    signs = {}
    for arrow in arrows:
        for number in arrow.rows:
            if arrow.number in looks:
                row = union.rows[number]
                signs[row.trigger, row.source] = (looks[arrow.number].mark, looks[arrow.number])
    assert len(union.rows) == len(docs.machine("session").rows) + 1
    assert {mark for mark, _ in signs.values()} >= {"-", "~"}
    for mark, look in signs.values():
        assert look.color == {"+": ADDED, "-": REMOVED, "~": CHANGED}[mark]
        assert look.dashed == (mark == "-")


def test_an_arrow_of_which_one_row_is_new_has_changed(docs: Docs) -> None:
    arrows = moving_arrows(docs.machine("order"))
    arrow = next(each for each in arrows if len(each.rows) > 2)
    new = docs.machine("order").rows[arrow.rows[0]]
    before = describe(changed("order", lambda rows: [*rows[: new.number], *rows[new.number + 1 :]]))
    (change,) = [each for each in compare(before, docs).machines if each]
    look = overlay(change, docs.machine("order"), arrows, "before").arrows[arrow.number]
    assert (look.mark, look.color) == ("~", CHANGED)
    assert look.note == f"1 of {len(arrow.rows)} rows"


# ---------------------------------------------------------------- revisions and folders


def copied(into: Path, old: str, new: str, module: str) -> Path:
    """A copy of the machines with one text replaced."""
    shutil.copytree(
        ROOT / "machines", into / "machines", ignore=shutil.ignore_patterns("__pycache__")
    )
    path = into / "machines" / module
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return into


@pytest.mark.slow  # reads another copy of the machines in a process of its own
def test_one_row_changed_in_a_copy_is_shown_as_exactly_that_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (ROOT / "machines/session.py").read_text(encoding="utf-8")
    row = next(line for line in source.splitlines() if 'Row("closed"' in line)
    there = copied(tmp_path / "there", row, row.replace('"closed"', '"shut"', 1), "session.py")
    assert main(Wanted(against=str(there), out=tmp_path / "out")) == 0
    text = capsys.readouterr().out
    heads = [line for line in text.splitlines() if line.startswith(("* ", "## "))]
    assert heads[0] == "## session"
    assert all("row `closed`" in head or "row `shut`" in head for head in heads[1:])
    assert {head[2] for head in heads[1:]} == {"+", "-"}
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {CHANGES_NAME, "session.svg"}
    assert (tmp_path / "out" / CHANGES_NAME).read_text(encoding="utf-8") == text


@pytest.mark.slow  # reads another copy of the machines in a process of its own
def test_a_guard_that_computes_something_else_is_shown_with_its_code(
    tmp_path: Path, docs: Docs
) -> None:
    guards = (ROOT / "machines/leg_guards.py").read_text(encoding="utf-8")
    line = next(
        each
        for each in guards.splitlines()
        if ">=" in each and guards.count(each) == 1 and each.lstrip().startswith("return")
    )
    there = copied(tmp_path, line, line.replace(">=", ">"), "leg_guards.py")
    text = markdown(compare(docs_of(str(there), ROOT), docs), "there")
    assert "is computed otherwise, behind `passive_is_spent`" in text
    assert f"    -{line.strip().replace('>=', '>')}\n    +{line.strip()}\n" in text


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.slow  # takes a revision out of a repository and reads it
def test_a_revision_of_a_repository_is_read(tmp_path: Path, docs: Docs) -> None:
    shutil.copytree(
        ROOT / "machines", tmp_path / "machines", ignore=shutil.ignore_patterns("__pycache__")
    )

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)  # noqa: S607

    git("init", "-q")
    git("add", "machines")
    git("commit", "-qm", "as they are")
    assert docs_of("HEAD", tmp_path) == docs


def test_a_folder_with_neither_machines_nor_their_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match="holds neither a machines package"):
        docs_of(str(tmp_path), ROOT)


def test_json_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "machines.json").write_text('{"machines": 3}', encoding="utf-8")
    with pytest.raises(RevisionError, match="cannot be read"):
        docs_of(str(tmp_path), ROOT)


@pytest.mark.slow  # starts a process
def test_machines_that_cannot_be_imported_are_refused(tmp_path: Path) -> None:
    there = copied(tmp_path, "RUNGS =", "RUNGS = = ", "types.py")
    with pytest.raises(RevisionError, match="its machines cannot be read"):
        docs_of(str(there), ROOT)


def test_changes_know_whether_there_are_any() -> None:
    assert not Changes((), ())
    assert Changes((), ("passive beside passive: nothing > market",))
