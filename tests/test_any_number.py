"""Whatever numbers a file or a request holds: refused with key and value, or run to the end.

Documents are drawn from a good one by putting hostile numbers where numbers stand; the draws are
the same every time.
"""

import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.control import CloseWanted, check_close
from engine.simulation.outcome import to_json
from engine.simulation.runner import main as sim
from engine.simulation.scenario import ScenarioError, load_scenario
from engine.simulation.world import World
from machines.messages import CloseRequested
from venues.numbers import RATIO_MAX

#: A good scenario; "<x>" is a number in quotes, "<<x>>" one without.
DOCUMENT = """
name = "numbers"
seed = <<3>>
duration_s = 30

[config.close]
backoff_ms = <<500>>
break_even_max_deviation_pct = <<0.5>>
spread_max_pct = <<2>>
spread_wait_s = <<20>>
naked_budget_usd_s = <<50000>>
stuck_retry_s = <<30>>
hold_together_s = <<300>>
[config.close.passive_limit]
price = "near_far_touch"
offset_bps = <<1>>
timeout_s = <<3>>
requotes_max = <<10>>
[config.close.aggressive_limit]
timeout_s = <<3>>
inside_attempts = <<2>>
attempts_max = <<8>>
slippage_max_bps = <<50>>
[config.close.market]
slippage_max_bps = <<200>>
widen_bps = <<100>>
attempts_max = <<4>>

[venues.a]
profile = "ideal"
latency_ms = { request = <<5>>, response = <<5>>, stream = <<3>>, public = <<3>> }
balance = "<100000>"
[venues.b]
profile = "aster"
deadline_ms = <<2000>>
[venues.b.override]
taker_fee_bps = <<3.5>>
verdict_ms = [<<1>>, <<2>>]

[instruments."a:X"]
tick = "<0.01>"
lot = "<0.1>"
min_qty = "<0.1>"
min_notional = "<5>"
multiplier = "<1>"
taker_fee_bps = <<5>>
book = { bid = "<99.95>", bid_qty = "<50>", ask = "<100.05>", ask_qty = "<50>" }
[instruments."b:X"]
tick = "<0.01>"
lot = "<0.1>"
synthetic = { mid = "<100>", depth = "<50>", spread_ticks = <<4>>, trade_rate_per_s = <<2>> }

[positions."a:X"]
qty = "<10>"
entry = "<100>"
[positions."b:X"]
qty = "-<10>"
entry = "<100>"
[pairs.x]
legs = ["a:X", "b:X"]

[[timeline]]
at_s = <<0>>
close = { pair = "x", reason = "MANUAL", ratio = "<1/2>" }
[[timeline]]
at_s = <<1>>
fill = { instrument = "a:X", qty = "<0.5>" }
[[timeline]]
at_s = <<2>>
external = { instrument = "b:X", qty = "<0.5>", price = "<100>", kind = "adl" }
[[timeline]]
at_s = <<2>>
funding = { instrument = "b:X", rate = "<0.0001>" }
[[timeline]]
at_s = <<2>>
fault = { kind = "dup_fill", copies = <<2>>, delay_ms = <<10>>, nth = <<1>>, count = <<3>> }
[[timeline]]
at_s = <<4>>
book = { instrument = "a:X", bid = "<99>", bid_qty = "<50>", ask = "<101>", ask_qty = "<50>" }
[[timeline]]
at_s = <<5>>
set = { instrument = "a:X", min_qty = "<0.2>", min_notional = "<10>", lot = "<0.1>" }
"""
_PLACE = re.compile(r"<<([^<>]*)>>|<([^<>]*)>")
PLACES = len(_PLACE.findall(DOCUMENT))

#: Edges of the range, numbers just beyond them, and what is no number of anything.
HOSTILE = [
    "0", "-1", "1", "0.1", "3", "0.000000000001", "9999", "10000", "1e9", "1e12", "123456789012",
    "999999999999999", "1e15", "1e-15", "1000000000000001", "1e18", str(2**63), str(2**64),
    str(2**65), "1e30", "1e-30", "1e300", "9e-999999999", "9e999999999", "nan", "inf", "-inf",
    "9" * 41, "9" * 4000, f"1/{10**15}", f"1/{2**65}", "1/0", "",
]  # fmt: skip
numbers = st.one_of(
    st.sampled_from(HOSTILE),
    st.decimals(allow_nan=False, allow_infinity=False, places=None).map(str),
    st.integers(-(2**70), 2**70).map(str),
)


def document(changes: dict[int, str]) -> str:
    """The document with some of its numbers replaced."""
    count = -1

    def put(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return changes.get(count, match[1] or match[2])

    return _PLACE.sub(put, DOCUMENT)


def test_the_document_that_is_changed_is_good_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "numbers.toml"
    path.write_text(document({}), encoding="utf-8")
    assert sim([path]) == 0, capsys.readouterr()


@pytest.mark.slow  # some hundred documents, a good part of which run for half a minute each
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.dictionaries(st.integers(0, PLACES - 1), numbers, min_size=1, max_size=3))
def test_any_document_is_refused_by_key_or_runs_and_folds(
    tmp_path: Path, changes: dict[int, str]
) -> None:
    path = tmp_path / "numbers.toml"
    path.write_text(document(changes), encoding="utf-8")
    try:
        scenario = load_scenario(path)
    except ScenarioError as error:
        for line in error.lines():
            assert line.startswith(f"{path}: ")
            assert line.isprintable()
            assert len(line) < 1000
            assert " = " in line or "is not TOML" in line
        return
    world = World(scenario)
    outcome = world.run()
    # What the venue is told to do may contradict itself; what was recorded must not.
    assert not [line for line in outcome.violated if line.startswith(("I12", "I1 "))]
    assert world.process.journal.last_seq == outcome.journal_records > 0
    assert to_json(outcome)


@given(st.one_of(numbers, st.text(max_size=80), st.tuples(numbers, numbers).map("/".join)))
def test_any_ratio_is_refused_by_its_value_or_can_be_recorded(text: str) -> None:
    refused = ""
    try:
        part, whole = check_close(CloseWanted("eth", "MANUAL", None, text), ["eth"])
    except ValueError as error:
        refused = str(error)
    if refused:
        assert refused.startswith(f"the ratio {text[:80]!r} must be above 0 and at most 1")
        return
    assert 0 < part <= whole <= RATIO_MAX
    fact = CloseRequested(0, "eth", "MANUAL", None, (part, whole))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=CloseRequested) == fact
    top, _, bottom = text.partition("/")
    assert Decimal(top) * whole == Decimal(bottom or 1) * part
