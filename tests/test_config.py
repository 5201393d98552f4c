"""The configuration: what is read, what is refused, and that everything wrong is said at once."""

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.config import (
    Config,
    ConfigError,
    Findings,
    InstrumentSpec,
    OpenSettings,
    PairSpec,
    check,
    check_references,
    decode_close,
    decode_config,
    decode_instrument,
    decode_pair,
    decode_venue,
    load,
    overlay,
    reference,
    scale_instruments,
)
from engine.config_keys import CLOSE, OPEN, SECTIONS
from engine.config_values import FINDINGS_MAX, exact, exact_float, nanoseconds, ratio
from machines.types import MS, NS, REASON_URGENCY, CloseSettings, SessionSettings

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "config.toml"

BASE = """
[venues.a]
profile = "ideal"
[venues.b]
profile = "lighter"
[instruments."a:X"]
tick = "0.01"
lot = "0.01"
book = { bid = "100.00", bid_qty = "10", ask = "100.20", ask_qty = "10" }
[instruments."b:X"]
tick = "0.01"
lot = "0.01"
synthetic = { mid = "100.1" }
[positions."a:X"]
qty = "10"
[positions."b:X"]
qty = "-10"
[pairs.x]
legs = ["a:X", "b:X"]
"""


def toml(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=exact_float)


def decode(extra: str = "") -> tuple[Config | None, Findings]:
    findings = Findings()
    return decode_config(overlay(toml(BASE), toml(extra)), findings), findings


def good(extra: str = "") -> Config:
    config, findings = decode(extra)
    assert [str(item) for item in findings.items] == []
    assert config is not None
    return config


def keys(extra: str) -> list[str]:
    config, findings = decode(extra)
    assert (config is None) == bool(findings)
    return [item.key for item in findings.items]


# ---------------------------------------------------------------- what is read


def test_defaults_are_those_of_the_ladder() -> None:
    config = good()
    assert config.close == CloseSettings()
    assert config.open == OpenSettings()
    assert config.session == SessionSettings()


def test_times_become_nanoseconds_exactly() -> None:
    config = good("[close]\nbackoff_ms = 0.000001\nspread_wait_s = '0.1'\ncancel_timeout_s = 2")
    assert config.close.backoff_ns == 1
    assert config.close.spread_wait_ns == 100 * MS
    assert config.close.cancel_timeout_ns == 2 * NS


def test_open_has_its_own_ladder_and_two_keys_more() -> None:
    text = "[open]\nhedge_timeout_s = 20\nafter_passive = 'go_on'\nmarket = { attempts_max = 2 }"
    config = good(text)
    assert config.open.hedge_timeout_ns == 20 * NS
    assert config.open.after_passive == "go_on"
    assert config.open.market.attempts_max == 2
    assert config.close.market.attempts_max == 4


def test_the_settings_of_a_pair_lie_over_those_of_close_and_open() -> None:
    config = good(
        """
        [close]
        backoff_ms = 100
        urgency = { MANUAL = "urgent" }
        [pairs.x.config]
        hedge_timeout_s = 9
        passive_limit = { timeout_s = 4 }
        urgency = { TIME_LIMIT = "immediate" }
        """
    )
    pair = config.pairs["x"]
    assert pair.close.backoff_ns == 100 * MS
    assert pair.close.passive_limit.timeout_ns == 4 * NS
    assert pair.close.urgency == {"MANUAL": "urgent", "TIME_LIMIT": "immediate"}
    assert pair.open.passive_limit.timeout_ns == 4 * NS
    assert pair.open.hedge_timeout_ns == 9 * NS
    assert config.close.passive_limit.timeout_ns == 15 * NS


def test_the_settings_of_a_pair_may_name_close_and_open_apart() -> None:
    text = "[pairs.x.config.close.market]\nattempts_max = 2\n[pairs.x.config.open]\nbackoff_ms = 1"
    pair = good(text).pairs["x"]
    assert (pair.close.market.attempts_max, pair.open.market.attempts_max) == (2, 4)
    assert (pair.close.backoff_ns, pair.open.backoff_ns) == (500 * MS, MS)


def test_pairs_reach_the_core_by_index_of_their_instruments() -> None:
    (pair,) = good().pair_settings()
    assert (pair.name, pair.legs) == ("x", (0, 1))


def test_a_position_without_a_pair_can_be_closed_by_itself() -> None:
    extra = '[instruments."a:Y"]\ntick = "1"\nlot = "1"\nsynthetic = { mid = "5" }\n'
    extra += '[positions."a:Y"]\nqty = "3"\n[[run.closes]]\npair = "a:Y"\nreason = "MANUAL"'
    config = good(extra)
    assert config.pairs["a:Y"].legs == ("a:Y",)


def test_a_foreign_position_is_nothing_to_close() -> None:
    extra = '[instruments."a:Y"]\ntick = "1"\nlot = "1"\nsynthetic = { mid = "5" }\n'
    extra += '[positions."a:Y"]\nqty = "3"\nforeign = true'
    assert good(extra).pairs.keys() == {"x"}


def test_venues_take_times_latencies_and_overrides() -> None:
    config = good(
        """
        [venues.a]
        latency_ms = { request = 5, stream = 0.5 }
        deadline_ms = 1000
        read_lag_ms = 200
        override = { post_only = "async_cancel", verdict_ms = [200, 300] }
        [venues.b]
        latency_ms = "recorded-usdm"
        """
    )
    venue = config.venues["a"]
    assert (venue.latency.request_ns, venue.latency.stream_ns) == (5 * MS, MS // 2)
    assert venue.override["post_only"] == "async_cancel"
    assert (venue.deadline_ns, venue.read_lag_ns) == (NS, 200 * MS)
    assert config.venues["b"].latency.recorded == "recorded-usdm"


def test_a_fee_that_is_left_out_is_that_of_the_profile() -> None:
    config = good('[venues.a]\nprofile = "aster"\n[instruments."b:X"]\ntaker_fee_bps = "1.25"')
    findings = Findings()
    first, second = scale_instruments(config.venues, config.instruments, config.positions, findings)
    assert not findings
    assert (first.taker_fee_bps, second.taker_fee_bps) == (Decimal("3.5"), Decimal("1.25"))
    assert first.reduce_only_exempt == "notional"


def test_a_position_finer_than_the_lot_stays_exact() -> None:
    config = good('[positions."a:X"]\nqty = "10.0003"')
    scaled = scale_instruments(config.venues, config.instruments, config.positions, Findings())
    assert (scaled[0].unit, scaled[0].lot) == (Decimal("0.0001"), 100)


def test_a_close_of_a_part_is_a_ratio() -> None:
    run = good('[[run.closes]]\npair = "x"\nreason = "PARTIAL_TAKE_PROFIT"\nratio = "1/4"').run
    assert run.closes[0].ratio == (1, 4)


# ---------------------------------------------------------------- what is refused

#: (what is added to a good configuration, the key that must be named)
WRONG = [
    # combinations that cannot be
    ("[venues.a]\ndeadline_ms = 3000", "venues.a.decision_timeout_ms"),
    ("[venues.a]\ndecision_timeout_ms = 2000", "venues.a.decision_timeout_ms"),
    ("[close.market]\nslippage_max_bps = 501", "close.market.slippage_max_bps"),
    ("[close.market]\nslippage_abs_max_bps = 199", "close.market.slippage_max_bps"),
    ("[open.market]\nslippage_max_bps = 501", "open.market.slippage_max_bps"),
    (
        "[pairs.x.config.market]\nslippage_max_bps = 501",
        "pairs.x.config.market.slippage_max_bps",
    ),
    ('[pairs.y]\nlegs = ["a:Y"]', "pairs.y.legs[0]"),
    ('[pairs.x]\nlegs = ["a:X", "a:X"]', "pairs.x.legs"),
    ('[positions."b:X"]\nqty = "10"', "pairs.x.legs"),
    ('[positions."a:Y"]\nqty = "10"', 'positions."a:Y"'),
    ('[instruments."c:X"]\ntick = "1"\nlot = "1"\nrecording = "pyproject.toml"',
     'instruments."c:X"'),
    ('[pairs.y]\nlegs = ["a:X"]', "pairs.y.legs[0]"),
    ('[instruments."a:X"]\nsynthetic = { mid = "1" }', 'instruments."a:X"'),
    ('[instruments."a:Y"]\ntick = "1"\nlot = "1"', 'instruments."a:Y"'),
    ('[instruments."a:X".book]\nbid = "100.005"', 'instruments."a:X".book.bid'),
    ('[instruments."a:X"]\nmultiplier = "3"', 'instruments."a:X"'),
    ('[instruments."a:X"]\ntick = "1e-30"\nbook = { bid = "1e30", ask = "3e-31" }',
     'instruments."a:X".book.ask'),
    ("[session]\nbackoff_min_s = 40", "session.backoff_min_s"),
    ("[session]\nbackoff_max_s = 0.4", "session.backoff_base_s"),
    ('[engine]\nlog = "journal.db"', "engine.log"),
    (
        '[run]\ndeadline_s = 5\n[[run.closes]]\npair = "x"\nreason = "KILL"\nat_s = 6',
        "run.closes[0].at_s",
    ),
    # names that lead nowhere
    ('[venues.a]\nprofile = "mars"', "venues.a.profile"),
    ('[venues.a.override]\npost_onyl = "none"', "venues.a.override.post_onyl"),
    ('[venues.a.override]\npost_only = "maybe"', "venues.a.override.post_only"),
    ("[venues.a.override]\nlag_ms = nan", "venues.a.override.lag_ms"),
    ("[venues.a.override]\nstale_reject_ticks = inf", "venues.a.override.stale_reject_ticks"),
    ('[venues.a]\nlatency_ms = "recorded-mars"', "venues.a.latency_ms"),
    ('[close.urgency]\nBOREDOM = "urgent"', "close.urgency.BOREDOM"),
    ('[close.urgency]\nMANUAL = "soonish"', "close.urgency.MANUAL"),
    ("[close.urgency]\nMANUAL = [1]", "close.urgency.MANUAL"),
    ('[[run.closes]]\npair = "z"\nreason = "KILL"', "run.closes[0].pair"),
    ('[[run.closes]]\npair = "x"\nreason = "BOREDOM"', "run.closes[0].reason"),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nurgency = "now"', "run.closes[0].urgency"),
    ('[pairs.x]\nlegs = []', "pairs.x.legs"),
    ('[pairs.x]\nlegs = "a:X"', "pairs.x.legs"),
    ('[venues."a b"]\nprofile = "ideal"', 'venues."a b"'),
    # a key that does not exist or does not stand where a table should
    ("colse = 1", "colse"),
    ("close = 3", "close"),
    ("[close]\nhedge_timeout_s = 1", "close.hedge_timeout_s"),
    ("[close]\nmarket = 1", "close.market"),
    ("[pairs.x]\nconfig = 1", "pairs.x.config"),
    ("[pairs.x.config]\nbackof_ms = 1", "pairs.x.config.backof_ms"),
    ("[run]\ncloses = { }", "run.closes"),
    # values
    ("[close]\nbackoff_ms = nan", "close.backoff_ms"),
    ("[close]\nbackoff_ms = inf", "close.backoff_ms"),
    ("[close]\nbackoff_ms = '-inf'", "close.backoff_ms"),
    ("[close]\nbackoff_ms = -1", "close.backoff_ms"),
    ("[close]\nbackoff_ms = true", "close.backoff_ms"),
    ("[close]\nbackoff_ms = 0.0000001", "close.backoff_ms"),
    ("[close]\nbackoff_ms = 1e31", "close.backoff_ms"),
    ("[close]\nbackoff_ms = 2000000000", "close.backoff_ms"),
    ("[close]\nbackoff_ms = 1979-05-27", "close.backoff_ms"),
    ("[close]\nbreak_even = 1", "close.break_even"),
    ("[close]\nresidual_rounds_max = 2.0", "close.residual_rounds_max"),
    ("[close]\nspread_max_pct = 101", "close.spread_max_pct"),
    ("[close.passive_limit]\nprice = 'best'", "close.passive_limit.price"),
    ("[close.passive_limit]\nrequote_ticks = 1.5", "close.passive_limit.requote_ticks"),
    ("[close.market]\nattempts_max = 0", "close.market.attempts_max"),
    ('[instruments."a:X"]\nmin_qty = "-0.05"', 'instruments."a:X".min_qty'),
    ('[instruments."a:X"]\nmin_notional = "-1"', 'instruments."a:X".min_notional'),
    ('[instruments."a:X"]\ntick = "0"', 'instruments."a:X".tick'),
    ('[instruments."a:X"]\nlot = "1e31"', 'instruments."a:X".lot'),
    ('[instruments."a:X"]\nmultiplier = "NaN"', 'instruments."a:X".multiplier'),
    ('[positions."a:X"]\nentry = "1_000"', 'positions."a:X".entry'),
    ('[positions."a:X"]\nqty = "0.' + "1" * 41 + '"', 'positions."a:X".qty'),
    ('[engine]\njournal = "../elsewhere.db"', "engine.journal"),
    # numbers that the core cannot hold, alone or in the steps of their instrument
    ("[close]\nbackoff_ms = 9e-999999999", "close.backoff_ms"),
    ("[close]\nbackoff_ms = 0x" + "f" * 100_000, "close.backoff_ms"),
    ("[close.market]\nattempts_max = 1000000001", "close.market.attempts_max"),
    ("[close]\nnaked_budget_usd_s = 1e16", "close.naked_budget_usd_s"),
    ('[venues.a]\nbalance = "1e16"', "venues.a.balance"),
    ("[venues.a.override]\nlag_ms = 1e13", "venues.a.override.lag_ms"),
    ("[venues.a.override]\nverdict_ms = [1, 9e999999999]", "venues.a.override.verdict_ms"),
    ("[venues.a.override]\ntaker_fee_bps = 10000", "venues.a.override.taker_fee_bps"),
    ("[venues.a.override]\nstale_reject_ticks = 1e10", "venues.a.override.stale_reject_ticks"),
    ('[instruments."a:X"]\ntaker_fee_bps = 10000', 'instruments."a:X".taker_fee_bps'),
    ('[instruments."a:X"]\nmin_qty = "1e14"', 'instruments."a:X".min_qty'),
    ('[instruments."a:X"]\nmin_notional = "1e15"', 'instruments."a:X".min_notional'),
    ('[instruments."a:X"]\nlot = "0.12345678901234"', 'instruments."a:X".lot'),
    ('[instruments."a:X".book]\nask = "1e14"', 'instruments."a:X".book.ask'),
    ('[instruments."a:X".book]\nbid_qty = "1e14"', 'instruments."a:X".book.bid_qty'),
    ('[instruments."a:X".book]\nmark = "1e14"', 'instruments."a:X".book.mark'),
    ('[instruments."a:X".book]\nrepublish_s = 1e-9', 'instruments."a:X".book.republish_s'),
    ('[instruments."b:X".synthetic]\nmid = "1e14"', 'instruments."b:X".synthetic.mid'),
    ('[instruments."b:X".synthetic]\ndepth = "1e14"', 'instruments."b:X".synthetic.depth'),
    ('[instruments."b:X".synthetic]\ntrade_rate_per_s = 0.1234567890123',
     'instruments."b:X".synthetic.trade_rate_per_s'),
    ('[positions."a:X"]\nqty = "1e14"', 'positions."a:X".qty'),
    ('[positions."a:X"]\nqty = "0.000000000000000001"', 'instruments."a:X".lot'),
    ('[positions."a:X"]\nentry = "1e14"', 'positions."a:X".entry'),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nratio = "1/18446744073709551617"',
     "run.closes[0].ratio"),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nratio = "9e-999999999"', "run.closes[0].ratio"),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nratio = "0.0000000000000001"',
     "run.closes[0].ratio"),
    # names
    ('[venues."a\\u001b[31m"]\nprofile = "ideal"', 'venues."a\\u001b[31m"'),
    (f'[venues.{"a" * 65}]\nprofile = "ideal"', "venues." + "a" * 65),
    ('[instruments."a:X\\u202e"]\ntick = "1"\nlot = "1"\nsynthetic = { mid = "1" }',
     'instruments."a:X\u202e"'),
    ('[instruments."a:X>Y@1"]\ntick = "1"\nlot = "1"\nsynthetic = { mid = "1" }',
     'instruments."a:X>Y@1"'),
    ('[instruments."a:Y"]\ntick = "1"\nlot = "1"\nsynthetic = { mid = "1" }\n'
     '[pairs."x\\n"]\nlegs = ["a:Y"]', 'pairs."x\\n"'),
    ('[engine]\naccount = "\\u0000"', "engine.account"),
    ('[engine]\ndirectory = "a\\u0000b"', "engine.directory"),
    ('[engine]\ndirectory = "a\\u202eb"', "engine.directory"),
    ("[run]\nseed = 18446744073709551616", "run.seed"),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nratio = "5/4"', "run.closes[0].ratio"),
    ('[[run.closes]]\npair = "x"\nreason = "KILL"\nratio = "1/0"', "run.closes[0].ratio"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "key"), WRONG, ids=[f"{key}-{n}" for n, (_, key) in enumerate(WRONG)]
)
def test_a_mistake_is_found_and_its_key_named_once(extra: str, key: str) -> None:
    assert keys(extra) == [key]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("venues.a", "balance"),
        ('instruments."a:X"', "tick"),
        ('instruments."a:X"', "min_notional"),
        ('instruments."a:X".book', "bid"),
        ('instruments."b:X".synthetic', "depth"),
        ('positions."a:X"', "qty"),
        ('positions."a:X"', "entry"),
    ],
)
@pytest.mark.parametrize("value", ["0.1", "1", "true", "nan"])
def test_money_prices_and_quantities_must_be_quoted(table: str, key: str, value: str) -> None:
    config, findings = decode(f"[{table}]\n{key} = {value}")
    assert config is None
    assert [item.key for item in findings.items] == [f"{table}.{key}"]
    assert "in quotes" in findings.items[0].allowed


@pytest.mark.parametrize("rule", ["tick", "lot"])
def test_an_instrument_needs_its_rules(rule: str) -> None:
    tables = toml(BASE)
    del tables["instruments"]["a:X"][rule]
    findings = Findings()
    assert decode_config(tables, findings) is None
    assert [str(item) for item in findings.items] == [
        f'instruments."a:X".{rule} = (missing): must be given: '
        'a decimal in quotes, like "0.05", above 0'
    ]


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "1000PEPE", "kPEPE", "BTC-USD_PERP", "C+1.5"])
def test_a_symbol_may_be_written_as_venues_write_theirs(symbol: str) -> None:
    key = f"a:{symbol}"
    config = good(f'[instruments."{key}"]\ntick = "1"\nlot = "1"\nsynthetic = {{ mid = "1" }}')
    assert config.instruments[key].symbol == symbol


def test_what_no_step_can_hold_is_listed_with_everything_else_that_is_wrong() -> None:
    found = keys(
        """
        [close]
        backoff_ms = 1e30
        [instruments."a:X"]
        min_qty = "1e20"
        min_notional = "1e15"
        [instruments."b:X".synthetic]
        mid = "1e20"
        depth = "1e20"
        [positions."b:X"]
        qty = "-1e20"
        entry = "1e20"
        """
    )
    assert found == [
        "close.backoff_ms",
        'instruments."a:X".min_qty',
        'positions."b:X".qty',
        'instruments."b:X".synthetic.mid',
        'positions."b:X".entry',
        'instruments."b:X".synthetic.depth',
    ]


def test_a_finding_of_a_number_says_what_its_steps_allow() -> None:
    _, findings = decode('[positions."a:X"]\nqty = "1e14"')
    assert [str(item) for item in findings.items] == [
        'positions."a:X".qty = 1E+14: must be at most 1E+15 times 0.01'
    ]


def test_a_file_with_mistakes_without_end_lists_the_first_and_says_so() -> None:
    _, findings = decode("".join(f"k{number} = 1\n" for number in range(20_000)))
    assert len(findings.items) == FINDINGS_MAX + 1
    assert str(findings.items[-1]) == "file: has more mistakes than these; mend them first"
    findings.add("one", 1, "must be none")
    assert len(findings.items) == FINDINGS_MAX + 1


def test_a_finding_is_one_line_of_bounded_length_whatever_the_file_says() -> None:
    name = "\\u001b[31m\\n\\u202e\\u009b" + "x" * 100_000
    _, findings = decode(f'[venues."{name}"]\nprofile = "{name}"\n[instruments."c:X"]\ntick = 1\n')
    assert len(findings.items) >= 4
    for item in findings.items:
        assert str(item).isprintable()
        assert len(str(item)) < 3000


def test_everything_wrong_is_listed_at_once() -> None:
    found = keys(
        """
        speed = 1
        [close]
        backoff_ms = -1
        market = { slippage_max_bps = 900, attempts_max = "many" }
        [venues.a]
        profile = "mars"
        [instruments."a:X"]
        tick = 0.01
        [positions."a:X"]
        qty = "-10"
        [[run.closes]]
        pair = "y"
        """
    )
    assert found == [
        "speed",
        "close.backoff_ms",
        "close.market.attempts_max",
        "close.market.slippage_max_bps",
        "venues.a.profile",
        'instruments."a:X".tick',
        "pairs.x.legs",
        "run.closes[0].reason",
        "run.closes[0].pair",
    ]


def test_an_unknown_key_is_told_the_nearest_one() -> None:
    _, findings = decode("[close.market]\nslipage_max_bps = 100")
    assert str(findings.items[0]) == (
        "close.market.slipage_max_bps = 100: is not a key here; did you mean slippage_max_bps?"
    )


def test_a_finding_says_key_value_and_what_is_allowed() -> None:
    _, findings = decode("[close.market]\nattempts_max = -1")
    (item,) = findings.items
    assert (item.key, item.value) == ("close.market.attempts_max", "-1")
    assert item.allowed == "must be a whole number, at least 1"


def test_a_configuration_without_venues_is_refused() -> None:
    findings = Findings()
    assert decode_config({}, findings) is None
    assert [item.key for item in findings.items] == ["venues"]


# ---------------------------------------------------------------- files


def test_a_missing_file_is_an_error_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[close]\nbackoff_ms = \n", "at line 2"),
        (b"# \xff\n", "must be UTF-8; byte 2"),
        (b"a = " + b"[" * 20000, "too deep"),
        (b"a = " + b"[" * 40 + b"]" * 40, "too deep"),
        (b"\n" + b".".join([b"a"] * 20000) + b" = 1", "too deep (line 2)"),
        (b"[" + b" . ".join([b"'a'"] * 20000) + b"]", "too deep (line 1)"),
        (b".".join([rb'"\""'] * 20000) + b" = 1", "too deep (line 1)"),
        (b"x = {" + b".".join([b"a"] * 200000) + b" = 1}", "too deep (line 1)"),
        (b".".join([b"'" + b"a" * 300 + b"'"] * 3000) + b" = 1", "too deep"),
        (b"\na = " + b"1" * 5000, "too long: an integer (line 2)"),
        (b"#" * (1 << 20) + b"\n", "must not be larger"),
        (b"a = 1\na = 2\n", "is not TOML"),
    ],
    ids=[
        "syntax",
        "bytes",
        "depth",
        "lists",
        "key",
        "header",
        "quoted",
        "inline",
        "parts",
        "length",
        "size",
        "twice",
    ],
)
def test_a_file_that_cannot_be_decoded_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    (line,) = check(file)
    assert line.startswith(f"{file}: ")
    assert said in line


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "config.toml"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    said = "Is a directory" if kind == "folder" else "Not a regular file"
    assert check(place) == [f"{place}: file: cannot be read: {said}"]


@pytest.mark.parametrize("name", ["x" * 300, "x\x00y"])
def test_a_name_that_no_file_can_have_is_a_finding(tmp_path: Path, name: str) -> None:
    (line,) = check(tmp_path / name)
    assert "cannot be read" in line
    assert line.isprintable()


def test_check_gives_one_line_per_mistake_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(BASE + "[close]\nbackoff_ms = 'soon'\nspread_wait = 1\n")
    assert check(file) == [
        f"{file}: close.spread_wait = 1: is not a key here; did you mean spread_wait_s?",
        f'{file}: close.backoff_ms = "soon": must be milliseconds, at least 0 '
        "(a plain decimal number)",
    ]


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    _, findings = decode('"a\\u001b[2J" = "\\u001b[31m"')
    assert "\x1b" not in str(findings.items[0])


def test_paths_are_taken_as_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "tape.csv").touch()
    text = BASE.replace('synthetic = { mid = "100.1" }', 'recording = "tape.csv"')
    file = tmp_path / "good.toml"
    file.write_text(text)
    config = load(file)
    assert config.engine.directory == str(tmp_path / "var")
    assert config.instruments["b:X"].recording == str(tmp_path / "tape.csv")
    file.write_text(text.replace("tape.csv", "gone.csv"))
    assert ['instruments."b:X".recording' in line for line in check(file)] == [True]


# ---------------------------------------------------------------- parts for other files


def test_parts_can_be_read_without_a_whole_configuration() -> None:
    findings = Findings()
    venue = decode_venue({"profile": "ideal"}, "venues.a", findings)
    instrument = decode_instrument({"tick": "1", "lot": "2"}, 'instruments."a:X"', findings)
    pair = decode_pair({"legs": ["a:X"]}, "pairs.x", findings)
    close = decode_close(
        {"backoff_ms": 7}, "config.close", findings, CloseSettings(break_even=False)
    )
    assert not findings
    assert venue is not None
    assert venue.name == "a"
    assert instrument == InstrumentSpec("a:X", "a", "X", Decimal(1), Decimal(2))
    assert pair == PairSpec("x", ("a:X",))
    assert (close.backoff_ns, close.break_even) == (7 * MS, False)


def test_a_name_whose_table_is_wrong_is_known_nevertheless() -> None:
    findings = Findings()
    check_references({"a": None}, {"a:X": None}, {"a:X": None}, {"x": None}, findings)
    assert not findings


def test_overlay_merges_tables_and_replaces_the_rest() -> None:
    default = {"a": {"b": 1, "c": [1]}, "d": 1}
    assert overlay(default, {"a": {"c": [2]}, "d": {"e": 1}}) == {
        "a": {"b": 1, "c": [2]},
        "d": {"e": 1},
    }
    assert default == {"a": {"b": 1, "c": [1]}, "d": 1}


def test_forty_digits_lose_nothing() -> None:
    digits = "1234567890123456789012345678901234567890"
    assert str(exact(digits, quoted=True)) == digits
    assert nanoseconds("123456789.123456789", NS) == 123456789123456789
    assert ratio("0.25") == (1, 4)
    assert exact_float("1e99999999999999999999") == Decimal("Infinity")


# ---------------------------------------------------------------- what is shipped


def test_every_field_of_the_settings_has_a_key() -> None:
    """A field without a key could not be configured, and its default would not be documented."""
    by_hand = {"name", "key", "venue", "symbol", "recorded", "open"}
    for section in (*SECTIONS, OPEN):
        filled = {key.filled for key in section.keys} | set(section.tables) | by_hand
        if section.struct is OpenSettings:
            filled |= {key.filled for key in CLOSE.keys} | set(CLOSE.tables)
        assert {field.name for field in msgspec.structs.fields(section.struct)} <= filled


def test_the_committed_reference_is_fresh() -> None:
    committed = (ROOT / "docs" / "config.md").read_text()
    assert committed == reference(), "run python -m engine.config_reference > docs/config.md"


def test_the_shipped_configuration_can_be_used() -> None:
    assert check(SHIPPED) == []


def test_the_shipped_configuration_holds_the_two_real_trades() -> None:
    config = load(SHIPPED)
    held = {key: position.qty for key, position in config.positions.items()}
    assert [held[leg] for leg in config.pairs["zec"].legs] == [Decimal("-2.332"), Decimal("2.311")]
    assert [held[leg] for leg in config.pairs["zec2"].legs] == [Decimal("2.983"), Decimal("-2.983")]
    assert config.instruments["lighter:ZEC"].min_qty > Decimal("0.021")


def test_the_shipped_run_closes_everything_at_every_urgency() -> None:
    config = load(SHIPPED)
    assert {close.pair for close in config.run.closes} == set(config.pairs)
    assert len(config.pairs) >= 6
    asked = {close.urgency or REASON_URGENCY[close.reason] for close in config.run.closes}
    assert asked == {"normal", "urgent", "immediate"}


def test_the_shipped_ladders_end_within_the_minute() -> None:
    config = load(SHIPPED)
    for close in config.run.closes:
        ladder = config.pairs[close.pair].close
        rungs = ladder.passive_limit.timeout_ns + ladder.aggressive_limit.timeout_ns
        market = ladder.market.attempt_timeout_ns * ladder.market.attempts_max
        assert close.at_ns + rungs + market <= config.run.deadline_ns <= 60 * NS
