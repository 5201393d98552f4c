"""Standard input and output that cannot hurt the process: closed, full, or of few letters.

What a command did does not depend on whether its words arrive. A stream that is closed is replaced
before any file is opened, since a file would take its number and everything that is written for a
person. It must import nothing that takes time, and not decide what is written.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_NAMES = ("standard input", "standard output", "standard error")


class Patient(io.TextIOWrapper):
    """A text stream that loses what cannot be written, and knows why: `failure`."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write, or lose it."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what waits, or lose it."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let everything from now on, and what waits, go nowhere."""
        self.failure = self.failure or error
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def secure() -> None:
    """Make the three standard streams safe to use. To be called before any file is opened."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, and that is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout, sys.stderr = _patient(sys.stdout, 1), _patient(sys.stderr, 2)
    # Who asks these for their terminal must not find what was taken apart.
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc, assignment]


def _patient(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return Patient(open(number, "wb", closefd=False), encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # somebody has replaced it already, and knows why
    how = (stream.line_buffering, stream.write_through)
    # A letter that cannot be shown is shown by its number.
    return Patient(stream.detach(), stream.encoding, "backslashreplace", None, *how)


def report() -> None:
    """Flush both outputs; say on the other one, where it works, which could not be written."""
    outputs = {1: sys.stdout, 2: sys.stderr}
    for number, stream in outputs.items():
        stream.flush()
        failure = getattr(stream, "failure", None)
        if failure is not None and not isinstance(failure, BrokenPipeError):
            outputs[3 - number].write(
                f"{_NAMES[number]} cannot be written ({failure.strerror or failure}): what was to "
                "be shown is lost; the exit code tells how the command went\n"
            )
    for stream in outputs.values():
        stream.flush()
