"""Reads files that others wrote: regular ones only, and never more than a bound.

A name may lead to a folder, a pipe or a device, which would be no file, block for ever or never
end. Must not know what is in a file.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class TooLarge(OSError):
    """A file has more bytes than anybody wrote by intent."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without waiting for anybody; anything else is an OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        raise OSError(errno.EINVAL, f"no file has such a name ({error})", str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def is_regular(path: Path) -> bool:
    """Whether a name leads to a regular file; one that can lead nowhere does not."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def read_whole(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes. Raises OSError, `TooLarge` among them."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TooLarge(errno.EFBIG, f"Larger than {most} bytes", str(path))
    return data
