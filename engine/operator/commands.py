"""The commands that talk to a running engine: typed here, answered by it.

The words come from `engine.operator.verbs`. Each command reads of the configuration only where the
engine listens, so that a mistake elsewhere in it keeps nobody from halting.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli_terms import CODES, CONFIG, EXIT_REFUSED, EXIT_UNKNOWN, ConfigFile, refuse
from engine.operator.verbs import VERBS, Argument, Verb, typed
from engine.texts import put

if TYPE_CHECKING:
    from engine.operator.protocol import Answer, Request


def add_to(app: typer.Typer) -> None:
    """Add the commands, those of the table last."""
    app.command(epilog=CODES)(status)
    app.command(epilog=CODES)(close)
    for verb in VERBS.values():
        app.command(name=typed(verb.name), help=verb.help, epilog=CODES)(_command_of(verb))


def _ask(config: Path, request: Request) -> Answer:
    from engine.operator.address import address_of  # noqa: PLC0415 - heavy
    from engine.operator.protocol import (  # noqa: PLC0415 - heavy
        ControlError,
        Unanswered,
        ask,
    )

    path, remark = address_of(config)
    try:
        answer = ask(path, request)
    except ControlError as error:
        code = EXIT_UNKNOWN if isinstance(error, Unanswered) else EXIT_REFUSED
        refuse(f"{remark}: {error}" if remark else str(error), code)
    if remark:
        put([remark], sys.stderr)
    if not answer.ok:
        refuse(answer.text)
    return answer


def status(
    config: ConfigFile = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what the running engine holds, is doing and does not know."""
    from engine.operator.protocol import StatusWanted  # noqa: PLC0415 - heavy

    state = _ask(config, StatusWanted()).status
    if as_json:
        put([json.dumps(state, indent=2)], sys.stdout)
        return
    import msgspec  # noqa: PLC0415 - heavy
    from rich.console import Console  # noqa: PLC0415 - heavy

    from engine.pairs_table import status_parts  # noqa: PLC0415 - heavy
    from engine.snapshot import Snapshot  # noqa: PLC0415 - heavy

    console = Console(highlight=False, emoji=False)
    for part in status_parts(msgspec.convert(state, Snapshot), console.size.width):
        console.print(part)


def close(
    pair: Annotated[str, typer.Argument(help="Name of the pair.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it decides the urgency.")],
    urgency: Annotated[
        str | None, typer.Option("--urgency", help="normal, urgent or immediate.")
    ] = None,
    ratio: Annotated[str, typer.Option("--ratio", help="The part to close, as a/b.")] = "1/1",
    config: ConfigFile = CONFIG,
) -> None:
    """Ask for a pair to be closed; asking again may raise the urgency, never lower it."""
    from engine.operator.protocol import CloseWanted  # noqa: PLC0415 - heavy

    put([_ask(config, CloseWanted(pair, reason, urgency, ratio)).text], sys.stdout)


# ---------------------------------------------------------------- the words of the table


def _command_of(verb: Verb) -> Callable[..., None]:
    """A function whose signature is the row of the table, as `typer` wants to see it."""

    def command(config: Path, **arguments: str) -> None:
        from engine.operator.protocol import CommandWanted  # noqa: PLC0415 - heavy

        put([_ask(config, CommandWanted(verb.name, **arguments)).text], sys.stdout)

    parameters = [_parameter(argument) for argument in verb.arguments]
    parameters.append(_named("config", ConfigFile, CONFIG))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _parameter(argument: Argument) -> inspect.Parameter:
    kind: Any
    if argument.label:
        kind = typer.Argument(help=argument.help, metavar=argument.label, show_default=False)
    else:
        kind = typer.Option(f"--{typed(argument.name)}", help=argument.help, show_default=False)
    default = inspect.Parameter.empty if argument.required else ""
    return _named(argument.name, Annotated[str, kind], default)


def _named(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)
