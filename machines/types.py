"""Instruments, capabilities and the words of the domain as plain values.

Units used everywhere inside the core: prices are integer *ticks*, quantities integer *units* (a lot
is a whole number of units, so that a holding finer than the lot stays exact), times integer
nanoseconds, money `Decimal` in the quote currency. Nothing here decides anything.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

BUY = 1
SELL = -1

NS = 1_000_000_000
MS = 1_000_000

Urgency = Literal["normal", "urgent", "immediate"]
URGENCY_RANK: dict[str, int] = {"normal": 0, "urgent": 1, "immediate": 2}

#: Rungs of the ladder in order; the integer is also the rank used for "only forward".
PASSIVE, AGGRESSIVE, MARKET = 0, 1, 2
RUNGS = ("passive_limit", "aggressive_limit", "market")

#: Normalised venue statuses that end an order.
TERMINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED"})

Status = Literal[
    "PENDING",
    "OPEN",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "EXPIRED",
    "REJECTED",
    "UNRECOGNISED",
]

#: Closed list of reject and end reasons (venues.md 1.4), plus the engine's own.
REASONS = frozenset(
    """WOULD_CROSS FOK_UNFILLABLE NO_LIQUIDITY SLIPPAGE_BOUND PRICE_BAND REDUCE_ONLY_VIOLATION
    REDUCE_ONLY_CAPACITY INSUFFICIENT_MARGIN BELOW_MIN_QTY BELOW_MIN_NOTIONAL BAD_TICK BAD_LOT
    ABOVE_MAX RATE_LIMITED BANNED OVERLOADED NOT_SENT CLOCK_SKEW NONCE AUTH PERMISSION VENUE_MODE
    HALTED POSITION_MODE ORDER_LIMIT POSITION_LIMIT IN_LIQUIDATION SELF_TRADE UNKNOWN_ORDER
    UNSUPPORTED MALFORMED EXPIRED CANCELED LIQUIDATED ABSENT VANISHED UNRECOGNISED""".split()
)


class Instrument(Struct, frozen=True, gc=False):
    """Trading rules of one symbol at one venue, scaled to integers.

    `unit` is the base quantity of one integer unit *in the venue's own contracts*; `lot` and
    `min_qty` are in units, `min_notional` in ticks * units. For a linear contract or spot the base
    quantity is units * unit * multiplier; an inverse contract is worth `multiplier` quote units.
    """

    index: int
    key: str
    venue: str
    symbol: str
    tick: Decimal
    unit: Decimal
    lot: int
    min_qty: int
    min_notional: int
    multiplier: Decimal = Decimal(1)
    type: Literal["linear", "spot", "inverse"] = "linear"
    maker_fee_bps: Decimal = Decimal(0)
    taker_fee_bps: Decimal = Decimal(0)
    max_qty: int | None = None
    reduce_only_exempt: Literal["none", "notional", "all"] = "none"
    version: int = 1

    def price(self, ticks: int) -> Decimal:
        """Price in the venue's quote currency."""
        return ticks * self.tick

    def quantity(self, units: int) -> Decimal:
        """Quantity in the venue's own contracts, as an order shows it."""
        return units * self.unit

    def base(self, units: int) -> Decimal:
        """Base quantity (inverse: contracts' quote value), as a position shows it."""
        return units * self.unit * self.multiplier

    def base_price(self, price: Decimal) -> Decimal:
        """A price of the venue per base unit."""
        return price if self.type == "inverse" else price / self.multiplier

    def venue_price(self, base_price: Decimal) -> Decimal:
        """A price per base unit as the venue quotes it."""
        return base_price if self.type == "inverse" else base_price * self.multiplier

    def result(self, units: int, entry: Decimal, price: Decimal) -> Decimal:
        """Quote result of `units` (signed) bought at `entry` and valued at `price`.

        An inverse contract earns base currency, value * (1 / entry - 1 / price); it is valued here
        at `price`.
        """
        if self.type == "inverse":
            return units * self.unit * self.multiplier * (price / entry - 1)
        return units * self.unit * (price - entry)

    def notional(self, units: int, price: Decimal) -> Decimal:
        """Quote value of `units` at a price of the venue."""
        if self.type == "inverse":
            return units * self.unit * self.multiplier
        return units * self.unit * price


class Capabilities(Struct, frozen=True):
    """What a venue does with orders (venues.md section 2): one record for adapter and simulator.

    The defaults are those of the profile `ideal`. Times are nanoseconds.
    """

    dedupe: Literal["forever", "while_open", "none"] = "forever"
    lookup: Literal["history", "lagging", "open_only", "none"] = "history"
    open_orders: Literal["authoritative", "lagging", "partial"] = "authoritative"
    ack_means: Literal["resting", "received"] = "resting"
    post_only: Literal["sync_error", "async_cancel", "accept_then_expire", "reprice", "none"] = (
        "sync_error"
    )
    reduce_only: Literal[
        "enforced", "resting_counts", "clamped", "ioc_only", "silent_drop", "ignored"
    ] = "enforced"
    market: Literal["native", "ioc_capped", "gtc_touch", "none"] = "native"
    fill_report: Literal["trades+cum", "cum_only", "last_only", "remaining_only"] = "trades+cum"
    fill_price: Literal["trade", "average", "limit_price", "zero"] = "trade"
    position: Literal["signed", "unsigned_side", "unavailable"] = "signed"
    min_rule: Literal["base", "quote", "both"] = "both"
    reduce_only_exempt: Literal["none", "notional", "all"] = "none"
    deadline: Literal["matching", "gateway", "none"] = "matching"
    nonce: Literal["none", "window", "sequential"] = "none"
    void_by_nonce: bool = False
    dead_man: Literal["none", "per_symbol", "per_account"] = "none"
    stream_replay: Literal["none", "snapshot", "last"] = "none"
    id_width: Literal["text36", "hex128", "uint48", "uint32"] = "text36"


class VenueSettings(Struct, frozen=True):
    """Per-venue times of `reliability/recovery.md` section 2, in nanoseconds."""

    name: str
    capabilities: Capabilities = Capabilities()
    deadline_ns: int = 2 * NS
    decision_timeout_ns: int = 3 * NS
    read_lag_ns: int = 15 * NS
    clock_error_max_ns: int = 250 * MS
    queue_max_ns: int = 60 * NS

    @property
    def answer_bound_ns(self) -> int:
        """How long one order may stay open at the venue without a word: D + L + u."""
        return self.deadline_ns + self.read_lag_ns + self.clock_error_max_ns

    @property
    def absent_after_ns(self) -> int:
        """Age of a send at which not-found may count as absence: D + L + u (recovery.md 5)."""
        late = self.queue_max_ns if self.capabilities.deadline == "gateway" else 0
        return self.answer_bound_ns + late


class PassiveSettings(Struct, frozen=True):
    price: Literal["mid", "own_touch", "near_far_touch"] = "mid"
    offset_bps: Decimal = Decimal(1)
    timeout_ns: int = 15 * NS
    requote_ticks: int = 2
    requotes_max: int = 10
    requote_min_ns: int = NS
    post_only_rejects_max: int = 3


class AggressiveSettings(Struct, frozen=True):
    timeout_ns: int = 30 * NS
    attempt_timeout_ns: int = 5 * NS
    inside_attempts: int = 2
    attempts_max: int = 8
    slippage_max_bps: Decimal = Decimal(50)


class MarketSettings(Struct, frozen=True):
    slippage_max_bps: Decimal = Decimal(200)
    widen_bps: Decimal = Decimal(100)
    slippage_abs_max_bps: Decimal = Decimal(500)
    attempt_timeout_ns: int = 5 * NS
    attempts_max: int = 4


class CloseSettings(Struct, frozen=True):
    """The ladder's figures (close.md section 3), times in nanoseconds."""

    passive_limit: PassiveSettings = PassiveSettings()
    aggressive_limit: AggressiveSettings = AggressiveSettings()
    market: MarketSettings = MarketSettings()
    backoff_ns: int = 500 * MS
    cancel_timeout_ns: int = 3 * NS
    break_even: bool = True
    break_even_max_deviation_pct: Decimal = Decimal("0.5")
    spread_max_pct: Decimal = Decimal(2)
    spread_max_urgent_pct: Decimal = Decimal(3)
    spread_wait_ns: int = 20 * NS
    book_max_age_ns: int = 5 * NS
    truth_max_age_ns: int = 60 * NS
    naked_budget_usd_s: Decimal = Decimal(50000)
    residual_rounds_max: int = 3
    hold_together_ns: int = 300 * NS
    stuck_retry_ns: int = 30 * NS
    alarm_after_ns: int = 10 * NS
    urgency: dict[str, Urgency] = {}


class SessionSettings(Struct, frozen=True):
    """Times of the venue session (making.md section 5), in nanoseconds."""

    open_timeout_ns: int = 5 * NS
    snapshot_ns: int = 20 * NS
    live_stable_ns: int = 60 * NS
    backoff_min_ns: int = 250 * MS
    backoff_base_ns: int = 500 * MS
    backoff_max_ns: int = 30 * NS
    attempts_alarm: int = 10


class PairSettings(Struct, frozen=True):
    """One closable thing: a pair of instruments or a single one."""

    name: str
    legs: tuple[int, ...]
    close: CloseSettings = CloseSettings()


#: Default urgency of every close reason (close.md section 3).
REASON_URGENCY: dict[str, Urgency] = {
    **dict.fromkeys(
        """DIVERGENCE_FLIPPED SEVERE_EROSION PROFIT_EROSION TAKE_PROFIT PARTIAL_TAKE_PROFIT
        TIME_LIMIT MAX_LIFETIME MANUAL IMMEDIATE_PROFIT SIGNAL_EXIT BETTER_OPPORTUNITY
        BREAK_EVEN""".split(),
        "normal",
    ),
    **dict.fromkeys(
        """SOFT_STOP TRAILING_STOP PEAK_DRAWDOWN BREAK_EVEN_STOP LIQUIDATION_RISK MAX_LIFETIME_LOSS
        POLICY_FAULT""".split(),
        "urgent",
    ),
    **dict.fromkeys(
        """HARD_STOP EMERGENCY_FLOOR SEVERE_IMBALANCE LEG_LIQUIDATED ADL KILL""".split(),
        "immediate",
    ),
}
