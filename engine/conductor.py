"""Conducts one run: asks for the configured closes, ends when all is done, stops when told to.

It decides when the process ends and with which code, nothing about any close. It must not know a
venue or how a run is shown.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from loguru import logger

from engine.aftermath import Aftermath
from engine.books import LOST_TAIL
from engine.interrupts import HELD
from engine.live import Engine
from engine.recovery import RUN, Boot
from engine.supervisor import Supervisor
from machines.env import STOP
from machines.messages import (
    CloseRequested,
    EngineStarted,
    OperatorCommanded,
    PositionDeclared,
)

EXIT_FLAT = 0
EXIT_LEFT = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_STOPPED = 130


class Conductor:
    """The course of one run. `say(text)` tells the person who watches."""

    def __init__(self, engine: Engine, boot: Boot, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._boot = boot
        self._run = boot.config.run
        self._say = say
        self._signals = 0
        self._ready_at: int | None = None
        self._grace_until = 0
        #: What is left after a failure, in words.
        self.last_words: list[str] = []
        self._open = [number for number in range(len(self._run.closes)) if not boot.is_done(number)]

    def begin(self) -> None:
        """Take over the journal: the new epoch, at the first start the positions.

        Where the journal has lost its end, a halt may be among what is lost: it is said anew, in
        the same batch as the start, so that no death between the two can forget it.
        """
        engine, boot = self._engine, self._boot
        first = boot.is_first
        engine.fact(EngineStarted(engine.clock.now(), boot.journal.epoch))
        if boot.lost:
            engine.fact(OperatorCommanded(engine.clock.now(), "halt", by=LOST_TAIL))
        if first:
            for key, spec in boot.config.positions.items():
                if not spec.foreign:
                    instrument, qty = boot.position(key, spec)
                    now = engine.clock.now()
                    engine.fact(PositionDeclared(now, instrument.index, qty, spec.entry))

    async def conduct(self, supervisor: Supervisor) -> int:
        """Conduct the run to its end; return the exit code. Orders may rest only if it says so."""
        code = await supervisor.attempt("conductor", self._course)
        if code is not None and not self._engine.failure:
            return code
        self._engine.stopping = True
        await supervisor.attempt("aftermath", self._look_after)
        return EXIT_FAILED

    async def _course(self) -> int:
        engine = self._engine
        self.begin()
        while True:
            due = self._request_due()
            if self._is_over():
                break
            await engine.changed.wait_until(due, engine.clock)
        if not engine.failure and (engine.alive() or engine.live_orders()):
            await engine.park(STOP)
        return self._code()

    async def _look_after(self) -> None:
        """Cancel what rests although a part has failed, and note what is left."""
        logger.info("nothing is created any more: {}", self._engine.failure)
        aftermath = Aftermath(self._engine)
        await aftermath.run()
        self.last_words = aftermath.lines()
        for line in self.last_words:
            logger.info("{}", line)

    async def listen(self) -> None:
        """Take Ctrl-C, SIGTERM and a closed terminal: the first asks for an end, more insist.

        What came while the process started counts as if it came now.
        """
        try:
            with anyio.open_signal_receiver(*HELD.wanted()) as signals:
                for number in HELD.taken():
                    self._stop(number.name)
                async for number in signals:
                    self._stop(number.name)
        finally:
            HELD.hold_again()

    def _stop(self, name: str) -> None:
        engine = self._engine
        self._signals += 1
        logger.info("{} received", name)
        if self._signals == 1:
            engine.stopping = True
            grace = self._boot.config.engine.grace_ns
            self._grace_until = engine.clock.now() + grace
            if engine.alive():
                self._say(
                    f"{name}: no new closes; those alive have {grace / 1e9:g} s to finish, "
                    "then their orders are cancelled (once more: at once)"
                )
        else:
            self._grace_until = engine.clock.now()
        engine.changed.set()

    # ------------------------------------------------------------ when to do what

    def _request_due(self) -> int | None:
        """Ask for what is due; return when to look again."""
        engine, now = self._engine, self._engine.clock.now()
        waits = []
        if self._run.deadline_ns:
            waits.append(engine.started + self._run.deadline_ns)
        if engine.stopping:
            waits.append(self._grace_until)
            return min(waits)
        if self._ready_at is None and engine.is_trusted():
            self._ready_at = now
            logger.info("all venues are trusted after {} ms", (now - engine.started) // 1_000_000)
        if self._ready_at is not None:
            for number in tuple(self._open):
                due = self._ready_at + self._run.closes[number].at_ns
                if self._boot.is_done(number):
                    self._open.remove(number)
                elif due > now:
                    waits.append(due)
                else:
                    self._open.remove(number)
                    self._request(number, now)
        return min(waits) if waits else None

    def _request(self, number: int, now: int) -> None:
        close = self._run.closes[number]
        self._engine.fact(
            CloseRequested(
                now, close.pair, close.reason, close.urgency, close.ratio, f"{RUN}{number}"
            )
        )

    def _is_over(self) -> bool:
        engine = self._engine
        if engine.failure:
            return True
        now = engine.clock.now()
        if engine.stopping:
            done = not engine.alive() and not engine.dispatcher.inbox and not engine.backlog()
            return now >= self._grace_until or done
        if self._run.deadline_ns and now >= engine.started + self._run.deadline_ns:
            self._say("the time of [run] is over (deadline_s)")
            return True
        if self._boot.is_held:
            return False  # what looks done may not be: a person looks first
        # A request that is still in the inbox has no close yet.
        quiet = not engine.dispatcher.inbox and not engine.backlog()
        return bool(self._run.closes) and not self._open and quiet and not engine.alive()

    def _code(self) -> int:
        engine = self._engine
        naked = any(close.naked and close.started_at for close in engine.alive())
        if naked or engine.live_orders():
            return EXIT_LEFT
        if not self._open and not engine.alive():
            return EXIT_FLAT
        return EXIT_STOPPED if self._signals else EXIT_LEFT
