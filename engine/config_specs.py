"""What a configuration says, as plain values: venues, instruments, positions, pairs, the run.

Times are integer nanoseconds; quantities, prices and money are `Decimal` as written, not yet scaled
to ticks and units. Must not read files nor check anything; the ladder's own figures are in
`machines.types`.
"""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from machines.types import (
    MS,
    NS,
    Capabilities,
    CloseSettings,
    PairSettings,
    SessionSettings,
    Urgency,
    VenueSettings,
)

#: Markets whose measured latency a simulated venue can replay.
RECORDED_LATENCIES = ("recorded-spot", "recorded-usdm", "recorded-coinm")


class LatencySpec(Struct, frozen=True):
    """One-way latencies of a simulated venue; `recorded` names a measured distribution instead."""

    request_ns: int = 0
    response_ns: int = 0
    stream_ns: int = 0
    public_ns: int = 0
    recorded: Literal["", "recorded-spot", "recorded-usdm", "recorded-coinm"] = ""


class VenueSpec(Struct, frozen=True):
    """One venue: which profile it follows, what differs from it, and how late it may be."""

    name: str
    profile: str
    latency: LatencySpec = LatencySpec()
    balance: Decimal = Decimal(100000)
    override: dict[str, Any] = {}
    deadline_ns: int = VenueSettings("").deadline_ns
    decision_timeout_ns: int = VenueSettings("").decision_timeout_ns
    read_lag_ns: int = VenueSettings("").read_lag_ns
    clock_error_max_ns: int = VenueSettings("").clock_error_max_ns
    queue_max_ns: int = VenueSettings("").queue_max_ns

    def settings(self, capabilities: Capabilities) -> VenueSettings:
        """The core's view of this venue, given what its profile and overrides come to."""
        return VenueSettings(
            name=self.name,
            capabilities=capabilities,
            deadline_ns=self.deadline_ns,
            decision_timeout_ns=self.decision_timeout_ns,
            read_lag_ns=self.read_lag_ns,
            clock_error_max_ns=self.clock_error_max_ns,
            queue_max_ns=self.queue_max_ns,
        )


class BookSpec(Struct, frozen=True):
    """A top of book that is set by hand; `mark` None means the mid."""

    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    mark: Decimal | None = None
    republish_ns: int = NS


class SyntheticSpec(Struct, frozen=True):
    """A seeded random walk; instruments that name the same `correlation` share the walk."""

    mid: Decimal
    spread_ticks: int = 4
    vol_bps_per_sqrt_s: Decimal = Decimal("1.5")
    depth: Decimal = Decimal(50)
    trade_rate_per_s: Decimal = Decimal(2)
    correlation: str = ""


class InstrumentSpec(Struct, frozen=True):
    """Trading rules of one symbol at one venue, and at most one source for its book.

    A fee of None is that of the venue's profile.
    """

    key: str
    venue: str
    symbol: str
    tick: Decimal
    lot: Decimal
    type: Literal["linear", "spot", "inverse"] = "linear"
    min_qty: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    maker_fee_bps: Decimal | None = None
    taker_fee_bps: Decimal | None = None
    book: BookSpec | None = None
    synthetic: SyntheticSpec | None = None
    recording: str = ""


class PositionSpec(Struct, frozen=True):
    """A position at the start in signed base units; a foreign one is unknown to the engine."""

    key: str
    qty: Decimal
    entry: Decimal | None = None
    foreign: bool = False


class OpenSettings(CloseSettings, frozen=True):
    """The ladder of an open: that of a close, and what ends the open."""

    hedge_timeout_ns: int = 45 * NS
    after_passive: Literal["stop", "go_on"] = "stop"


class PairSpec(Struct, frozen=True):
    """One or two instruments that are closed together, with their own ladder settings."""

    name: str
    legs: tuple[str, ...]
    close: CloseSettings = CloseSettings()
    open: OpenSettings = OpenSettings()


class EngineSpec(Struct, frozen=True):
    """Where one process keeps its files and how it ends; `directory` is resolved by `load`."""

    directory: str = "var"
    journal: str = "journal.db"
    socket: str = "unwind.sock"
    books: str = "books"
    log: str = "unwind.log"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    account: str = "main"
    grace_ns: int = 10_000 * MS


class RunClose(Struct, frozen=True):
    """One close that `unwind run` asks for by itself; `ratio` is (numerator, denominator)."""

    pair: str
    reason: str
    urgency: Urgency | None = None
    at_ns: int = 0
    ratio: tuple[int, int] = (1, 1)


class RunSpec(Struct, frozen=True):
    """The demonstration of `unwind run`; `deadline_ns` 0 means that it has none."""

    seed: int = 1
    deadline_ns: int = 0
    closes: tuple[RunClose, ...] = ()


class Config(Struct, frozen=True):
    """One whole configuration, checked; the instruments' order gives them their index."""

    venues: dict[str, VenueSpec]
    instruments: dict[str, InstrumentSpec]
    positions: dict[str, PositionSpec]
    pairs: dict[str, PairSpec]
    close: CloseSettings = CloseSettings()
    open: OpenSettings = OpenSettings()
    session: SessionSettings = SessionSettings()
    engine: EngineSpec = EngineSpec()
    run: RunSpec = RunSpec()

    def pair_settings(self) -> tuple[PairSettings, ...]:
        """The pairs as the core takes them, their legs by index of the instrument."""
        index = {key: number for number, key in enumerate(self.instruments)}
        return tuple(
            PairSettings(pair.name, tuple(index[leg] for leg in pair.legs), pair.close)
            for pair in self.pairs.values()
        )
