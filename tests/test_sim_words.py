"""What venues say for a refusal: a code of venues.md 1.4 means its reason, any other is doubt.

The table is written out here, by family of venues, and must not be taken from the tables it checks.
"""

import pytest

from machines.messages import (
    CallLost,
    CancelRefused,
    OrderMissing,
    OrderRefused,
    OrderReported,
    QueryFailed,
)
from machines.policy.refusing import READ_FIRST, REFRESH_RULES
from machines.types import MS, NS, REASONS
from tests.test_sim_venue import Desk, said
from venues.profiles import PROFILES
from venues.sim.words import BACKPACK, BINANCE, HYPERLIQUID, LIGHTER, PARADEX

#: The profiles that speak as a family.
SPEAKERS = {
    "binance": ("binance_usdm", "aster"),
    "lighter": ("lighter",),
    "hyperliquid": ("hyperliquid",),
    "paradex": ("paradex",),
    "backpack": ("backpack",),
}
#: venues.md 1.4: reason, family, its codes and texts between bars.
TABLE = (
    ("WOULD_CROSS", "binance", "-5022|-2010"),
    ("WOULD_CROSS", "lighter", "canceled-post-only"),
    ("WOULD_CROSS", "hyperliquid", "badAloPxRejected|would have immediately matched"),
    ("WOULD_CROSS", "paradex", "POST_ONLY_WOULD_CROSS"),
    ("WOULD_CROSS", "backpack", "would immediately match"),
    ("FOK_UNFILLABLE", "binance", "-5021"),
    ("NO_LIQUIDITY", "binance", "-2020"),
    ("NO_LIQUIDITY", "lighter", "canceled-not-enough-liquidity"),
    ("NO_LIQUIDITY", "hyperliquid", "iocCancel|marketOrderNoLiquidity"),
    ("SLIPPAGE_BOUND", "binance", "-4016|-4024"),
    ("SLIPPAGE_BOUND", "lighter", "canceled-too-much-slippage"),
    ("SLIPPAGE_BOUND", "paradex", "exceeds_max_slippage"),
    ("PRICE_BAND", "binance", "-4131"),
    ("PRICE_BAND", "lighter", "21733|21734"),
    ("PRICE_BAND", "hyperliquid", "oracle"),
    ("REDUCE_ONLY_VIOLATION", "binance", "-2022|-2024"),
    ("REDUCE_ONLY_VIOLATION", "lighter", "canceled-reduce-only|21732|21738|21740"),
    ("REDUCE_ONLY_VIOLATION", "hyperliquid", "would increase position|reduceOnlyCanceled"),
    ("REDUCE_ONLY_VIOLATION", "paradex", "REDUCE_ONLY_WILL_INCREASE"),
    ("REDUCE_ONLY_CAPACITY", "binance", "-4118"),
    ("INSUFFICIENT_MARGIN", "binance", "-2019|-2018|-2028"),
    (
        "INSUFFICIENT_MARGIN",
        "lighter",
        "21739|21508|canceled-margin-not-allowed|canceled-invalid-balance",
    ),
    ("INSUFFICIENT_MARGIN", "hyperliquid", "perpMargin|marginCanceled"),
    ("INSUFFICIENT_MARGIN", "paradex", "NOT_ENOUGH_MARGIN"),
    ("BELOW_MIN_QTY", "binance", "-4004"),
    ("BELOW_MIN_QTY", "lighter", "21706"),
    ("BELOW_MIN_NOTIONAL", "binance", "-4164"),
    ("BELOW_MIN_NOTIONAL", "hyperliquid", "minTradeNtl"),
    ("BAD_TICK", "binance", "-4014|-1111"),
    ("BAD_TICK", "lighter", "21701"),
    ("BAD_TICK", "hyperliquid", "tick"),
    ("BAD_LOT", "binance", "-4023"),
    ("BAD_LOT", "lighter", "21702"),
    ("BAD_LOT", "backpack", "quantity decimal too long"),
    ("ABOVE_MAX", "binance", "-4005"),
    ("RATE_LIMITED", "binance", "-1003|-1015|429|403"),
    ("RATE_LIMITED", "lighter", "23000|23001|23002|23003|21506|429"),
    ("RATE_LIMITED", "hyperliquid", "429"),
    ("RATE_LIMITED", "paradex", "429"),
    ("RATE_LIMITED", "backpack", "429"),
    ("BANNED", "binance", "418"),
    ("CLOCK_SKEW", "binance", "-1021"),
    ("NONCE", "binance", "-4225"),
    ("NONCE", "lighter", "21104"),
    ("NONCE", "hyperliquid", "nonce too old"),
    ("AUTH", "binance", "-1002|-1022|-2014|401"),
    ("PERMISSION", "binance", "-2015"),
    ("VENUE_MODE", "binance", "-1016"),
    ("VENUE_MODE", "lighter", "21605"),
    ("HALTED", "binance", "-4140|-4141"),
    ("POSITION_MODE", "binance", "-4061"),
    ("ORDER_LIMIT", "binance", "-2025"),
    ("ORDER_LIMIT", "lighter", "21717|21718|21719|21720"),
    ("POSITION_LIMIT", "binance", "-2027"),
    ("POSITION_LIMIT", "lighter", "canceled-position-not-allowed"),
    ("POSITION_LIMIT", "hyperliquid", "perpMaxPosition"),
    ("IN_LIQUIDATION", "binance", "-2023"),
    ("IN_LIQUIDATION", "lighter", "canceled-liquidation|21507"),
    ("SELF_TRADE", "binance", "EXPIRED_IN_MATCH"),
    ("SELF_TRADE", "lighter", "canceled-self-trade"),
    ("SELF_TRADE", "hyperliquid", "selfTradeCanceled"),
    ("UNKNOWN_ORDER", "binance", "-2011"),
    ("UNKNOWN_ORDER", "lighter", "21600|21715"),
    ("UNKNOWN_ORDER", "hyperliquid", "missingOrder"),
    ("UNKNOWN_ORDER", "paradex", "ORDER_IS_CLOSED"),
    ("UNSUPPORTED", "binance", "-4120"),
    ("UNSUPPORTED", "lighter", "21727"),
    ("MALFORMED", "binance", "-5000|-1102|-1116|-1121|-1131"),
)
CODES = [
    (speaker, text, reason)
    for reason, family, texts in TABLE
    for speaker in SPEAKERS[family]
    for text in texts.split("|")
]
#: Texts that a venue says for two reasons: said for the first, read as the second.
READ_AS = {
    ("lighter", "BELOW_MIN_NOTIONAL"): "BELOW_MIN_QTY",
    ("lighter", "HALTED"): "VENUE_MODE",
    ("lighter", "LIQUIDATED"): "IN_LIQUIDATION",
    ("paradex", "NO_LIQUIDITY"): "SLIPPAGE_BOUND",
    ("hyperliquid", "SLIPPAGE_BOUND"): "NO_LIQUIDITY",
}
#: Reasons after which a leg does the same, by what that is (venues.md 1.4).
ALIKE = {
    "Q": {"WOULD_CROSS", "FOK_UNFILLABLE", "NO_LIQUIDITY", "SLIPPAGE_BOUND", "PRICE_BAND"},
    "R": REFRESH_RULES,
    "H until the mode says otherwise": {"VENUE_MODE", "HALTED"},
    "P": READ_FIRST,
}


def refused(profile: str, text: str, reason: str = "", on: str = "create") -> Desk:
    """A desk on which one create, or one cancel of a resting order, was refused with a code."""
    desk = Desk(profile, {"verdict_ms": 0})
    if on == "cancel":
        desk.place()
        desk.run()
    desk.clear()
    desk.venue.script.answer(on, "reject", code=text, reason=reason)
    if on == "create":
        desk.place()
    else:
        desk.cancel(1)
    desk.run()
    return desk


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(("profile", "text", "reason"), CODES)
def test_a_code_of_the_table_is_refused_by_its_reason(profile: str, text: str, reason: str) -> None:
    told = refused(profile, text).one(OrderRefused)
    assert (told.reason, told.text) == (reason, text)
    assert PROFILES[profile].dialect.meaning(text.swapcase()) == reason


def test_the_table_names_every_reason_that_a_venue_has_words_for() -> None:
    without_words = {"OVERLOADED", "NOT_SENT"}
    of_the_engine = {"ABSENT", "VANISHED", "UNRECOGNISED", "LIQUIDATED", "EXPIRED", "CANCELED"}
    assert {reason for reason, _, _ in TABLE} == REASONS - without_words - of_the_engine


def test_no_text_means_two_things() -> None:
    meanings: dict[str, set[str]] = {}
    for dialect in (BINANCE, LIGHTER, HYPERLIQUID, PARADEX, BACKPACK):
        assert not set(dialect.reasons) & set(dialect.doubts)
        for text, reason in dialect.reasons.items():
            meanings.setdefault(text, set()).add(reason)
            assert text == text.lower()
            assert reason in REASONS
    assert {text for text, reasons in meanings.items() if len(reasons) > 1} == set()


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_what_a_venue_says_is_read_back_as_what_was_meant(name: str) -> None:
    dialect = PROFILES[name].dialect
    for reason, text in dialect.says.items():
        assert dialect.meaning(text) == READ_AS.get((name, reason), reason), text


@pytest.mark.parametrize(("name", "said_for"), sorted(READ_AS))
def test_two_reasons_that_share_a_text_make_a_leg_do_the_same(name: str, said_for: str) -> None:
    says = PROFILES[name].dialect.says
    reason = READ_AS[name, said_for]
    assert says[said_for] == says.get(reason, "canceled-liquidation")
    assert any({said_for, reason} <= reasons for reasons in ALIKE.values())


@pytest.mark.parametrize(
    ("name", "text"),
    [("binance_usdm", "-5022"), ("backpack", "would immediately match"), ("ideal", "")],
)
def test_a_venue_refuses_in_its_own_words(name: str, text: str) -> None:
    desk = Desk(name)
    desk.place(price=10020, post_only=True)
    desk.run()
    told = desk.one(OrderRefused)
    assert (told.reason, told.text) == ("WOULD_CROSS", text)


def test_a_post_only_order_that_expires_with_nothing_filled_would_have_crossed() -> None:
    desk = Desk("aster")
    desk.place(price=10020, post_only=True)
    desk.run()
    ended = desk.all(OrderReported)[-1]
    assert (ended.status, ended.cum, ended.reason) == ("EXPIRED", 0, "WOULD_CROSS")


def test_a_venue_without_words_of_its_own_understands_everyone() -> None:
    for profile in ("ideal", "worst", "coinbase", "edgex_grvt"):
        dialect = PROFILES[profile].dialect
        assert dialect.says == {}
        for _, text, reason in CODES:
            assert dialect.meaning(text) == reason


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_normalised_reason_stands_for_itself_at_every_venue(reason: str) -> None:
    for profile in ("ideal", "lighter", "backpack"):
        told = refused(profile, "", reason).one(OrderRefused)
        assert (told.reason, told.text) == (reason, reason)


# ---------------------------------------------------------------- codes in no table


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ("binance_usdm", "-9999"),
        ("ideal", "-9999"),
        # It concerns conditional orders: never a crossing post-only order.
        ("binance_usdm", "-2021"),
        # The generic code, without the text that says which of many reasons it is.
        ("backpack", "INVALID_ORDER"),
        # A code of another family means nothing here.
        ("lighter", "-2019"),
        ("backpack", "-2019"),
        ("paradex", "canceled-post-only"),
        ("hyperliquid", "ORDER_IS_CLOSED"),
        ("binance_usdm", "21739"),
    ],
)
def test_a_refusal_by_a_code_in_no_table_loses_the_call(profile: str, code: str) -> None:
    desk = refused(profile, code)
    lost = desk.one(CallLost)
    assert (lost.order, lost.call, lost.cause, lost.text) == (1, "place", "unmapped_code", code)
    assert desk.all(OrderRefused) == []
    assert desk.venue.orders[0].state == "REJECTED"
    desk = refused(profile, code, on="cancel")
    lost = desk.one(CallLost)
    assert (lost.order, lost.call, lost.cause, lost.text) == (1, "cancel", "unmapped_code", code)
    assert desk.all(CancelRefused) == []
    assert desk.venue.orders[0].alive


def test_a_refusal_in_doubt_without_effect_leaves_the_create_unseen() -> None:
    desk = Desk("binance_usdm")
    desk.venue.script.answer("create", "reject", code="-9999", effect=False)
    sent = desk.heap.now
    desk.place()
    assert said(desk.run()) == [("CallLost",)]
    assert desk.one(CallLost).at == sent + 50 * MS
    assert not desk.venue.orders[0].arrived
    assert isinstance(desk.query(1), OrderMissing)


def test_what_became_of_a_create_in_doubt_is_told_by_a_query() -> None:
    desk = refused("ideal", "-9999")
    told = desk.query(1)
    assert isinstance(told, OrderReported)
    assert (told.status, told.reason, told.text) == ("REJECTED", "UNRECOGNISED", "-9999")


@pytest.mark.parametrize("on", ["create", "cancel"])
def test_a_reason_in_nobodys_words_loses_the_call_too(on: str) -> None:
    lost = refused("ideal", "", "gone fishing", on).one(CallLost)
    assert (lost.cause, lost.text) == ("unmapped_code", "gone fishing")


@pytest.mark.parametrize(
    ("profile", "code", "cause"),
    [
        ("binance_usdm", "-1000", "5xx"),
        ("aster", "-1001", "5xx"),
        ("binance_usdm", "-1006", "5xx"),
        ("binance_usdm", "-1007", "5xx"),
        ("binance_usdm", "-1008", "throttled"),
        ("binance_usdm", "-4116", "duplicate id"),
        ("lighter", "21728", "duplicate id"),
        ("paradex", "503", "5xx"),
        ("backpack", "408", "timeout"),
    ],
)
def test_a_code_that_proves_nothing_loses_the_call_without_being_unknown(
    profile: str, code: str, cause: str
) -> None:
    desk = refused(profile, code)
    lost = desk.one(CallLost)
    assert (lost.cause, lost.text) == (cause, "")
    assert desk.all(OrderRefused) == []


def test_a_reason_says_what_is_meant_and_a_code_what_is_shown() -> None:
    told = refused("backpack", "INVALID_ORDER", "would immediately match").one(OrderRefused)
    assert (told.reason, told.text) == ("WOULD_CROSS", "INVALID_ORDER")
    told = refused("binance_usdm", "-2019", "HALTED").one(OrderRefused)
    assert (told.reason, told.text) == ("HALTED", "-2019")
    told = refused("binance_usdm", "-2019", "Margin is insufficient.").one(OrderRefused)
    assert (told.reason, told.text) == ("INSUFFICIENT_MARGIN", "-2019")
    # Who scripts a meaning may use any venue's words for it.
    told = refused("lighter", "", "NOT_ENOUGH_MARGIN").one(OrderRefused)
    assert (told.reason, told.text) == ("INSUFFICIENT_MARGIN", "NOT_ENOUGH_MARGIN")
    told = refused("ideal", "-9999", "RATE_LIMITED").one(OrderRefused)
    assert (told.reason, told.text) == ("RATE_LIMITED", "-9999")


def test_a_refusal_without_any_word_is_a_refusal() -> None:
    told = refused("ideal", "").one(OrderRefused)
    assert (told.reason, told.text) == ("UNRECOGNISED", "rejected")
    assert refused("ideal", "", on="cancel").one(CancelRefused).reason == "UNKNOWN_ORDER"


def test_a_cancel_that_finds_no_order_says_so_whatever_its_code() -> None:
    desk = Desk()
    desk.place()
    desk.run()
    desk.venue.script.answer("cancel", "not_found", code="-9999")
    desk.cancel(1)
    desk.run()
    told = desk.one(CancelRefused)
    assert (told.reason, told.text) == ("UNKNOWN_ORDER", "-9999")


def test_a_query_refused_by_the_code_for_it_finds_no_order() -> None:
    desk = Desk("binance_usdm")
    desk.place()
    desk.run()
    desk.venue.script.answer("query", "reject", code="-2013")
    assert isinstance(desk.query(1), OrderMissing)
    desk.venue.script.answer("query", "reject", code="-1003")
    desk.send_query(1)
    desk.run()
    assert desk.one(QueryFailed).cause == "-1003"


# ---------------------------------------------------------------- when to try again


def test_a_refusal_states_when_the_venue_takes_orders_again() -> None:
    desk = Desk()
    script = desk.venue.script
    script.answer("create", "reject", reason="RATE_LIMITED", retry_ns=7 * NS, hold_ns=2 * NS)
    script.answer("create", "reject", code="-1003", retry_ns=3 * NS, effect=False)
    script.answer("create", "reject", reason="BANNED")
    script.answer("create", "reject", reason="OVERLOADED", retry_ns=0)
    sent = desk.heap.now
    for _ in range(4):
        desk.place()
    desk.run(3000)
    told = {fact.order: (fact.at - sent, fact.retry_at) for fact in desk.all(OrderRefused)}
    soon, late = 50 * MS, 2050 * MS
    assert told == {
        1: (late, sent + late + 7 * NS),
        2: (soon, sent + soon + 3 * NS),
        3: (soon, 0),
        4: (soon, sent + soon),
    }


def test_a_refused_cancel_states_it_too() -> None:
    desk = Desk()
    desk.place()
    desk.run()
    script = desk.venue.script
    script.answer("cancel", "reject", code="429", retry_ns=NS)
    script.answer("cancel", "reject", code="429")
    desk.cancel(1)
    desk.cancel(1)
    desk.run()
    first, second = desk.all(CancelRefused)
    assert (first.reason, first.retry_at) == ("RATE_LIMITED", first.at + NS)
    assert second.retry_at == 0


def test_what_the_venue_refuses_by_its_own_rules_states_no_time() -> None:
    desk = Desk()
    desk.venue.script.set_mode("halted")
    desk.place()
    desk.cancel(9)
    desk.run()
    assert desk.one(OrderRefused).retry_at == 0
    assert desk.one(CancelRefused).retry_at == 0
