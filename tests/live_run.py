"""Runs the real engine with its embedded venues inside a test; it must not assert anything.

A subclass or an argument says what happens to the process while it runs.
"""

import io
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
from rich.console import Console

from engine.app import Run
from engine.config import load
from engine.recovery import Boot, boot
from machines.messages import Command, Place
from tests.live_engine import LiveEngine

#: Both legs of one pair and a single position wait passively.
RESTING = 3

Task = Callable[[], Coroutine[Any, Any, None]]


def still(text: str) -> str:
    """A configuration whose market stands still, so that what waits passively goes on waiting."""
    quiet = text.replace("trade_rate_per_s = 2", "trade_rate_per_s = 0")
    return quiet.replace("vol_bps_per_sqrt_s = 1", "vol_bps_per_sqrt_s = 0").replace(
        "at_s = 0.15", "at_s = 20"
    )


class Doomed(Run):
    """A process in which something happens once it is `ripe`: its orders rest, if nothing is said.

    The task `victim` fails with `error` (None: it returns), or `act` is called.
    """

    def __init__(
        self,
        started: Boot,
        victim: str = "",
        error: BaseException | None = None,
        *,
        ripe: "Callable[[Doomed], bool] | None" = None,
        act: "Callable[[Doomed], None] | None" = None,
    ) -> None:
        self.output = io.StringIO()
        super().__init__(started, Console(file=self.output, width=100))
        self.victim = victim
        self.error = error
        self.ripe = ripe or (lambda doomed: len(doomed.resting()) >= RESTING)
        self.act = act
        self.rested: list[int] = []
        self.sent: list[tuple[bool, Command]] = []

    def resting(self) -> list[int]:
        """Numbers of the own orders that are alive at the venues."""
        return [
            order.number
            for venue in self.venues.values()
            for order in venue.exchange.orders.values()
            if order.alive
        ]

    @property
    def failed(self) -> bool:
        return bool(self.engine.failure)

    @property
    def created_late(self) -> list[Command]:
        """Creates that left after the failure."""
        return [command for late, command in self.sent if late and isinstance(command, Place)]

    def vital(self) -> dict[str, Task]:
        tasks = super().vital()
        if self.victim in tasks:
            tasks[self.victim] = self._doomed(tasks[self.victim])
        if self.act is not None:
            tasks["fate"] = self._fate
        self.engine.dispatcher.on_send = self._note
        return tasks

    def _note(self, command: Command) -> None:
        self.sent.append((self.failed, command))
        self.engine._sending(command)

    async def _until_ripe(self) -> None:
        while not self.ripe(self):
            await anyio.lowlevel.checkpoint()
        self.rested = self.resting()

    async def _fate(self) -> None:
        await self._until_ripe()
        assert self.act is not None
        self.act(self)
        await anyio.sleep_forever()

    def _doomed(self, task: Task) -> Task:
        async def doomed() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(task)
                await self._until_ripe()
                group.cancel_scope.cancel()
            if self.error is not None:
                raise self.error

        return doomed


def begun(live: LiveEngine) -> Boot:
    return boot(load(live.config))
