"""What each known venue does with orders: capabilities, habits and its own words.

A profile is one record for adapter and simulator: `Capabilities` is what the engine may know,
`Traits` are habits that only a simulated venue needs. Where a venue's behaviour varies, the profile
takes the worst. This module must not contain behaviour, only what behaviour there is.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Struct

from machines.types import MS, Capabilities
from venues.numbers import COUNT_MAX, fee_bps, nanoseconds, quoted, whole
from venues.sim.words import (
    BACKPACK,
    BINANCE,
    EVERYONE,
    HYPERLIQUID,
    LIGHTER,
    PARADEX,
    STATUS_TEXTS,
    Dialect,
    normal_reason,
    normal_status,
)

__all__ = [
    "PROFILES",
    "STATUS_TEXTS",
    "Profile",
    "Traits",
    "normal_reason",
    "normal_status",
    "profile",
]


class Traits(Struct, frozen=True):
    """Habits of a simulated venue. Times are nanoseconds, ranges (lowest, highest) are drawn."""

    #: A resting order is confirmed on the private stream too.
    echo_open: bool = True
    #: A cancelled order is reported on the private stream too.
    echo_cancel: bool = True
    #: A cancel is answered with the dead order, or only with "requested".
    cancel_answer: Literal["final", "requested"] = "final"
    #: A synchronously refused order can be found by a query.
    keeps_refused: bool = False
    #: Delay between receipt and verdict where an ack means receipt only.
    verdict_ns: tuple[int, int] = (0, 0)
    #: Age of what a lagging lookup shows.
    lookup_lag_ns: int = 0
    #: A market order is a limit at the touch that rests.
    market_rests: bool = False
    #: Ticks behind the touch at which a post-only order is still refused.
    stale_reject_ticks: int = 0
    #: How the rest of an order that may not rest ends.
    ioc_end: Literal["EXPIRED", "CANCELED"] = "EXPIRED"
    #: A resting order fills only when the opposite best passes its price.
    strict: bool = False
    #: The ids that a cancel and a lookup take (the port hides the difference).
    cancel_key: Literal["client", "venue", "both"] = "both"
    lookup_key: Literal["client", "venue", "both"] = "both"


class Profile(Struct, frozen=True):
    """One venue; its `dialect` is what it says for a reason, and what its own words mean."""

    name: str
    capabilities: Capabilities = Capabilities()
    traits: Traits = Traits()
    maker_fee_bps: Decimal = Decimal(0)
    taker_fee_bps: Decimal = Decimal(0)
    dialect: Dialect = EVERYONE


_LIGHTER = Profile(
    name="lighter",
    capabilities=Capabilities(
        dedupe="while_open",
        lookup="lagging",
        open_orders="lagging",
        ack_means="received",
        post_only="async_cancel",
        market="ioc_capped",
        fill_report="cum_only",
        fill_price="limit_price",
        deadline="none",
        nonce="sequential",
        dead_man="per_account",
        id_width="uint48",
    ),
    traits=Traits(
        cancel_answer="requested",
        verdict_ns=(200 * MS, 1100 * MS),
        lookup_lag_ns=1000 * MS,
        ioc_end="CANCELED",
    ),
    dialect=LIGHTER,
)
_ASTER = Profile(
    name="aster",
    capabilities=Capabilities(
        dedupe="while_open",
        post_only="accept_then_expire",
        fill_price="zero",
        reduce_only_exempt="notional",
        deadline="gateway",
        nonce="window",
        void_by_nonce=True,
        dead_man="per_symbol",
    ),
    taker_fee_bps=Decimal("3.5"),
    dialect=BINANCE,
)
_PARADEX = Profile(
    name="paradex",
    capabilities=Capabilities(
        dedupe="none",
        ack_means="received",
        post_only="async_cancel",
        fill_report="remaining_only",
        fill_price="average",
        position="unsigned_side",
        min_rule="quote",
        deadline="none",
    ),
    traits=Traits(ioc_end="CANCELED"),
    dialect=PARADEX,
)
_BACKPACK = Profile(
    name="backpack",
    capabilities=Capabilities(
        dedupe="none",
        lookup="open_only",
        reduce_only="ignored",
        fill_report="cum_only",
        fill_price="average",
        min_rule="base",
        deadline="none",
    ),
    dialect=BACKPACK,
)
_EDGEX_GRVT = Profile(
    name="edgex_grvt",
    capabilities=Capabilities(
        dedupe="none",
        reduce_only="ignored",
        market="gtc_touch",
        fill_report="cum_only",
        fill_price="limit_price",
        position="unavailable",
        min_rule="base",
        deadline="none",
    ),
    traits=Traits(ioc_end="CANCELED"),
)
_BINANCE = Profile(
    name="binance_usdm",
    capabilities=Capabilities(
        dedupe="while_open",
        open_orders="lagging",
        reduce_only="resting_counts",
        reduce_only_exempt="notional",
        dead_man="per_symbol",
    ),
    maker_fee_bps=Decimal(2),
    taker_fee_bps=Decimal(5),
    dialect=BINANCE,
)
_HYPERLIQUID = Profile(
    name="hyperliquid",
    capabilities=Capabilities(
        dedupe="none",
        market="ioc_capped",
        fill_report="last_only",
        min_rule="quote",
        nonce="window",
        void_by_nonce=True,
        dead_man="per_account",
        stream_replay="snapshot",
        id_width="hex128",
    ),
    traits=Traits(ioc_end="CANCELED"),
    dialect=HYPERLIQUID,
)
_COINBASE = Profile(
    name="coinbase",
    capabilities=Capabilities(
        dedupe="none",
        open_orders="lagging",
        ack_means="received",
        fill_report="cum_only",
        fill_price="average",
        deadline="none",
        stream_replay="snapshot",
    ),
    traits=Traits(cancel_answer="requested", ioc_end="CANCELED", cancel_key="venue"),
)
_WORST = Profile(
    name="worst",
    capabilities=Capabilities(
        dedupe="none",
        lookup="none",
        open_orders="partial",
        ack_means="received",
        post_only="none",
        reduce_only="ignored",
        market="none",
        fill_report="remaining_only",
        fill_price="zero",
        position="unavailable",
        deadline="none",
        nonce="sequential",
        id_width="uint32",
    ),
    traits=Traits(
        cancel_answer="requested",
        verdict_ns=(200 * MS, 1100 * MS),
        cancel_key="venue",
        lookup_key="venue",
    ),
)
_IDEAL = Profile(
    name="ideal",
    capabilities=Capabilities(dead_man="per_symbol"),
    traits=Traits(keeps_refused=True),
)

PROFILES: dict[str, Profile] = {
    entry.name: entry
    for entry in (
        _LIGHTER,
        _ASTER,
        _PARADEX,
        _BACKPACK,
        _EDGEX_GRVT,
        _BINANCE,
        _HYPERLIQUID,
        _COINBASE,
        _IDEAL,
        _WORST,
    )
}

#: Keys of an override in milliseconds, and the trait in nanoseconds that each sets.
_MILLISECONDS = {"lag_ms": "lookup_lag_ns", "verdict_ms": "verdict_ns"}
_FEES = ("maker_fee_bps", "taker_fee_bps")
_CAPABILITY_TYPES = get_type_hints(Capabilities)
_TRAIT_TYPES = {
    name: hint for name, hint in get_type_hints(Traits).items() if not name.endswith("_ns")
}


def override_keys() -> list[str]:
    """Return every key that an override may set, sorted."""
    return sorted([*_CAPABILITY_TYPES, *_TRAIT_TYPES, *_MILLISECONDS, *_FEES])


def _check(name: str, value: Any, hint: Any) -> Any:
    """Return `value` if the hint of its field allows it; ValueError says what is allowed."""
    allowed = get_args(hint)
    if allowed and value in allowed:
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return whole(value, name, 0, COUNT_MAX)
    expected = ", ".join(allowed) if allowed else hint.__name__
    raise ValueError(f"{name}: {quoted(value)} is not allowed; allowed: {expected}")


def _milliseconds(name: str, value: Any) -> int | tuple[int, int]:
    if name == "lag_ms":
        return nanoseconds(value, MS, name)
    low, high = value if isinstance(value, list | tuple) and len(value) == 2 else (value, value)
    span = nanoseconds(low, MS, name), nanoseconds(high, MS, name)
    if span[0] > span[1]:
        raise ValueError(f"{name}: {quoted(low)} is above {quoted(high)}")
    return span


def profile(name: str, override: Mapping[str, Any] | None = None) -> Profile:
    """Return the profile `name` with some capabilities, habits or fees replaced.

    `verdict_ms` is a number or a pair [lowest, highest], `lag_ms` a number. ValueError lists every
    unknown name, key and value with what is allowed, one per line.
    """
    if name not in PROFILES:
        raise ValueError(
            f"profile {quoted(name)} is unknown; allowed: {', '.join(sorted(PROFILES))}"
        )
    base = PROFILES[name]
    capabilities: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    fees: dict[str, Any] = {}
    errors = []
    for key, value in (override or {}).items():
        try:
            if key in _CAPABILITY_TYPES:
                capabilities[key] = _check(key, value, _CAPABILITY_TYPES[key])
            elif key in _TRAIT_TYPES:
                traits[key] = _check(key, value, _TRAIT_TYPES[key])
            elif key in _MILLISECONDS:
                traits[_MILLISECONDS[key]] = _milliseconds(key, value)
            elif key in _FEES:
                fees[key] = fee_bps(value, key)
            else:
                raise ValueError(f"{key}: unknown; allowed: {', '.join(override_keys())}")
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("\n".join(errors))
    return msgspec.structs.replace(
        base,
        capabilities=msgspec.structs.replace(base.capabilities, **capabilities),
        traits=msgspec.structs.replace(base.traits, **traits),
        **fees,
    )
