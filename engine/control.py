"""The control socket: what an operator types reaches the running engine as a fact.

Every bound is here: size, number of clients, idle time. It must not decide anything: a request is
checked for sense and handed to the engine, the answer is the core's.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Callable
from functools import partial

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from loguru import logger

from engine.live import Engine, EngineFailed
from engine.operator.door import Door, DoorError
from engine.operator.facts import Refused, check_close, command_fact, outcome
from engine.operator.protocol import (
    PATH_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Answer,
    CloseWanted,
    CommandWanted,
    ControlError,
    Request,
    StatusWanted,
    ask,
)
from engine.operator.verbs import VERBS
from engine.supervisor import Supervisor
from engine.texts import printable, shortened
from machines.messages import CloseRequested
from machines.requests import NOTHING

__all__ = [
    "CLIENTS_MAX",
    "PATH_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "Answer",
    "CloseWanted",
    "CommandWanted",
    "Control",
    "ControlError",
    "StatusWanted",
    "ask",
    "check_close",
]

#: Clients that may ask for anything; one more may say what is urgent (S37).
CLIENTS_MAX = 16
ANSWER_TEXT_MAX = 4000
IDLE_S = 5
#: How long the one more has for what it came to say.
URGENT_S = 0.5
#: How often the socket's file is looked at.
LOOK_S = 1

_REQUESTS = msgspec.json.Decoder(Request)
_BUSY = Answer(False, f"busy: {CLIENTS_MAX} clients are served")


class Control:
    """Serves the socket of one engine. `say(text)` tells the person who watches."""

    def __init__(self, engine: Engine, door: Door, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._door = door
        self._say = say
        self._clients = 0
        self._places = anyio.Semaphore(CLIENTS_MAX + 1)
        self._listener: SocketListener | None = None

    async def open(self) -> None:
        """Make the socket. Raises DoorError: an engine that nobody can halt must not start."""
        self._listener = await self._door.open()

    async def serve(self) -> None:
        """Serve without end, on a new socket where the file of the old one is gone.

        Cancelled, it closes the socket and removes its file.
        """
        try:
            async with Supervisor(self._engine.task_failed) as clients:
                while True:
                    listener = self._listener or await self._made_anew()
                    async with listener, anyio.create_task_group() as group:
                        group.start_soon(self._accept, listener, clients)
                        await self._until_gone()
                        group.cancel_scope.cancel()
                    self._listener = None
                    self._tell("was removed or replaced while the engine runs")
        finally:
            self._listener = None
            self.close()

    def close(self) -> None:
        """Take the socket's file away, if it is still ours."""
        self._door.close()

    async def _until_gone(self) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            if not self._door.is_there:
                return

    async def _made_anew(self) -> SocketListener:
        said = ""
        while True:
            try:
                listener = await self._door.open()
            except DoorError as error:
                if str(error) != said:
                    said = str(error)
                    self._tell(f"cannot be made anew: {said}; it is tried again each second")
                await anyio.sleep(LOOK_S)
            else:
                self._tell("was made anew: the engine can be reached again")
                return listener

    def _tell(self, text: str) -> None:
        text = f"the control socket {self._door.path} {text}"
        logger.warning("{}", text)
        self._say(text)

    # ------------------------------------------------------------ clients

    async def _accept(self, listener: SocketListener, clients: Supervisor) -> None:
        """Take one client after another, as long as there is a place for it."""
        while True:
            await self._places.acquire()
            try:
                stream = await listener.accept()
            except OSError as error:
                self._places.release()
                logger.warning("a client cannot be served: {}", error)
                await anyio.sleep(LOOK_S)
                continue
            except BaseException:
                self._places.release()
                raise
            clients.start_once("control", partial(self._client, stream))

    async def _client(self, stream: SocketStream) -> None:
        """Answer one client. A client that leaves or stalls hurts nobody else."""
        self._clients += 1
        try:
            async with stream:
                await self._converse(stream, urgent_only=self._clients > CLIENTS_MAX)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
            return
        finally:
            self._clients -= 1
            self._places.release()

    async def _converse(self, stream: SocketStream, *, urgent_only: bool) -> None:
        who = peer(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no database
        if who is None:
            await _send(stream, Answer(False, "only the user who runs the engine may ask"))
            return
        received = b""
        while True:
            try:
                with anyio.fail_after(URGENT_S if urgent_only else IDLE_S):
                    while b"\n" not in received and len(received) <= REQUEST_BYTES_MAX:
                        received += await stream.receive(REQUEST_BYTES_MAX)
            except anyio.EndOfStream:
                return
            except TimeoutError:
                if urgent_only:
                    await _send(stream, _BUSY)
                return
            line, _, received = received.partition(b"\n")
            if len(line) > REQUEST_BYTES_MAX:
                text = f"a request has at most {REQUEST_BYTES_MAX} bytes"
                await _send(stream, Answer(False, text))
                return
            await _send(stream, await self._answer(line, who, urgent_only=urgent_only))
            if urgent_only:
                return

    async def _answer(self, line: bytes, who: str, *, urgent_only: bool) -> Answer:
        try:
            request = _REQUESTS.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _BUSY if urgent_only else Answer(False, f"not a request: {error}")
        if urgent_only and not _is_urgent(request):
            return _BUSY
        try:
            if isinstance(request, StatusWanted):
                return Answer(True, "", self._engine.snapshot())
            if isinstance(request, CloseWanted):
                return await self._close(request, who)
            return await self._command(request, who)
        except Refused as error:
            return Answer(False, str(error))
        except EngineFailed as error:
            return Answer(False, f"nothing is taken any more, the engine is ending: {error}")

    async def _close(self, wanted: CloseWanted, who: str) -> Answer:
        engine = self._engine
        ratio = check_close(wanted, engine.core.pairs)
        if engine.stopping:
            return Answer(False, "the engine is stopping and takes no new close")
        now = engine.clock.now()
        asked = await engine.ask(
            CloseRequested(now, wanted.pair, wanted.reason, wanted.urgency, ratio, who)
        )
        return Answer(not asked.answer.startswith(NOTHING), asked.answer)

    async def _command(self, wanted: CommandWanted, who: str) -> Answer:
        engine = self._engine
        fact = command_fact(wanted, engine.core, engine.clock.now(), who)
        asked = await engine.ask(fact)
        return Answer(*outcome(fact, asked.answer, asked.trace))


def _is_urgent(request: Request) -> bool:
    if not isinstance(request, CommandWanted):
        return False
    verb = VERBS.get(request.name)
    return verb is not None and verb.urgent


async def _send(stream: SocketStream, answer: Answer) -> None:
    # What was asked may be part of what is answered, and a terminal shows it.
    text = printable(shortened(answer.text, ANSWER_TEXT_MAX))
    with anyio.fail_after(IDLE_S):
        await stream.send(msgspec.json.encode(Answer(answer.ok, text, answer.status)) + b"\n")


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
