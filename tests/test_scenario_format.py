"""The scenario format as a contract: what a file may say, and how its mistakes are told."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from engine.alarm_kinds import ALARM_KINDS
from engine.simulation import actions
from engine.simulation.mentions import Mentions
from engine.simulation.scenario import Scenario, ScenarioError, load_scenario
from machines.types import MS, NS

#: The example of the format, in its own words, with both instruments that its pair names.
CONTRACT = """
name = "contract"
about = "the example of the format"
source = "a log"
seed = 7
duration_s = 60.5
journal = "sqlite"

[config.close]
backoff_ms = 100
[config.close.passive_limit]
timeout_s = 5

[venues.lighter]
profile = "lighter"            # a profile of venues.md
latency_ms = { request = 5, response = 5, stream = 3, public = 3 }   # one way each
balance = "100000"             # quote currency
[venues.lighter.override]      # any capability of the profile
post_only = "async_cancel"
[venues.aster]
profile = "aster"
latency_ms = "recorded-usdm"
[instruments."lighter:ZEC"]
type = "linear"                # default; or "spot", "inverse"
tick = "0.001"
lot = "0.001"
min_qty = "0.05"
min_notional = "10"
multiplier = "1"               # base units per contract unit (inverse: quote units)
maker_fee_bps = "0"
taker_fee_bps = "0"
book = { bid = "513.647", bid_qty = "50", ask = "514.033", ask_qty = "50" }
[instruments."aster:ZEC"]
tick = "0.01"
lot = "0.001"
synthetic = { mid = "514", spread_ticks = 4, vol_bps_per_sqrt_s = 1.5, depth = "50", \
trade_rate_per_s = 2.0, correlation = "zec" }
[instruments."aster:BTC"]
tick = "0.1"
lot = "0.001"
[positions."lighter:ZEC"]
qty = "2.311"                  # signed, base units
entry = "495.246"
foreign = false                # true: at the venue, unknown to the engine
[positions."aster:ZEC"]
qty = "-2.332"
[pairs.zec]
legs = ["aster:ZEC", "lighter:ZEC"]     # one or two
config = {}                              # per-pair overlay
"""


def load(tmp_path: Path, text: str, name: str = "file.toml") -> Scenario:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_scenario(path)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, text)
    return caught.value.lines()


def with_entry(entry: str) -> str:
    return f"{CONTRACT}\n[[timeline]]\nat_s = 1.5\n{entry}\n"


def action_of(tmp_path: Path, entry: str) -> actions.Action:
    (found,) = load(tmp_path, with_entry(entry)).timeline
    assert found.at == 1_500_000_000
    assert found.after is None
    return found.action


# ---------------------------------------------------------------- top level


def test_the_contract_example_is_read_exactly(tmp_path: Path) -> None:
    scenario = load(tmp_path, CONTRACT)
    assert (scenario.name, scenario.about, scenario.source) == (
        "contract",
        "the example of the format",
        "a log",
    )
    assert (scenario.seed, scenario.duration_ns, scenario.journal) == (7, 60_500 * MS, "sqlite")
    config = scenario.config
    assert config.close.backoff_ns == 100 * MS
    assert config.close.passive_limit.timeout_ns == 5 * NS
    assert config.close.market.attempts_max == 4
    assert config.venues["lighter"].latency.stream_ns == 3 * MS
    assert config.venues["aster"].latency.recorded == "recorded-usdm"
    assert config.instruments["lighter:ZEC"].min_qty == Decimal("0.05")
    assert config.positions["lighter:ZEC"].entry == Decimal("495.246")
    assert config.pairs["zec"].legs == ("aster:ZEC", "lighter:ZEC")


def test_what_a_file_leaves_out_has_the_defaults_of_the_format(tmp_path: Path) -> None:
    scenario = load(
        tmp_path, 'name = "least"\n[venues.a]\nprofile = "ideal"\n[instruments."a:X"]\n'
        'tick = "0.01"\nlot = "0.01"\n',
    )  # fmt: skip
    assert (scenario.seed, scenario.duration_ns, scenario.journal) == (1, 300 * NS, "memory")
    assert scenario.timeline == ()


@pytest.mark.parametrize(
    "text",
    ["timeout_s = 0.1", 'timeout_s = "0.1"'],
    ids=["number", "string"],
)
def test_times_are_read_exactly_as_numbers_or_strings(tmp_path: Path, text: str) -> None:
    scenario = load(tmp_path, f"{CONTRACT}\n[config.close.aggressive_limit]\n{text}\n")
    assert scenario.config.close.aggressive_limit.timeout_ns == 100_000_000


def test_three_mistakes_are_three_errors_with_file_key_and_reason(tmp_path: Path) -> None:
    text = (
        CONTRACT.replace("seed = 7", "seed = -7")
        .replace('min_qty = "0.05"', 'min_qty = "-0.05"')
        .replace('profile = "aster"', 'profile = "aster"\nprofil = "x"')
    )
    lines = mistakes(tmp_path, text)
    assert len(lines) == 3
    file = str(tmp_path / "file.toml")
    assert all(line.startswith(f"{file}: ") for line in lines)
    joined = "\n".join(lines)
    assert "seed = -7: must be a whole number of at least 0" in joined
    assert 'instruments."lighter:ZEC".min_qty' in joined
    assert "venues.aster.profil" in joined


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('name = "contract"', "", "name", "must be given"),
        ('name = "contract"', 'name = ""', "name", "not empty"),
        ("seed = 7", "sed = 7", "sed", "is not a key"),
        ("seed = 7", f"seed = {2**64}", "seed", "at most"),
        ("seed = 7", "seed = 1.5", "seed", "whole number"),
        ('"sqlite"', '"disk"', "journal", "one of memory, sqlite"),
        ("duration_s = 60.5", "duration_s = nan", "duration_s", "finite"),
        ("duration_s = 60.5", "duration_s = -1", "duration_s", "at least 0"),
        ("duration_s = 60.5", "duration_s = 0.0000000001", "duration_s", "1 ns"),
        ('"513.647"', "513.647", 'book.bid', "in quotes"),
        ('legs = ["aster:ZEC"', 'legs = ["aster:DOGE"', "pairs.zec.legs", "[instruments]"),
        ('"-2.332"', '"2.332"', "pairs.zec.legs", "opposite sides"),
        ('"aster:BTC"]', '"bybit:BTC"]', 'bybit:BTC', "known venue"),
        ("backoff_ms = 100", "backof_ms = 100", "config.close.backof_ms", "is not a key"),
        ("[config.close]", "[config.clos]", "config.clos", "is not a key"),
        ("[config.close]", "[expect]\norder = 1\n[config.close]", "expect.order", "not a key"),
        ("[config.close]", '[expect]\norders = "x"\n[config.close]', "expect.orders", "number"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named(
    tmp_path: Path, old: str, new: str, key: str, reason: str
) -> None:
    assert old in CONTRACT
    lines = mistakes(tmp_path, CONTRACT.replace(old, new, 1))
    assert any(key in line and reason in line for line in lines), lines


def test_a_file_that_is_missing_or_no_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path / "none.toml")
    assert "is not TOML" in mistakes(tmp_path, "name = ")[0]


def test_a_recording_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    text = f'{CONTRACT}\n[instruments."aster:ETH"]\ntick = "1"\nlot = "1"\nrecording = "eth.csv"\n'
    (line,) = mistakes(tmp_path, text)
    assert "there is none at" in line
    rows = "recv_ns,exch_ms,venue,kind,bid,bid_qty,ask,ask_qty,price,qty,buyer_maker\n"
    (tmp_path / "eth.csv").write_text(f"{rows}1,,x,bbo,1,1,2,1,,,\n", encoding="utf-8")
    spec = load(tmp_path, text).config.instruments["aster:ETH"]
    assert spec.recording == str(tmp_path / "eth.csv")


# ---------------------------------------------------------------- base


def test_a_file_overlays_its_base_and_appends_to_its_timeline(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        with_entry('close = { pair = "zec", reason = "MANUAL" }'), encoding="utf-8"
    )
    (tmp_path / "sub").mkdir()
    scenario = load(
        tmp_path,
        """
        name = "upper"
        base = "../base.toml"
        [instruments."lighter:ZEC"]
        book = { bid = "513.000" }
        [[timeline]]
        at_s = 0.5
        operator = { command = "halt" }
        """,
        "sub/upper.toml",
    )
    assert (scenario.name, scenario.seed) == ("upper", 7)
    book = scenario.config.instruments["lighter:ZEC"].book
    assert book is not None
    assert (book.bid, book.bid_qty) == (Decimal("513.000"), Decimal(50))
    assert [type(entry.action) for entry in scenario.timeline] == [actions.Close, actions.Operator]


def test_another_source_of_a_book_replaces_that_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(CONTRACT, encoding="utf-8")
    scenario = load(
        tmp_path,
        'base = "base.toml"\n[instruments."lighter:ZEC"]\nsynthetic = { mid = "514" }\n',
        "upper.toml",
    )
    spec = scenario.config.instruments["lighter:ZEC"]
    assert spec.book is None
    assert spec.synthetic is not None


def test_a_mistake_is_told_with_the_file_that_it_stands_in(tmp_path: Path) -> None:
    base = CONTRACT.replace("seed = 7", "seed = -7") + "\n[[timeline]]\nat_s = 1\nbok = {}\n"
    (tmp_path / "base.toml").write_text(base, encoding="utf-8")
    lines = mistakes(tmp_path, 'base = "base.toml"\nduration_s = -1\n')
    by_file = {line.partition(": ")[0].rpartition("/")[2] for line in lines if "seed" in line}
    assert by_file == {"base.toml"}
    assert any("file.toml: duration_s" in line for line in lines)
    assert any("base.toml: timeline[0].bok" in line for line in lines)


def test_a_base_that_leads_back_or_is_missing_is_a_mistake(tmp_path: Path) -> None:
    assert any("lead back" in line for line in mistakes(tmp_path, 'base = "file.toml"\n'))
    assert any("cannot be read" in line for line in mistakes(tmp_path, 'base = "no.toml"\n'))
    assert any("name of a file" in line for line in mistakes(tmp_path, "base = 1\n"))


# ---------------------------------------------------------------- actions

Z = 'instrument = "lighter:ZEC"'

ACTIONS: list[tuple[str, actions.Action]] = [
    (
        f'book = {{ {Z}, bid = "1", bid_qty = "2", ask = "3", ask_qty = "4", mark = "2.50018" }}',
        # A mark may lie between two ticks.
        actions.Book("lighter:ZEC", *(Decimal(text) for text in ("1", "2", "3", "4", "2.50018"))),
    ),
    (
        f'trade = {{ {Z}, side = "sell", price = "513.7", qty = "0.5" }}',
        actions.Trade("lighter:ZEC", "sell", Decimal("513.7"), Decimal("0.5")),
    ),
    (
        f'fill = {{ {Z}, qty = "3" }}',
        actions.Fill("lighter:ZEC", Decimal(3)),
    ),
    (
        f'fill = {{ {Z}, qty = "3", price = "513.7", order = "last_terminal" }}',
        actions.Fill("lighter:ZEC", Decimal(3), Decimal("513.7"), "last_terminal"),
    ),
    (
        f'report = {{ {Z}, order = 2, status = "CANCELED", cum = "0", reason = "post_only" }}',
        actions.Report("lighter:ZEC", 2, "CANCELED", Decimal(0), reason="post_only"),
    ),
    (
        f'report = {{ {Z}, order = "live", cum = "6", trade = "t2", qty = "2", price = "513.7", '
        'path = "query", effect = false }',
        actions.Report(
            "lighter:ZEC", "live", None, Decimal(6), Decimal("513.7"), None, "t2", Decimal(2),
            "query", False,
        ),
    ),
    (
        'answer = { venue = "lighter", on = "cancel", outcome = "reject", '
        'reason = "UNKNOWN_ORDER", code = -2011, nth = [1, 3], count = 0, for_s = 2.5 }',
        actions.Answer(
            "lighter", "cancel", "reject", None, (1, 3), 0, 2_500 * MS, reason="UNKNOWN_ORDER",
            code="-2011",
        ),
    ),
    (
        'answer = { venue = "lighter", on = "create", outcome = "reject", code = "-1003", '
        "retry_after_s = 7.5 }",
        actions.Answer(
            "lighter", "create", "reject", code="-1003", retry_after_ns=7_500 * MS,
        ),
    ),
    (
        'answer = { venue = "lighter", on = "any", outcome = "reject", retry_after_s = 0 }',
        actions.Answer("lighter", "any", "reject", retry_after_ns=0),
    ),
    (
        f'answer = {{ venue = "lighter", on = "create", {Z}, outcome = "end", cum = "4", '
        'status = "CANCELED", delay_s = 10, effect = false }',
        actions.Answer(
            "lighter", "create", "end", "lighter:ZEC", cum=Decimal(4), status="CANCELED",
            delay_ns=10 * NS, effect=False,
        ),
    ),
    (
        'close = { pair = "zec", reason = "SEVERE_EROSION" }',
        actions.Close("zec", "SEVERE_EROSION"),
    ),
    (
        'close = { pair = "zec", reason = "own words", urgency = "urgent", ratio = "1/2" }',
        actions.Close("zec", "own words", False, "urgent", (1, 2)),
    ),
    (
        'close = { position = "aster:BTC", reason = "KILL" }',
        actions.Close("aster:BTC", "KILL", True),
    ),
    (
        'operator = { command = "settle", order = "lighter:ZEC#1", cum = "4", by = "ann" }',
        actions.Operator("settle", {"by": "ann"}, "lighter:ZEC#1", Decimal(4)),
    ),
    (
        'operator = { command = "retry", pair = "zec" }',
        actions.Operator("retry", {"pair": "zec"}),
    ),
    (
        'operator = { command = "resume", venue = "aster" }',
        actions.Operator("resume", {"venue": "aster"}),
    ),
    (
        'operator = { command = "adopt", pair = "zec", qty = "2.311" }',
        actions.Operator("adopt", {"pair": "zec"}, qty=Decimal("2.311")),
    ),
    (
        f'external = {{ {Z}, qty = "-1", price = "500", kind = "adl" }}',
        actions.External("lighter:ZEC", Decimal(-1), Decimal(500), "adl"),
    ),
    (f'funding = {{ {Z}, rate = "0.0001" }}', actions.Funding("lighter:ZEC", Decimal("0.0001"))),
    (f'funding = {{ {Z}, amount = "-2" }}', actions.Funding("lighter:ZEC", None, Decimal(-2))),
    (
        'fault = { kind = "drop_response", venue = "lighter", on = "create", nth = 1 }',
        actions.Fault(
            "drop_response", {"kind": "drop_response", "venue": "lighter", "on": "create", "nth": 1}
        ),
    ),
    (
        'fault = { kind = "crash", at = "w3", down_ms = 20000, nth = 2, probability = "1/20" }',
        actions.Crash("w3", 20 * NS, (2,), probability=(1, 20)),
    ),
    ('engine = "kill"', actions.Engine("kill")),
    ('engine = "restart"', actions.Engine("restart")),
    ('engine = "stop"', actions.Engine("stop")),
    ('engine = "freeze"\nfor_s = 2', actions.Engine("freeze", 2 * NS)),
    ('engine = { command = "freeze", for_s = 2 }', actions.Engine("freeze", 2 * NS)),
    (
        f'set = {{ {Z}, min_qty = "1", min_notional = "2", tick = "0.1", lot = "0.01" }}',
        actions.SetRules("lighter:ZEC", Decimal(1), Decimal(2), Decimal("0.1"), Decimal("0.01")),
    ),
    ('set = { venue = "aster", mode = "cancel_only" }', actions.SetMode("aster", "cancel_only")),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "action"), ACTIONS, ids=[text[:40] for text, _ in ACTIONS])
def test_every_action_is_read_with_its_keys(
    tmp_path: Path, entry: str, action: actions.Action
) -> None:
    assert action_of(tmp_path, entry) == action


def test_an_expectation_may_stand_in_the_timeline(tmp_path: Path) -> None:
    found = action_of(tmp_path, 'expect = { closes.zec.state = "passive_limit", orders = 2 }')
    assert isinstance(found, actions.ExpectNow)
    assert found.expect.orders == 2
    assert [field.path for field in found.expect.fields] == [("closes", "zec", "state")]


def test_an_action_may_follow_an_event_instead_of_the_clock(tmp_path: Path) -> None:
    text = f"""{CONTRACT}
    [[timeline]]
    after = {{ event = "filled", {Z}, nth = 2, plus_s = 0.05 }}
    engine = "kill"
    [[timeline]]
    after = {{ event = "state", machine = "close", state = "reconciling" }}
    engine = "restart"
    """
    first, second = load(tmp_path, text).timeline
    assert first.after == actions.After("filled", "lighter:ZEC", nth=2, plus_ns=50 * MS)
    assert second.after == actions.After("state", machine="close", state="reconciling")
    assert (first.at, second.at) == (None, None)


WRONG_ENTRIES = [
    ("", "timeline[0]", "exactly one action"),
    ('engine = "kill"\nclose = { pair = "zec", reason = "KILL" }', "timeline[0]", "exactly one"),
    ('after = { event = "filled" }\nengine = "kill"', "timeline[0]", "one of at_s and after"),
    ('engine = "explode"', "timeline[0].engine", "one of kill, restart, stop, freeze"),
    ('engine = "freeze"', "for_s", "with `freeze`"),
    ('engine = "kill"\nfor_s = 1', "for_s", "no other command"),
    ('engine = "kill"\nwhen = 1', "timeline[0].when", "is not a key"),
    (f'book = {{ {Z}, bid = "1", bid_qty = "1", ask = "2" }}', "book.ask_qty", "must be given"),
    ('book = "513"', "timeline[0].book", "must be a table"),
    (f'trade = {{ {Z}, side = "long", price = "1", qty = "1" }}', "trade.side", "buy, sell"),
    (f'fill = {{ {Z}, qty = "3", price = "0.0005" }}', "fill.price", "multiple of tick = 0.001"),
    (f'fill = {{ {Z}, qty = 3 }}', "fill.qty", "in quotes"),
    ('fill = { instrument = "lighter:DOGE", qty = "3" }', "fill.instrument", "one of"),
    (f'report = {{ {Z}, order = "first" }}', "report.order", '"last_terminal"'),
    (f'report = {{ {Z}, order = 1, path = "mail" }}', "report.path", "stream, query, none"),
    ('answer = { venue = "bybit", on = "create", outcome = "rest" }', "answer.venue", "one of"),
    ('answer = { venue = "aster", on = "creat", outcome = "rest" }', "answer.on", "one of"),
    ('answer = { venue = "aster", on = "create", outcome = "ok" }', "answer.outcome", "one of"),
    (
        f'answer = {{ venue = "aster", {Z}, on = "create", outcome = "rest" }}',
        "answer.instrument",
        'of the venue "aster"',
    ),
    ('close = { pair = "eth", reason = "MANUAL" }', "close.pair", "one of zec"),
    ('close = { pair = "zec", reason = "BORED" }', "close.reason", "one of"),
    ('close = { pair = "zec" }', "close.reason", "must be given"),
    ('close = { pair = "zec", reason = "MANUAL", urgency = "now" }', "close.urgency", "one of"),
    ('close = { pair = "zec", reason = "MANUAL", ratio = "3/2" }', "close.ratio", "at most 1"),
    ('close = { reason = "MANUAL" }', "timeline[0].close", "one of pair and position"),
    ('close = { position = "aster:ZEC", reason = "MANUAL" }', "close.position", "owns it"),
    (
        'answer = { venue = "aster", on = "create", outcome = "reject", retry_after_s = -1 }',
        "answer.retry_after_s",
        "at least 0",
    ),
    (
        'answer = { venue = "aster", on = "create", outcome = "reject", retry_after = 1 }',
        "answer.retry_after",
        "is not a key",
    ),
    ('operator = { command = "dance" }', "operator.command", "one of"),
    ('operator = { command = "dance", qty = "1" }', "operator.command", "one of"),
    ('operator = { command = "halt", venues = "aster" }', "operator.venues", "is not a key"),
    ('operator = { command = "resume", venue = "bybit" }', "operator.venue", "one of"),
    ('operator = { command = "halt", venue = "aster" }', "operator.venue", "with `resume`"),
    ('operator = { command = "retry", qty = "1" }', "operator.qty", "with `adopt`"),
    ('operator = { command = "adopt", qty = "0" }', "operator.qty", "above 0 in quotes"),
    ('operator = { command = "adopt", qty = "-1" }', "operator.qty", "above 0 in quotes"),
    ('operator = { command = "adopt", qty = 1 }', "operator.qty", "in quotes"),
    (f'external = {{ {Z}, qty = "1", price = "1", kind = "gift" }}', "external.kind", "one of"),
    (f"funding = {{ {Z} }}", "timeline[0].funding", "rate and amount"),
    ('fault = { kind = "gremlin" }', "fault.kind", '"gremlin"'),
    ('fault = { venue = "aster" }', "fault.kind", "must be given"),
    ('fault = { kind = "drop_response", mode = "smoke" }', "timeline[0].fault", "mode"),
    ('fault = { kind = "drop_response", strength = 3 }', "timeline[0].fault", "strength"),
    ('fault = { kind = "drop_response", venue = "bybit" }', "fault.venue", "one of"),
    ('fault = { kind = "crash", at = "w6" }', "fault.at", "w1, w2, w3, w4, w5"),
    ('fault = { kind = "crash", mode = "soft" }', "fault.mode", "is not a key"),
    (f"set = {{ {Z} }}", "timeline[0].set", "at least one of"),
    ('set = { venue = "aster", mode = "asleep" }', "set.mode", "one of"),
    ('expect = { alarms = ["dusty"] }', "expect.alarms", "dusty"),
    ('open = { pair = "zec", side_a = "buy", qty = "1" }', "`open`", "does not open positions yet"),
    (f'signal = {{ {Z}, value = "1" }}', "`signal`", "does not open positions yet"),
    # numbers that the core cannot hold, or that no step of the instrument comes to
    (f'fill = {{ {Z}, qty = "1e13" }}', "timeline[0].fill.qty = 1E+13", "at most 1E+15 times 0.00"),
    (f'fill = {{ {Z}, qty = "1", price = "1e13" }}', "fill.price", "at most 1E+15 times 0.001"),
    (f'fill = {{ {Z}, qty = "1", price = "1e30" }}', "fill.price", "at most 1E+15 times 0.001"),
    (f'fill = {{ {Z}, qty = "9e-999999999" }}', "fill.qty", "plain decimal"),
    (
        f'book = {{ {Z}, bid = "1", bid_qty = "1e13", ask = "2", ask_qty = "1" }}',
        "book.bid_qty",
        "at most 1E+15",
    ),
    (
        f'book = {{ {Z}, bid = "1", bid_qty = "1", ask = "2", ask_qty = "1", mark = "1e13" }}',
        "book.mark",
        "at most 1E+15",
    ),
    (f'report = {{ {Z}, order = 1, cum = "1e13" }}', "report.cum", "at most 1E+15"),
    (f'external = {{ {Z}, qty = "-1e13", price = "1", kind = "adl" }}', "external.qty", "1E+15"),
    (f'set = {{ {Z}, min_notional = "1e13" }}', "set.min_notional", "at most 1E+18 times"),
    (f'set = {{ {Z}, tick = "0.0015" }}', "set.tick", "a multiple of 0.001"),
    (f'funding = {{ {Z}, amount = "1e16" }}', "funding.amount", "within ±1E+15"),
    (
        'operator = { command = "settle", order = "lighter:ZEC#1", cum = "0.0000001" }',
        "operator.cum",
        "a multiple of",
    ),
    ('answer = { venue = "aster", on = "any", outcome = "end", nth = 1000000001 }', "nth", "most"),
    ('answer = { venue = "aster", on = "any", outcome = "end", count = 1e30 }', "count", "whole"),
    (
        'answer = { venue = "aster", on = "create", outcome = "end", delay_s = 1e10 }',
        "answer.delay_s",
        "at most 1000000000",
    ),
    ('close = { pair = "zec", reason = "KILL", ratio = "1/18446744073709551617" }', "ratio", "den"),
    ('close = { pair = "zec", reason = "KILL", ratio = "9e-999999999" }', "ratio", "plain"),
    ('fault = { kind = "dup_fill", copies = 1000000 }', "timeline[0].fault", "copies"),
    ('fault = { kind = "crash", down_ms = 1e30 }', "fault.down_ms", "at most"),
    ('fault = { kind = "crash", probability = "1/18446744073709551617" }', "probability", "deno"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "key", "reason"), WRONG_ENTRIES, ids=[item[0][:50] for item in WRONG_ENTRIES]
)
def test_a_wrong_entry_is_one_mistake_that_names_it(
    tmp_path: Path, entry: str, key: str, reason: str
) -> None:
    (line,) = mistakes(tmp_path, with_entry(entry))
    assert key in line
    assert reason in line


def test_what_a_timeline_adds_up_to_is_bounded_too(tmp_path: Path) -> None:
    external = f'external = {{ {Z}, qty = "4e11", price = "1", kind = "manual" }}'
    entry = f"[[timeline]]\nat_s = 1\n{external}\n"
    load(tmp_path, f"{CONTRACT}\n{entry * 2}")
    (line,) = mistakes(tmp_path, f"{CONTRACT}\n{entry * 3}")
    assert 'instruments."lighter:ZEC" = ' in line
    assert "must not be filled by more than 1E+15 times 0.001, all in all" in line


def test_numbers_are_told_with_the_file_that_they_stand_in(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(with_entry(f'fill = {{ {Z}, qty = "1e20" }}'), "utf-8")
    upper = f'base = "base.toml"\n[[timeline]]\nat_s = 2\nfill = {{ {Z}, qty = "1e21" }}\n'
    assert [line.partition(": ")[0].rpartition("/")[2] for line in mistakes(tmp_path, upper)] == [
        "base.toml",
        "file.toml",
    ]


def test_a_cumulative_needs_an_instrument_at_its_venue(tmp_path: Path) -> None:
    text = CONTRACT.replace("[venues.aster]", '[venues.c]\nprofile = "ideal"\n[venues.aster]')
    answer = 'answer = { venue = "c", on = "create", outcome = "end", cum = "1" }'
    text += f"[[timeline]]\nat_s = 1\n{answer}\n"
    (line,) = mistakes(tmp_path, text)
    assert "timeline[0].answer.cum = 1: must be at a venue with an instrument" in line


def test_a_change_of_a_position_is_whole_contracts(tmp_path: Path) -> None:
    text = CONTRACT.replace('multiplier = "1" ', 'multiplier = "3" ').replace("2.311", "3")
    text += f'[[timeline]]\nat_s = 1\nexternal = {{ {Z}, qty = "1", price = "1", kind = "adl" }}\n'
    (line,) = mistakes(tmp_path, text)
    assert "timeline[0].external.qty = 1: must be a finite number of contracts of 3" in line


def test_a_bad_row_of_a_recording_is_a_mistake_before_anything_runs(tmp_path: Path) -> None:
    text = f'{CONTRACT}\n[instruments."aster:ETH"]\ntick = "1"\nlot = "1"\nrecording = "eth.csv"\n'
    rows = "recv_ns,exch_ms,venue,kind,bid,bid_qty,ask,ask_qty,price,qty,buyer_maker\n"
    (tmp_path / "eth.csv").write_text(f"{rows}1,,x,bbo,1,1,1,1,,,\n2,,x,bbo,1e20,1,2,1,,,\n")
    (line,) = mistakes(tmp_path, text)
    assert 'instruments."aster:ETH".recording' in line
    assert "line 3: bid: 1E+20 must be at most 1E+15 times 1" in line


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x1f\x8b\x08\x00", "is damaged"),
        (gzip.compress(b"x" * 100)[:10] + b"\xff" * 100, "is damaged"),
        (gzip.compress(b"x" * 100)[:-9], "is damaged"),
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(b"\xff\xfe\n"), "codec can't decode"),
        (gzip.compress(b"\x00" * 10_000_000), "at most 4096 characters"),
    ],
    ids=["cut", "overwritten", "cut late", "plain", "bytes", "bomb"],
)
def test_a_packed_recording_that_cannot_be_unpacked_is_a_mistake(
    tmp_path: Path, data: bytes, said: str
) -> None:
    text = (
        f'{CONTRACT}\n[instruments."aster:ETH"]\ntick = "1"\nlot = "1"\nrecording = "eth.csv.gz"\n'
    )
    (tmp_path / "eth.csv.gz").write_bytes(data)
    (line,) = mistakes(tmp_path, text)
    assert 'instruments."aster:ETH".recording' in line
    assert said in line


@pytest.mark.parametrize("base", ["\\u0000", "a" * 1025, "\\u001b[31m"])
def test_a_base_that_no_file_can_be_is_a_mistake(tmp_path: Path, base: str) -> None:
    (line,) = mistakes(tmp_path, f'base = "{base}"\n')
    assert "must be the name of a file" in line


def test_a_name_that_is_too_long_for_a_recording_is_a_mistake(tmp_path: Path) -> None:
    source = '\ntick = "1"\nlot = "1"\nrecording = "' + "\u00e9" * 128 + '"\n'
    (line,) = mistakes(tmp_path, f'{CONTRACT}\n[instruments."aster:ETH"]{source}')
    assert "there is none at" in line


def test_a_timeline_that_is_no_list_is_a_mistake(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, f"{CONTRACT}\n[timeline]\nat_s = 1\n")
    assert "under [[timeline]]" in line


@pytest.mark.parametrize(
    ("after", "key", "reason"),
    [
        ('event = "sunrise"', "after.event", "one of order_live"),
        ('event = "state"', "after.state", "must name a state"),
        ('event = "state", machine = "close", state = "reconcilled"', "after.state", "reconcilled"),
        ('event = "filled", nth = 0', "after.nth", "at least 1"),
        ('event = "filled", plus_s = -1', "after.plus_s", "at least 0"),
    ],
)
def test_a_wrong_event_is_named(tmp_path: Path, after: str, key: str, reason: str) -> None:
    text = f'{CONTRACT}\n[[timeline]]\nafter = {{ {after} }}\nengine = "kill"\n'
    (line,) = mistakes(tmp_path, text)
    assert key in line
    assert reason in line


# ---------------------------------------------------------------- what the world asks for


def test_a_flat_position_that_is_closed_becomes_a_thing_of_one_leg(tmp_path: Path) -> None:
    scenario = load(tmp_path, with_entry('close = { position = "aster:BTC", reason = "KILL" }'))
    assert scenario.config.pairs["aster:BTC"].legs == ("aster:BTC",)


def test_quantities_gather_everything_about_one_instrument(tmp_path: Path) -> None:
    text = f"""{CONTRACT.replace('multiplier = "1" ', 'multiplier = "1000" ')}
    [[timeline]]
    at_s = 1
    fill = {{ {Z}, qty = "0.0005", price = "513.700" }}
    [[timeline]]
    at_s = 2
    answer = {{ venue = "lighter", on = "create", outcome = "end", cum = "0.25" }}
    [[timeline]]
    at_s = 3
    external = {{ {Z}, qty = "10", price = "500", kind = "manual" }}
    [[timeline]]
    at_s = 4
    set = {{ {Z}, lot = "0.1" }}
    [[timeline]]
    at_s = 5
    fill = {{ instrument = "aster:BTC", qty = "9" }}
    """
    scenario = load(tmp_path, text)
    mentioned = Mentions(scenario.timeline).quantities(scenario.config, "lighter:ZEC")
    assert set(mentioned) == {
        Decimal(value) for value in ("0.0005", "0.25", "0.01", "0.1", "50", "0.002311")
    }


def test_prices_keep_to_the_tick_of_the_file_where_the_timeline_changes_it(
    tmp_path: Path,
) -> None:
    text = f"""{CONTRACT}
    [[timeline]]
    at_s = 1
    set = {{ {Z}, tick = "0.0001" }}
    [[timeline]]
    at_s = 2
    trade = {{ {Z}, side = "buy", price = "513.7005", qty = "1" }}
    """
    lines = mistakes(tmp_path, text)
    assert [line.partition(": ")[2].partition(" = ")[0] for line in lines] == [
        "timeline[1].trade.price",
        "timeline[0].set.tick",
    ]
    assert all("must be a multiple of" in line for line in lines)


def test_a_position_that_is_no_number_of_contracts_is_a_mistake(tmp_path: Path) -> None:
    text = CONTRACT.replace('multiplier = "1" ', 'multiplier = "3" ')
    (line,) = mistakes(tmp_path, text)
    assert 'positions."lighter:ZEC".qty' in line


def test_the_alarm_kinds_are_one_closed_list() -> None:
    assert {"unknown_order", "fill_conflict", "dust", "venue_fee", "loss_limit"} <= ALARM_KINDS
    assert len(ALARM_KINDS) == 40


@pytest.mark.parametrize(
    "name", ["venues", "instruments", "positions", "pairs", "config", "expect"]
)
@pytest.mark.parametrize("value", ["1", "[1]", '"x"', "nan"])
def test_a_value_where_a_table_is_due_is_a_mistake(tmp_path: Path, name: str, value: str) -> None:
    lines = mistakes(tmp_path, f'name = "odd"\n{name} = {value}\n')
    assert any(f": {name} = " in line and "must be a table" in line for line in lines), lines
