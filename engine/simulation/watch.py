"""Checkers that watch a simulated run from outside, with their own arithmetic and ledger.

They read what the venues did (truth), what the engine was told, what it sent and what it wrote, and
never ask a machine. A violation is a sentence with its time; the run fails by it whatever it was
expected to do. Ids are those of the invariant list. Here they are put together and told what
happens; each looks from a room of its own: `tape`, `told`, `sent`, `held` and `claims`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from engine.simulation.claims import Claims
from engine.simulation.held import Held, Pair
from engine.simulation.sent import Sent
from engine.simulation.told import Told
from engine.simulation.violations import Violations
from machines.messages import Command, Fact, Place
from machines.types import Instrument, VenueSettings
from venues.sim.orders import SimOrder, SimTrade


class Watch:
    """Continuous checks; the lists hold descriptions with their time, empty if all is well.

    `settings` say how far the reads of an instrument may lag, and whether they show positions.
    """

    def __init__(
        self,
        instruments: list[Instrument],
        pairs: Mapping[str, tuple[int, ...]],
        settings: Mapping[int, VenueSettings],
    ) -> None:
        self.instruments = instruments
        self.pairs = {name: Pair(name, legs) for name, legs in pairs.items()}
        self.checked = 0
        self.found = found = Violations()
        hidden = [
            index for index, each in settings.items() if each.capabilities.position == "unavailable"
        ]
        lags = {index: each.read_lag_ns for index, each in settings.items()}
        self.told = Told(instruments, pairs, hidden)
        self.sent = Sent(instruments, self.told, found)
        self.held = Held(instruments, self.pairs, self.told, self.sent, found)
        self.claims = Claims(instruments, lags, self.told, self.sent, found)
        # What expectations ask for.
        self.violated = found.all
        self.position_flips = found.position_flips
        self.two_live_orders = found.two_live_orders
        self.order_larger = found.order_larger
        self.sent_before_journalled = found.sent_before_journalled
        self.max_naked_base = self.held.max_naked_base

    def begin(self, origin: int) -> None:
        """Time 0 of the scenario."""
        self.found.origin = origin

    # ------------------------------------------------------------ the venues

    def declare(self, index: int, known: int, held: int | None = None) -> None:
        """A position at the start: what the engine is told of it, and what the venue holds."""
        self.told.declare(index, known, known if held is None else held, self.found.now)

    def traded(self, trades: Iterable[SimTrade], overfilled: Iterable[int] = ()) -> None:
        """What is new on the venues' tapes, and the instruments of orders that outgrew them."""
        self.held.overfilled.update(overfilled)
        for trade in trades:
            self.found.now = trade.at
            self.held.traded(trade)

    def settled(
        self,
        now: int,
        positions: Mapping[int, int],
        alive: Mapping[int, int],
        orders: Collection[SimOrder] = (),
    ) -> None:
        """An instant is over: look at the venues' own books."""
        self.found.now = now
        self.checked += 1
        self.held.settled(positions, alive, orders)

    # ------------------------------------------------------------ the process

    def step(self, now: int, fact: Fact, commands: Iterable[object]) -> None:
        """The engine took a fact and decided these commands."""
        self.found.now = now
        self.told.take(fact)
        for command in commands:
            if type(command) is Place and self._is_closing(command.instrument):
                self.checked += 1
                self.sent.decided(command)

    def _is_closing(self, index: int) -> bool:
        pair = self.held.owner.get(index)
        return pair is not None and pair.closing

    def wrote(self, orders: Iterable[int]) -> None:
        """Intents that are durable now."""
        self.sent.durable.update(orders)
        self.told.written()

    def left(self, now: int, command: Command) -> None:
        """A command leaves the engine."""
        self.found.now = now
        self.checked += type(command) is Place
        self.sent.left(command)

    def slept(self, now: int, *, died: bool) -> None:
        """No process is awake; with `died` it has forgotten what it had not written down."""
        self.found.now = now
        if died:
            self.told.lost()
        self.told.paused(now)
        self.held.paused()

    # ------------------------------------------------------------ closes and the end

    def closing(self, name: str) -> None:
        """A close of the pair begins, or begins again."""
        self.pairs[name].closing = True

    def closed(self, name: str) -> None:
        """The close of the pair is over, whatever is claimed of it."""
        self.pairs[name].closing = False
        for index in self.pairs[name].instruments:
            self.told.let_go(index)

    def ended(
        self,
        name: str,
        claimed: Mapping[int, int],
        kept: Mapping[int, int],
        alive: Mapping[int, int],
        positions: Mapping[int, int],
    ) -> None:
        """The engine says that a close has ended with these residuals."""
        self.checked += 1
        for index in self.pairs[name].instruments:
            self.claims.close_ended(
                index,
                claimed[index],
                kept[index],
                positions[index],
                has_live_order=bool(alive.get(index, 0)),
            )

    def asks(
        self, believed: Mapping[int, int], positions: Mapping[int, int], *, all_told: bool
    ) -> bool:
        """Whether a belief is wrong, and the engine may still be asking about it."""
        claims = self.claims
        return any(
            claims.is_wrong(index, qty, positions[index], all_told=all_told)
            and claims.is_open(index)
            for index, qty in believed.items()
        )

    def over(
        self, believed: Mapping[int, int], positions: Mapping[int, int], *, all_told: bool
    ) -> None:
        """The run is over and quiet for these instruments."""
        self.checked += 1
        for index, qty in believed.items():
            self.claims.run_ended(index, qty, positions[index], all_told=all_told)
