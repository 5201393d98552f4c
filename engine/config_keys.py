"""The one table of configuration keys: how each is written, what it may be and what it means.

Decoding, defaults, `docs/config.md` and error messages all come from here; a default is that of the
field which the key fills. Must not know how keys depend on each other (see `engine.config`).
"""

from decimal import Decimal
from typing import Any

from engine.config_reading import Key, Section
from engine.config_specs import (
    RECORDED_LATENCIES,
    BookSpec,
    EngineSpec,
    InstrumentSpec,
    LatencySpec,
    OpenSettings,
    PairSpec,
    PositionSpec,
    RunClose,
    RunSpec,
    SyntheticSpec,
    VenueSpec,
)
from engine.config_values import (
    BPS,
    COUNT,
    DECIMAL,
    FILE_NAME,
    FLAG,
    MILLISECONDS,
    NAME,
    NUMBER,
    PATH,
    PERCENT,
    RATIO,
    SECONDS,
    TICKS,
    WORD,
    Kind,
    choice,
)
from machines.types import (
    REASON_URGENCY,
    URGENCY_RANK,
    AggressiveSettings,
    CloseSettings,
    MarketSettings,
    PassiveSettings,
    SessionSettings,
)
from venues.numbers import FEE_MAX_BPS, FEE_MIN_BPS, MONEY_MAX

ZERO = Decimal(0)


def _as_written(value: Any) -> Any:
    return value


#: Parts that have their own section, or that `engine.config` reads by hand.
TABLE = Kind("a table", _as_written)
LEGS = Kind('a list of one or two instruments "venue:symbol"', _as_written)
LATENCY = Kind("a table, or one of " + ", ".join(f'"{w}"' for w in RECORDED_LATENCIES), _as_written)
CLOSES = Kind("a list of tables", _as_written)

PASSIVE = Section(
    "close.passive_limit",
    PassiveSettings,
    "First rung: a post-only limit order that waits for somebody to trade with it.",
    (
        Key("price", choice("mid", "own_touch", "near_far_touch"), "where the order rests"),
        Key("offset_bps", BPS, "distance from the far touch for `near_far_touch`"),
        Key("timeout_s", SECONDS, "time on this rung; 0 skips it"),
        Key("requote_ticks", TICKS, "follow the market when it has moved away by more than this"),
        Key("requotes_max", COUNT, "how often to follow it"),
        Key("requote_min_s", SECONDS, "time between two such moves, at least"),
        Key("post_only_rejects_max", COUNT, "refusals on this rung before the next one"),
    ),
)
AGGRESSIVE = Section(
    "close.aggressive_limit",
    AggressiveSettings,
    "Second rung: limit orders that come closer step by step, up to a bound.",
    (
        Key("timeout_s", SECONDS, "time on this rung; 0 skips it"),
        Key("attempt_timeout_s", SECONDS, "time of one step", above=True),
        Key("inside_attempts", COUNT, "steps inside the spread before the far touch"),
        Key("attempts_max", COUNT, "steps in all", minimum=Decimal(1)),
        Key("slippage_max_bps", BPS, "never further from the mid at the start of the close"),
    ),
)
MARKET = Section(
    "close.market",
    MarketSettings,
    "Last rung: market orders with a bound, or limit orders that fill at once or not at all.",
    (
        Key("slippage_max_bps", BPS, "bound of the first attempt, from mid or mark"),
        Key("widen_bps", BPS, "how much the bound widens per attempt"),
        Key("slippage_abs_max_bps", BPS, "bound that no attempt exceeds"),
        Key("attempt_timeout_s", SECONDS, "time of one attempt", above=True),
        Key("attempts_max", COUNT, "attempts before the leg is stuck", minimum=Decimal(1)),
    ),
)
_LADDER = (
    Key("backoff_ms", MILLISECONDS, "pause of a leg after a refused or lost order"),
    Key("cancel_timeout_s", SECONDS, "a cancel unanswered for so long is in doubt", above=True),
    Key("break_even", FLAG, "try the price at which the pair ends at zero first"),
    Key("break_even_max_deviation_pct", PERCENT, "use it only this close to the mid"),
    Key("spread_max_pct", PERCENT, "wider spreads make a leg wait"),
    Key("spread_max_urgent_pct", PERCENT, "the same for urgent exits"),
    Key("spread_wait_s", SECONDS, "wait for a narrower spread no longer than this"),
    Key("book_max_age_s", SECONDS, "an older book is no basis for a price", above=True),
    Key("truth_max_age_s", SECONDS, "an older reading of the positions is repeated first"),
    Key(
        "naked_budget_usd_s",
        NUMBER,
        "unhedged value times seconds before the lagging leg hurries; 0: it never does",
    ),
    Key("residual_rounds_max", COUNT, "returns to the market rung for what the venue still shows"),
    Key(
        "hold_together_s",
        SECONDS,
        "how long a hedged pair waits for a venue that cannot trade; 0: it does not wait",
    ),
    Key("stuck_retry_s", SECONDS, "a stuck leg tries again this often", above=True),
    Key("alarm_after_s", SECONDS, "doubt and silence older than this call a person"),
    Key("urgency", TABLE, "urgency per reason, over the built-in table, as in `MANUAL = 'urgent'`"),
)
_RUNGS = {"passive_limit": PASSIVE, "aggressive_limit": AGGRESSIVE, "market": MARKET}
CLOSE = Section("close", CloseSettings, "How positions are closed.", _LADDER, _RUNGS)
#: What `[open]` has beyond `[close]`.
OPEN_ONLY = (
    Key("hedge_timeout_s", SECONDS, "an imbalance older than this is rolled back", above=True),
    Key("after_passive", choice("stop", "go_on"), "keep what has filled, or go for the rest"),
)
OPEN = Section(
    "open",
    OpenSettings,
    "How pairs are opened: every key of `[close]`, its three tables included, and these.",
    (*_LADDER, *OPEN_ONLY),
    _RUNGS,
)
LATENCIES = Section(
    "venues.NAME.latency_ms",
    LatencySpec,
    "One-way latencies of a simulated venue. Instead of the table, "
    '`latency_ms = "recorded-usdm"` (or `-spot`, `-coinm`) takes a measured distribution.',
    (
        Key("request", MILLISECONDS, "an order on its way to the venue", field="request_ns"),
        Key("response", MILLISECONDS, "the answer to it", field="response_ns"),
        Key("stream", MILLISECONDS, "reports of own orders and fills", field="stream_ns"),
        Key("public", MILLISECONDS, "books and trades", field="public_ns"),
    ),
)
VENUE = Section(
    "venues.NAME",
    VenueSpec,
    "One venue; the name is yours.",
    (
        Key("profile", NAME, "which venue it behaves like"),
        Key("latency_ms", LATENCY, "see below", field="latency"),
        Key("balance", DECIMAL, "quote currency in the account", minimum=ZERO, maximum=MONEY_MAX),
        Key("override", TABLE, "capabilities in which it differs from its profile"),
        Key("deadline_ms", MILLISECONDS, "the venue must not execute a command later", above=True),
        Key("decision_timeout_ms", MILLISECONDS, "no answer for so long is doubt", above=True),
        Key("read_lag_ms", MILLISECONDS, "how far its answers to queries may lie behind"),
        Key(
            "clock_error_max_ms", MILLISECONDS, "error of its clock, at most", maximum=Decimal(500)
        ),
        Key("queue_max_ms", MILLISECONDS, "how long its gateway may hold a command back"),
    ),
)
BOOK = Section(
    'instruments."VENUE:SYMBOL".book',
    BookSpec,
    "A top of book that stands still. A side with quantity 0 is empty.",
    (
        Key("bid", DECIMAL, "best bid", minimum=ZERO),
        Key("bid_qty", DECIMAL, "quantity there", minimum=ZERO),
        Key("ask", DECIMAL, "best ask", minimum=ZERO),
        Key("ask_qty", DECIMAL, "quantity there", minimum=ZERO),
        Key("mark", DECIMAL, "mark price; the mid if left out", minimum=ZERO, above=True),
        Key("republish_s", SECONDS, "sent again this often, so that it stays fresh; 0 never"),
    ),
)
SYNTHETIC = Section(
    'instruments."VENUE:SYMBOL".synthetic',
    SyntheticSpec,
    "A made-up market: a random walk from the seed of the run.",
    (
        Key("mid", DECIMAL, "price at the start", minimum=ZERO, above=True),
        Key("spread_ticks", TICKS, "ask minus bid", minimum=Decimal(1)),
        Key("vol_bps_per_sqrt_s", NUMBER, "how far it wanders in a second", maximum=Decimal(1000)),
        Key("depth", DECIMAL, "quantity at the touch", minimum=ZERO, above=True),
        Key("trade_rate_per_s", NUMBER, "trades per second on average", maximum=Decimal(1000)),
        Key("correlation", NAME, "instruments with the same word share the walk"),
    ),
)
INSTRUMENT = Section(
    'instruments."VENUE:SYMBOL"',
    InstrumentSpec,
    "Trading rules of one symbol at one venue, and one source for its book: "
    "`book`, `synthetic` or `recording`.",
    (
        Key("type", choice("linear", "spot", "inverse"), "contract type"),
        Key("tick", DECIMAL, "smallest step of a price", minimum=ZERO, above=True),
        Key("lot", DECIMAL, "smallest step of a quantity", minimum=ZERO, above=True),
        Key("min_qty", DECIMAL, "smallest order, in contracts", minimum=ZERO),
        Key(
            "min_notional", DECIMAL, "smallest order, in quote currency",
            minimum=ZERO, maximum=MONEY_MAX,
        ),
        Key(
            "multiplier", DECIMAL, "base units per contract unit (inverse: quote units)",
            minimum=ZERO, above=True,
        ),
        Key(
            "maker_fee_bps", BPS,
            "fee for a resting order, below 0 for a rebate; that of the profile if left out",
            minimum=FEE_MIN_BPS, maximum=FEE_MAX_BPS,
        ),
        Key(
            "taker_fee_bps", BPS, "fee for an order that takes; that of the profile if left out",
            maximum=FEE_MAX_BPS,
        ),
        Key("recording", PATH, "file with a recorded book"),
    ),
    {"book": BOOK, "synthetic": SYNTHETIC},
)  # fmt: skip
POSITION = Section(
    'positions."VENUE:SYMBOL"',
    PositionSpec,
    "What is held at the start.",
    (
        Key("qty", DECIMAL, "base units, below 0 for a short position"),
        Key("entry", DECIMAL, "average price paid, if known", minimum=ZERO, above=True),
        Key("foreign", FLAG, "at the venue, but not the engine's to touch"),
    ),
)
PAIR = Section(
    "pairs.NAME",
    PairSpec,
    "Positions that are closed together: two of opposite sign, or one.",
    (
        Key("legs", LEGS, "the instruments"),
        Key(
            "config", TABLE,
            "keys of `[close]` for this pair alone (they hold for its open as well); or two tables "
            "`close` and `open`",
            field="close",
        ),
    ),
)  # fmt: skip
SESSION = Section(
    "session",
    SessionSettings,
    "The link to each venue.",
    (
        Key("open_timeout_s", SECONDS, "time to open the streams", above=True),
        Key("snapshot_s", SECONDS, "time to read the account", above=True),
        Key("live_stable_s", SECONDS, "a link that holds so long forgets its failures"),
        Key("backoff_min_s", SECONDS, "shortest pause before the next attempt", above=True),
        Key("backoff_base_s", SECONDS, "the longest pause doubles from here", above=True),
        Key("backoff_max_s", SECONDS, "and ends here", above=True),
        Key("attempts_alarm", COUNT, "failures in a row that call a person", minimum=Decimal(1)),
    ),
)
ENGINE = Section(
    "engine",
    EngineSpec,
    "Files of this process and how it stops. No two of them, nor what goes with the journal, may "
    "be one file, and none the configuration or a recording.",
    (
        Key("directory", PATH, "folder of the files below; relative to this file"),
        Key("journal", FILE_NAME, "everything that happened, in SQLite"),
        Key("socket", FILE_NAME, "where `unwind status`, `close`, `halt` ... reach the process"),
        Key("books", FILE_NAME, "folder in which simulated venues keep their own books"),
        Key("log", FILE_NAME, "log file"),
        Key("log_level", choice("DEBUG", "INFO", "WARNING", "ERROR"), "least level that is logged"),
        Key("account", NAME, "name of the account group; part of every order id"),
        Key("grace_ms", MILLISECONDS, "time to finish after Ctrl-C before orders are cancelled"),
    ),
)
RUN_CLOSE = Section(
    "run.closes",
    RunClose,
    "A close that `unwind run` asks for by itself; `[[run.closes]]` starts each.",
    (
        Key("pair", WORD, "name of the pair"),
        Key("reason", choice(*REASON_URGENCY), "why; it decides the urgency"),
        Key("urgency", choice(*URGENCY_RANK), "another urgency than that of the reason"),
        Key("at_s", SECONDS, "when, after all venues are ready"),
        Key("ratio", RATIO, "the part to close"),
    ),
)
RUN = Section(
    "run",
    RunSpec,
    "What `unwind run` does besides obeying commands.",
    (
        Key("seed", COUNT, "start of every random draw", maximum=Decimal(2**64 - 1)),
        Key("deadline_s", SECONDS, "give up after this time; 0 never"),
        Key("closes", CLOSES, "see below"),
    ),
)

#: Every section in the order of the reference; of `[open]` only what `[close]` has not.
SECTIONS = (
    CLOSE, PASSIVE, AGGRESSIVE, MARKET,
    Section(OPEN.path, OpenSettings, OPEN.about, OPEN_ONLY),
    VENUE, LATENCIES, INSTRUMENT, BOOK, SYNTHETIC, POSITION, PAIR, SESSION, ENGINE, RUN, RUN_CLOSE,
)  # fmt: skip
