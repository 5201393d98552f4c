"""What the parts of the core cost, each against a plain floor measured in the same run.

    python -m benchmarks.core [--rounds 9]

Rounds are interleaved and the medians compared, so that a busy machine hits both sides alike; only
the ratios mean anything. Prints one JSON line per comparison.
"""

import argparse
import copy
import gc
import json
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any, ClassVar

import anyio
from transitions import Event

from benchmarks.closes import RUNG_NS, SIZE, Workload
from benchmarks.tape import SPREAD, START_NS
from engine.memory import spare_collector
from machines.messages import CloseRequested, OrderReported, OrderSent
from machines.order import TABLE as ORDER
from machines.table import Out, build

REPEATS = 20_000


class Plain:
    """The floor of a machine: a slotted object and a table of (state, trigger)."""

    __slots__ = ("at", "state")

    TABLE: ClassVar = {("idle", "go"): ("busy", "note"), ("busy", "go"): ("idle", "note")}

    def __init__(self) -> None:
        self.state = "idle"
        self.at = 0

    def note(self, message: Any, out: list[Any]) -> None:
        """Do what an action does."""
        self.at = message

    def fire(self, trigger: str, message: Any, out: list[Any]) -> None:
        """Take one row."""
        dest, action = self.TABLE[self.state, trigger]
        getattr(self, action)(message, out)
        self.state = dest


def interleaved(rounds: int, **sides: Callable[[], int]) -> dict[str, float]:
    """Median microseconds of CPU per unit of each side; a side returns how many units it did."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            cpu = time.process_time()
            units = side()
            taken[name].append((time.process_time() - cpu) / units * 1e6)
    return {name: median(each) for name, each in taken.items()}


def say(name: str, found: dict[str, float], over: str, under: str, limit: float) -> None:
    """Print one comparison."""
    figures = {f"{side}_us": round(cost, 3) for side, cost in found.items()}
    ratio = round(found[over] / found[under], 3)
    print(json.dumps({"what": name} | figures | {"ratio": ratio, "limit": limit}))


# ---------------------------------------------------------------- trigger


def triggers(rounds: int) -> None:
    """A row of the order table, with its action: lean event, stock event, plain table."""
    stock = copy.copy(ORDER)
    stock.machine = build(stock, Event)
    fact, out = OrderReported(1, 1, 1, "ack", "OPEN"), Out()

    class Model:
        __slots__ = ("booked", "id", "leg", "price", "state", "timers")

        def __init__(self) -> None:
            self.id, self.state = "model", "sent"
            self.leg, self.price, self.booked = None, 1, None
            self.timers: dict[str, int] = {}

    def through(events: Any) -> Callable[[], int]:
        model, opened = Model(), events["opened"]

        def run() -> int:
            for _ in range(REPEATS):
                model.state = "sent"
                opened.trigger(model, fact, out)
            return REPEATS

        return run

    def plain() -> int:
        model, commands = Plain(), list[Any]()
        for number in range(REPEATS):
            model.fire("go", number, commands)
        return REPEATS

    found = interleaved(
        rounds, lean=through(ORDER.machine.events), stock=through(stock.machine.events), floor=plain
    )
    say("lean trigger / stock trigger", found, "lean", "stock", 0.20)
    say("lean trigger / dict-table method", found, "lean", "floor", 15)


# ---------------------------------------------------------------- dispatcher


def hops(rounds: int) -> None:
    """A fact through inbox, step and batch, against one item through an anyio memory stream."""
    workload = Workload(1, None, recording=False)
    dispatcher, fact = workload.dispatcher, OrderSent(START_NS, 1)
    inbox: deque[int] = deque()

    def dispatched() -> int:
        for _ in range(REPEATS):
            dispatcher.inbox.append(fact)
        return dispatcher.drain()

    def bare() -> int:
        for number in range(REPEATS):
            inbox.append(number)
        while inbox:
            inbox.popleft()
        return REPEATS

    def streamed() -> int:
        async def through() -> None:
            send, receive = anyio.create_memory_object_stream[int](1)
            async with anyio.create_task_group() as group:
                group.start_soon(consume, receive)
                async with send:
                    for number in range(REPEATS // 10):
                        await send.send(number)

        async def consume(receive: Any) -> None:
            async with receive:
                async for _ in receive:
                    pass

        anyio.run(through)
        return REPEATS // 10

    found = interleaved(rounds, step=dispatched, deque=bare, stream=streamed)
    say("deque hop / memory-stream hop", found, "deque", "stream", 0.10)
    say("hop with an empty step / memory-stream hop", found, "step", "stream", 1)


# ---------------------------------------------------------------- many machines


def open_closes(pairs: int) -> Workload:
    """A workload with a close open on every instrument, its passive order resting."""
    workload = Workload(pairs, None, recording=False)
    kernel = workload.kernel
    kernel.now = START_NS
    for index in range(2 * pairs):
        port = workload.ports[index % 2]
        port.set_position(index, 1 if index % 2 == 0 else -1, None)
        workload.core.holdings[index].accept(1 if index % 2 == 0 else -1)
        port.set_book(index, 1_000_000, SIZE, 1_000_000 + SPREAD, SIZE)
    workload.settle()
    for name in workload.names:
        kernel.now += 1_000
        workload.dispatcher.fact(CloseRequested(kernel.now, name, "MANUAL"))
        workload.settle()
    return workload


def memory() -> None:
    """What an open close takes: leg, order, timers and the venue's record of it included."""

    def traced(make: Callable[[], Workload]) -> tuple[int, int]:
        gc.collect()
        tracemalloc.start()
        workload = make()
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        states = [close.state for close in workload.core.closes.values()]
        return used, sum(state != "reconciled" for state in states)

    idle, _ = traced(lambda: Workload(2000, None, recording=False))
    used, live = traced(lambda: open_closes(2000))
    size = round((used - idle) / live)
    print(json.dumps({"what": "bytes per open close", "open": live, "bytes": size, "limit": 6144}))


def climb(workload: Workload) -> tuple[float, int]:
    """Take every open close up its ladder to the end; returns CPU seconds and facts stepped."""
    kernel, timers, core = workload.kernel, workload.dispatcher.timers, workload.core
    facts, cpu = workload.facts, time.process_time()
    end = kernel.now + 2 * max(RUNG_NS) + 1_000
    while (due := timers.next_due(core)) is not None and due <= end:
        kernel.now = due
        workload.settle()
    assert all(close.state == "reconciled" for close in core.closes.values())
    return time.process_time() - cpu, workload.facts - facts


def crowd(rounds: int) -> None:
    """The cost of a fact, venue included, while closes go up their ladders: 4,000 against two.

    A close, its leg and its order are three machines.
    """
    spare_collector()
    taken: dict[str, list[float]] = {"many": [], "one": []}
    for _ in range(rounds):
        for name, pairs, repeats in (("many", 2000, 1), ("one", 1, 200)):
            spent = [climb(open_closes(pairs)) for _ in range(repeats)]
            cost = sum(cpu for cpu, _ in spent) / sum(facts for _, facts in spent)
            taken[name].append(cost * 1e6)
    found = {name: median(each) for name, each in taken.items()}
    say("fact with 12,000 open machines / with 6", found, "many", "one", 1.2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of the core's parts against floors.")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    triggers(rounds)
    hops(rounds)
    memory()
    crowd(min(rounds, 3))


if __name__ == "__main__":
    main()
