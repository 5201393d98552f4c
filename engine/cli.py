"""The command line: reads arguments, hands them on, turns results into text and exit codes.

Everything heavy is imported by the command that needs it, so that help and errors come at once. It
must not decide anything about a close.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli_terms import CODES, CONFIG, ConfigFile, refuse
from engine.operator.commands import add_to
from engine.texts import put

app = typer.Typer(
    name="unwind",
    help="Take positions held on several venues to flat, by explicit state machines.",
    epilog=CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; never returns."""
    try:
        # The commands say how it went by an exit code; None where there is nothing to say.
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        put([error.format_message(), "for help: unwind --help, unwind COMMAND --help"], sys.stderr)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)


# ---------------------------------------------------------------- running


@app.command(epilog=CODES)
def run(
    config: ConfigFile = CONFIG,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Put journal and books of earlier runs aside first.")
    ] = False,
) -> None:
    """Start the engine: take up what an earlier run left, close, show progress."""
    from engine.app import run as run_app  # noqa: PLC0415 - heavy

    raise typer.Exit(run_app(config, fresh=fresh))


@app.command(epilog=CODES)
def sim(
    files: Annotated[list[Path], typer.Argument(help="Scenario files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print every transition.")] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the golden traces anew.")
    ] = False,
) -> None:
    """Run scenario files under virtual time and check what they expect."""
    from engine.simulation.runner import main as run_files  # noqa: PLC0415 - heavy

    raise typer.Exit(run_files(files, json=as_json, trace=trace, rewrite=rewrite))


@app.command(name="config", epilog=CODES)
def check_config(
    check: Annotated[Path | None, typer.Option("--check", help="List every mistake.")] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Print every key, its default and meaning.")
    ] = False,
) -> None:
    """Check a configuration file without starting anything, or describe all keys."""
    from engine.config import ConfigError, load  # noqa: PLC0415 - heavy
    from engine.config import reference as describe  # noqa: PLC0415 - heavy

    if reference:
        print(describe(), end="")
        return
    if check is None:
        refuse("config: give --check FILE or --reference")
    from engine.feeds import check_recordings  # noqa: PLC0415 - heavy

    try:
        read = load(check)
        check_recordings(read, check)
    except ConfigError as error:
        refuse("\n".join(error.lines()))
    good = (
        f"{check}: good; {len(read.venues)} venues, {len(read.instruments)} instruments, "
        f"{len(read.pairs)} pairs, {len(read.run.closes)} closes"
    )
    put([good], sys.stdout)


# ---------------------------------------------------------------- machines and recordings


@app.command(epilog=CODES)
def diagram(
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", metavar="NAME", help="This one alone; may be repeated."),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="mermaid (default), dot, svg, png, md, html, json, all; repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write into.")] = None,
    coverage: Annotated[
        list[Path] | None,
        typer.Option(
            "--coverage",
            metavar="PATH",
            help="Scenario files or folders: count the rows they take; repeatable.",
        ),
    ] = None,
    journal: Annotated[
        list[Path] | None,
        typer.Option(
            "--journal", metavar="FILE", help="Journals: count the rows they took; repeatable."
        ),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            "--against", metavar="REV|DIR", help="Say what changed since a revision or folder."
        ),
    ] = "",
    loops: Annotated[
        bool, typer.Option("--loops", help="Also draw rows that keep their state.")
    ] = False,
    unfolded: Annotated[
        bool, typer.Option("--unfolded", help="One arrow per pair of states, no frames folded.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Fail when docs/machines is stale.")
    ] = False,
    lint: Annotated[
        bool, typer.Option("--lint", help="Check the tables, and a small world exhaustively.")
    ] = False,
    facts: Annotated[
        int | None,
        typer.Option(
            "--facts", min=1, max=8, help="With --lint: facts in a row in the small world, else 6."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration whose values html shows.")
    ] = None,
) -> None:
    """Draw the state machines, count which rows are taken, compare and check them."""
    from engine.diagrams.command import Wanted, main  # noqa: PLC0415 - heavy

    wanted = Wanted(
        machine or [],
        kinds or [],
        out,
        config,
        coverage or [],
        journal or [],
        against,
        loops,
        unfolded,
        check,
        lint,
        facts,
    )
    raise typer.Exit(main(wanted))


_SUBJECT = "A pair (NAME@2 for its second close), a position v:s, an order v:s#n, or a venue."
_FILE = "A journal, or a scenario (.toml); the configured journal if left out."
Recording = Annotated[Path | None, typer.Option("--file", help=_FILE)]
Everything = Annotated[bool, typer.Option("--all", help="Also rows that keep their state.")]


@app.command(epilog=CODES)
def trace(
    subject: Annotated[str, typer.Argument(metavar="ID", help=_SUBJECT)],
    file: Recording = None,
    kind: Annotated[str, typer.Option("--format", help="text, mermaid, svg or html.")] = "text",
    out: Annotated[Path | None, typer.Option("--out", help="File to write to.")] = None,
    everything: Everything = False,
    config: ConfigFile = CONFIG,
) -> None:
    """Tell the life of a close, position, order or venue as a timeline or picture."""
    from engine.story.command import trace as tell  # noqa: PLC0415 - heavy

    raise typer.Exit(tell(subject, file, config, kind, out, everything=everything))


@app.command(epilog=CODES)
def why(
    subject: Annotated[str, typer.Argument(metavar="ID", help=_SUBJECT)],
    file: Recording = None,
    everything: Everything = False,
    config: ConfigFile = CONFIG,
) -> None:
    """Say in one sentence per transition which fact and which values decided it."""
    from engine.story.command import why as explain  # noqa: PLC0415 - heavy

    raise typer.Exit(explain(subject, file, config, everything=everything))


@app.command(epilog=CODES)
def replay(
    file: Annotated[Path, typer.Argument(help="A journal, a scenario (.toml) or its id.")],
    until: Annotated[
        int | None, typer.Option("--until", min=1, help="Stop after this record.")
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Show record after record; waits on a terminal.")
    ] = False,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Print the digest of the state at every record.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Its configuration, if its session file is lost."),
    ] = None,
) -> None:
    """Fold a recording, verify every hash and intent, and show the state at any record."""
    from engine.story.command import replay as fold  # noqa: PLC0415 - heavy

    raise typer.Exit(fold(file, until, config, step=step, hashes=hashes))


# ---------------------------------------------------------------- talking to a running engine

add_to(app)

if __name__ == "__main__":
    main()
