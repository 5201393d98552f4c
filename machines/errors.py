"""Errors by whose fault they are; nothing here is ever swallowed."""

from typing import Any


class IllegalTransition(Exception):
    """A fact or proposal met a state without a row for it: our bug, the machine is quarantined.

    `culprit` is the machine object.
    """

    def __init__(
        self, machine: str, state: str, trigger: str, detail: str = "", culprit: Any = None
    ) -> None:
        super().__init__(
            f"{machine}: no row for {trigger!r} in state {state!r}{': ' if detail else ''}{detail}"
        )
        self.machine = machine
        self.culprit = culprit
        self.state = state
        self.trigger = trigger


class InvariantBroken(Exception):
    """A production assertion of the invariant list failed: our bug, the machine is quarantined.

    `culprit` is the machine object, None where no single machine is to blame.
    """

    def __init__(self, invariant: str, text: str, culprit: Any = None) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.culprit = culprit


class TableError(Exception):
    """A transition table is malformed; raised at import, with every finding at once."""

    def __init__(self, machine: str, findings: list[str]) -> None:
        super().__init__(f"table of {machine}: " + "; ".join(findings))
        self.findings = findings


class ReplayDiverged(Exception):
    """Folding the journal produced other commands than those it recorded."""
