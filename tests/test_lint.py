"""The static checks find what is wrong with a table, and nothing in those that run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.diagrams.docs import CallbackDoc, Docs, MachineDoc, RowDoc, StateDoc
from engine.diagrams.lint import RULES, Finding, lint
from engine.diagrams.reading import Effect
from engine.diagrams.timers import armed_in
from machines.close_actions import start_idle_legs
from machines.core import TABLES
from machines.joint import JOINT, Joint
from machines.leg_actions import try_again, withdraw
from machines.policy.escalating import STUCK
from machines.session import read_now, reads_agree
from machines.table import Row, State, Table
from machines.types import AGGRESSIVE, PASSIVE
from tests.tables import changed, without

if TYPE_CHECKING:
    from transitions import EventData

    from machines.leg_model import Leg


def found(tables: Iterable[Table], rule: str) -> list[Finding]:
    return [finding for finding in lint(tables) if finding.rule == rule]


@pytest.mark.slow  # reads the source of everything behind the tables first
def test_nothing_is_wrong_with_the_tables_that_run() -> None:
    assert lint(TABLES.values()) == []


# ---------------------------------------------------------------- what the issue asks for


def test_a_state_made_unreachable_is_found() -> None:
    def cut(rows: tuple[Row, ...]) -> list[Row]:
        return [row for row in rows if row.dest != "waiting"]

    texts = [each.text for each in found(changed("leg", cut), "well-formed")]
    assert "state waiting is unreachable" in texts


def test_a_deadline_removed_from_a_state_is_found() -> None:
    def bare(states: dict[str, State]) -> dict[str, State]:
        states["passive_limit"] = states["passive_limit"]._replace(deadline="", unbounded="")
        return states

    texts = [each.text for each in found(changed("leg", states=bare), "well-formed")]
    assert texts == ["state passive_limit: neither deadline nor reason to have none"]


def test_a_deadline_left_out_beside_a_reason_to_have_none_is_found() -> None:
    def bare(states: dict[str, State]) -> dict[str, State]:
        states["live"] = states["live"]._replace(deadline="")
        return states

    texts = [each.text for each in found(changed("session", states=bare), "deadline")]
    assert texts == ["state live: timer 'stable' may be armed there; name it in `deadline`"]


def test_an_end_that_a_timer_ends_is_found() -> None:
    def ended(states: dict[str, State]) -> dict[str, State]:
        states["stuck"] = states["stuck"]._replace(terminal=True)
        return states

    texts = [each.text for each in found(changed("leg", states=ended), "deadline")]
    assert texts == ["state stuck: its timer 'retry' runs, though it is an end"]


def test_a_deadline_whose_row_is_gone_is_found() -> None:
    cut = changed("leg", without("deadline", "aggressive_limit"))
    assert [each.text for each in found(cut, "deadline")] == [
        "state aggressive_limit: its timer 'deadline' has no row there; add one"
    ]
    timers = [each.text for each in found(cut, "timer")]
    assert len(timers) == 1
    assert timers[0].startswith("state aggressive_limit: timer 'deadline' may fire there, armed by")


def test_a_deadline_that_nothing_arms_is_found() -> None:
    def unarmed(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(actions=tuple(a for a in row.actions if a.__name__ != "give_up"))
            for row in rows
        ]

    texts = [each.text for each in found(changed("leg", unarmed), "deadline")]
    assert "state stuck: its timer 'retry' is armed on no way into it" in " ".join(texts)


def test_a_guard_made_non_exhaustive_is_found() -> None:
    def guarded(rows: tuple[Row, ...]) -> list[Row]:
        every = list(rows)
        last = max(
            number
            for number, row in enumerate(every)
            if (row.trigger, row.source) == ("attempt_due", "market")
        )
        first = next(row for row in every if row.trigger == "attempt_due" and row.guards)
        every[last] = every[last]._replace(guard=first.guards)
        return every

    texts = [each.text for each in found(changed("leg", guarded), "well-formed")]
    assert "attempt_due in market: no unguarded last row" in texts


@pytest.mark.parametrize("rung", ["aggressive_limit", "market"])
def test_a_bounded_retry_made_unbounded_is_found(rung: str) -> None:
    change = without("order_ended", rung, "attempts_are_spent")
    texts = [each.text for each in found(changed("leg", change), "bound")]
    assert any("follow each other for ever" in text and "attempt_due" in text for text in texts)


def test_a_retry_that_is_no_longer_counted_is_found() -> None:
    def uncounted(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(actions=(withdraw,))
            if row.trigger == "attempt" and row.dest == "withdrawing"
            else row
            for row in rows
        ]

    texts = [each.text for each in found(changed("leg", uncounted), "bound")]
    assert texts
    assert all("no guard or action of the row reads it" in text for text in texts)


def test_a_loop_whose_bound_is_taken_away_is_found() -> None:
    def unbounded(rows: tuple[Row, ...]) -> list[Row]:
        return [row._replace(bound="") if row.trigger == "retry" else row for row in rows]

    def also(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(bound="") if row.trigger in ("start", "exhaust", "retry_asked") else row
            for row in unbounded(rows)
        ]

    assert found(changed("leg", also), "bound")


def test_a_retry_whose_count_begins_anew_at_each_turn_is_found() -> None:
    def unbounded(rows: tuple[Row, ...]) -> list[Row]:
        return [row._replace(bound="") if row.trigger == "retry" else row for row in rows]

    (text,) = [each.text for each in found(changed("leg", unbounded), "bound")]
    assert "retry: stuck > market" in text
    assert "order_ended: market > stuck [attempts_are_spent]" in text


def test_a_loop_behind_a_maximum_that_it_does_not_count_towards_is_found() -> None:
    def unbounded(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(bound="")
            if (row.trigger, row.source, row.dest) == ("leg_moved", "reconciled", "reconciling")
            else row
            for row in rows
        ]

    texts = [each.text for each in found(changed("close", unbounded), "bound")]
    assert any("leg_moved: reconciled > reconciling" in text for text in texts)
    assert not found(TABLES.values(), "bound")


@pytest.mark.parametrize(
    ("machine", "counts", "instead", "row"),
    [
        ("close", "start_round", start_idle_legs, "evidence: reconciling > market"),
        ("leg", "withdraw_for_requote", withdraw, "recheck: passive_limit > withdrawing"),
        ("leg", "pause", try_again, "order_ended: passive_limit > stays"),
    ],
)
def test_a_maximum_that_nothing_counts_towards_is_no_bound(
    machine: str, counts: str, instead: Callable[..., None], row: str
) -> None:
    def uncounted(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(
                actions=tuple(instead if a.__name__ == counts else a for a in row.actions),
            )
            for row in rows
        ]

    texts = [each.text for each in found(changed(machine, uncounted), "bound")]
    assert any(row in text for text in texts)


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        ("by and by: some day", "bound 'by and by' is none of"),
        ("never", "names no configuration key"),
        ("person: one per halt", "bound 'person' does not hold"),
        ("venue: one per report", "bound 'venue' does not hold"),
        ("caller: one per request", "bound 'caller' does not hold"),
        ("fills: what remains only shrinks", "bound 'fills' does not hold"),
    ],
)
def test_a_bound_that_says_what_is_not_so_is_found(bound: str, text: str) -> None:
    def wrong(rows: tuple[Row, ...]) -> list[Row]:
        return [row._replace(bound=bound) if row.trigger == "retry" else row for row in rows]

    texts = [each.text for each in found(changed("leg", wrong), "bound")]
    assert any(text in each for each in texts)


# ---------------------------------------------------------------- the other rules


def test_one_way_into_a_state_that_arms_none_of_its_timers_is_found() -> None:
    def bare(rows: tuple[Row, ...]) -> list[Row]:
        return [row._replace(actions=()) if row.trigger == "open" else row for row in rows]

    assert [each.text for each in found(changed("session", bare), "deadline")] == [
        "open: connecting > backoff: no timer of state backoff is armed after it; arm one"
    ]


@pytest.mark.parametrize("state", ["frozen", "preparing"])
def test_a_timer_that_another_machine_arms_needs_a_row_too(state: str) -> None:
    (text,) = [each.text for each in found(changed("close", without("budget", state)), "timer")]
    assert text.startswith(f"state {state}: timer 'budget' may fire there, armed by order, ")


def test_no_timer_fires_in_a_scenario_where_none_is_thought_to_be_armed(docs: Docs) -> None:
    fired = re.compile(r"^ *[0-9.]+ +(\w+) +\S+ +(\w+) +(\w+)>\w+", re.MULTILINE)
    armed = {machine.name: armed_in(machine) for machine in docs.machines}
    seen: set[tuple[str, str, str]] = set()
    for trace in (Path(__file__).parent / "scenarios").rglob("*.trace"):
        seen.update(fired.findall(trace.read_text(encoding="utf-8")))
    timers = [
        (name, trigger, state)
        for name, trigger, state in seen
        if docs.machine(name).origins[trigger] == ("timer",)
    ]
    assert len(timers) > 15, "the scenarios let timers of every machine fire"
    assert [each for each in timers if each[1] not in armed[each[0]][each[2]]] == []


def test_a_row_behind_one_that_takes_all_it_would_is_found() -> None:
    def narrowed(rows: tuple[Row, ...]) -> list[Row]:
        first = next(row for row in rows if row.trigger == "truth" and row.guards)
        at = rows.index(first) + 1
        both = [first._replace(guard=(*first.guards, reads_agree))]
        both.append(first._replace(guard=(reads_agree, *first.guards)))
        return [*rows[:at], *both, *rows[at:]]

    wide = "truth: syncing > stays [was_asked_before]"
    narrow = "truth: syncing > stays [was_asked_before and reads_agree]"
    turned = "truth: syncing > stays [reads_agree and was_asked_before]"
    assert [each.text for each in found(changed("session", narrowed), "dead row")] == [
        f"{narrow}: never taken, for {wide} comes first",
        f"{turned}: never taken, for {wide} comes first",
        f"{turned}: never taken, for {narrow} comes first",
    ]


def test_a_row_that_stands_there_twice_is_said_once() -> None:
    def twice(rows: tuple[Row, ...]) -> list[Row]:
        first = next(row for row in rows if row.trigger == "truth" and row.guards)
        at = rows.index(first)
        return [*rows[:at], first, *rows[at:]]

    assert [each.text for each in found(changed("session", twice), "well-formed")] == [
        "truth in syncing: duplicate row"
    ]
    assert found(changed("session", twice), "dead row") == []


def test_a_row_for_a_timer_that_is_never_armed_there_is_found() -> None:
    def more(rows: tuple[Row, ...]) -> list[Row]:
        return [*rows, Row("ask", "live", None, None, (read_now,))]

    assert [each.text for each in found(changed("session", more), "dead row")] == [
        "ask: live > stays: never taken, for nothing arms that timer there; take it out"
    ]


def test_a_message_that_no_row_takes_is_found() -> None:
    texts = [each.text for each in found(changed("session", without("closed")), "every fact")]
    assert texts == ["'closed', sent by LinkClosed, has no row in any state; add rows"]


def test_a_message_whose_name_is_put_together_needs_its_rows_as_well() -> None:
    texts = [each.text for each in found(changed("order", without("place_lost")), "every fact")]
    assert texts == ["'place_lost', sent by CallLost, has no row in any state; add rows"]


def test_a_message_that_is_the_name_of_a_timer_too_needs_its_rows() -> None:
    def nudge(e: EventData) -> None:
        """Let the retry come at once."""
        e.args[1].tell(e.model, "retry")

    def nudged(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(actions=(nudge,)) if row.trigger == "retry_asked" else row for row in rows
        ]

    texts = [each.text for each in found(changed("leg", nudged), "every fact")]
    assert "'retry' has no row in state market; say what it means there" in texts


def test_a_state_that_only_a_person_could_bring_to_an_end_is_found() -> None:
    def never(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(dest=None)
            if row.trigger == "explained"
            or (row.trigger, row.dest) in {("evidence", "reconciled"), ("truth", "reconciled")}
            else row
            for row in rows
        ]

    texts = [each.text for each in found(changed("close", never), "way out")]
    assert "only a person leads from reconciling to a terminal state; add a way out" in texts
    assert not any("from frozen" in text for text in texts), "that one awaits a person"


def test_a_trap_in_a_machine_without_an_end_is_found() -> None:
    def trap(rows: tuple[Row, ...]) -> list[Row]:
        return [row._replace(dest=None) if row.source == "backoff" else row for row in rows]

    texts = [each.text for each in found(changed("session", trap), "way out")]
    assert "the first state cannot be reached from backoff; add a way out" in texts


def test_a_trigger_that_nobody_sends_is_found() -> None:
    def more(rows: tuple[Row, ...]) -> list[Row]:
        return [*rows, *(row._replace(trigger="hope") for row in rows if row.trigger == "halt")]

    texts = [each.text for each in found(changed("leg", more), "sender")]
    assert texts == ["nothing sends 'hope': its rows are dead; take them out"]


def test_a_message_without_a_row_in_a_state_is_found() -> None:
    cut = changed("order", without("missing", "contradicted"))
    assert [each.text for each in found(cut, "every fact")] == [
        "'missing' has no row in state contradicted; say what it means there"
    ]


def test_a_state_without_a_way_to_an_end_is_found() -> None:
    def trap(rows: tuple[Row, ...]) -> list[Row]:
        return [
            row._replace(dest=None) if row.source == "frozen" and row.dest is not None else row
            for row in rows
        ]

    texts = [each.text for each in found(changed("close", trap), "way out")]
    assert texts == ["a terminal state cannot be reached from frozen; add a way out"]


def test_a_pair_of_legs_without_a_rule_is_found() -> None:
    short = [rule for rule in JOINT if rule.a != "liquidated"]
    texts = [each.text for each in lint(TABLES.values(), short) if each.rule == "joint"]
    assert len(texts) == 3
    assert "no rule for a leg that is liquidated beside one that is passive; add one" in texts


def test_two_rules_for_one_pair_of_legs_are_found() -> None:
    twice = [*JOINT, Joint("ended", "passive", None, "patience")]
    texts = [each.text for each in lint(TABLES.values(), twice) if each.rule == "joint"]
    assert texts == ["two rules for the pair (ended, passive); keep one"]
    again = [each.text for each in lint(TABLES.values(), [*JOINT, JOINT[0]])]
    assert again == texts, "one that says the same is dead"


@pytest.mark.parametrize("rung", [PASSIVE, AGGRESSIVE, STUCK])
def test_a_rule_that_asks_a_leg_for_no_higher_rung_is_found(rung: int) -> None:
    rules = [rule._replace(rung=rung) if rule.b == "market" else rule for rule in JOINT]
    texts = [each.text for each in lint(TABLES.values(), rules)]
    assert len(texts) == 1
    assert texts[0].startswith("(liquidated, market) asks for a rung that is not above it")


def test_what_a_leg_does_is_read_from_the_code_that_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def says_more(leg: Leg) -> str:
        return "lost" if leg.held else "liquidated" if leg.liquidated else "working"

    monkeypatch.setattr("engine.diagrams.lint.doing", says_more)
    texts = [each.text for each in lint(TABLES.values())]
    assert "no rule for a leg that is lost beside one that is passive; add one" in texts
    assert "(ended, passive) is no pair that can occur" in texts


@pytest.mark.parametrize("length", ["stuck_retri_s", ""])
def test_a_deadline_that_names_no_key_is_found(length: str) -> None:
    def misspelt(states: dict[str, State]) -> dict[str, State]:
        states["stuck"] = states["stuck"]._replace(deadline=f"retry: {length}")
        return states

    texts = [each.text for each in found(changed("leg", states=misspelt), "deadline")]
    assert len(texts) == 1
    assert f"lasts {length!r}, which names no key" in texts[0]


def test_the_rules_are_those_that_are_tested_here() -> None:
    assert list(RULES) == [
        "well-formed", "deadline", "timer", "dead row", "sender", "every fact", "way out", "bound",
        "joint",
    ]  # fmt: skip


def test_a_timer_that_has_fired_is_armed_no_more() -> None:
    arm = CallbackDoc("arm", "", (Effect("arm", "late", "Small"),))
    rows = (RowDoc(0, "go", "a", "b", actions=("arm",)), RowDoc(1, "late", "b", "c"))
    states = tuple(StateDoc(name, "") for name in "abc")
    armed = armed_in(MachineDoc("small", "Small", "", "a", states, rows, {"arm": arm}, {}))
    assert {state: set(tags) for state, tags in armed.items()} == {
        "a": set(), "b": {"late"}, "c": set(),
    }  # fmt: skip


def test_the_timers_of_a_leg_are_followed_through_its_states(docs: Docs) -> None:
    leg = docs.machine("leg")
    armed = armed_in(leg)
    assert set(armed["passive_limit"]) == {"deadline", "pause"}
    assert set(armed["stuck"]) == {"retry"}
    assert armed["done"] == {}
