"""The exhaustive search finds what is wrong, tells states apart, and finds nothing in what runs.

Defects are put into copies of the tables, which then run in place of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace
from transitions import EventData

from engine.simulation.explore import Explorer
from engine.simulation.memento import Memento, key_of
from engine.simulation.small_world import Coming, Venues, World, changed, small_core
from machines.close_model import Close
from machines.core import TABLES
from machines.holding_model import Holding
from machines.leg_model import Leg
from machines.messages import CloseRequested, Place
from machines.order_model import Order
from machines.table import Row, Table


def replaced(
    monkeypatch: pytest.MonkeyPatch, model: type, rows: Callable[[Row], Iterable[Row]]
) -> None:
    """Let a table with other rows run."""
    table = TABLES[model]
    twin = Table(
        table.name,
        table.states.values(),
        [new for row in table.rows for new in rows(row)],
        table.initial,
        model,
    )
    for name in ("rows", "machine", "events"):
        monkeypatch.setattr(table, name, getattr(twin, name))


def texts(world: World) -> set[str]:
    return {violation.text for violation in Explorer(world).run().violations}


# ---------------------------------------------------------------- what runs


@pytest.mark.slow  # goes through thousands of states
@pytest.mark.parametrize(
    "world", [World(facts=5), World(facts=4, person=True), World(facts=3, stranger=True)]
)
def test_nothing_breaks_in_any_interleaving_of_a_few_facts(world: World) -> None:
    found = Explorer(world).run()
    assert found.violations == []
    assert found.states > 5_000


def test_the_same_world_is_gone_through_in_the_same_way() -> None:
    runs = [Explorer(World(facts=3)).run() for _ in range(2)]
    assert runs[0].states == runs[1].states > 500
    assert runs[0].steps == runs[1].steps
    assert runs[0].rows == runs[1].rows


def test_more_facts_reach_more_states_and_rows() -> None:
    few, more = (Explorer(World(facts=facts)).run() for facts in (2, 3))
    assert few.states < more.states
    assert few.rows < more.rows


# ---------------------------------------------------------------- states


class Checked(Explorer):
    """Goes on where a state was seen before, and holds what follows against what followed then."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.followed: dict[int, list[int]] = {}
        self.again = 0

    def _visit(self, venues: Venues, left: int) -> None:
        if left == 0:
            return
        here = self._key(venues)
        following: list[int] = []
        now, memento = self.now, Memento(self.core)
        before = key_of(self.core, now)
        for move in Coming(self.world, self.core, now).moves(venues):
            _, after, facts, self.now = move
            then = self._step(after, facts)
            following.append(self._key(then))
            self._visit(then, left - 1)
            memento.restore(self.core)
            self.now = now
            assert key_of(self.core, now) == before, "a state was not brought back whole"
        known = self.followed.setdefault(here, following)
        self.again += known is not following
        assert sorted(known) == sorted(following)


@pytest.mark.slow  # goes through thousands of states, again where they were seen before
@pytest.mark.parametrize("person", [False, True])
def test_two_states_that_count_as_one_go_on_alike(person: bool) -> None:
    checked = Checked(World(facts=4, person=person))
    checked.run()
    assert checked.again > 500


def test_what_is_put_aside_comes_back_whole() -> None:
    core = small_core(World())
    before, memento = key_of(core, 0), Memento(core)
    core.step(CloseRequested(core.books[0].at, "x", "MANUAL"))
    assert key_of(core, 0) != before
    assert core.closes
    memento.restore(core)
    assert key_of(core, 0) == before
    assert not core.closes


# ---------------------------------------------------------------- invariants


class Begun(Explorer):
    """A world in which the close has begun and both legs have an order at their venue."""

    def __init__(self) -> None:
        super().__init__(World())
        start = CloseRequested(self.now, "x", "MANUAL")
        self.venues = self._step(Venues((3, -3)), (start,))

    def take(self, label: str) -> None:
        """Let happen what may come next under this name."""
        moves = Coming(self.world, self.core, self.now).moves(self.venues)
        _, after, facts, self.now = next(move for move in moves if move[0] == label)
        self.venues = self._step(after, facts)

    def broken(self) -> list[str]:
        return [violation.text for violation in self.found.violations]


@pytest.fixture
def begun() -> Begun:
    begun = Begun()
    assert begun.broken() == []
    return begun


def test_a_fill_that_no_venue_knows_of_breaks_an_invariant(begun: Begun) -> None:
    begun.take("a#0: fills 1")
    uid = begun.venues.tickets[0].uid
    begun._check(changed(begun.venues, uid, cum=0))
    assert begun.broken() == ["I4: a:X#1 believed to have filled 1 of 0"]


def test_a_position_that_turned_breaks_an_invariant(begun: Begun) -> None:
    begun._check(replace(begun.venues, held=(-1, -3)))
    assert begun.broken() == ["I7: a turned from 3 to -1"]


def test_a_close_that_ended_with_something_held_or_alive_breaks_an_invariant(begun: Begun) -> None:
    begun._ended(begun.venues)
    alive, held = begun.broken()
    assert alive.endswith(" with 2 orders alive")
    assert held.endswith(" with (3, -3) held")


def place(begun: Begun, qty: int, side: int = -1) -> Place:
    """An order on leg a, as the core would command it."""
    return Place(begun.now, 99, 0, side, qty, 10_000, "GTC", False, True, 0, 0, 1, "", "")


def test_a_second_order_breaks_an_invariant(begun: Begun) -> None:
    begun._check_place(begun.venues, place(begun, 1))
    assert begun.broken() == ["I6: a: a second order while an earlier one may fill"]


@pytest.mark.parametrize(("qty", "side"), [(4, -1), (1, 1)])
def test_an_order_of_more_than_is_held_breaks_an_invariant(
    begun: Begun, qty: int, side: int
) -> None:
    begun._check_place(replace(begun.venues, tickets=()), place(begun, qty, side))
    assert begun.broken() == [f"I6: a: an order of {qty} with 3 known"]


def test_an_order_that_a_person_has_ruled_out_breaks_an_invariant(begun: Begun) -> None:
    begun.core.env.halted = True
    begun._check_place(replace(begun.venues, tickets=(), withdrawn=True), place(begun, 1))
    assert begun.broken() == [
        "a: an order while halted",
        "a: an order after the close was withdrawn",
    ]


# ---------------------------------------------------------------- defects that it finds


def test_an_order_sent_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout taken for a failure: a lost answer counts as the end of the order."""

    death = next(row for row in TABLES[Order].rows if row.trigger == "refused").actions

    def trust(row: Row) -> list[Row]:
        if row.trigger == "place_lost" and row.source == "sent":
            return [row._replace(dest="rejected", actions=death)]
        return [row]

    replaced(monkeypatch, Order, trust)
    found = texts(World(facts=2))
    assert any("believed dead, and alive at the venue" in text for text in found)


def hidden(monkeypatch: pytest.MonkeyPatch, change: Callable[[Row], list[Row]]) -> set[str]:
    """What is found where the holding's table is changed and a stranger trades."""
    replaced(monkeypatch, Holding, change)
    return texts(World(facts=4, stranger=True))


def nothing(_: object) -> None:
    """An action that does nothing."""


@pytest.mark.slow  # goes through thousands of states
def test_a_gap_that_hides_a_strangers_trade_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a gap the engine goes on with what it believed before."""

    def forget(row: Row) -> list[Row]:
        if row.trigger == "gap":
            return [row._replace(dest="settled")]
        if row.trigger == "read" and row.source == "settled":
            return [row._replace(dest=None, actions=(nothing,))]
        return [row]

    found = hidden(monkeypatch, forget)
    assert any(text.startswith("I6: ") and text.endswith(" left") for text in found)


@pytest.mark.slow  # as above
def test_a_strangers_part_that_is_closed_as_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What two rounds show is taken for ours, whoever it was, and nobody is asked."""

    def adopt(e: EventData) -> None:
        """Take it for ours."""
        e.model.accept(e.model.read_qty)

    def trust(row: Row) -> list[Row]:
        if row.guards and row.guards[0].__name__ in ("rounds_are_foreign", "nothing_is_held"):
            return [row._replace(actions=(adopt,))]
        return [row]

    found = hidden(monkeypatch, trust)
    assert any(text.startswith("I6: ") and text.endswith(" known") for text in found)


def test_a_wait_without_a_timer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close whose legs have ended forgets to ask the venues what is left."""

    def forget(row: Row) -> list[Row]:
        kept = tuple(each for each in row.actions if each.__name__ != "begin_reconciling")
        return [row._replace(actions=kept)]

    replaced(monkeypatch, Close, forget)
    assert texts(World(facts=3)) == {"asleep: reconciling with legs ['done', 'done']"}


def test_a_message_without_a_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(
        monkeypatch,
        Leg,
        lambda row: (
            [] if (row.trigger, row.source) == ("order_doubted", "passive_limit") else [row]
        ),
    )
    found = texts(World(facts=2))
    assert any(text.startswith("a machine broke: ") for text in found)
