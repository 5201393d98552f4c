"""What all commands share: the option that names a configuration, exit codes, how to refuse."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engine.texts import put

CODES = """Exit codes: 0 done (after `run`: all that was to be closed is flat at the venues);
1 `run` ended with something left open, a `sim` expectation failed, `diagram --check`, `--lint` or
`--coverage` found something, a recording is not what was recorded, or the engine was asked and gave
no answer, so that it may still do it; 2 wrong input, nothing was done, or no engine to talk to; 3 a
part that `run` cannot do without failed, as the journal; 130 `run` was stopped by Ctrl-C or SIGTERM
with nothing naked left. Nothing that was left is lost: the next `run` goes on with it. The code
tells of the command, also where its output cannot be written."""

CONFIG = Path("config.toml")
ConfigFile = Annotated[Path, typer.Option("--config", help="Configuration file.")]

#: Nothing was done; it is not known whether anything was.
EXIT_REFUSED = 2
EXIT_UNKNOWN = 1


def refuse(text: str, code: int = EXIT_REFUSED) -> NoReturn:
    """Say on standard error why something was not done, and end with a code."""
    put([text], sys.stderr)
    raise typer.Exit(code)
