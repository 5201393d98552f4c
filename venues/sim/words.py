"""The venues' own words for statuses and reasons, and the normalised ones they stand for.

Each family of venues has a dialect: what its texts and codes mean, and what it says for a reason.
What is in no table is `UNRECOGNISED`, never a guess. This module must not know what follows from a
word.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from machines.types import REASONS, Status

UNRECOGNISED = "UNRECOGNISED"
#: Why a call is lost whose refusal is in no table: what became of the order is not known.
UNMAPPED = "unmapped_code"
DUPLICATE = "duplicate id"


class Dialect(Struct, frozen=True):
    """The words of one family of venues, read in any letter case; the keys are lower case."""

    #: What its texts and codes mean.
    reasons: Mapping[str, str]
    #: Codes that leave open what became of the order, and the cause by which such a call is lost.
    doubts: Mapping[str, str]
    #: What it says for a reason; where one text stands for two, `reasons` has the one it reads as.
    says: Mapping[str, str] = {}
    #: Codes by which a query says that there is no such order.
    missing: frozenset[str] = frozenset()

    def meaning(self, text: str) -> str | None:
        """Return the reason that a text or code names, None if it is in no table.

        A normalised reason stands for itself.
        """
        if text.upper() in REASONS:
            return text.upper()
        return self.reasons.get(text.lower())

    def verdict(self, reason: str, code: str) -> tuple[str, str]:
        """Return what a refusal means: a reason, and the cause if it leaves the order in doubt.

        A stated reason may be in anybody's words and goes before the code, which means something in
        this dialect only. Both are empty where nothing is stated.
        """
        for text, dialect in ((reason, EVERYONE), (code, self)):
            cause = dialect.doubts.get(text.lower(), "")
            meaning = dialect.meaning(text)
            if cause or meaning is not None:
                return meaning or UNRECOGNISED, cause
        return (UNRECOGNISED, UNMAPPED) if reason or code else ("", "")


def _by_text(*tables: Mapping[str, str]) -> dict[str, str]:
    """Turn tables of reasons, each with its texts between bars, into one from text to reason."""
    return {
        text: reason
        for table in tables
        for reason, texts in table.items()
        for text in texts.split("|")
    }


#: Words that every venue may use: those of HTTP, and plain ones.
_COMMON = {
    "RATE_LIMITED": "403|429",
    "BANNED": "418",
    "AUTH": "401",
    "WOULD_CROSS": "post_only",
    "REDUCE_ONLY_VIOLATION": "reduce_only",
    "CANCELED": "canceled|cancelled",
}
_HTTP_DOUBTS = {"408": "timeout", **{str(code): "5xx" for code in range(500, 600)}}

BINANCE = Dialect(
    reasons=_by_text(
        _COMMON,
        {
            # Not -2021, which concerns conditional orders.
            "WOULD_CROSS": "-5022|-2010",
            "FOK_UNFILLABLE": "-5021",
            "NO_LIQUIDITY": "-2020",
            "SLIPPAGE_BOUND": "-4016|-4024",
            "PRICE_BAND": "-4131",
            "REDUCE_ONLY_VIOLATION": "-2022|-2024",
            "REDUCE_ONLY_CAPACITY": "-4118",
            "INSUFFICIENT_MARGIN": "-2019|-2018|-2028",
            "BELOW_MIN_QTY": "-4004",
            "BELOW_MIN_NOTIONAL": "-4164",
            "BAD_TICK": "-4014|-1111",
            "BAD_LOT": "-4023",
            "ABOVE_MAX": "-4005",
            "RATE_LIMITED": "-1003|-1015",
            "CLOCK_SKEW": "-1021",
            "NONCE": "-4225",
            "AUTH": "-1002|-1022|-2014",
            "PERMISSION": "-2015",
            "VENUE_MODE": "-1016",
            "HALTED": "-4140|-4141",
            "POSITION_MODE": "-4061",
            "ORDER_LIMIT": "-2025",
            "POSITION_LIMIT": "-2027",
            "IN_LIQUIDATION": "-2023",
            "SELF_TRADE": "expired_in_match",
            "UNKNOWN_ORDER": "-2011",
            "UNSUPPORTED": "-4120",
            "MALFORMED": "-5000|-1102|-1116|-1121|-1131",
        },
    ),
    doubts={
        **_HTTP_DOUBTS,
        **dict.fromkeys(("-1000", "-1001", "-1006", "-1007"), "5xx"),
        "-1008": "throttled",
        "-4116": DUPLICATE,
    },
    says={
        "WOULD_CROSS": "-5022",
        "FOK_UNFILLABLE": "-5021",
        "PRICE_BAND": "-4131",
        "REDUCE_ONLY_VIOLATION": "-2022",
        "REDUCE_ONLY_CAPACITY": "-4118",
        "INSUFFICIENT_MARGIN": "-2019",
        "BELOW_MIN_QTY": "-4004",
        "BELOW_MIN_NOTIONAL": "-4164",
        "BAD_TICK": "-4014",
        "BAD_LOT": "-4023",
        "ABOVE_MAX": "-4005",
        "UNKNOWN_ORDER": "-2011",
        "VENUE_MODE": "-1016",
        "HALTED": "-4140",
        "SELF_TRADE": "EXPIRED_IN_MATCH",
    },
    missing=frozenset({"-2013"}),
)
LIGHTER = Dialect(
    reasons=_by_text(
        _COMMON,
        {
            "WOULD_CROSS": "canceled-post-only",
            "NO_LIQUIDITY": "canceled-not-enough-liquidity",
            "SLIPPAGE_BOUND": "canceled-too-much-slippage",
            "PRICE_BAND": "21733|21734",
            "REDUCE_ONLY_VIOLATION": "canceled-reduce-only|21732|21738|21740",
            "INSUFFICIENT_MARGIN": "canceled-margin-not-allowed|canceled-invalid-balance"
            "|21739|21508",
            "BELOW_MIN_QTY": "21706",
            "BAD_TICK": "21701",
            "BAD_LOT": "21702",
            "RATE_LIMITED": "23000|23001|23002|23003|21506",
            "NONCE": "21104",
            "VENUE_MODE": "21605",
            "ORDER_LIMIT": "21717|21718|21719|21720",
            "POSITION_LIMIT": "canceled-position-not-allowed",
            "IN_LIQUIDATION": "canceled-liquidation|21507",
            "SELF_TRADE": "canceled-self-trade",
            "UNKNOWN_ORDER": "21600|21715",
            "UNSUPPORTED": "21727",
            "EXPIRED": "canceled-expired",
            "CANCELED": "canceled-oco|canceled-child",
        },
    ),
    doubts={**_HTTP_DOUBTS, "21728": DUPLICATE},
    says={
        "WOULD_CROSS": "canceled-post-only",
        "NO_LIQUIDITY": "canceled-not-enough-liquidity",
        "SLIPPAGE_BOUND": "canceled-too-much-slippage",
        "REDUCE_ONLY_VIOLATION": "canceled-reduce-only",
        "INSUFFICIENT_MARGIN": "canceled-margin-not-allowed",
        "BELOW_MIN_QTY": "21706",
        "BELOW_MIN_NOTIONAL": "21706",
        "BAD_TICK": "21701",
        "BAD_LOT": "21702",
        "SELF_TRADE": "canceled-self-trade",
        "LIQUIDATED": "canceled-liquidation",
        "UNKNOWN_ORDER": "21600",
        "CANCELED": "canceled",
        "EXPIRED": "canceled-expired",
        "VENUE_MODE": "21605",
        "HALTED": "21605",
    },
)
HYPERLIQUID = Dialect(
    reasons=_by_text(
        _COMMON,
        {
            "WOULD_CROSS": "badalopxrejected|would have immediately matched",
            "NO_LIQUIDITY": "ioccancel|ioccancelrejected"
            "|marketordernoliquidity|marketordernoliquidityrejected",
            "PRICE_BAND": "oracle|oraclerejected",
            "REDUCE_ONLY_VIOLATION": "would increase position"
            "|reduceonlycanceled|reduceonlyrejected",
            "INSUFFICIENT_MARGIN": "perpmargin|perpmarginrejected|margincanceled",
            "BELOW_MIN_NOTIONAL": "mintradentl|mintradentlrejected",
            "BAD_TICK": "tick|tickrejected",
            "NONCE": "nonce too old",
            "POSITION_LIMIT": "perpmaxposition|perpmaxpositionrejected",
            "IN_LIQUIDATION": "liquidatedcanceled",
            "SELF_TRADE": "selftradecanceled",
            "UNKNOWN_ORDER": "missingorder",
        },
    ),
    doubts=_HTTP_DOUBTS,
    says={
        "WOULD_CROSS": "badAloPxRejected",
        "NO_LIQUIDITY": "iocCancel",
        "SLIPPAGE_BOUND": "iocCancel",
        "REDUCE_ONLY_VIOLATION": "reduceOnlyCanceled",
        "INSUFFICIENT_MARGIN": "perpMargin",
        "BELOW_MIN_NOTIONAL": "minTradeNtl",
        "BAD_TICK": "tick",
        "SELF_TRADE": "selfTradeCanceled",
        "UNKNOWN_ORDER": "missingOrder",
    },
)
PARADEX = Dialect(
    reasons=_by_text(
        _COMMON,
        {
            "WOULD_CROSS": "post_only_would_cross",
            "SLIPPAGE_BOUND": "exceeds_max_slippage",
            "REDUCE_ONLY_VIOLATION": "reduce_only_will_increase",
            "INSUFFICIENT_MARGIN": "not_enough_margin",
            "UNKNOWN_ORDER": "order_is_closed",
        },
    ),
    doubts=_HTTP_DOUBTS,
    says={
        "WOULD_CROSS": "POST_ONLY_WOULD_CROSS",
        "SLIPPAGE_BOUND": "exceeds_max_slippage",
        "NO_LIQUIDITY": "exceeds_max_slippage",
        "REDUCE_ONLY_VIOLATION": "REDUCE_ONLY_WILL_INCREASE",
        "INSUFFICIENT_MARGIN": "NOT_ENOUGH_MARGIN",
        "SELF_TRADE": "self_trade",
        "UNKNOWN_ORDER": "ORDER_IS_CLOSED",
    },
)
BACKPACK = Dialect(
    # Its code INVALID_ORDER stands for many reasons and so means none; the text beside it does.
    reasons=_by_text(
        _COMMON,
        {
            "WOULD_CROSS": "would immediately match",
            "BAD_LOT": "quantity decimal too long",
        },
    ),
    doubts=_HTTP_DOUBTS,
    says={"WOULD_CROSS": "would immediately match", "BAD_LOT": "quantity decimal too long"},
)


def _joined(dialects: Iterable[Dialect]) -> Dialect:
    reasons: dict[str, str] = {}
    doubts: dict[str, str] = {}
    missing: set[str] = set()
    for dialect in dialects:
        reasons.update(dialect.reasons)
        doubts.update(dialect.doubts)
        missing.update(dialect.missing)
    return Dialect(reasons, doubts, missing=frozenset(missing))


#: All of them at once, since no text means two things: read by venues without words of their own.
EVERYONE = _joined((BINANCE, LIGHTER, HYPERLIQUID, PARADEX, BACKPACK))

#: Own status text, lower case, to normalised status (venues.md 1.3 and 6).
STATUS_TEXTS: dict[str, Status] = {
    **dict.fromkeys(("pending", "in-progress", "in_progress", "queued", "received"), "PENDING"),
    **dict.fromkeys(
        ("open", "new", "orderaccepted", "triggered", "untriggered", "cancel_queued"), "OPEN"
    ),
    **dict.fromkeys(("partially_filled", "orderfill"), "PARTIALLY_FILLED"),
    "filled": "FILLED",
    **dict.fromkeys(("canceled", "cancelled", "closed", "ordercancelled"), "CANCELED"),
    **dict.fromkeys(("expired", "orderexpired", "expired_in_match"), "EXPIRED"),
    **dict.fromkeys(("rejected", "failed"), "REJECTED"),
}


def normal_reason(text: str) -> str:
    """Return the normalised reason of any venue's own text or code, of any letter case.

    A normalised reason stands for itself, an empty text for none; else `UNRECOGNISED`.
    """
    return (EVERYONE.meaning(text) or UNRECOGNISED) if text else ""


def normal_status(text: str) -> tuple[Status, str]:
    """Return the normalised status of a venue's own text and the reason that it names, if any.

    `canceled-<why>`, `<why>Canceled` and `<why>Rejected` are endings; anything unknown is
    `UNRECOGNISED`.
    """
    lower = text.lower()
    reason = EVERYONE.reasons.get(lower, "")
    known = STATUS_TEXTS.get(lower)
    if known is not None:
        return known, "" if reason == "CANCELED" else reason
    if not reason:
        return "UNRECOGNISED", ""
    if lower.startswith("canceled-") or lower.endswith(("canceled", "cancel")):
        return "CANCELED", reason
    if lower.endswith("rejected"):
        return "REJECTED", reason
    return "UNRECOGNISED", ""
