"""Expectations, the printed outcome and the golden trace: each key holds, and each can fail."""

import json
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from engine.config_values import Findings, exact_float
from engine.simulation.expect_keys import Expect, Names, read_expect, trace_mark
from engine.simulation.expectations import check
from engine.simulation.golden import compare_trace, render_trace
from engine.simulation.outcome import (
    AlarmRow,
    CloseOutcome,
    FillRow,
    LegOutcome,
    NoteRow,
    OrderRow,
    Outcome,
    TransitionRow,
    decimal_text,
    seconds_text,
    to_json,
)
from engine.simulation.scenario_keys import Reader
from machines.types import MS, NS

NAMES = Names(("a", "b"), ("a:X", "b:X", "b:Y"), ("x",))


@dataclass
class Watched:
    """A history in which nothing forbidden has happened, unless a test says so."""

    max_naked_base: dict[str, Decimal] = field(default_factory=lambda: {"x": Decimal("2.4")})
    position_flips: list[str] = field(default_factory=list)
    two_live_orders: list[str] = field(default_factory=list)
    order_larger: list[str] = field(default_factory=list)
    sent_before_journalled: list[str] = field(default_factory=list)


def expect(text: str) -> Expect:
    findings = Findings()
    found = read_expect(
        Reader(tomllib.loads(text, parse_float=exact_float), "expect", findings), NAMES
    )
    assert not findings.items, findings.items
    return found


def refusals(text: str) -> list[str]:
    findings = Findings()
    read_expect(Reader(tomllib.loads(text, parse_float=exact_float), "expect", findings), NAMES)
    return [str(item) for item in findings.items]


def order(at_ms: int, key: str, qty: str, price: str | None, rung: str, number: int) -> OrderRow:
    venue, _, symbol = key.partition(":")
    return OrderRow(
        at=at_ms * MS,
        venue=venue,
        symbol=symbol,
        side="buy" if venue == "b" else "sell",
        qty=Decimal(qty),
        price=None if price is None else Decimal(price),
        kind="market" if price is None else "limit",
        post_only=rung == "passive_limit",
        reduce_only=True,
        rung=rung,
        client_id=f"id{number}",
        state="filled",
        filled=Decimal(qty),
        why="first",
        id=f"{key}#{number}",
    )


def outcome() -> Outcome:
    """A close of the pair x: A passively, B passively, then at market after a doubt."""
    run = Outcome(file="c.toml", name="c", seed=1, ended_at=12 * NS)
    for row in (
        TransitionRow(0, "close", "x", "started", "preparing", "passive_limit"),
        order(0, "a:X", "10", "100.20", "passive_limit", 1),
        order(0, "b:X", "10.0", "100.00", "passive_limit", 1),
        FillRow(1 * NS, "a:X", "a:X#1", "sell", Decimal(10), Decimal("100.20"), True, "t1"),
        TransitionRow(1 * NS, "leg", "a:X", "filled", "passive_limit", "done"),
        NoteRow(1 * NS, "cancel", "b:X#1", "cancel sent"),
        TransitionRow(4050 * MS, "order", "b:X#1", "silent", "cancelling", "unknown"),
        AlarmRow(11 * NS, "unknown_order", "b:X#1 since 4.05 s"),
        order(11_500, "b:X", "6", None, "market", 2),
        AlarmRow(11_800 * MS, "dust", "b:X -0.021"),
        TransitionRow(11_900 * MS, "close", "x", "agreed", "reconciling", "reconciled"),
    ):
        run.record(row)
    run.closes["x"] = CloseOutcome(
        state="reconciled",
        outcome="dust",
        reason="MANUAL",
        duration_ns=11_900 * MS,
        orders=3,
        naked_base_s=Decimal("31.5"),
        price_pnl=Decimal("-4.489415"),
        residual={"a:X": Decimal(0), "b:X": Decimal("-0.0210")},
        legs={
            "a:X": LegOutcome(Decimal(10), Decimal("100.2"), maker=Decimal(10)),
            "b:X": LegOutcome(Decimal(10), Decimal("100.140"), maker=Decimal(4)),
        },
    )
    run.positions = {"a:X": Decimal(0), "b:X": Decimal("-0.021"), "b:Y": None}
    run.believed = {"a:X": Decimal(0), "b:X": Decimal("-0.021"), "b:Y": None}
    run.checked, run.journal_records, run.journal_hash = 1234, 57, "ab12"
    return run


# ---------------------------------------------------------------- every key holds and can fail

HOLDS_AND_FAILS = [
    ('closes.x.state = "reconciled"', 'closes.x.state = "stuck"'),
    ('closes.x.outcome = ["flat", "dust"]', 'closes.x.outcome = ["flat", "partial"]'),
    ('closes.x.reason = "MANUAL"', 'closes.x.reason = "KILL"'),
    ("closes.x.duration_s = 11.9", "closes.x.duration_s = 11.900000001"),
    ("closes.x.orders = 3", "closes.x.orders = 2"),
    ('closes.x.naked_base_s = "31.50"', 'closes.x.naked_base_s = "31"'),
    ('closes.x.price_pnl = "-4.489415"', 'closes.x.price_pnl = "4.489415"'),
    ('closes.x.residual."b:X" = "-0.021"', 'closes.x.residual."b:X" = "0"'),
    ('closes.x.legs."b:X".average = "100.14"', 'closes.x.legs."b:X".average = "100.2"'),
    ('closes.x.legs."a:X".filled = ["9", "10"]', 'closes.x.legs."a:X".filled = ["9", "11"]'),
    ('positions."b:X" = "-0.0210"', 'positions."b:X" = "0"'),
    ('believed."a:X" = "0"', 'believed."a:X" = "10"'),
    ('believed."a:X" = "0.0"', 'believed."b:Y" = "0"'),
    ('residual."b:X" = "-0.021"', 'residual."b:X" = "0.021"'),
    ("orders_max = 3", "orders_max = 2"),
    ("orders_min = 3", "orders_min = 4"),
    ("orders = 3", "orders = 4"),
    ('orders_on."b:X".max = 2', 'orders_on."b:X".max = 1'),
    ('orders_on."b:X".min = 2', 'orders_on."b:X".min = 3'),
    ('orders_on."b:Y".exactly = 0', 'orders_on."b:X".exactly = 1'),
    ('orders_on."b:X".sides = ["buy", "buy"]', 'orders_on."b:X".sides = ["buy", "sell"]'),
    ('orders_on."b:X".qtys = ["10", "6.00"]', 'orders_on."b:X".qtys = ["10"]'),
    (
        'orders_on."b:X".rungs = ["passive_limit", "market"]',
        'orders_on."b:X".rungs = ["market", "passive_limit"]',
    ),
    ('orders_on."b:X".at_s = [0, 11.5]', 'orders_on."b:X".at_s = [0, 11.500000001]'),
    ('orders_on."b:X".prices = ["100", ""]', 'orders_on."b:X".prices = ["100", "100"]'),
    ('orders_on."b:X".kinds = ["limit", "market"]', 'orders_on."b:X".kinds = ["limit"]'),
    ("no_order_after_s = 11.5", "no_order_after_s = 11.499"),
    ('never = ["naked_base > 2.4"]', 'never = ["naked_base >= 2.4"]'),
    ('never = ["naked_base >= 2.5"]', 'never = ["naked_base > 2.3"]'),
    ('never = ["state:leg:stuck"]', 'never = ["state:leg:done"]'),
    ('never = ["state:order:contradicted"]', 'never = ["state:order:cancelling"]'),
    ('never = ["alarm:stuck"]', 'never = ["alarm:dust"]'),
    ('alarms = ["dust", "unknown_order"]', 'alarms = ["stuck"]'),
    ('alarms = ["dust*1"]', 'alarms = ["dust*2"]'),
    ('alarms = ["stuck*0"]', 'alarms = ["dust*0"]'),
    ('alarms = ["unknown_order@11"]', 'alarms = ["unknown_order@11.001"]'),
    ('alarms_exactly = ["dust", "unknown_order"]', 'alarms_exactly = ["dust"]'),
    ('alarms_exactly = ["dust", "unknown_order*1"]', "alarms_exactly = []"),
    (
        'alarms = ["dust", "unknown_order"]\nalarms_exactly = true',
        'alarms = ["dust"]\nalarms_exactly = true',
    ),
    ("within_s = 11.9", "within_s = 11.8"),
    ('maker_share_min = "7/10"', 'maker_share_min = "0.71"'),
    ('trace = ["order:cancelling>unknown"]', 'trace = ["order:sent>unknown"]'),
    (
        'trace = ["order:b:X#1:cancelling>unknown@4.05"]',
        'trace = ["order:b:X#2:cancelling>unknown@4.05"]',
    ),
    ('trace = ["leg:a:X:passive_limit>done@1"]', 'trace = ["leg:a:X:passive_limit>done@1.5"]'),
    (
        'trace = ["close:x:preparing>passive_limit", "close:reconciling>reconciled"]',
        'trace = ["close:reconciling>reconciled", "close:x:preparing>passive_limit"]',
    ),
    (
        'trace = ["leg:passive_limit>done"]',
        'trace = ["leg:passive_limit>done", "leg:passive_limit>done"]',
    ),
]


@pytest.mark.parametrize(("holds", "fails"), HOLDS_AND_FAILS, ids=[h for h, _ in HOLDS_AND_FAILS])
def test_every_expectation_can_hold_and_can_fail(holds: str, fails: str) -> None:
    assert check(expect(holds), outcome(), ended=True, history=Watched()) == []
    (line,) = check(expect(fails), outcome(), ended=True, history=Watched())
    assert ": expected " in line
    assert ", actual " in line


@pytest.mark.parametrize(
    ("condition", "attribute"),
    [
        ("position_flips", "position_flips"),
        ("two_live_orders_on_a_leg", "two_live_orders"),
        ("order_larger_than_remaining", "order_larger"),
        ("sent_before_journalled", "sent_before_journalled"),
    ],
)
def test_a_watched_condition_fails_with_what_was_seen(condition: str, attribute: str) -> None:
    wanted = expect(f'never = ["{condition}"]')
    assert check(wanted, outcome(), ended=True, history=Watched()) == []
    history = Watched()
    setattr(history, attribute, ["b:X at 1.5 s", "b:X at 2 s"])
    assert check(wanted, outcome(), ended=True, history=history) == [
        f'never "{condition}": expected never, actual b:X at 1.5 s (and 1 more)'
    ]


def test_a_failure_shows_key_expected_and_actual() -> None:
    wanted = expect(
        """
        positions."b:Y" = "1.50"
        orders_on."b:X".qtys = ["10", "4"]
        [closes.x]
        outcome = ["flat", "partial"]
        legs."a:X".fees = "0.1"
        """
    )
    assert check(wanted, outcome(), ended=True, history=Watched()) == [
        "closes.x.outcome: expected flat or partial, actual dust",
        'closes.x.legs."a:X".fees: expected 0.1, actual null',
        'positions."b:Y": expected 1.5, actual null',
        'orders_on."b:X".qtys: expected [10, 4], actual [10, 6]',
    ]


def test_a_close_that_never_began_fails_its_expectations() -> None:
    run = outcome()
    run.closes.clear()
    lines = check(
        expect('maker_share_min = "1/2"\ncloses.x.state = "reconciled"'),
        run,
        ended=True,
        history=Watched(),
    )
    assert len(lines) == 2
    assert "nothing at 'x'" in lines[0]


def test_within_fails_at_the_end_or_once_its_time_has_passed() -> None:
    run = outcome()
    run.closes["x"].state = "market"
    run.ended_at = 5 * NS
    wanted = expect("within_s = 10")
    assert check(wanted, run, ended=False, history=Watched()) == []
    (line,) = check(wanted, run, ended=True, history=Watched())
    assert "close x market at 5 s" in line
    run.ended_at = 10 * NS
    assert len(check(wanted, run, ended=False, history=Watched())) == 1


def test_within_asks_when_a_close_ended_for_good() -> None:
    run = outcome()
    run.record(TransitionRow(13 * NS, "close", "x", "late_fill", "reconciled", "reconciling"))
    run.record(TransitionRow(14 * NS, "close", "x", "agreed", "reconciling", "reconciled"))
    (line,) = check(expect("within_s = 12"), run, ended=True, history=Watched())
    assert "reconciled at 14 s" in line


@pytest.mark.parametrize(
    ("text", "machine", "identity", "arrow", "at"),
    [
        ("order:sent>unknown", "order", "", ("sent", "unknown"), None),
        ("order:b:X#1:sent>unknown@4.05", "order", "b:X#1", ("sent", "unknown"), 4050 * MS),
        ("leg:b:X:market>stuck", "leg", "b:X", ("market", "stuck"), None),
        ("close:x:market>stuck@0", "close", "x", ("market", "stuck"), 0),
        ("session:a:live>stale", "session", "a", ("live", "stale"), None),
    ],
)
def test_a_trace_mark_is_split_although_ids_have_colons(
    text: str, machine: str, identity: str, arrow: tuple[str, str], at: int | None
) -> None:
    mark = trace_mark(text)
    assert (mark.machine, mark.id, (mark.source, mark.dest), mark.at) == (
        machine,
        identity,
        arrow,
        at,
    )


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("order_max = 1", "order_max", "is not a key"),
        ("orders_max = -1", "orders_max", "at least 0"),
        ('closes.y.state = "reconciled"', "closes.y", "no pair or position"),
        ('closes.x.stat = "reconciled"', "closes.x.stat", "is not a key"),
        ('closes.x.legs."c:X".filled = "1"', "c:X", "no instrument"),
        ('closes.x.legs."a:X".fill = "1"', "fill", "is not a key"),
        ("closes.x.price_pnl = 1.5", "price_pnl", "in quotes"),
        ('opens.x.state = "opened"', "expect.opens", "does not open positions yet"),
        ('positions."c:X" = "0"', "c:X", "no instrument"),
        ('believed."a:X" = 0', "believed", "in quotes"),
        ('orders_on."a:X".side = ["buy"]', "side", "is not a key"),
        ('orders_on."a:X".sides = ["long"]', "sides", "one of buy, sell"),
        ('orders_on."a:X".qtys = "1"', "qtys", "a list"),
        ('never = ["naked_base < 2"]', "never", "is not"),
        ('never = ["naked"]', "never", "is not"),
        ('never = ["state:robot:happy"]', "never", "a machine"),
        ('never = ["state:leg:happy"]', "never", '"happy"'),
        ('never = ["state:leg"]', "never", "is not"),
        ('never = ["alarm:loud"]', "never", '"loud"'),
        ('alarms = ["loud*1"]', "alarms", '"loud"'),
        ('alarms = ["dust*x"]', "alarms", "number"),
        ('alarms = ["dust@soon"]', "alarms", "number"),
        ("alarms_exactly = false", "alarms_exactly", "a list"),
        ('maker_share_min = "3/2"', "maker_share_min", "at most 1"),
        ('trace = ["order>unknown"]', "trace", "machine:source>dest"),
        ('trace = ["order:sent"]', "trace", "machine:source>dest"),
        ('trace = ["robot:sent>unknown"]', "trace", "a machine"),
        ('trace = ["order:sent>unkown"]', "trace", '"unkown"'),
        ("within_s = -1", "within_s", "at least 0"),
    ],
)
def test_a_misspelt_expectation_is_a_mistake_of_the_file(text: str, key: str, reason: str) -> None:
    (line,) = refusals(text)
    assert key in line
    assert reason in line


# ---------------------------------------------------------------- output


def test_json_is_one_line_with_the_keys_of_the_format() -> None:
    printed = to_json(outcome())
    assert "\n" not in printed
    found = json.loads(printed, parse_float=Decimal)
    assert list(found) == [
        "file", "name", "ok", "failed", "seed", "ended_at_s", "closes", "opens", "positions",
        "believed", "orders", "transitions", "alarms", "invariants", "journal",
    ]  # fmt: skip
    close = found["closes"]["x"]
    assert list(close) == [
        "state", "outcome", "reason", "duration_s", "orders", "naked_base_s", "price_pnl",
        "residual", "legs",
    ]  # fmt: skip
    assert close["residual"]["b:X"] == "-0.021"
    assert close["duration_s"] == Decimal("11.9")
    assert close["legs"]["b:X"] == {
        "filled": "10", "average": "100.14", "fees": None, "price_pnl": None,
        "slippage_bps": None, "funding": None,
    }  # fmt: skip
    assert found["orders"][2] == {
        "at_s": Decimal("11.5"), "venue": "b", "symbol": "X", "side": "buy", "qty": "6",
        "price": None, "kind": "market", "post_only": False, "reduce_only": True,
        "rung": "market", "client_id": "id2", "state": "filled", "filled": "6", "why": "first",
    }  # fmt: skip
    assert found["transitions"][2] == {
        "at_s": Decimal("4.05"), "machine": "order", "id": "b:X#1", "trigger": "silent",
        "source": "cancelling", "dest": "unknown",
    }  # fmt: skip
    assert found["alarms"][1] == {"at_s": Decimal("11.8"), "kind": "dust", "text": "b:X -0.021"}
    assert found["positions"] == {"a:X": "0", "b:X": "-0.021", "b:Y": None}
    assert found["invariants"] == {"checked": 1234, "violated": []}
    assert found["journal"] == {"records": 57, "hash": "ab12"}


def test_an_open_has_its_quantity_too() -> None:
    run = outcome()
    run.opens["x"] = CloseOutcome("opened", "full", qty=Decimal("10.00"))
    assert json.loads(to_json(run))["opens"]["x"]["qty"] == "10"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"), ("-0.00", "0"), ("1E+3", "1000"), ("1E-9", "0.000000001"), ("10", "10"),
        ("0.0210", "0.021"), ("-43.487910224", "-43.487910224"),
        ("9e999999999", "9E+999999999"), ("-1e-999999", "-1E-999999"), ("0e999999999", "0"),
    ],
)  # fmt: skip
def test_decimals_are_written_in_fixed_point(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "0"),
        (4_050_000_000, "4.05"),
        (1, "0.000000001"),
        (10 * NS, "10"),
        (-1_500_000_000, "-1.5"),
    ],
)
def test_times_are_written_with_all_their_digits(at_ns: int, text: str) -> None:
    assert seconds_text(at_ns) == text


def test_a_trace_has_one_line_per_event_in_order() -> None:
    assert render_trace(outcome()).splitlines() == [
        "# c, seed 1",
        "      0.000  close    x                  started  preparing>passive_limit",
        "      0.000  sent     a:X#1              sell 10 @ 100.2 limit post_only reduce_only "
        "(passive_limit, first)",
        "      0.000  sent     b:X#1              buy 10 @ 100 limit post_only reduce_only "
        "(passive_limit, first)",
        "      1.000  fill     a:X#1              sell 10 @ 100.2 maker",
        "      1.000  leg      a:X                filled  passive_limit>done",
        "      1.000  cancel   b:X#1              cancel sent",
        "      4.050  order    b:X#1              silent  cancelling>unknown",
        "     11.000  alarm    unknown_order      b:X#1 since 4.05 s",
        "     11.500  sent     b:X#2              buy 6 market reduce_only (market, first)",
        "     11.800  alarm    dust               b:X -0.021",
        "     11.900  close    x                  agreed  reconciling>reconciled",
        "     12.000  end      close x            reconciled dust",
        "     12.000  end      a:X                position 0",
        "     12.000  end      b:X                position -0.021",
        "     12.000  end      b:Y                position unknown",
    ]


def test_a_golden_trace_is_compared_line_by_line(tmp_path: Path) -> None:
    golden = tmp_path / "c.trace"
    assert "no such trace" in compare_trace(golden, "x\n")[0]
    text = render_trace(outcome())
    golden.write_text(text, encoding="utf-8")
    assert compare_trace(golden, text) == []
    lines = compare_trace(golden, text.replace("reconciled dust", "reconciled flat"))
    assert "-     12.000  end      close x            reconciled dust" in lines
    assert "+     12.000  end      close x            reconciled flat" in lines
