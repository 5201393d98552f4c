"""Everything a story can tell of has words: every timer, gate, fact and command."""

from __future__ import annotations

import ast
import inspect
from decimal import Decimal
from typing import get_args

import pytest

from engine.story import reasons, words
from machines.core import TABLES
from machines.lane import TABLE as LANE
from machines.messages import (
    CallLost,
    Command,
    Fact,
    OperatorCommanded,
    OrderRefused,
    ReadMode,
    TopSeen,
)
from machines.policy import gating
from machines.types import NS
from tests.rows import Bench


def test_every_timer_of_every_machine_has_words() -> None:
    named = {
        (model, part.partition(":")[0].strip())
        for model, table in TABLES.items()
        for state in table.states.values()
        for part in state.deadline.split(";")
        if part
    }
    assert len(named) > 20
    assert named - words.TIMERS.keys() == set()


def test_every_gate_has_words_and_says_what_was_read() -> None:
    tree = ast.parse(inspect.getsource(gating.gate))
    stated = {
        each.value
        for part in ast.walk(tree)
        if isinstance(part, ast.Return)
        for each in ast.walk(part)
        if isinstance(each, ast.Constant) and each.value
    }
    lanes = {state for state in LANE.states if state != "open"} | {"unfit"}
    gates = stated | lanes | {"together", "balanced"}
    assert gates == words.GATES.keys()
    assert gates == reasons._GATE_READS.keys()


@pytest.mark.parametrize(("union", "known"), [(Fact, "_facts"), (Command, "_commands")])
def test_every_fact_and_command_has_words(union: object, known: str) -> None:
    told = getattr(words.Words(Bench().core, 0), known)
    # Books are recorded as they were seen, beside the facts; they are no step of a story.
    assert set(get_args(union)) - {TopSeen} == told.keys()


def test_what_a_venue_said_of_a_refusal_is_told() -> None:
    bench = Bench()
    bench.close()
    order = bench.core.closes["x"].legs[0].orders[0].uid
    told = words.Words(bench.core, bench.now)
    later = bench.now + 7 * NS
    refused = OrderRefused(bench.now, order, "BANNED", "address", retry_at=later)
    assert told.fact(refused).endswith("BANNED: address, orders again from 7.000 s")
    lost = CallLost(bench.now, order, "place", "reset", "-1006")
    assert told.fact(lost).endswith("result unknown (reset: -1006)")
    assert told.command(ReadMode(bench.now, "a")) == "ask a for its mode"
    adopted = OperatorCommanded(bench.now, "adopt", target="x", qty=Decimal("3.50"))
    assert told.fact(adopted).endswith("commands: adopt x with 3.5 held")
