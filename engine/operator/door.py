"""The socket file through which people reach an engine: made, watched and taken away again.

It must not remove anything that is not a socket, nor a socket at which somebody answers.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from anyio.abc import SocketListener

from engine.operator.protocol import check_path

_BACKLOG = 128


class DoorError(Exception):
    """The socket cannot be made; the text says why and what to do."""


class Door:
    """One path, and the socket that was made there. The caller holds the journal's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: tuple[int, int, int] | None = None

    def check(self) -> None:
        """See whether a socket may be made here, and change nothing. Raises DoorError."""
        try:
            check_path(self.path)
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise DoorError(str(error)) from error
        if not stat.S_ISSOCK(mode):
            raise DoorError(
                f"{self.path}: is no socket, and was left as it is; move it away, or give "
                "engine.socket another name"
            )

    async def open(self) -> SocketListener:
        """Make the socket, for this user alone; a dead engine's is replaced. Raises DoorError."""
        self.check()
        if _answers(self.path):
            raise DoorError(
                f"{self.path}: another engine answers here; stop it, or give engine.socket another "
                "name"
            )
        try:
            self.path.unlink(missing_ok=True)
            listening = _bound(self.path)
            self._made = _identity(self.path)
        except OSError as error:
            raise DoorError(f"{self.path}: no socket can be made here ({error})") from error
        return await SocketListener.from_socket(listening)

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to the socket that was made."""
        try:
            return self._made is not None and _identity(self.path) == self._made
        except OSError:
            return False

    def close(self) -> None:
        """Take the socket's file away, if it is still ours."""
        if self.is_there:
            self.path.unlink(missing_ok=True)
        self._made = None


def _bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        made.bind(os.fspath(path))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(old)
    return made


def _identity(path: Path) -> tuple[int, int, int]:
    """What tells one file from another of the same name, also where numbers are used again."""
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            # A full queue or a refused permission: somebody is there.
            return True
    return True
