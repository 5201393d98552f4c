"""The venues' own words for statuses and reasons, and the normalised ones they stand for.

Texts of all known venues live in one table each, since none means two things. What is not in a
table is `UNRECOGNISED`, never a guess. This module must not know what follows from a word.
"""

from machines.types import REASONS, Status

UNRECOGNISED = "UNRECOGNISED"

#: Own text or code, lower case, to normalised reason (venues.md 1.4).
REASON_CODES: dict[str, str] = {
    text: reason
    for reason, texts in {
        "WOULD_CROSS": "-5022|-2010|canceled-post-only|badalopxrejected|post_only_would_cross"
        "|would immediately match|would have immediately matched|post_only",
        "FOK_UNFILLABLE": "-5021",
        "NO_LIQUIDITY": "-2020|canceled-not-enough-liquidity|ioccancel|marketordernoliquidity",
        "SLIPPAGE_BOUND": "-4016|-4024|canceled-too-much-slippage|exceeds_max_slippage",
        "PRICE_BAND": "-4131|21733|21734|oracle",
        "REDUCE_ONLY_VIOLATION": "-2022|-2024|canceled-reduce-only|21732|21738|21740"
        "|would increase position|reduce_only_will_increase|reduceonlycanceled|reduce_only",
        "REDUCE_ONLY_CAPACITY": "-4118",
        "INSUFFICIENT_MARGIN": "-2019|-2018|-2028|21739|21508|canceled-margin-not-allowed"
        "|canceled-invalid-balance|perpmargin|not_enough_margin|margincanceled",
        "BELOW_MIN_QTY": "-4004|21706",
        "BELOW_MIN_NOTIONAL": "-4164|mintradentl",
        "BAD_TICK": "-4014|21701|tick",
        "BAD_LOT": "-1111|-4023|21702|quantity decimal too long",
        "ABOVE_MAX": "-4005",
        "RATE_LIMITED": "-1003|-1015|429|23000|23001|23002|23003|21506",
        "BANNED": "418",
        "OVERLOADED": "-1008",
        "CLOCK_SKEW": "-1021|21104",
        "NONCE": "-4225|nonce too old",
        "AUTH": "-1002|-1022|-2014|401",
        "PERMISSION": "-2015|403",
        "VENUE_MODE": "-1016|21605",
        "HALTED": "-4140|-4141",
        "POSITION_MODE": "-4061",
        "ORDER_LIMIT": "-2025|21717|21718|21719|21720",
        "POSITION_LIMIT": "-2027|canceled-position-not-allowed|perpmaxposition",
        "IN_LIQUIDATION": "-2023|canceled-liquidation|21507|liquidatedcanceled",
        "SELF_TRADE": "expired_in_match|canceled-self-trade|selftradecanceled",
        "UNKNOWN_ORDER": "-2011|21600|21715|missingorder|order_is_closed",
        "UNSUPPORTED": "-4120|21727",
        "MALFORMED": "-5000|-1102|-1116|-1121|-1131",
        "EXPIRED": "canceled-expired",
        "CANCELED": "canceled|cancelled|canceled-oco|canceled-child",
    }.items()
    for text in texts.split("|")
}

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
    """Return the normalised reason of a venue's own text or code, of any letter case.

    A normalised reason stands for itself, an empty text for none; else `UNRECOGNISED`.
    """
    if not text or text.upper() in REASONS:
        return text.upper()
    return REASON_CODES.get(text.lower(), UNRECOGNISED)


def normal_status(text: str) -> tuple[Status, str]:
    """Return the normalised status of a venue's own text and the reason that it names, if any.

    `canceled-<why>`, `<why>Canceled` and `<why>Rejected` are endings; anything unknown is
    `UNRECOGNISED`.
    """
    lower = text.lower()
    known = STATUS_TEXTS.get(lower)
    if known is not None:
        reason = REASON_CODES.get(lower, "")
        return known, "" if reason == "CANCELED" else reason
    reason = REASON_CODES.get(lower, "")
    if not reason:
        return "UNRECOGNISED", ""
    if lower.startswith("canceled-") or lower.endswith(("canceled", "cancel")):
        return "CANCELED", reason
    if lower.endswith("rejected"):
        return "REJECTED", reason
    return "UNRECOGNISED", ""
