"""Where the program begins: streams that can be written to, then the command line.

Importing takes longer than a person's second thought, and nothing is begun then that needs an end.
It must import nothing of this program before it runs.
"""

import os
import signal
import sys
from typing import TextIO, cast


def main() -> None:
    """Import and run the command line; never returns."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        # Until the command line is there, Ctrl-C ends the process as it ends any other.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    mend_streams()
    from engine.cli import main as run  # noqa: PLC0415 - only now

    signal.signal(signal.SIGINT, usual)
    run()


def mend_streams() -> None:
    """Give a closed standard stream back as one that leads nowhere, and let none refuse a letter.

    Without that the next file opened takes the number of the closed one, and whoever writes an
    error there writes into that file.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(spare, True)
    os.close(spare)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if number and hasattr(stream, "reconfigure"):
            cast("TextIO", stream).reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
