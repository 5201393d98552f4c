"""Signals that ask the process to end, noted from its first moment on until the run listens.

A start takes half a second, and whoever interrupts it asks for the same as later: an end that says
what is left. This module must import nothing that takes time, and decide nothing.
"""

from __future__ import annotations

import signal
from types import FrameType

#: Ctrl-C, a plain kill, a closed terminal.
WANTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Who asks that often while nobody listens wants out at once.
INSISTENT = 3


class Insisted(BaseException):
    """Somebody asked again and again, and the process did not come to say what is left."""


class Interrupts:
    """The signals that came. A process has one set of handlers, so there is one of these."""

    def __init__(self) -> None:
        self._noted: list[signal.Signals] = []
        self._held = False

    def wanted(self) -> list[signal.Signals]:
        """Those to be listened to: a hang-up that whoever started us ignores stays ignored."""
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        return [each for each in WANTED if not (ignored and each is signal.SIGHUP)]

    def hold(self) -> None:
        """Note signals from now on, instead of dying of them."""
        self._held = True
        for number in self.wanted():
            signal.signal(number, self._note)

    def hold_again(self) -> None:
        """Go on noting after somebody else has listened, if they were held before."""
        if self._held:
            self.hold()

    def taken(self) -> list[signal.Signals]:
        """Hand out what was noted, in order; it is forgotten here."""
        noted, self._noted = self._noted, []
        return noted

    def _note(self, number: int, _: FrameType | None) -> None:
        self._noted.append(signal.Signals(number))
        if len(self._noted) >= INSISTENT:
            raise Insisted


HELD = Interrupts()
