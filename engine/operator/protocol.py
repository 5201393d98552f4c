"""The language of the control socket, and the side of it that asks.

One JSON object per line, one answer per request. It must not import the engine: a command that
only asks has to be there at once.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import msgspec

REQUEST_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 64 << 20
#: The longest path that the system takes for a socket.
PATH_BYTES_MAX = 107
#: Between two attempts to get in.
_PAUSE_S = 0.02


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


class Unanswered(ControlError):
    """The engine was asked, and it is not known what it did; the text says how to see it."""


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
    """Send one request to a running engine and wait for its answer.

    Raises ControlError when nothing was done, Unanswered when that is not known.
    """
    nobody = f"no engine is running (nothing answers at {path}); start one with: unwind run"
    try:
        check_path(path)
        asked = msgspec.json.encode(request) + b"\n"
    except OSError as error:
        raise ControlError(f"the engine cannot be reached: {error}") from error
    except UnicodeEncodeError as error:
        raise ControlError(f"what is asked must be text: {error}") from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            _connect(connection, os.fspath(path), timeout_s)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise ControlError(nobody) from error
        except PermissionError as error:
            raise ControlError(f"{path}: belongs to another user's engine") from error
        except TimeoutError as error:
            text = f"the engine did not take the call within {timeout_s:g} s; nothing was asked"
            raise ControlError(text) from error
        except OSError as error:
            raise ControlError(f"the engine cannot be reached: {error}") from error
        return _answered(connection, asked, request, timeout_s)


def _connect(connection: socket.socket, path: str, timeout_s: float) -> None:
    """Connect, at the latest in time: where too many wait already, the system refuses at once."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            connection.connect(path)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise TimeoutError from None
            time.sleep(_PAUSE_S)
        else:
            return


def _answered(
    connection: socket.socket, asked: bytes, request: Request, timeout_s: float
) -> Answer:
    """Ask over an open connection; from the first byte on the engine may do what is asked."""
    try:
        connection.sendall(asked)
        with connection.makefile("rb") as stream:
            line = stream.readline(ANSWER_BYTES_MAX)
        if line.endswith(b"\n"):
            return _ANSWERS.decode(line)
        what = "no answer came"
    except TimeoutError:
        what = f"the engine did not answer within {timeout_s:g} s"
    except OSError as error:
        what = f"the engine could not answer ({error})"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"the answer cannot be read ({error}); is it another version?"
    if isinstance(request, StatusWanted):
        raise ControlError(f"{what}; look into the engine's log")
    raise Unanswered(
        f"{what}; it may have done what was asked, or may still do it: look with unwind status, or "
        "into the engine's log"
    )
