"""Starts the real command line on a small configuration; it must not assert anything.

The configuration closes within a second: venues without habits, short rungs, a thin spread.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.config import load
from engine.recovery import Paths

ROOT = Path(__file__).parent.parent
#: A process that takes longer than this hangs.
LIMIT_S = 60

_VENUE = """
[venues.{name}]
profile = "{profile}"
latency_ms = {{ request = 2, response = 2, stream = 1, public = 1 }}
deadline_ms = 200
decision_timeout_ms = 300
read_lag_ms = 100
clock_error_max_ms = 1
{extra}
"""
_INSTRUMENT = """
[instruments."{key}"]
tick = "0.01"
lot = "0.001"
min_qty = "0.001"
min_notional = "5"
synthetic = {{ mid = "{mid}", spread_ticks = 4, vol_bps_per_sqrt_s = 1, trade_rate_per_s = 2 }}

[positions."{key}"]
qty = "{qty}"
entry = "{mid}"
"""
_CLOSE = """
[close]
backoff_ms = 50
cancel_timeout_s = 0.3
stuck_retry_s = 0.5
[close.passive_limit]
timeout_s = 0.4
requote_min_s = 0.1
[close.aggressive_limit]
timeout_s = 0.8
attempt_timeout_s = 0.2
[close.market]
attempt_timeout_s = 0.3
"""
_PAIRS = """
[pairs.eth]
legs = ["one:ETH", "two:ETH"]
[pairs.btc]
legs = ["one:BTC", "two:BTC"]
"""
_RUN = """
[run]
seed = 3
deadline_s = 30
[[run.closes]]
pair = "eth"
reason = "TAKE_PROFIT"
at_s = 0.05
[[run.closes]]
pair = "btc"
reason = "TRAILING_STOP"
at_s = 0.15
[[run.closes]]
pair = "one:SOL"
reason = "TIME_LIMIT"
at_s = 0.1
"""


def config_text(*, closes: bool = True, tick_one: str = "0.01") -> str:
    """A configuration of two venues, two pairs and a single position."""
    verdict = "override = { verdict_ms = [5, 60], deadline = 'matching', lag_ms = 50 }"
    parts = [
        _VENUE.format(name="one", profile="ideal", extra=""),
        _VENUE.format(name="two", profile="lighter", extra=verdict),
        _INSTRUMENT.format(key="one:ETH", mid="2000.00", qty="0.500").replace(
            'tick = "0.01"', f'tick = "{tick_one}"'
        ),
        _INSTRUMENT.format(key="two:ETH", mid="2000.10", qty="-0.500"),
        _INSTRUMENT.format(key="one:BTC", mid="60000.00", qty="-0.020"),
        _INSTRUMENT.format(key="two:BTC", mid="60001.00", qty="0.021"),
        _INSTRUMENT.format(key="one:SOL", mid="150.00", qty="3"),
        _CLOSE,
        _PAIRS,
        "[engine]\ngrace_ms = 100\n",
    ]
    return "".join([*parts, _RUN] if closes else parts)


class LiveEngine:
    """One folder with a configuration, and the processes started on it."""

    def __init__(self, folder: Path, text: str) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(text, encoding="utf-8")
        self.paths = Paths(load(self.config))

    def command(self, *arguments: str) -> list[str]:
        """The command line for `arguments`."""
        return [sys.executable, "-m", "engine", *arguments, "--config", str(self.config)]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Start `unwind run` and end it for good at the end."""
        process = subprocess.Popen(
            self.command("run", *arguments),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=LIMIT_S)


def read_until(process: "subprocess.Popen[str]", *words: str) -> str:
    """Read the output of a running engine up to the line that holds all `words`."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if all(word in line for word in words):
            return seen
    raise AssertionError(f"the engine ended without {words}: {seen}")
