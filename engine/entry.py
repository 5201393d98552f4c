"""Where the program begins: the command line, imported while Ctrl-C still just ends the process.

Importing takes longer than a person's second thought, and nothing is begun then that needs an end.
It must import nothing of this program before it runs.
"""

import signal


def main() -> None:
    """Import and run the command line; never returns."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from engine.cli import main as run  # noqa: PLC0415 - only now

    signal.signal(signal.SIGINT, usual)
    run()


if __name__ == "__main__":
    main()
