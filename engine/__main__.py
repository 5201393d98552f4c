"""The first moment of the command `unwind`: streams are made safe, and for `run` signals are noted.

Until that is done, signals wait; nothing that takes time may be imported before. It must not read
arguments beyond the first word.
"""

from __future__ import annotations

import _signal as early  # type: ignore[import-not-found] # the module `signal` takes its time

_WAITING = (early.SIGINT, early.SIGTERM, early.SIGHUP)
early.pthread_sigmask(early.SIG_BLOCK, _WAITING)

import sys  # noqa: E402 - after what may not wait

from engine.interrupts import HELD, Insisted  # noqa: E402
from engine.streams import report, secure  # noqa: E402


def main() -> None:
    """Run the command line; never returns."""
    try:
        secure()
        if sys.argv[1:2] == ["run"]:
            HELD.hold()
        early.pthread_sigmask(early.SIG_UNBLOCK, _WAITING)
        from engine.cli import main as command  # noqa: PLC0415 - takes a while

        command()
    except Insisted:
        sys.stderr.write(
            "ended at once, before it was known what is left: the next unwind run goes on with it\n"
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        report()


if __name__ == "__main__":
    main()
