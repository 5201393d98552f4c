"""The control socket: what an operator types reaches the running engine as a fact.

One JSON object per line, one answer per request. Every bound is here: size, number of clients, idle
time. It must not decide anything: a request is checked for sense and handed to the engine, the
answer is the core's.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from fractions import Fraction
from pathlib import Path

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketStream

from engine.live import Engine, EngineFailed
from engine.snapshot import Snapshot
from machines.messages import CloseRequested, OperatorCommanded
from machines.types import REASON_URGENCY, URGENCY_RANK

REQUEST_BYTES_MAX = 64 << 10
CLIENTS_MAX = 16
IDLE_S = 5
#: The longest path that the system takes for a socket.
PATH_BYTES_MAX = 107

COMMANDS = ("halt", "resume", "kill", "retry")


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
    """Ask for halt, resume, kill or retry."""

    name: str
    pair: str = ""


Request = StatusWanted | CloseWanted | CommandWanted


class Answer(msgspec.Struct):
    """What the engine says; `status` only where it was asked for."""

    ok: bool
    text: str
    status: Snapshot | None = None


class ControlError(Exception):
    """The engine cannot be reached or does not answer; the text says why."""


_REQUESTS = msgspec.json.Decoder(Request)
_ANSWERS = msgspec.json.Decoder(Answer)


# ---------------------------------------------------------------- the engine's side


class Control:
    """Serves the socket of one engine."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._clients = 0

    async def serve(self) -> None:
        """Serve without end. The caller holds the journal's lock, so a socket there is stale.

        Cancelled, it closes the socket and removes its file. Raises OSError.
        """
        check_path(self._path)
        self._path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            listener = await anyio.create_unix_listener(self._path, mode=0o600)
        finally:
            os.umask(old)
        try:
            async with listener:
                await listener.serve(self._client)
        finally:
            self._path.unlink(missing_ok=True)

    async def _client(self, stream: SocketStream) -> None:
        """Answer one client. A client that leaves or stalls hurts nobody else."""
        async with stream:
            if self._clients >= CLIENTS_MAX:
                await _send(stream, Answer(False, f"busy: {CLIENTS_MAX} clients are served"))
                return
            self._clients += 1
            try:
                await self._converse(stream)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
                return
            finally:
                self._clients -= 1

    async def _converse(self, stream: SocketStream) -> None:
        who = peer(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no database
        if who is None:
            await _send(stream, Answer(False, "only the user who runs the engine may ask"))
            return
        received = b""
        while True:
            with anyio.fail_after(IDLE_S):
                while b"\n" not in received and len(received) <= REQUEST_BYTES_MAX:
                    try:
                        received += await stream.receive(REQUEST_BYTES_MAX)
                    except anyio.EndOfStream:
                        return
            line, _, received = received.partition(b"\n")
            if len(line) > REQUEST_BYTES_MAX:
                text = f"a request has at most {REQUEST_BYTES_MAX} bytes"
                await _send(stream, Answer(False, text))
                return
            await _send(stream, await self._answer(line, who))

    async def _answer(self, line: bytes, who: str) -> Answer:
        try:
            request = _REQUESTS.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Answer(False, f"not a request: {error}")
        if isinstance(request, StatusWanted):
            return Answer(True, "", self._engine.snapshot())
        if isinstance(request, CloseWanted):
            return await self._close(request, who)
        return await self._command(request, who)

    async def _close(self, wanted: CloseWanted, who: str) -> Answer:
        try:
            ratio = check_close(wanted, list(self._engine.core.pairs))
        except ValueError as error:
            return Answer(False, str(error))
        if self._engine.stopping:
            return Answer(False, "the engine is stopping and takes no new close")
        now = self._engine.clock.now()
        return await self._ask(
            CloseRequested(now, wanted.pair, wanted.reason, wanted.urgency, ratio, who)
        )

    async def _command(self, wanted: CommandWanted, who: str) -> Answer:
        pairs = list(self._engine.core.pairs)
        if wanted.name not in COMMANDS:
            return Answer(False, f"unknown command {wanted.name!r}; known: {', '.join(COMMANDS)}")
        if wanted.pair and wanted.pair not in pairs:
            return Answer(False, unknown_pair(wanted.pair, pairs))
        now = self._engine.clock.now()
        return await self._ask(OperatorCommanded(now, wanted.name, wanted.pair, by=who))

    async def _ask(self, fact: CloseRequested | OperatorCommanded) -> Answer:
        try:
            return Answer(True, await self._engine.ask(fact))
        except EngineFailed as error:
            return Answer(False, f"nothing is taken any more, the engine is ending: {error}")


async def _send(stream: SocketStream, answer: Answer) -> None:
    with anyio.fail_after(IDLE_S):
        await stream.send(msgspec.json.encode(answer) + b"\n")


def peer(connection: socket.socket) -> str | None:
    """Who asks, as `uid:NAME`; None for anybody but this process's own user.

    Where the system does not tell, the modes of socket and folder are what keeps others out.
    """
    uid = os.getuid()
    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("3i")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        uid = struct.unpack("3i", raw)[1]
    if uid != os.getuid():
        return None
    try:
        return f"{uid}:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"{uid}:"


def unknown_pair(pair: str, pairs: list[str]) -> str:
    """The answer to a pair that the configuration does not have."""
    return f"unknown pair {pair[:80]!r}; known: {', '.join(sorted(pairs)) or 'none'}"


def check_close(wanted: CloseWanted, pairs: list[str]) -> tuple[int, int]:
    """Check a request for sense; return its ratio. Raises ValueError saying what is allowed."""
    if wanted.pair not in pairs:
        raise ValueError(unknown_pair(wanted.pair, pairs))
    if wanted.reason not in REASON_URGENCY:
        known = ", ".join(sorted(REASON_URGENCY))
        raise ValueError(f"unknown reason {wanted.reason[:80]!r}; known: {known}")
    if wanted.urgency is not None and wanted.urgency not in URGENCY_RANK:
        known = ", ".join(URGENCY_RANK)
        raise ValueError(f"unknown urgency {wanted.urgency[:80]!r}; known: {known}")
    try:
        ratio = Fraction(wanted.ratio) if len(wanted.ratio) < 40 else Fraction(0)
    except (ValueError, ZeroDivisionError):
        ratio = Fraction(0)
    if not 0 < ratio <= 1:
        raise ValueError(f"the ratio {wanted.ratio[:80]!r} must be above 0 and at most 1, as a/b")
    return ratio.numerator, ratio.denominator


def check_path(path: Path) -> None:
    """Raise OSError when the path is too long for a socket."""
    length = len(os.fsencode(path))
    if length > PATH_BYTES_MAX:
        raise OSError(
            f"{path}: {length} bytes are too long for a socket (at most {PATH_BYTES_MAX}); choose "
            "a shorter engine.directory"
        )


# ---------------------------------------------------------------- the command line's side


def ask(path: Path, request: Request, timeout_s: float = 10) -> Answer:
    """Send one request to a running engine and wait for its answer. Raises ControlError."""
    nobody = f"no engine is running (nothing answers at {path}); start one with: unwind run"
    try:
        check_path(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(os.fspath(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(nobody) from error
    except PermissionError as error:
        raise ControlError(f"{path}: belongs to another user's engine") from error
    except TimeoutError as error:
        raise ControlError(f"the engine did not answer within {timeout_s:g} s") from error
    except OSError as error:
        raise ControlError(f"the engine cannot be reached: {error}") from error
    if not line.endswith(b"\n"):
        raise ControlError("the engine ended before it answered; look with: unwind status")
    try:
        return _ANSWERS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ControlError(
            f"the answer cannot be read ({error}); is it another version?"
        ) from error


__all__ = ["Answer", "CloseWanted", "CommandWanted", "Control", "ControlError", "StatusWanted"]
