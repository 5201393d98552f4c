"""What the benchmarks rest on: the right result, few commits, no intent before its record.

Nothing here is timed; figures are in docs/performance.md.
"""

import pytest

import machines.core
from benchmarks.closes import Workload
from benchmarks.core import climb, open_closes
from benchmarks.tape import quotes
from engine.journal import MemoryJournal
from machines.messages import Cancel, OperatorCommanded, OrderReported, Place
from machines.types import PASSIVE
from tests.rows import Bench


@pytest.mark.slow  # twenty thousand quotes are the smallest tape with a published result
def test_the_close_workload_gives_the_published_result() -> None:
    workload = Workload(1, None, recording=False)
    workload.run(quotes(7, 1, 20_000, 1))
    assert [workload.closes, *workload.rungs.values(), workload.cash] == [457, 262, 518, 134, -3717]


def test_nothing_is_sent_ahead_of_its_record_and_observations_cost_no_commit() -> None:
    journal = MemoryJournal()
    workload = Workload(1, journal, recording=True)
    early: list[object] = []
    sent = 0

    def on_send(command: object) -> None:
        nonlocal sent
        if isinstance(command, (Place, Cancel)):
            sent += 1
            durable = journal.rows[-1]
            if durable.last_seq != workload.dispatcher.seq:
                early.append(command)

    workload.dispatcher.on_send = on_send
    workload.run(quotes(7, 1, 3_000, 1))
    assert not early
    assert sent > 400
    assert journal.last_seq == workload.dispatcher.seq, "the last observations were left behind"
    assert len(journal.rows) < sent, "an instant's intents share a commit"


def test_more_ended_closes_than_the_bound_neither_hang_nor_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machines.core, "FINISHED_MAX", 4)
    workload = open_closes(8)
    climb(workload)
    core = workload.core
    assert len(core.closes) == 16
    assert len(core.finished) == 16, "the present close of every pair is kept"


def test_an_ended_close_is_not_forgotten_while_one_of_its_orders_may_fill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machines.core, "FINISHED_MAX", 0)
    bench = Bench()
    first = bench.close(PASSIVE)
    order = first.legs[1].order
    assert order is not None
    bench.step(OperatorCommanded(bench.now, "halt"))
    first.state = "frozen"
    bench.step(OperatorCommanded(bench.now, "write_off", "x"))
    for _ in range(3):
        bench.close(PASSIVE)
        bench.core.closes["x"].state = "frozen"
        bench.step(OperatorCommanded(bench.now, "write_off", "x"))
    assert bench.core.env.orders.get(order.uid) is order
    for old in first.legs:
        bench.step(OrderReported(bench.now, bench.now, old.orders[0].uid, "stream", "CANCELED", 0))
    for _ in range(3):
        bench.close(PASSIVE)
        bench.core.closes["x"].state = "frozen"
        bench.step(OperatorCommanded(bench.now, "write_off", "x"))
    assert order.uid not in bench.core.env.orders
