"""The scripted answers and faults in force at one simulated venue, and what they make of an event.

Every request and private frame passes here on its way. Answers form a queue: an event takes the
first that matches; a standing answer that only delays goes on top. This module must not know
orders or books; it says what is to happen to the event, the venue does it.
"""

from collections.abc import Sequence

from msgspec import Struct

from machines.types import MS
from venues.port import Scheduler
from venues.sim.faults import Decision, Fault, activate
from venues.sim.selection import Counters, Selector

OUTCOMES = ("accept", "reject", "timeout", "error", "not_found", "rest", "end")


class Answer(Struct):
    """One canned answer, normalised: units, nanoseconds, a closed reason beside the raw text.

    `cause`: as a refusal it leaves the order in doubt. `retry_ns` is the time that a refusal states
    until the venue takes orders again, None where it states none.
    """

    selector: Selector
    outcome: str = "accept"
    cum: int | None = None
    status: str | None = None
    reason: str = ""
    text: str = ""
    hold_ns: int = 0
    effect: bool = True
    cause: str = ""
    retry_ns: int | None = None

    def retry_at(self, at: int) -> int:
        """Return when orders are taken again, told by a refusal that arrives at `at`; 0 if not."""
        return 0 if self.retry_ns is None else at + self.retry_ns

    @property
    def only_delays(self) -> bool:
        """Whether it changes nothing but the time of the answer."""
        return (
            self.outcome == "accept"
            and self.effect
            and self.cum is None
            and self.status is None
            and not self.reason
        )


class Fate:
    """What becomes of one request.

    `lost`: it never takes effect. `mute`: no answer comes. `cause`: the call ends as unknown for
    this cause. `hold_ns` delays the answer, `lag_ns` is the age of what a read shows.
    """

    __slots__ = ("answer", "cause", "decisions", "hold_ns", "lag_ns", "lost", "mute")

    def __init__(self) -> None:
        self.lost = False
        self.mute = False
        self.cause = ""
        self.hold_ns = 0
        self.lag_ns = 0
        self.answer: Answer | None = None
        self.decisions: tuple[Decision, ...] = ()

    def decision(self, kind: str) -> Decision | None:
        """Return the activation of a kind that the venue itself carries out."""
        return next((item for item in self.decisions if item.kind == kind), None)


#: The fate of a request that meets no rule; shared, never changed.
PLAIN = Fate()


class Rules:
    """Answers, faults and event counters of one venue; `decisions` is the run's, shared."""

    __slots__ = ("_answers", "_counters", "_faults", "_lean", "_scheduler", "decisions", "quiet")

    def __init__(self, scheduler: Scheduler, decisions: list[Decision], lean: bool) -> None:
        self._scheduler = scheduler
        self._counters = Counters()
        self._answers: list[Answer] = []
        self._faults: list[Fault] = []
        self._lean = lean
        self.decisions = decisions
        #: Nothing is in force and nothing is counted: events need not pass.
        self.quiet = lean

    @property
    def watches_books(self) -> bool:
        """Whether any rule concerns market data frames."""
        selectors = [answer.selector for answer in self._answers]
        selectors += [fault.selector for fault in self._faults]
        now = self._scheduler.now
        return any("book" in item.on and not item.spent(now) for item in selectors)

    def add_answer(self, answer: Answer) -> None:
        """Put an answer into force, behind those already there."""
        self._answers.append(answer)
        self.quiet = False

    def add_fault(self, fault: Fault) -> None:
        """Put a fault into force, behind those already there."""
        self._faults.append(fault)
        self.quiet = False

    def decide(self, fault: Fault) -> Decision:
        """Record an activation that no event brought about, and return it."""
        decision = Decision(len(self.decisions), fault.name, fault.parameters(), None)
        self.decisions.append(decision)
        return decision

    def _expire(self, now: int) -> None:
        self._answers = [item for item in self._answers if not item.selector.spent(now)]
        self._faults = [item for item in self._faults if not item.selector.spent(now)]
        self.quiet = self._lean and not self._answers and not self._faults

    def _answer(self, on: str, instrument: int, now: int) -> tuple[Answer | None, int]:
        """Return the answer that the event takes and the delay of those that only delay."""
        chosen = None
        hold = 0
        for answer in self._answers:
            standing = answer.only_delays and answer.selector.left is None
            if (chosen is None or standing) and answer.selector.takes(
                on, instrument, now, self._counters, None
            ):
                hold = max(hold, answer.hold_ns)
                if not standing:
                    chosen = answer
        return chosen, hold

    def request(self, on: str, instrument: int) -> Fate:
        """Count a request as it reaches the venue and return its fate."""
        if self.quiet:
            return PLAIN
        now = self._scheduler.now
        self._counters.count(on, instrument)
        if not self._answers and not self._faults:
            return PLAIN
        answer, hold = self._answer(on, instrument, now)
        found = activate(self._faults, (on, instrument), now, self._counters, self.decisions)
        self._expire(now)
        return fate_of(answer, hold, found) if answer or hold or found else PLAIN

    def frame(self, on: str, instrument: int) -> tuple[Answer | None, int, Sequence[Decision]]:
        """Count a stream frame and return the answer, delay and faults that it meets."""
        now = self._scheduler.now
        self._counters.count(on, instrument)
        if not self._answers and not self._faults:
            return None, 0, ()
        answer, hold = self._answer(on, instrument, now)
        found = activate(self._faults, (on, instrument), now, self._counters, self.decisions)
        self._expire(now)
        return answer, hold, found


def _lose_answer(fate: Fate, mode: str) -> None:
    if mode == "timeout":
        fate.mute = True
    else:
        fate.cause = mode


def fate_of(answer: Answer | None, hold_ns: int, decisions: Sequence[Decision]) -> Fate:
    """Join what the answer and the faults say about one request."""
    fate = Fate()
    fate.answer = answer
    fate.hold_ns = hold_ns
    fate.decisions = tuple(decisions)
    if answer is not None:
        if answer.outcome == "timeout":
            fate.mute = True
            fate.lost = not answer.effect
        elif answer.outcome == "error":
            fate.cause = answer.text or "5xx"
            fate.lost = not answer.effect
    for decision in decisions:
        given = decision.parameters
        if decision.kind == "drop_response":
            _lose_answer(fate, given["mode"])
        elif decision.kind == "drop_request":
            fate.lost = True
            _lose_answer(fate, given["mode"])
        elif decision.kind == "cancel_lost":
            fate.mute = True
            fate.lost = fate.lost or given["lose"] == "request"
        elif decision.kind == "fill_before_ack":
            fate.hold_ns = max(fate.hold_ns, given["ack_delay_ms"] * MS)
        elif decision.kind == "stale_read":
            fate.lag_ns = max(fate.lag_ns, given["lag_ms"] * MS)
    return fate
