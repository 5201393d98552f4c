"""Pictures and pages show every row of the tables that run, and nothing else.

Small machines say how rows become arrows; the real ones are drawn in every format, with no program
but the packages that are installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from engine.diagrams import graphs
from engine.diagrams.arrows import Arrow, Groups, moving_arrows, staying_arrows
from engine.diagrams.command import Wanted, main
from engine.diagrams.docs import Docs, MachineDoc, RowDoc, StateDoc, describe
from engine.diagrams.drawing import FORMATS
from engine.diagrams.graphs import Look, MissingGraphviz, Overlay
from engine.diagrams.keys import by_short, known, named_in, values
from engine.diagrams.overview import flows
from engine.diagrams.pages import pages
from engine.diagrams.revision import JSON_NAME, read_json
from machines.core import TABLES
from tests.tables import changed

pytestmark = pytest.mark.filterwarnings("error")
MACHINES = ["order", "leg", "close", "holding", "session", "lane"]
SVG = "{http://www.w3.org/2000/svg}"


def small(rows: str, groups: dict[str, str] | None = None) -> MachineDoc:
    """A machine from lines like `go: a > b`; a state stays in its group."""
    parts = [re.fullmatch(r"(\w+): (\w+) > (\w+)", line.strip()) for line in rows.splitlines()]
    found = [(part[1], part[2], part[3]) for part in parts if part]
    names = dict.fromkeys(name for _, a, b in found for name in (a, b))
    return MachineDoc(
        "small",
        "Small",
        "",
        next(iter(names)),
        tuple(StateDoc(name, "", group=(groups or {}).get(name, "")) for name in names),
        tuple(RowDoc(number, *row) for number, row in enumerate(found)),
        {},
        {},
    )


def said(arrows: list[Arrow]) -> list[str]:
    return [f"{arrow.source.name} > {arrow.dest.name}: {arrow.short}" for arrow in arrows]


# ---------------------------------------------------------------- rows become arrows


def test_rows_between_the_same_two_states_are_one_arrow() -> None:
    machine = small("go: a > b\nrun: a > b\nback: b > a\nfly: a > b")
    assert said(moving_arrows(machine)) == ["a > b: go, run +1", "b > a: back"]


def test_an_arrow_that_leaves_every_state_of_a_frame_leaves_the_frame() -> None:
    machine = small("stop: a > c\nfail: b > c\ngo: a > b", {"a": "busy", "b": "busy"})
    assert said(moving_arrows(machine)) == ["busy > c: stop, fail", "a > b: go"]


def test_an_arrow_from_some_states_of_a_frame_leaves_those() -> None:
    machine = small("stop: a > c\ngo: a > b", {"a": "busy", "b": "busy"})
    assert said(moving_arrows(machine)) == ["a > c: stop", "a > b: go"]


def test_a_trigger_that_leads_to_every_state_of_a_frame_enters_the_frame() -> None:
    machine = small("start: a > b\nstart: a > c\nback: b > a", {"b": "busy", "c": "busy"})
    assert said(moving_arrows(machine)) == ["a > busy: start", "b > a: back"]


def test_without_folding_there_is_one_arrow_per_pair_of_states() -> None:
    machine = small("stop: a > c\nfail: b > c\ngo: a > b", {"a": "busy", "b": "busy"})
    unfolded = moving_arrows(machine, folded=False)
    assert said(unfolded) == ["a > c: stop", "a > b: go", "b > c: fail"]


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("folded", [True, False])
def test_every_row_that_moves_is_in_exactly_one_arrow(docs: Docs, name: str, folded: bool) -> None:
    machine = docs.machine(name)
    groups = Groups(machine)
    arrows = moving_arrows(machine, folded=folded)
    drawn = [number for arrow in arrows for number in arrow.rows]
    assert sorted(drawn) == [row.number for row in machine.rows if row.moves]
    for arrow in arrows:
        for number in arrow.rows:
            row = machine.rows[number]
            assert row.source in groups.leaves(arrow.source)
            assert row.dest in groups.leaves(arrow.dest)
            assert row.trigger in arrow.triggers


@pytest.mark.parametrize("name", MACHINES)
def test_an_arrow_at_a_frame_stands_for_every_state_in_it(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    groups = Groups(machine)
    for arrow in moving_arrows(machine):
        rows = [machine.rows[number] for number in arrow.rows]
        if arrow.source.is_group:
            assert {row.source for row in rows} == set(groups.leaves(arrow.source))
        if arrow.dest.is_group:
            assert {row.dest for row in rows} == set(groups.leaves(arrow.dest))


@pytest.mark.parametrize("name", MACHINES)
def test_loops_hold_every_row_that_stays_and_does_something(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    drawn = sorted(number for arrow in staying_arrows(machine, 1) for number in arrow.rows)
    wanted = [row for row in machine.rows if not row.moves and machine.effects(row)]
    assert drawn == [row.number for row in wanted]


# ---------------------------------------------------------------- what is drawn is what runs


def test_the_description_holds_every_row_of_the_running_tables(docs: Docs) -> None:
    assert [machine.name for machine in docs.machines] == MACHINES
    for table in TABLES.values():
        machine = docs.machine(table.name)
        assert [state.name for state in machine.states] == list(table.states)
        rows = [(row.trigger, row.source, row.dest or None, row.why) for row in machine.rows]
        assert rows == [(row.trigger, row.source, row.dest, row.why) for row in table.rows]
        for row, doc in zip(table.rows, machine.rows, strict=True):
            assert [guard.__name__ for guard in row.guards] == list(doc.guards)
            for guard in row.guards:
                first = " ".join((guard.__doc__ or "").split())
                assert machine.callbacks[guard.__name__].doc == first != ""


def test_mermaid_is_the_same_each_time_and_shows_no_active_state(docs: Docs) -> None:
    again = describe()
    for name in MACHINES:
        texts = [
            graphs.mermaid(each.machine(name), moving_arrows(each.machine(name)))
            for each in (docs, again)
        ]
        assert texts[0] == texts[1]
        assert "active" not in texts[0]
        assert texts[0].startswith(f'---\ntitle: "{name}"\n---\nstateDiagram-v2\n')
        assert texts[0].count(" --> [*]") == sum(s.terminal for s in docs.machine(name).states)


@pytest.mark.parametrize("name", MACHINES)
def test_mermaid_names_every_state_and_arrow(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    arrows = moving_arrows(machine)
    text = graphs.mermaid(machine, arrows)
    for state in machine.states:
        assert re.search(rf'state "{state.name}" as \S*\b|__{state.name}\b', text)
    drawn = [line for line in text.splitlines() if " --> " in line and "[*]" not in line]
    assert len(drawn) == len(arrows)
    for arrow in arrows:
        assert sum(line.endswith(f": {graphs.label(arrow, Overlay())}") for line in drawn) == 1


def test_a_page_gives_the_numbers_alone_where_triggers_would_make_its_picture_too_wide(
    docs: Docs,
) -> None:
    found = pages(docs)
    assert "connecting --> linked__syncing: 1 opened\n" in found["session.md"]
    assert "at_rest --> at_work__rung: 1\n" in found["leg.md"]
    assert "\n| 1 | at rest | at work / rung | [start](#start)" in found["leg.md"]


def test_a_picture_with_a_title_says_how_it_is_read_and_one_in_a_page_does_not(docs: Docs) -> None:
    machine = docs.machine("session")
    arrows = moving_arrows(machine)
    assert "double border" in graphs.dot(machine, arrows, Overlay("session"))
    assert "double border" not in graphs.dot(machine, arrows)


def test_a_look_shows_in_mermaid_as_a_class() -> None:
    machine = small("go: a > b")
    overlay = Overlay("close: what changed", {"a": Look(fill="#dcfce7")}, {1: Look(mark="+")})
    text = graphs.mermaid(machine, moving_arrows(machine), overlay)
    assert 'title: "close: what changed"\n' in text, "a bare colon would end the title"
    assert "a --> b: + 1 go" in text
    assert "classDef look0 fill:#dcfce7" in text
    assert "class a look0" in text


@pytest.mark.slow  # lays out a large graph
@pytest.mark.parametrize("name", MACHINES)
def test_the_picture_holds_every_state_and_arrow_to_click_on(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    arrows = moving_arrows(machine)
    tree = ElementTree.fromstring(graphs.draw(machine, arrows, "svg"))  # noqa: S314 - our own
    identities = {group.get("id") for group in tree.iter(f"{SVG}g")}
    assert identities >= {f"{name}-state-{state.name}" for state in machine.states}
    assert identities >= {f"{name}-arrow-{arrow.number}" for arrow in arrows}
    words = " ".join(each.text or "" for each in tree.iter(f"{SVG}text"))
    for state in machine.states:
        assert state.name in words


@pytest.mark.slow  # lays out a large graph
@pytest.mark.parametrize("name", MACHINES)
def test_every_label_of_a_picture_stands_near_its_arrow(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    svg = graphs.draw(machine, moving_arrows(machine), "svg")
    tree = ElementTree.fromstring(svg)  # noqa: S314 - our own
    for group in tree.iter(f"{SVG}g"):
        path, text = group.find(f".//{SVG}path"), group.find(f".//{SVG}text")
        if "-arrow-" in (group.get("id") or "") and path is not None and text is not None:
            numbers = [float(each) for each in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            # A straight arrow has its points far apart: those between them are on it too.
            curve = [
                (a + (c - a) * step / 10, b + (d - b) * step / 10)
                for (a, b), (c, d) in pairwise(points)
                for step in range(11)
            ]
            x, y = float(text.get("x", "0")), float(text.get("y", "0"))
            reach = min(abs(px - x) + abs(py - y) for px, py in curve)
            assert reach < 90, (group.get("id"), reach)


@pytest.mark.slow  # lays out a large graph
@pytest.mark.parametrize("name", MACHINES)
def test_no_label_of_a_picture_stands_on_a_state(docs: Docs, name: str) -> None:
    machine = docs.machine(name)
    svg = graphs.draw(machine, moving_arrows(machine), "svg")
    groups = list(ElementTree.fromstring(svg).iter(f"{SVG}g"))  # noqa: S314 - our own
    states = [group for group in groups if "-state-" in (group.get("id") or "")]
    boxes = [_box(path) for group in states for path in group.iter(f"{SVG}path")]
    assert len(boxes) >= len(machine.states)
    for group in groups:
        for text in group.iter(f"{SVG}text") if "-arrow-" in (group.get("id") or "") else ():
            x, y = float(text.get("x", "0")), float(text.get("y", "0")) - 4
            for left, top, right, bottom in boxes:
                assert not (left < x < right and top < y < bottom), (group.get("id"), text.text)


def _box(path: ElementTree.Element) -> tuple[float, float, float, float]:
    numbers = [float(each) for each in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


# ---------------------------------------------------------------- who commands whom


def test_the_overview_shows_the_way_of_a_close_to_the_venue(docs: Docs) -> None:
    found = {(flow.source, flow.dest): flow.words for flow in flows(docs)}
    assert "CloseRequested" in found["people ask", "close"]
    assert {"start", "escalate", "exhaust"} <= set(found["close", "leg"])
    assert "cancel_asked" in found["leg", "order"]
    assert {"Place"} <= set(found["leg", "venue is asked"])
    assert "OrderReported" in found["venue tells", "order"]
    assert {"order_ended"} <= set(found["order", "leg"])


# ---------------------------------------------------------------- configuration keys


def test_every_setting_that_a_guard_reads_has_a_key_with_a_meaning(docs: Docs) -> None:
    for machine in docs.machines:
        for callback in machine.callbacks.values():
            for field in callback.settings:
                assert known()[field].meaning, field


def test_a_key_is_shown_as_the_file_writes_it() -> None:
    from engine.config import Config, load  # noqa: PLC0415 - only here

    key = by_short()["passive_limit.timeout_s"]
    assert key.path == "close.passive_limit.timeout_s"
    assert values(key, Config({}, {}, {}, {})) == [("", "15")]
    shipped = load(Path("config.toml"))
    assert [value for _, value in values(by_short()["backoff_ms"], shipped)]


def test_keys_are_found_in_a_text() -> None:
    found = named_in("attempt: market.attempt_timeout_s, then 0.25 s; pause: backoff_ms")
    assert [key.short for key in found] == ["market.attempt_timeout_s", "backoff_ms"]


# ---------------------------------------------------------------- the command


@pytest.mark.slow  # draws all machines in all formats, in a process that finds no program at all
def test_every_format_is_written_without_any_program_of_the_system(tmp_path: Path) -> None:
    script = "import sys; from engine.cli import main; sys.argv[0] = 'unwind'; main()"
    command = [sys.executable, "-c", script, "diagram", "--format", "all", "--out", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", "HOME": "/"}, check=False
    )
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    endings = ("mmd", "dot", "svg", "png")
    assert written == (
        {f"{name}.{ending}" for name in (*MACHINES, "overview") for ending in endings}
        | {f"{name}.md" for name in (*MACHINES, "README")}
        | {"review.html", "machines.json"}
    )
    assert done.stdout == f"{len(written)} files written to {tmp_path}\n"
    for name in (*MACHINES, "overview"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n")
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag == f"{SVG}svg"  # noqa: S314
        assert (
            (tmp_path / f"{name}.dot")
            .read_text(encoding="utf-8")
            .startswith(("digraph", "strict digraph"))
        )


def test_without_a_folder_one_machine_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Wanted(machines=["order"])) == 0
    assert "stateDiagram-v2" in capsys.readouterr().out
    assert main(Wanted(machines=["order"], formats=["md"])) == 0
    assert capsys.readouterr().out.startswith("# The order machine")


def test_what_was_written_as_json_is_read_back(
    docs: Docs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(Wanted(formats=["json"])) == 0
    (tmp_path / JSON_NAME).write_text(capsys.readouterr().out, encoding="utf-8")
    assert read_json(tmp_path / JSON_NAME) == docs
    assert msgspec.json.decode((tmp_path / JSON_NAME).read_bytes(), type=Docs) == docs


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Wanted(machines=["legs"]), "--machine legs: there is none; known: order, leg"),
        (Wanted(formats=["gif"]), f"--format gif: allowed: {', '.join(FORMATS)}, all"),
        (Wanted(formats=["png"]), "--format png needs a folder to be written into: --out DIR"),
        (Wanted(formats=["all"]), "several formats need a folder"),
        (Wanted(scenarios=[Path("nowhere")]), "--coverage nowhere: there is no such file"),
        (Wanted(scenarios=[Path("machines")]), "--coverage: no scenario below machines"),
        (Wanted(journals=[Path("nowhere.db")]), "nowhere.db"),
        (Wanted(against="no-such-revision"), "no-such-revision: is neither a directory nor"),
        (Wanted(against="-x"), "'-x' is no revision"),
        (Wanted(formats=["html"], config=Path("nowhere.toml")), "nowhere.toml"),
        (Wanted(check=True, lint=True), "--check and --lint: give one of them"),
        (
            Wanted(scenarios=[Path("tests")], journals=[Path("x")]),
            "--coverage and --journal: give one of them",
        ),
        (Wanted(check=True), "--check: there is no"),
        (Wanted(check=True, machines=["close"]), "--check is about all machines as they are"),
        (Wanted(lint=True), "--lint is about all machines as they are: leave out --out"),
        (Wanted(config=Path("config.toml")), "--config: only --format html shows"),
        (Wanted(formats=["md"], loops=True), "--loops, --unfolded: only for mermaid"),
        (Wanted(against="HEAD", formats=["md"]), "--against --format: allowed: mermaid"),
        (Wanted(scenarios=[Path("tests")], formats=["json"]), "md and json show no counts"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    wanted: Wanted, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wanted.out = None if "folder" in text else tmp_path / "out"
    assert main(wanted) == 2
    printed = capsys.readouterr()
    assert text in printed.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_folder_to_write_into(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for wanted in (Wanted(formats=["md"]), Wanted(against=str(tmp_path / "there"))):
        wanted.out = tmp_path / place
        if wanted.against:
            (tmp_path / "there").mkdir()
            main(Wanted(formats=["json"], out=tmp_path / "there"))
        assert main(wanted) == 2
        assert (
            f"--out {tmp_path / place}: is a file, or would lie in one" in capsys.readouterr().err
        )
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_without_graphviz_the_error_says_what_to_install(
    docs: Docs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    machine = docs.machine("order")
    with pytest.raises(MissingGraphviz, match=r"pip install 'unwind\[diagrams\]'"):
        graphs.dot(machine, moving_arrows(machine))
    assert graphs.mermaid(machine, moving_arrows(machine)), "Mermaid needs nothing"


# ---------------------------------------------------------------- committed pages


def committed(folder: Path, docs: Docs) -> Path:
    folder.mkdir()
    for name, text in pages(docs).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_committed_pages_are_those_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Wanted(check=True)) == 0, capsys.readouterr().out


def test_pages_are_stale_after_one_row_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = changed(
        "close", lambda rows: [rows[0]._replace(why="this is another reason"), *rows[1:]]
    )
    folder = committed(tmp_path / "pages", describe(tables))
    assert main(Wanted(check=True, out=folder)) == 1
    printed = capsys.readouterr().out
    assert f"{folder / 'close.md'}: is stale" in printed
    assert "leg.md" not in printed
    assert "-| " in printed
    assert "This is another reason." in printed
    assert f"write them anew: unwind diagram --format md --out {folder}" in printed


def test_pages_that_are_missing_or_too_many_are_named(
    docs: Docs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = committed(tmp_path / "pages", docs)
    (folder / "leg.md").rename(folder / "arm.md")
    assert main(Wanted(check=True, out=folder)) == 1
    printed = capsys.readouterr().out
    assert f"{folder / 'leg.md'}: is missing" in printed
    assert f"{folder / 'arm.md'}: is of no machine" in printed


def test_the_key_of_a_picture_fits_its_arrows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Wanted(machines=["session"], formats=["dot"], loops=True, unfolded=True)) == 0
    printed = capsys.readouterr().out
    assert "A loop keeps the state" in printed
    assert "is not drawn" not in printed
    assert "An arrow at a frame" not in printed
    assert "in the key of its page" not in printed


def test_every_link_of_a_page_leads_somewhere_and_no_table_breaks(docs: Docs) -> None:
    found = pages(docs)
    for text in found.values():
        heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}
        for target in re.findall(r"\]\(([^)]*)\)", text):
            assert target.removeprefix("#") in anchors if target[0] == "#" else target in found
        for before, line in pairwise(text.splitlines()):
            if before.startswith("|") and line.startswith("|"):
                cells = [len(re.findall(r"(?<!\\)\|", each)) for each in (before, line)]
                assert cells[0] == cells[1], line


def test_every_row_guard_and_state_is_on_the_page_of_its_machine(docs: Docs) -> None:
    for machine in docs.machines:
        page = pages(docs)[f"{machine.name}.md"]
        for row in machine.rows:
            assert f"### `{row.trigger}`" in page
        for name in {guard for row in machine.rows for guard in row.guards}:
            doc = machine.callbacks[name].doc.replace("|", "\\|")
            assert f"| `{name}` | {doc}" in page
        for state in machine.states:
            assert f"| `{state.name}` | {state.meaning}" in page
