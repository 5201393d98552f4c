"""The port: the only way in which the engine reaches a venue, real or simulated.

A port takes commands and gives back facts; it translates, nothing else. It holds no strategy, no
order machine and no retry of commands; its only state is id maps, sequence checks, clock offset and
rate budget. It must not raise for the venue's reasons: refusals and unknown outcomes are facts.

Every number that it puts into a fact was read by `venues.numbers` or `venues.instruments`. A number
that the core cannot hold makes a message that cannot be read: after a send, that is `CallLost`.

How each command ends (venues.md 1):

| command      | facts, exactly one of                                                     |
|--------------|---------------------------------------------------------------------------|
| `Place`      | `OrderReported(path="ack")`, `OrderRefused`, `CallLost(call="place")`     |
| `Cancel`     | `OrderReported(path="cancel")`, `CancelRefused`, `CallLost(call="cancel")` |
| `QueryOrder` | `OrderReported(path="query")`, `OrderMissing`, `QueryFailed`              |
| `ReadTruth`  | `TruthRead`, `TruthFailed`                                                |
| `ReadRules`  | `RulesRead`, or nothing when it failed                                    |
| `ReadMode`   | `ModeChanged`, also where the mode is the same; nothing when it failed    |
| `Connect`    | `LinkOpened`, `LinkClosed`                                                |

A refusal whose code is in no table of the venue is no `OrderRefused` or `CancelRefused`: it is
`CallLost(cause="unmapped_code")` with the code as its text. A port that refuses with CLOCK_SKEW or
NONCE has set its own clock offset or nonce right before it answers. A refusal states the absolute
time from which the venue takes orders again, as far as the venue said so. The trades of a
`TruthRead` are those of own orders and what the venue did to the account by itself (liquidation,
deleveraging, settlement), under the ids that the stream uses.

An answer may also never come: the machines have their own deadlines. Between answers the port
delivers what the streams say: `OrderReported(path="stream")`, `FillReported`, `PositionMoved`,
`FundingPaid`, `ModeChanged`, `LinkClosed`, `LinkStale`, and top of book through `Sink.top`.
Private facts are never dropped or conflated; books may be.
"""

from collections.abc import Callable
from typing import Any, Protocol

from machines.messages import Command, Fact
from machines.types import VenueSettings


class Sink(Protocol):
    """Where a port delivers to: the engine's side of the edge. Both calls return at once."""

    def fact(self, fact: Fact) -> None:
        """Deliver a private fact, in order."""

    def top(
        self,
        instrument: int,
        venue_at: int,
        bid: int,
        bid_qty: int,
        ask: int,
        ask_qty: int,
        mark: int,
    ) -> None:
        """Deliver the newest top of book in ticks and units; 0 where a side is empty."""


class Port(Protocol):
    """One venue. `settings` declares its capabilities and times."""

    settings: VenueSettings

    def submit(self, command: Command) -> None:
        """Take one command for this venue; never blocks.

        The caller guarantees that the command's intent is durable. A sink only queues, so a port
        without latency may deliver to it from within this call.
        """


class Scheduler(Protocol):
    """Time for a simulated venue: virtual in simulation, the loop's own in a live run."""

    @property
    def now(self) -> int:
        """Present time in nanoseconds."""

    def at(self, due: int, lane: int, action: Callable[[Any], None], argument: Any) -> None:
        """Call `action(argument)` at `due` (never before now).

        Actions of one instant run in order of lane, then of scheduling; see the lane constants.
        """


#: Order of work at one instant (venues.md 5.1). Engine timers fire between DELIVER and ARRIVE.
DELIVER = 0  #: facts and books due to the engine
ARRIVE = 2  #: commands that reach a venue
MARKET = 3  #: market data, scripted actions, matching of resting orders
HOUSEKEEP = 4  #: funding, expiries, expectations
