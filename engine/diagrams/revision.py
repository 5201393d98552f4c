"""The machines of another revision or directory, read by the same code in a process of its own.

A revision is taken out of the repository into a temporary folder; nothing of the working tree is
touched. Its `machines` are imported there, so only revisions that one trusts should be named.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import msgspec

from engine.diagrams.docs import Docs
from engine.files import read_whole

#: Name of the file in which `--format json` keeps all machines.
JSON_NAME = "machines.json"
_ROOT = Path(__file__).resolve().parents[2]
_CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
import msgspec
from engine.diagrams.docs import describe
sys.path.insert(0, sys.argv[1])
sys.stdout.buffer.write(msgspec.json.encode(describe()))
"""
_WAIT_S = 60
#: A description of machines; ours has some hundred kilobytes.
_BYTES_MAX = 16 << 20


class RevisionError(Exception):
    """The other machines cannot be read; the text says why and what to do."""


def docs_of(target: str, repository: Path) -> Docs:
    """Describe the machines of a revision of `repository`, or of a directory.

    A directory holds either a `machines` package or a `machines.json` that was written earlier.
    Raises RevisionError.
    """
    directory = Path(target)
    if directory.is_dir():
        if (directory / "machines").is_dir():
            return _described(directory)
        if (directory / JSON_NAME).is_file():
            return read_json(directory / JSON_NAME)
        raise RevisionError(
            f"{target}: holds neither a machines package nor a {JSON_NAME}; name a checkout, a "
            "folder written with --format json, or a revision"
        )
    with tempfile.TemporaryDirectory(prefix="unwind-") as name:
        _take_out(target, repository, Path(name))
        return _described(Path(name))


def read_json(path: Path) -> Docs:
    """Read what `--format json` wrote. Raises RevisionError."""
    try:
        return msgspec.json.decode(read_whole(path, _BYTES_MAX), type=Docs)
    except (OSError, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        raise RevisionError(f"{path}: cannot be read ({error}); write it anew") from error


def _take_out(revision: str, repository: Path, into: Path) -> None:
    if revision.startswith("-"):
        raise RevisionError(f"{revision!r} is no revision")
    command = ["git", "-C", str(repository), "archive", "--format=zip", revision, "machines"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_WAIT_S)  # noqa: S603 - fixed program
    except (OSError, subprocess.TimeoutExpired) as error:
        text = f"{revision}: git cannot be run ({error}); name a directory instead"
        raise RevisionError(text) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RevisionError(
            f"{revision}: is neither a directory nor a revision of {repository} that has machines "
            f"({said})"
        )
    with ZipFile(BytesIO(done.stdout)) as archive:
        archive.extractall(into)


def _described(directory: Path) -> Docs:
    command = [sys.executable, "-I", "-c", _CHILD, str(directory.resolve()), str(_ROOT)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_WAIT_S)  # noqa: S603 - our own interpreter
    except subprocess.TimeoutExpired as error:
        raise RevisionError(f"{directory}: its machines took too long to be read") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        text = said[-1] if said else f"exit {done.returncode}"
        raise RevisionError(f"{directory}: its machines cannot be read ({text})")
    return msgspec.json.decode(done.stdout, type=Docs)
