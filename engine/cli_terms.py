"""What all commands share: the option that names a configuration, exit codes, how to refuse."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engine.texts import put

CODES = """Exit codes: 0 done (after `run`: all that was to be closed is flat at the venues);
1 `run` ended with something left open, a `sim` expectation failed, `diagram --check`, `--lint` or
`--coverage` found something, or a recording is not what was recorded; 2 wrong input, nothing was
done, or no engine to talk to; 3 a part that `run` cannot do without failed, as the journal; 130
`run` was stopped by Ctrl-C or SIGTERM with nothing naked left. Nothing that was left is lost: the
next `run` goes on with it. The code tells of the command, also where its output cannot be
written."""

CONFIG = Path("config.toml")
ConfigFile = Annotated[Path, typer.Option("--config", help="Configuration file.")]


def refuse(text: str) -> NoReturn:
    """Say on standard error why nothing was done, and end with 2."""
    put([text], sys.stderr)
    raise typer.Exit(2)
