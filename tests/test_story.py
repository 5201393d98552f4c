"""A recorded close reads as a story: timeline, sequence, picture, one sentence per transition.

C01 and C02 of the catalogue are told from their scenarios, another close from a real `unwind run`.
Damaged, foreign and incomplete journals are refused with the first record that is wrong.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import msgspec
import pytest

from engine.journal import Record, open_journal, read_journal
from engine.journal_errors import ReadOnlyJournal
from engine.recovery import SESSION_SUFFIX
from engine.story import sequence, timeline
from engine.story.command import FORMATS, replay, trace, why
from engine.story.moves import moves_of
from engine.story.page import page
from engine.story.picture import svg
from engine.story.probe import Taken
from engine.story.reasons import reasons
from engine.story.replay import Replay
from engine.story.scale import Scale, padded
from engine.story.story import Story
from engine.story.tape import Tape, TapeError, open_tape
from engine.story.telling import Subject, only_close, tell
from machines.core import TABLES, Core
from machines.messages import CloseRequested, Fact, FillReported
from machines.table import Out, Transition
from tests.hostile import hostile_scenario
from tests.live_engine import LiveEngine, config_text
from tests.scenario_files import DIRECTORY, FILES

C01 = DIRECTORY / "c01_unequal_legs.toml"
C02 = DIRECTORY / "c02a_race_two_counters.toml"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def c01() -> Story:
    return tell(open_tape(C01), Subject("zec"))


@pytest.fixture(scope="module")
def c02() -> Story:
    return tell(open_tape(C02), Subject("zec"))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveEngine:
    """What one run of the real process left."""
    engine = LiveEngine(tmp_path_factory.mktemp("live"), config_text())
    assert engine.call("run").returncode == 0
    return engine


@pytest.fixture
def copied(live: LiveEngine, tmp_path: Path) -> Path:
    """A copy of that run's journal with its session file, as one file."""
    path = tmp_path / "journal.db"
    with (
        closing(sqlite3.connect(live.paths.journal)) as source,
        closing(sqlite3.connect(path)) as copy,
    ):
        source.backup(copy)
    session = live.paths.journal.with_name(live.paths.journal.name + SESSION_SUFFIX)
    shutil.copy(session, path.with_name(path.name + SESSION_SUFFIX))
    return path


def told(story: Story, width: int = 120, *, everything: bool = False) -> list[str]:
    return [line.text for line in timeline.lines(story, width, everything=everything)]


def squeezed(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


# ---------------------------------------------------------------- the timeline


def test_c01_reads_as_the_race_that_it_was(c01: Story) -> None:
    text = squeezed(told(c01))
    story = [
        "timeline asks to close zec: SEVERE_EROSION",
        "> place aster:ZEC#1: buy 2.332 @ 514.38 post-only reduce-only",
        "aster:ZEC#1 is EXPIRED, 0 of 2.332 filled",
        "aster:ZEC#2 fills 1.585 @ 514.44 as maker, 2.332 of 2.332",
        "leg lighter:ZEC passive_limit > withdrawing close zec asks for aggressive_limit",
        "> cancel lighter:ZEC#3",
        "the cancel of lighter:ZEC#3 is refused: UNKNOWN_ORDER",
        "leg lighter:ZEC withdrawing > doubtful",
        "lighter:ZEC#3 is FILLED, 2.311 of 2.311 filled",
        "= left: aster:ZEC 0, lighter:ZEC 0; naked 0",
        "close zec reconciling > reconciled two equal reads of every venue confirm it",
        "zec: flat in 4.1 s",
    ]
    at = -1
    for sentence in story:
        found = text.find(sentence, at + 1)
        assert found > at, sentence
        at = found


def test_c02_ends_flat_although_the_cancel_lost_the_race(c02: Story) -> None:
    text = squeezed(told(c02))
    assert "DIVERGENCE_FLIPPED" in text
    assert "close zec reconciling > reconciled" in text
    assert "zec: flat in " in text


def test_a_timeline_shows_every_order_change_of_state_and_alarm(c01: Story) -> None:
    text = squeezed(told(c01))
    for step in c01.steps:
        for move in step.moves:
            if move.moves and move.transition.dest != "sent":
                assert f"{move.transition.source} > {move.transition.dest}" in text
    placed = [order.id for close in c01.core.closes.values() for leg in close.legs
              for order in leg.orders]  # fmt: skip
    assert placed
    for order in placed:
        assert f"> place {order}: " in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_timeline_fits_the_terminal(c01: Story, width: int) -> None:
    assert max(map(len, told(c01, width))) <= width


def test_what_is_left_is_told_when_it_changes(c01: Story) -> None:
    left = [line for line in told(c01, 160) if line.lstrip().startswith("= left: ")]
    assert len(left) > 2
    assert all(before != after for before, after in pairwise(left))


def test_what_is_naked_is_told_in_eight_digits_where_a_division_has_more() -> None:
    tape = open_tape(next(DIRECTORY.rglob("break_even_of_an_inverse_leg.toml")))
    lines = told(tell(tape, Subject("p")))
    naked = [line.rpartition("; naked ")[2] for line in lines if "; naked " in line]
    assert "0.38000063" in naked
    assert max(map(len, naked)) == len("0.38000063")


def test_everything_tells_rows_that_keep_their_state(c01: Story) -> None:
    assert len(told(c01, everything=True)) > len(told(c01))
    assert "read " in squeezed(told(c01, everything=True))


def test_an_order_a_position_and_a_venue_have_stories_of_their_own() -> None:
    tape = open_tape(C01)
    order = squeezed(told(tell(tape, Subject("lighter:ZEC#3"))))
    assert "cancelling > unknown" in order
    assert "> cancel lighter:ZEC#3" in order
    assert "> place lighter:ZEC#3: " in order
    assert "> place aster" not in order
    position = squeezed(told(tell(tape, Subject("aster:ZEC"))))
    assert "aster:ZEC#2 fills 0.087" in position
    assert "> cancel lighter:ZEC#3" not in position
    venue = squeezed(told(tell(tape, Subject("lighter"))))
    assert "session lighter syncing > live" in venue


#: A pair whose second venue refuses and goes away while it is closed, and again when it is over.
_AWAY = """
name = "A venue goes away, and goes away again"
base = "BASE"
duration_s = 300
timeline = [
  { at_s = 0, answer = { venue = "b", on = "create", outcome = "reject", reason = "HALTED" } },
  { at_s = 0, close = { pair = "x", reason = "MANUAL" } },
  { at_s = 10, set = { venue = "b", mode = "maintenance" } },
  { at_s = 30, set = { venue = "b", mode = "maintenance" } },
  { at_s = 40, set = { venue = "b", mode = "cancel_only" } },
  { at_s = 50, set = { venue = "b", mode = "online" } },
  { at_s = 52, fault = { kind = "forced_close", venue = "b", on = "user" } },
  { at_s = 200, set = { venue = "b", mode = "halted" } },
  { at_s = 201, fault = { kind = "forced_close", venue = "b", on = "user" } },
  { at_s = 210, set = { venue = "b", mode = "online" } },
]
"""


@pytest.fixture
def away(tmp_path: Path) -> Tape:
    path = tmp_path / "away.toml"
    path.write_text(_AWAY.replace("BASE", str(DIRECTORY / "fixture.toml")))
    return open_tape(path)


def test_a_close_is_told_with_what_its_venues_could_do_meanwhile(away: Tape) -> None:
    lines = told(tell(away, Subject("x")))
    text = squeezed(lines)
    modes = [line.strip() for line in lines if re.match(r" *[0-9.]+ b is ", line)]
    assert "lane b open > unready" in text
    assert "> ALARM venue_degraded: b: maintenance; it takes nothing" in text
    assert "lane b unready > open" in text
    assert "session b live > backoff" in text
    assert "session b syncing > live" in text
    changes = ["10.050 b is maintenance", "40.050 b is cancel only", "50.050 b is online"]
    assert modes == changes, "told where it changes"
    assert "halted" not in text, "the close was over by then"
    assert text.count("session b live > backoff") == 1


def test_what_venues_could_do_is_part_of_a_position_and_not_of_an_order(away: Tape) -> None:
    position = squeezed(told(tell(away, Subject("b:X"))))
    assert "b is halted" in position
    assert "lane b open > unready" in position
    assert "a is " not in position
    order = squeezed(told(tell(away, Subject("b:X#1"))))
    assert "b:X#1 is refused: HALTED" in order
    assert "lane" not in order
    assert "session" not in order
    assert "maintenance" not in order


def test_a_sequence_draws_what_a_venue_could_do_at_machines_of_its_own(away: Tape) -> None:
    drawn = sequence.mermaid(tell(away, Subject("x")))
    names = dict(re.findall(r"participant (\w+) as (.+)", drawn))
    shown = {names[name]: note for name, note in re.findall(r"Note over (\w+): (.+)", drawn)}
    assert shown["lane b"] == "unready > open"
    assert shown["session b"] == "syncing > live"
    callers = {names[name] for name in re.findall(r"(\w+)->>\w+: ALARM", drawn)}
    assert callers == {"close x", "session b"}
    position = sequence.mermaid(tell(away, Subject("b:X")))
    assert " as holding b:X" in position
    assert " as close b:X" not in position


def test_the_second_close_of_a_pair_is_told_apart() -> None:
    tape = open_tape(next(DIRECTORY.rglob("ladder_withdrawn_while_waiting.toml")))
    pair = only_close(tape)
    first, second = (tell(tape, Subject(f"{pair}@{number}")) for number in (1, 2))
    assert "number 1 in" in first.title
    assert "number 2 in" in second.title
    assert first.steps[-1].seq < second.steps[0].seq, "one ends before the other is asked for"
    assert tell(tape, Subject(pair)).title == second.title, "without a number, the last one"
    with pytest.raises(TapeError, match="was closed 2 times only"):
        tell(tape, Subject(f"{pair}@3"))


def test_what_comes_after_the_next_request_is_of_that_close() -> None:
    tape = open_tape(next(DIRECTORY.rglob("ladder_withdrawn_while_waiting.toml")))
    records = list(tape.records())
    pair, last = only_close(tape), records[-1]
    by_hand = FillReported(
        last.at, last.at, 1, 0, "t", 1, 10_000, 1, None, Decimal(0), True, origin="manual"
    )
    records.append(Record(last.seq + 1, last.at, by_hand, (), (), last.wall_ns))
    longer = Tape(tape.name, tape.build, lambda: iter(records), tape.origin)
    first, second = (tell(longer, Subject(f"{pair}@{number}")) for number in (1, 2))
    assert second.steps[-1].fact is by_hand
    (fill,) = second.steps[-1].fills
    assert (fill.order, fill.side, fill.maker) == ("", 1, True)
    assert all(step.fact is not by_hand for step in first.steps)


def test_late_words_about_an_earlier_close_are_not_of_the_next_one() -> None:
    tape = open_tape(next(DIRECTORY.rglob("late_words_about_the_orders_of_an_earlier*.toml")))
    pair = only_close(tape)
    first, second = (tell(tape, Subject(f"{pair}@{number}")) for number in (1, 2))
    late = {step.seq for step in first.steps if step.seq > second.steps[0].seq}
    both = late & {step.seq for step in second.steps}
    assert len(both) < len(late), "some move machines of the first close alone"


# ---------------------------------------------------------------- reasons


def test_every_transition_has_one_sentence_with_its_cause(c01: Story) -> None:
    sentences = reasons(c01)
    moves = [move for step in c01.steps for move in step.moves if move.moves]
    assert len(sentences) >= len(moves)
    for each in sentences:
        assert re.match(r"\d+\.\d{3} s: (close|leg|order|session) \S+ (goes from|stays) ", each)
        assert " because " in each
        assert each.endswith(".")


def test_the_values_that_decided_stand_under_their_configuration_key(c01: Story) -> None:
    first = reasons(c01)[0]
    assert "close zec goes from preparing to passive_limit" in first
    assert "timeline asks to close zec: SEVERE_EROSION" in first
    assert "close.passive_limit.timeout_s = " in first
    placed = next(each for each in reasons(c01) if "places aster:ZEC#1:" in each)
    assert "remaining 2.332" in placed
    assert "bid 514.38" in placed
    assert "close.passive_limit.price = own_touch" in placed


def test_the_hedge_is_explained_by_the_leg_that_closed(c01: Story) -> None:
    (hedge,) = [each for each in reasons(c01) if "from passive_limit to withdrawing" in each]
    assert "close zec asks for aggressive_limit, as one leg is closed" in hedge
    assert "aster:ZEC#2 fills 1.585 @ 514.44" in hedge


def whys(name: str) -> list[str]:
    """The sentences about the close of a scenario."""
    tape = open_tape(next(DIRECTORY.rglob(f"{name}.toml")))
    return reasons(tell(tape, Subject(only_close(tape))))


def one(sentences: list[str], *parts: str) -> str:
    """The one sentence that has all the parts."""
    (found,) = [each for each in sentences if all(part in each for part in parts)]
    return found


def test_a_shut_gate_is_named_with_what_shut_it() -> None:
    spread = one(whys("c27a_gate_opens"), "to waiting")
    assert "; the spread is too wide [bid 100, ask 100.2, " in spread
    assert "close.spread_max_pct = 0.05" in spread
    assert "halt" not in spread
    refused = one(whys("c21_03_reduce_only"), "to waiting")
    assert "; its position must be read first" in refused
    assert "spread" not in refused


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c79_dust_is_not_retried", "smallest quantity [remaining 0.1, smallest quantity 0.5"),
        ("c36_rounding_on_reduce_only", "less than one lot of the venue [remaining 0.0005, lot "),
        ("c35b_multiplier_leaves_dust", "smallest order [remaining 500, bid 0.0005, "),
    ],
)
def test_dust_is_told_with_the_minimum_that_decided(name: str, text: str) -> None:
    assert any(text in each for each in whys(name))
    assert all("lot or a minimum" not in each for each in whys(name))


def test_the_time_of_a_rung_is_given_for_both_legs_that_it_moves() -> None:
    sentences = whys("c66_submit_times_out_order_lives")
    for leg in ("a:X", "b:X"):
        moved = one(sentences, f"leg {leg} goes from passive_limit to withdrawing")
        assert "(the time of leg a:X on its rung is over)" in moved
        assert "close.passive_limit.timeout_s = 30" in moved


def test_a_capped_price_is_not_said_to_reach_the_touch() -> None:
    sentences = whys("c51_urgent_beats_a_wide_spread")
    capped = one(sentences, "places a:X#1: sell 10 @ 99.5 post-only")
    assert "held short of the touch" in capped
    assert "close.aggressive_limit.slippage_max_bps = 50" in capped
    assert "at or past the touch" in one(sentences, "places b:X#1: ")


def test_an_end_is_told_as_what_it_is() -> None:
    ended = one(whys("c79_dust_is_not_retried"), "to reconciled")
    assert "(ended: dust)" in ended


def test_values_of_a_venue_and_of_a_leg_are_given_with_whose_they_are() -> None:
    lost = one(whys("f01_drop_response"), "order b:X#1 goes from sent to unknown")
    assert lost.endswith("[decision_timeout_ms of b = 3000].")
    moved = one(whys("c66_submit_times_out_order_lives"), "close x goes from passive_limit to agg")
    assert "[rung of a:X aggressive_limit, leg a:X aggressive_limit, rung of b:X " in moved


def test_nobody_is_said_to_have_asked_for_what_a_restart_did() -> None:
    sentences = whys("f58_crash_w2")
    doubted = one(sentences, "order b:X#2 goes from pending to unknown")
    assert "because process start 2: " in doubted
    assert "leg b:X asks" not in doubted
    wanted = one(sentences, "order b:X#1 goes from live to cancelling")
    assert "because leg b:X asks for its cancel" in wanted


def test_rounds_that_are_used_up_are_counted() -> None:
    given_up = one(
        whys("withdrawn_close_without_a_round_is_stuck_and_retried"), "from reconciling to stuck"
    )
    assert "rounds so far 0, close.residual_rounds_max = 0" in given_up


def test_a_state_is_explained_where_it_first_appears(c01: Story) -> None:
    assert (
        sum("(resting post-only at or inside its own side)" in each for each in reasons(c01)) == 1
    )


def test_everything_explains_rows_that_keep_their_state(c01: Story) -> None:
    assert len(reasons(c01, everything=True)) > len(reasons(c01))


# ---------------------------------------------------------------- pictures


def test_the_sequence_has_the_legs_the_venues_and_what_passes_between(c01: Story) -> None:
    text = sequence.mermaid(c01)
    head, _, body = text.partition("sequenceDiagram\n")
    assert head == f"---\ntitle: {msgspec.json.encode(c01.title).decode()}\n---\n"
    names = dict(re.findall(r"participant (p\d) as (.*)", body))
    assert list(names.values()) == [
        "people", "close zec", "leg aster:ZEC", "leg lighter:ZEC", "venue aster", "venue lighter",
    ]  # fmt: skip
    by_name = {name: short for short, name in names.items()}
    leg, venue = by_name["leg lighter:ZEC"], by_name["venue lighter"]
    assert f"  {leg}->>{venue}: cancel lighter:ZEC#35;3" in body
    assert f"  {venue}-->>{leg}: 4.000 the cancel of lighter:ZEC#35;3 is refused" in body
    assert f"  {by_name['close zec']}->>{leg}: escalate aggressive_limit" in body
    assert f"  Note over {leg}: withdrawing > doubtful" in body
    for line in body.splitlines():
        assert ";" not in line.replace("#35;", ""), "a semicolon would end the statement"


def test_a_timer_is_drawn_as_a_machine_that_tells_itself() -> None:
    tape = open_tape(next(DIRECTORY.glob("c66_*.toml")))
    text = sequence.mermaid(tell(tape, Subject(only_close(tape))))
    (leg,) = re.findall(r"participant (p\d) as leg a:X", text)
    assert f"  {leg}->>{leg}: 30.000 the time of leg a:X on its rung is over\n" in text


def test_the_picture_shows_orders_fills_states_and_what_is_naked(c01: Story) -> None:
    tree = ElementTree.fromstring(svg(c01))  # noqa: S314 - our own
    assert tree.tag == f"{SVG}svg"
    hints = [each.text or "" for each in tree.iter(f"{SVG}title")]
    assert hints[0] == c01.title
    placed = [each for each in hints if ": place " in each]
    assert len(placed) == 5
    fills = [each for each in hints if "fills" in each or "fill " in each]
    assert any("1.585" in each for each in fills)
    words = [each.text for each in tree.iter(f"{SVG}text")]
    assert {"aster:ZEC", "lighter:ZEC"} <= set(words)
    width = float(tree.get("width", "0"))
    for line in tree.iter(f"{SVG}line"):
        assert 0 <= float(line.get("x1", "0")) <= width
        assert 0 <= float(line.get("x2", "0")) <= width


def marks(story: Story, tag: str, hint: str) -> list[dict[str, float]]:
    """The numbers of the shapes of a picture whose title has a text, in the order drawn."""
    found = []
    for each in ElementTree.fromstring(svg(story)).iter(f"{SVG}{tag}"):  # noqa: S314 - our own
        title = each.find(f"{SVG}title")
        if title is not None and hint in (title.text or ""):
            pairs = [(key, value) for key, value in each.items() if value[0].isdigit()]
            found.append({key: float(value) for key, value in pairs})
    return found


def test_a_line_of_an_order_ends_with_it_and_a_state_with_the_next(c01: Story) -> None:
    (first,) = marks(c01, "line", "place aster:ZEC#1: ")
    (second,) = marks(c01, "line", "place aster:ZEC#2: ")
    assert first["x1"] < first["x2"] <= second["x1"] < second["x2"]
    lane = marks(c01, "rect", " > ")
    close = [each for each in lane if each["y"] == lane[0]["y"]]
    assert len(close) > 2
    for before, after in pairwise(close):
        assert before["x"] + before["width"] == pytest.approx(after["x"], abs=1.6)


def test_an_alarm_is_a_mark_over_the_states_and_one_leg_is_never_naked() -> None:
    tape = open_tape(next(DIRECTORY.glob("c79_*.toml")))
    dust = tell(tape, Subject(only_close(tape)))
    assert len(re.findall(r"<title>0\.100 s: ALARM dust: ", svg(dust))) == 1
    assert "▼ alarm" in svg(dust)
    assert "naked" not in svg(dust)


def test_a_fill_without_a_price_is_hollow() -> None:
    tape = open_tape(next(DIRECTORY.rglob("operator_settles_what_an_order_filled.toml")))
    picture = svg(tell(tape, Subject("x")))
    assert "○ fill, price untold" in picture
    circle = re.findall(r'<circle [^>]*fill="white"[^>]*><title>([^<]*)', picture)
    assert circle
    assert all("an untold price, role untold" in each for each in circle)


def test_a_row_whose_action_broke_is_no_move() -> None:
    tape = open_tape(C01)
    close = tell(tape, Subject("zec")).close
    broken, taken = (Taken(close, None, row, [], note) for row, note in ((3, "broken"), (4, "")))
    trace_ = [Transition(0, "close", "zec", "truth", "preparing", "passive_limit", 4)]
    (move,) = moves_of(trace_, [broken, taken])
    assert (move.transition.row, move.note) == (4, "")


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([], 0, 1), ([5.0], 4.9975, 5.0025), ([0.0], -1, 1), ([10.0, 20.0], 9.2, 20.8)],
)
def test_a_scale_has_room_around_its_values(values: list[float], low: float, high: float) -> None:
    assert padded(values) == pytest.approx((low, high))


def test_a_scale_is_marked_at_round_values() -> None:
    scale = Scale(0.37, 1.18, 0, 100)
    assert scale.ticks(4) == pytest.approx([0.5, 1.0])
    assert [scale(0.37), scale(1.18)] == [0, 100]


def test_a_long_title_is_broken_into_lines_and_a_page_shows_it_once(c01: Story) -> None:
    long = msgspec.structs.replace(c01, title="word " * 60)
    tree = ElementTree.fromstring(svg(long))  # noqa: S314 - our own
    words = [each.text or "" for each in tree.iter(f"{SVG}text")]
    assert sum(line.count("word") for line in words) == 60
    assert max(map(len, words)) <= 120
    without = svg(c01, titled=False)
    assert f">{c01.title}</text>" in svg(c01)
    assert f">{c01.title}</text>" not in without
    assert without in page(c01)


def test_a_legend_names_the_marks_that_a_panel_has(c01: Story) -> None:
    tree = ElementTree.fromstring(svg(c01))  # noqa: S314 - our own
    words = [each.text or "" for each in tree.iter(f"{SVG}text")]
    assert "● maker fill" in words
    assert "○ fill, price untold" not in words, "a read has told the price in the end"
    assert "● taker fill" not in words
    assert "◆ market" not in words


def fills(story: Story) -> dict[str, list[tuple[str, str | None, bool]]]:
    """Quantity, price and whether as maker, of every fill of a story by its order."""
    found: dict[str, list[tuple[str, str | None, bool]]] = {}
    for step in story.steps:
        for fill in step.fills:
            price = None if fill.price is None else f"{fill.price.normalize():f}"
            found.setdefault(fill.order, []).append((f"{fill.qty:f}", price, fill.maker))
    return found


def test_a_fill_told_without_its_price_learns_it_later(c01: Story) -> None:
    assert fills(c01)["lighter:ZEC#3"] == [("2.311", "513.753", True)]
    told = next(step for step in c01.steps if any(f.order == "lighter:ZEC#3" for f in step.fills))
    assert "is FILLED" in told.text, "it stands where its quantity was told"


def has_the_fills_of_its_orders(story: Story) -> bool:
    """Whether what a story tells of fills adds up to what its orders believe, for each of them."""
    assert story.close is not None
    found = fills(story)
    return all(
        sum(Decimal(qty) for qty, _, _ in found.get(order.id, []))
        == order.instrument.quantity(order.cum)
        for leg in story.close.legs
        for order in leg.orders
    )


@pytest.mark.parametrize("name", ["c01", "c02a", "c16", "c59", "c93", "c99", "c100", "c103"])
def test_the_fills_of_a_story_are_those_of_its_orders(name: str) -> None:
    tape = open_tape(next(DIRECTORY.glob(f"{name}_*.toml")))
    assert has_the_fills_of_its_orders(tell(tape, Subject(only_close(tape))))


def test_a_fill_that_only_a_read_tells_is_in_the_timeline() -> None:
    tape = open_tape(next(DIRECTORY.rglob("f33_forced_close.toml")))
    text = squeezed(told(tell(tape, Subject("x"))))
    assert "b says it holds: b:X -6, 1 resting + b:X#1 has filled 4 @ 100 = left: " in text


def test_a_page_of_an_order_has_no_end_of_a_close() -> None:
    text = page(tell(open_tape(C01), Subject("lighter:ZEC#3")))
    assert "In the end" not in text
    assert "cancelling" in text


# ---------------------------------------------------------------- texts of others


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_scenario(tmp_path_factory.mktemp("hostile"))


def test_texts_of_others_neither_steer_a_terminal_nor_break_a_line(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def timeline_of() -> int:
        return trace("x", hostile, Path("config.toml"), "text", None, everything=True)

    for verb in (
        timeline_of,
        lambda: why("x", hostile, Path("config.toml"), everything=True),
        lambda: replay(hostile, None, None, step=False, hashes=False),
        lambda: replay(hostile, None, None, step=True, hashes=False),
    ):
        assert verb() == 0
        printed = capsys.readouterr().out
        assert "<img src=q" in printed, "it is shown, not hidden"
        assert "\\x1b[31m" in printed
        if verb is timeline_of:
            assert "by stream (UNRECOGNISED: <img" in " ".join(printed.split())
        assert all(line.isprintable() for line in printed.splitlines())


def test_texts_of_others_stay_texts_in_a_picture_and_a_sequence(hostile: Path) -> None:
    story = tell(open_tape(hostile), Subject("x"))
    tree = ElementTree.fromstring(svg(story))  # noqa: S314 - our own
    assert {each.tag.removeprefix(SVG) for each in tree.iter()} <= {
        "svg", "title", "g", "rect", "line", "path", "circle", "text",
    }  # fmt: skip
    text = sequence.mermaid(story)
    _, _, body = text.partition("sequenceDiagram\n")
    assert "#lt;img src=q" in body
    assert not re.search(r"<(?!br/>)", body)
    for line in body.splitlines():
        assert re.match(r"  (participant p\d+ as |p\d+--?>>p\d+: |Note over p\d+: )", line)
        assert ";" not in re.sub(r"#(35|lt|amp);", "", line)


def test_a_page_puts_its_parts_in_once(hostile: Path) -> None:
    story = tell(open_tape(hostile), Subject("x"))
    text = page(story)
    assert text.count("<svg ") == 1, "a title that names a place gets no picture"
    assert "/*PICTURE*/" in text
    assert "<img" not in text
    assert text.count("<script>") == 1


# ---------------------------------------------------------------- every story


@pytest.mark.slow  # runs every scenario file and looks at every guard that it asks
def test_every_close_of_every_scenario_can_be_told_in_every_format() -> None:
    for file in FILES:
        tape = open_tape(file)
        pairs = dict.fromkeys(
            record.fact.pair for record in tape.records() if isinstance(record.fact, CloseRequested)
        )
        for pair in pairs:
            story = tell(tape, Subject(pair))
            assert has_the_fills_of_its_orders(story), file
            assert told(story, everything=True)
            assert reasons(story, everything=True)
            assert sequence.mermaid(story)
            assert ElementTree.fromstring(svg(story)).tag == f"{SVG}svg"  # noqa: S314 - our own


# ---------------------------------------------------------------- a long journal


def test_a_story_keeps_the_orders_that_its_core_has_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tape = open_tape(C01)
    whole = tell(tape, Subject("zec"))
    pictures = svg(whole), sequence.mermaid(whole)

    class Forgetful(Core):
        """Forgets what has ended at the end of the recording, as a thousand closes later."""

        def step(self, fact: Fact) -> Out:
            out = super().step(fact)
            if fact.at == whole.steps[-1].at:
                self.env.orders.clear()
            return out

    monkeypatch.setattr("engine.assembly.Core", Forgetful)
    later = tell(tape, Subject("zec"))
    assert not later.core.env.orders
    assert (svg(later), sequence.mermaid(later)) == pictures
    assert tell(tape, Subject("lighter:ZEC#3")).steps, "an order of it is still found"


def test_what_guards_read_is_noted_of_the_subject_alone() -> None:
    story = tell(open_tape(C01), Subject("aster:ZEC"))
    asked = {move.transition.machine for step in story.steps for move in step.moves if move.asked}
    assert asked == {"leg", "holding", "session"}
    others = [step.first for step in story.steps if step.first and step.first not in step.moves]
    assert others
    assert not any(move.asked for move in others)


def test_an_error_names_a_few_of_very_many() -> None:
    tape = open_tape(C01)
    core = tape.build()
    core.pairs = {f"p{number}": core.pairs["zec"] for number in range(400)}
    with pytest.raises(TapeError, match=r"pairs: p0, .*, p19 and 380 more; positions: ") as raised:
        Subject("gold").check(core, ())
    assert len(str(raised.value)) < 400


# ---------------------------------------------------------------- replay


@pytest.mark.parametrize("file", [C01, C02])
def test_a_scenario_is_replayed_to_the_same_state(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(file, None, None, step=False, hashes=False) == 0
    printed = capsys.readouterr().out
    assert "close zec: reconciled, flat" in printed
    assert "every hash, number and intent agrees" in printed


def test_a_replay_stops_at_any_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(C01, 14, None, step=False, hashes=False) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("state after record 14, digest ")
    assert "close zec: passive_limit" in printed
    assert "order aster:ZEC#1: " in printed
    assert replay(C01, 999, None, step=False, hashes=False) == 2
    assert "--until 999: the recording ends at record 37" in capsys.readouterr().err


def test_stepping_shows_the_fact_the_rows_and_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert replay(C01, 12, None, step=True, hashes=False) == 0
    printed = capsys.readouterr().out
    assert "timeline asks to close zec: SEVERE_EROSION" in printed
    assert "leg aster:ZEC: start: idle > passive_limit" in printed
    assert "> place aster:ZEC#1: buy 2.332 @ 514.38" in printed


class Terminal(StringIO):
    """Somebody who answers the questions of a terminal."""

    def isatty(self) -> bool:
        return True


def test_stepping_waits_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What looks like a number to somebody is none here: the next record, no more.
    monkeypatch.setattr("sys.stdin", Terminal("\u00b2\ns\n3\nq\n"))
    assert replay(C01, None, None, step=True, hashes=False) == 0
    printed = capsys.readouterr().out
    shown = re.findall(r"(?:^|> ) +(\d+) +-?\d+\.\d{3} ", printed, re.MULTILINE)
    assert shown == ["1", "2", "3", "4", "5"]
    assert printed.count("q: quit > ") == 4
    assert "state after record 2, digest " in printed
    assert "records folded" not in printed


def test_a_number_without_end_is_no_number_of_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("9" * 5000 + "\nq\n"))
    assert replay(C01, None, None, step=True, hashes=False) == 0
    assert capsys.readouterr().out.count("q: quit > ") == 2


def test_a_state_counts_process_starts_and_shows_what_no_close_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert replay(C01, 3, None, step=False, hashes=False) == 0
    assert "  position aster:ZEC: -2.332\n" in capsys.readouterr().out
    crashed = next(DIRECTORY.rglob("f58_crash_w2.toml"))
    assert replay(crashed, None, None, step=False, hashes=False) == 0
    printed = capsys.readouterr().out
    assert " records folded, 2 process starts; " in printed
    assert "  position " not in printed, "what is being closed stands with its leg"


def test_a_recording_has_the_same_digest_at_every_record_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = []
    for _ in range(2):
        assert replay(C02, None, None, step=False, hashes=True) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    digests = [line.split()[1] for line in texts[0].splitlines()[:-1]]
    assert len(set(digests)) > len(digests) // 2


# ---------------------------------------------------------------- a run of the real process


@pytest.mark.slow  # the real process runs once for all tests here
def test_a_close_of_a_run_is_told_from_its_journal(
    live: LiveEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace("eth", None, live.config, "text", None, everything=False) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "asks to close eth: TAKE_PROFIT" in printed
    assert "time 0 is 20" in printed, "a journal knows the wall clock"
    assert "> place one:ETH#1: sell 0.5 @ " in printed
    assert "close eth reconciling > reconciled" in printed
    assert "eth: flat in " in printed
    assert why("eth", None, live.config, everything=False) == 0
    sentences = " ".join(capsys.readouterr().out.split())
    assert "close eth goes from preparing to passive_limit" in sentences
    assert "close.passive_limit.timeout_s = 0.4" in sentences, "the values of that run"


@pytest.mark.slow  # the real process runs once for all tests here
def test_a_replay_comes_to_the_state_that_the_engine_had(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(copied, None, None, step=False, hashes=False) == 0
    printed = capsys.readouterr().out
    assert "close eth: reconciled, flat, TAKE_PROFIT" in printed
    count = len(list(read_journal(copied)))
    assert f"{count} records folded, 1 process start; every hash" in printed


@pytest.mark.slow  # the real process runs once for all tests here
@pytest.mark.parametrize("kind", [each for each in FORMATS if each != "text"])
def test_a_story_is_written_to_a_file(
    live: LiveEngine, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"eth.{kind}"
    assert trace("eth", None, live.config, kind, out, everything=False) == 0
    assert capsys.readouterr().out == f"written to {out}\n"
    text = out.read_text(encoding="utf-8")
    assert "one:ETH#1" in text.replace("#35;", "#")
    assert "http://" not in text.replace("http://www.w3.org/", ""), "opens without a network"
    assert "https://" not in text


# ---------------------------------------------------------------- what cannot be told


def altered(path: Path, seq: int) -> None:
    """Change one bit in the batch that holds a record."""
    where = "WHERE first_seq <= ? AND last_seq >= ?"
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute(f"SELECT body FROM journal {where}", (seq, seq)).fetchone()  # noqa: S608
        changed = bytes(body[:-1]) + bytes([body[-1] ^ 1])
        connection.execute(f"UPDATE journal SET body = ? {where}", (changed, seq, seq))  # noqa: S608
        connection.commit()


def first_bad(printed: str) -> int:
    found = re.search(r"^first bad record: (\d+); before it, (\d+) records are intact$", printed,
                      re.MULTILINE)  # fmt: skip
    assert found, printed
    assert int(found[1]) == int(found[2]) + 1
    return int(found[1])


@pytest.mark.slow  # the real process runs once for all tests here
def test_an_altered_record_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered(copied, 30)
    assert replay(copied, None, None, step=False, hashes=False) == 1
    printed = capsys.readouterr().err
    assert "was altered; restore a copy" in printed
    assert 20 < first_bad(printed) <= 30
    assert trace("eth", copied, Path("config.toml"), "text", None, everything=False) == 1
    assert "first bad record" in capsys.readouterr().err


@pytest.mark.slow  # the real process runs once for all tests here
def test_a_record_that_is_missing_is_named(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(copied)) as connection:
        connection.execute("DELETE FROM journal WHERE first_seq <= 25 AND last_seq >= 25")
        connection.commit()
    assert replay(copied, None, None, step=False, hashes=False) == 1
    assert first_bad(capsys.readouterr().err) <= 25


@pytest.mark.slow  # the real process runs once for all tests here
def test_a_file_with_overwritten_pages_is_refused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(copied.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    copied.write_bytes(data)
    assert replay(copied, None, None, step=False, hashes=False) == 1
    printed = capsys.readouterr().err
    assert "restore a copy" in printed
    first_bad(printed)


@pytest.mark.slow  # the real process runs once for all tests here
def test_a_journal_without_its_session_file_needs_its_configuration(
    copied: Path, live: LiveEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    copied.with_name(copied.name + SESSION_SUFFIX).unlink()
    assert replay(copied, None, None, step=False, hashes=False) == 2
    assert "name the configuration of that time with --config" in capsys.readouterr().err
    assert replay(copied, None, live.config, step=False, hashes=False) == 0
    assert "close eth: reconciled, flat" in capsys.readouterr().out


def test_a_database_of_another_program_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    assert replay(path, None, None, step=False, hashes=False) == 2
    assert f"{path}: is a database of another program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("notes.txt", b"sell everything", "is neither a journal nor a scenario"),
        ("picture.db", b"\x89PNG\r\n\x1a\n", "is neither a journal nor a scenario"),
        ("journal.db", b"", "is empty, so it holds no record"),
        ("engine.toml", b"[engine]\n", "is a configuration, which records nothing"),
        ("empty.toml", b"", "name = (missing): must be given"),
        ("bytes.toml", b"\xff\xfe", "must be UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_no_recording(
    tmp_path: Path, name: str, content: bytes, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for verb in (
        lambda: replay(path, None, None, step=False, hashes=False),
        lambda: trace("eth", path, Path("config.toml"), "text", None, everything=False),
        lambda: why("eth", path, Path("config.toml"), everything=False),
    ):
        assert verb() == 2
        printed = capsys.readouterr()
        assert f"{path}: " in printed.err
        assert text in printed.err
        assert not printed.out


def test_a_journal_where_nothing_can_be_written_is_to_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path) -> NoReturn:
        raise ReadOnlyJournal(f"{path}: it cannot be written")

    path = tmp_path / "journal.db"
    open_journal(path).close()
    shape: dict[str, object] = {"instruments": {}, "venues": {}, "pairs": {}, "session": {}}
    path.with_name(path.name + SESSION_SUFFIX).write_bytes(msgspec.json.encode({"shape": shape}))
    assert replay(path, None, None, step=False, hashes=False) == 0
    # A folder's mode does not stop a test that runs as root.
    monkeypatch.setattr("engine.story.tape.read_journal", refused)
    capsys.readouterr()
    assert replay(path, None, None, step=False, hashes=False) == 2
    printed = capsys.readouterr().err
    assert f"{path}: its folder cannot be written" in printed
    assert "copy the journal and its .session file to a folder that can" in printed


def test_a_folder_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(tmp_path, None, None, step=False, hashes=False) == 2
    assert "is a folder; name the journal or the scenario in it" in capsys.readouterr().err


@pytest.mark.parametrize("kind", FORMATS)
def test_a_story_cannot_be_written_into_a_folder_that_is_not_there(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "story"
    assert trace("zec", C01, Path("config.toml"), kind, out, everything=False) == 2
    assert capsys.readouterr().err == (
        f"--out {out}: cannot be written: No such file or directory; "
        "name a file in a folder that exists\n"
    )


def test_a_timeline_is_written_to_a_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "story.txt"
    assert trace("zec", C01, Path("config.toml"), "text", out, everything=False) == 0
    assert capsys.readouterr().out == f"written to {out}\n"
    text = out.read_text(encoding="utf-8")
    assert "close zec" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("subject", "file", "kind", "text"),
    [
        ("zec", "nowhere.db", "text", "nowhere.db: there is no such file"),
        ("gold", str(C01), "text", "'gold': nothing of that name is in this recording; pairs: zec"),
        ("aster:ZEC#9", str(C01), "text", "there is no such order; there are aster:ZEC#1, "),
        ("zec@0", str(C01), "text", "write NAME@n for the n-th close of a pair"),
        ("zec@7", str(C01), "text", "was closed once only"),
        ("zec", str(C01), "gif", "--format gif: allowed: text, mermaid, svg, html"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_there_is(
    subject: str, file: str, kind: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = trace(subject, Path(file), Path("config.toml"), kind, None, everything=False)
    assert status == 2
    assert text in capsys.readouterr().err


def test_without_a_journal_the_error_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config_text(), encoding="utf-8")
    assert trace("eth", None, config, "text", None, everything=False) == 2
    assert "there is no journal yet; run unwind run first" in capsys.readouterr().err


def test_an_id_that_the_catalogue_lacks_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("C999", None, Path("config.toml"), "text", None, everything=False) == 2
    assert "C999: no scenario of that id is in tests/scenarios" in capsys.readouterr().err


def test_a_catalogue_id_can_be_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(Path("C01"), None, None, step=False, hashes=False) == 0
    assert "close zec: reconciled, flat" in capsys.readouterr().out


def test_a_catalogue_id_names_its_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("C01", None, Path("config.toml"), "mermaid", None, everything=False) == 0
    assert "C01 Unequal legs" in capsys.readouterr().out
    assert why("c02", None, Path("config.toml"), everything=False) == 0
    printed = capsys.readouterr()
    assert "c02b_race_bare.toml" in printed.err, "there are two of it"
    assert "DIVERGENCE_FLIPPED" in printed.out


# ---------------------------------------------------------------- looking changes nothing


def test_a_core_that_is_looked_at_comes_to_the_same_state() -> None:
    tape = open_tape(C02)
    events = {model: table.events for model, table in TABLES.items()}
    story = tell(tape, Subject("zec"))
    assert {model: table.events for model, table in TABLES.items()} == events
    plain = Replay(tape)
    plain.run(None)
    watched = Replay(Tape(tape.name, lambda: story.core, lambda: iter(()), tape.origin))
    assert watched.digest() == plain.digest()
