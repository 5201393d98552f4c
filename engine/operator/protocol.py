"""The language of the control socket, and the side of it that asks.

One JSON object per line, one answer per request. It must not import the engine: a command that
only asks has to be there at once.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

REQUEST_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 64 << 20
#: The longest path that the system takes for a socket.
PATH_BYTES_MAX = 107


class StatusWanted(msgspec.Struct, tag="status", tag_field="command", forbid_unknown_fields=True):
    """Ask for the present state."""


class CloseWanted(msgspec.Struct, tag="close", tag_field="command", forbid_unknown_fields=True):
    """Ask for a pair to be closed; `ratio` is "a/b"."""

    pair: str
    reason: str
    urgency: str | None = None
    ratio: str = "1/1"


class CommandWanted(
    msgspec.Struct, tag="operator", tag_field="command", forbid_unknown_fields=True
):
    """Say a word of `engine.operator.verbs`; the other fields are its arguments, as typed."""

    name: str
    pair: str = ""
    venue: str = ""
    order: str = ""
    qty: str = ""
    filled: str = ""


Request = StatusWanted | CloseWanted | CommandWanted


class Answer(msgspec.Struct):
    """What the engine says; `ok` only if it was done. `status` is a `Snapshot` where asked for."""

    ok: bool
    text: str
    status: Any = None


class ControlError(Exception):
    """The engine cannot be reached or does not answer; the text says why."""


_ANSWERS = msgspec.json.Decoder(Answer)


def check_path(path: Path) -> None:
    """Raise OSError when the path is too long for a socket."""
    length = len(os.fsencode(path))
    if length > PATH_BYTES_MAX:
        raise OSError(
            f"{path}: {length} bytes are too long for a socket (at most {PATH_BYTES_MAX}); choose "
            "a shorter engine.directory"
        )


def ask(path: Path, request: Request, timeout_s: float = 10) -> Answer:
    """Send one request to a running engine and wait for its answer. Raises ControlError."""
    nobody = f"no engine is running (nothing answers at {path}); start one with: unwind run"
    try:
        check_path(path)
        asked = msgspec.json.encode(request) + b"\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(os.fspath(path))
            connection.sendall(asked)
            with connection.makefile("rb") as stream:
                line = stream.readline(ANSWER_BYTES_MAX)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(nobody) from error
    except PermissionError as error:
        raise ControlError(f"{path}: belongs to another user's engine") from error
    except TimeoutError as error:
        late = f"the engine did not answer within {timeout_s:g} s"
        if not isinstance(request, StatusWanted):
            late += "; it may still do it: look with unwind status, or into its log, and ask again"
        raise ControlError(late) from error
    except OSError as error:
        raise ControlError(f"the engine cannot be reached: {error}") from error
    except UnicodeEncodeError as error:
        raise ControlError(f"what is asked must be text: {error}") from error
    if not line.endswith(b"\n"):
        raise ControlError("no answer came; look with: unwind status, or into the engine's log")
    try:
        return _ANSWERS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(
            f"the answer cannot be read ({error}); is it another version?"
        ) from error
