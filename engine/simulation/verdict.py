"""What a simulated run has come to, now or at its end, and whether that is what was expected.

It must not change the run: it reads the world, and notes in the watch what it finds violated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.simulation.expect_keys import Expect
from engine.simulation.expectations import check
from engine.simulation.outcome import Outcome, seconds_text
from machines.core import Core
from machines.digest import digest
from venues.port import ARRIVE, DELIVER

if TYPE_CHECKING:
    from engine.simulation.world import World


def snapshot(world: World) -> Outcome:
    """The outcome as of now; without a living process, of what its journal has."""
    process = world.process
    core = process.dispatcher.core if process.dispatcher is not None else process.replayed()
    outcome = world.recorder.snapshot(core, world.kernel.now)
    held = world.truth.positions()
    for instrument in world.instruments:
        index = instrument.index
        outcome.positions[instrument.key] = instrument.base(held[index])
        outcome.believed[instrument.key] = instrument.base(core.holdings[index].qty)
    outcome.checked = world.watch.checked
    outcome.violated = list(world.watch.violated)
    outcome.journal_records = process.journal.last_seq
    outcome.journal_hash = process.journal.last_hash.hex()
    return outcome


def misses_now(world: World, expect: Expect) -> list[str]:
    """What of an expectation of the timeline does not hold at this moment."""
    missed = check(expect, snapshot(world), ended=False, history=world.watch)
    when = seconds_text(world.kernel.now - world.origin)
    return [f"at {when} s: {line}" for line in missed]


def judge(world: World) -> Outcome:
    """The outcome at the end, with everything that failed."""
    dispatcher = world.process.dispatcher
    if dispatcher is not None and not dispatcher.inbox:
        _compare(world, dispatcher.core)
    outcome = snapshot(world)
    outcome.failed += check(world.scenario.expect, outcome, ended=True, history=world.watch)
    outcome.failed += unmatched(world)
    outcome.failed += [f"invariant {line}" for line in world.watch.violated]
    outcome.ok = not outcome.failed
    return outcome


def _compare(world: World, live: Core) -> None:
    """Hold the living state against the journal and, where all is quiet, against the venues."""
    watch = world.watch
    watch.checked += 1
    if digest(world.process.replayed()) != digest(live):
        watch.violated.append("I12 the folded journal differs from the live state")
    if any(_is_news(*action[1:]) for action in world.kernel.heap):
        return
    believed = {
        each.instrument.index: each.qty
        for each in live.holdings
        if world.venues[each.venue.name].link.up
    }
    watch.over(believed, world.truth.positions(), all_told=not world.process.unfinished())


def asks(world: World) -> bool:
    """Whether a belief is wrong, and the engine may still be asking about it."""
    dispatcher = world.process.dispatcher
    if dispatcher is None:
        return False
    believed = {each.instrument.index: each.qty for each in dispatcher.core.holdings}
    return world.watch.asks(believed, world.truth.positions(), all_told=True)


def _is_news(lane: int, _count: int, _action: Any, argument: Any) -> bool:
    """Whether an action of the kernel is a message on its way: a command or a fact, not a book."""
    return lane == ARRIVE or (lane == DELIVER and not isinstance(argument, tuple))


def unmatched(world: World) -> list[str]:
    """The scripted actions that found no order to act on: the file did not test what it says."""
    missing = [
        (each.at, each.what, f"no order {each.order!r} on {each.key}")
        for venue in world.venues.values()
        for each in venue.script.unmatched
    ]
    missing += world.stage.unmatched
    return [
        f"{what} at {seconds_text(at - world.origin)} s: {why}"
        for at, what, why in sorted(missing, key=lambda each: each[0])
    ]
