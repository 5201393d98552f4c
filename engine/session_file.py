"""The session file beside a journal: what its records belong to, and whether all of it is done.

Records can be folded only with the instruments, venues and ladders that they were made with. This
module must not know what any of those mean, nor decide what follows from a session's end.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.files import read_whole
from engine.lock import sync_directory

#: Ten thousand instruments come to a quarter of it.
SESSION_BYTES_MAX = 16 << 20


class Session(msgspec.Struct):
    """What the records belong to, and whether all of it was done at record `last_seq`.

    `check` is a checksum of the rest. A file of an earlier version says -1 and has none.
    """

    shape: dict[str, Any]
    finished: bool = False
    last_seq: int = -1
    check: str = ""


def read_session(path: Path) -> Session | None:
    """Read a session file, None if there is none. Raises OSError and ValueError."""
    try:
        session = msgspec.json.decode(read_whole(path, SESSION_BYTES_MAX), type=Session)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if session.check and session.check != _check(session):
        raise ValueError("it does not agree with its checksum")
    return session


def write_session(path: Path, session: Session) -> None:
    """Replace a session file as a whole; it is on disk when this returns. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(fresh, flags, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(replace(session, check=_check(session))))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def _check(session: Session) -> str:
    data = msgspec.json.encode(replace(session, check=""))
    return blake2b(data, digest_size=8).hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name the tables that are not the same, as a configuration file would."""
    found = []
    for part, after in new.items():
        before = old.get(part, {})
        names = [*after, *(name for name in before if name not in after)]
        for name in names:
            if before.get(name) != after.get(name):
                found.append(part if part == name else f"{part}.{name}")
        if part == "instruments" and not found and list(before) != list(after):
            found.append("the order of instruments")
    return found
