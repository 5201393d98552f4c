"""The connection between a simulated venue and the engine: delays, gaps and faults of frames.

Answers take the response path whether or not the streams stand. Private frames are lost while they
do not, and pass the scripted answers and faults on their way. This module must not know orders or
books; it carries what the venue says.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from machines.messages import Fact, LinkClosed, LinkOpened
from machines.types import MS, NS
from venues.port import DELIVER, HOUSEKEEP, Scheduler, Sink
from venues.sim.draws import Draws
from venues.sim.faults import Decision, Fault
from venues.sim.latency import Latency
from venues.sim.rules import Fate, Rules


class Reply:
    """The answer to one request, as far as its fate lets one through."""

    __slots__ = ("_link", "fate")

    def __init__(self, link: "Link", fate: Fate) -> None:
        self._link = link
        self.fate = fate

    def at(self) -> int | None:
        """Return when the answer arrives, or None if none does."""
        fate = self.fate
        if fate.mute or fate.cause:
            return None
        return self._link.response_at(fate.hold_ns)


class Link:
    """Delivery to one engine."""

    __slots__ = (
        "_draws",
        "_opened_at",
        "_response",
        "_rules",
        "_scheduler",
        "_sink",
        "_stream",
        "greet",
        "opened",
        "up",
        "venue",
    )

    def __init__(
        self,
        venue: str,
        scheduler: Scheduler,
        sink: Sink,
        latency: Latency,
        rules: Rules,
        draws: Draws,
    ) -> None:
        self.venue = venue
        self._scheduler = scheduler
        self._sink = sink
        self._response = latency.response
        self._stream = latency.stream
        self._rules = rules
        self._draws = draws
        self._opened_at = 0
        #: The streams stand.
        self.up = False
        #: Called when the streams come up or go down.
        self.opened: Callable[[], None] = _nothing
        #: Called first of all on a new connection, with its time.
        self.greet: Callable[[int], None] = _silent

    def response_at(self, hold_ns: int = 0) -> int:
        """Return when an answer given now arrives; one that is held back overtakes none."""
        path = self._response
        now = self._scheduler.now
        due = now if path.direct else path.due(now)
        return due + hold_ns if hold_ns else due

    def stream_at(self) -> int:
        """Return when a private frame sent now arrives."""
        path = self._stream
        now = self._scheduler.now
        return now if path.direct else path.due(now)

    def deliver(self, fact: Fact) -> None:
        """Hand a fact over at its own `at`."""
        at: int = fact.at
        if at > self._scheduler.now:
            self._scheduler.at(at, DELIVER, self._sink.fact, fact)
        else:
            self._sink.fact(fact)

    def frame(self, fact: Fact, instrument: int, fill: bool = False) -> None:
        """Send a private frame, timed by `stream_at`; `fill` marks one that tells of a fill."""
        if not self.up:
            return
        if self._rules.quiet:
            self.deliver(fact)
            return
        self._troubled_frame(fact, instrument, fill)

    def _troubled_frame(self, fact: Fact, instrument: int, fill: bool) -> None:
        answer, hold, faults = self._rules.frame("user", instrument)
        if answer is not None and answer.outcome in ("timeout", "error"):
            return
        if self._closes(faults):
            return
        at = fact.at + hold
        if fill:
            found = self._rules.frame("fill", instrument)[2]
            for decision in found:
                given = decision.parameters
                if decision.kind == "delta_vs_cum":
                    # Off the queue, so that a later frame may overtake it.
                    at += given["permute_ms"] * MS
                elif decision.kind == "dup_fill":
                    for copy in range(1, given["copies"] + 1):
                        again = at + copy * given["delay_ms"] * MS
                        self.deliver(replace(fact, at=again))
        self.deliver(fact if at == fact.at else replace(fact, at=at))

    def book_passes(self, instrument: int) -> bool:
        """Return whether a market data frame gets through the rules in force."""
        answer, _, faults = self._rules.frame("book", instrument)
        if answer is not None and answer.outcome in ("timeout", "error"):
            return False
        return not self._closes(faults)

    def _closes(self, faults: Sequence[Decision]) -> bool:
        for decision in faults:
            if decision.kind == "forced_close":
                self.close(f"closed {decision.parameters['code']}")
                return True
        return False

    def open(self, at: int) -> None:
        """Bring the streams up: the engine learns it at `at`, and from then on frames flow."""
        if at > self._scheduler.now:
            self._scheduler.at(at, DELIVER, self._open_now, at)
        else:
            self._open_now(at)

    def _open_now(self, at: int) -> None:
        self.up = True
        self._opened_at = at
        self._sink.fact(LinkOpened(at, self.venue))
        self.greet(at)
        self.opened()

    def drop(self) -> None:
        """Break the streams without a word, as when the engine's process dies."""
        self.up = False
        self.opened()

    def close(self, cause: str) -> None:
        """Break the streams; what is on its way still arrives, what follows is lost."""
        if not self.up:
            return
        self.up = False
        self.deliver(LinkClosed(self.stream_at(), self.venue, cause, self._draws.below(1_000_000)))
        self.opened()

    def close_at_age(self, fault: Fault) -> None:
        """Arrange for a `forced_close` that states the age of the connection at which it comes."""
        age = int(fault.given["at_s"]) * NS
        due = max(self._opened_at + age, self._scheduler.now)
        self._scheduler.at(due, HOUSEKEEP, self._aged, (fault, self._opened_at))

    def _aged(self, argument: tuple[Fault, int]) -> None:
        fault, opened_at = argument
        if self.up and self._opened_at == opened_at:
            self.close(f"closed {self._rules.decide(fault).parameters['code']}")


def _nothing() -> None:
    return None


def _silent(at: int) -> None:
    return None
