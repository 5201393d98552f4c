"""What the checkers found wrong: one list per condition, and all of them by invariant.

A finding is a sentence with its time and is noted once. It must not decide what is wrong.
"""

from __future__ import annotations

from engine.simulation.outcome import seconds_text


class Violations:
    """Findings in the order in which they were made; every list is empty if all is well."""

    def __init__(self) -> None:
        self.now = 0
        #: Time 0 of the scenario.
        self.origin = 0
        self.all: list[str] = []
        self.position_flips: list[str] = []
        self.two_live_orders: list[str] = []
        self.order_larger: list[str] = []
        self.sent_before_journalled: list[str] = []

    def note(self, invariant: str, text: str, where: list[str] | None = None) -> None:
        """Note a finding at the present moment; `where` is the list of its condition, if any."""
        line = f"{seconds_text(self.now - self.origin)} s: {text}"
        if where is not None and line not in where:
            where.append(line)
        entry = f"{invariant} {line}"
        if entry not in self.all:
            self.all.append(entry)
