"""The bytes of a journal's write-ahead log: what of it is whole, and whether the rest is damage.

Theory. A log is a header and frames, each one page of the database and a checksum that covers all
before it. SQLite ends a log at the first frame that does not verify, says nothing, and deletes the
file with the evidence when it is closed. So the bytes are looked at before SQLite opens them.

A process that is killed while it writes leaves whole frames of a transaction without an end. A
power failure may leave some of the last transaction's frames out. Neither touches what was synced:
the next transaction begins only after the one before was. Hence frames of this log, known by its
salts, behind the end of a transaction that does not verify prove damage. Frames that may belong to
the very transaction that does not verify prove nothing by themselves: an unfinished one leaves them
too. Whether its end was ever confirmed has to be known from elsewhere.

This module must not open a database file nor write anything. Formats: sqlite.org/fileformat2.html
section 4.
"""

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SUFFIX = "-wal"

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682  #: with its lowest bit set, checksums are over big-endian words
_VERSION = 3007000
_MASK = 0xFFFFFFFF
#: Where the header of a database says that it has a log (2) or none (1).
_MODE = slice(18, 20)
#: Looks at a log in use that may differ before it is taken as changing all the time.
_LOOKS_MAX = 8


class Log(NamedTuple):
    """What the bytes of a log show.

    `end` frames at its beginning are whole transactions. `behind` frames of this log follow the
    first that does not verify; `proven` says that a later transaction is among them.
    """

    data: bytes = b""
    page: int = 0
    end: int = 0
    bad: int = 0
    behind: int = 0
    proven: bool = False
    headless: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether something of the log that does not verify may have been recorded."""
        return self.headless or self.behind > 0

    @property
    def damage(self) -> tuple[bytes, bytes]:
        """The header and the first frame that does not verify."""
        return self.data[: _HEADER.size], self.frame(self.bad)

    def frame(self, number: int) -> bytes:
        """The bytes of a frame; fewer where the log ends."""
        start = _HEADER.size + number * (_FRAME.size + self.page)
        return self.data[start : start + _FRAME.size + self.page]

    def pages(self) -> Iterator[tuple[int, int, bytes]]:
        """Page number, pages of the database at a commit (else 0) and bytes of each whole frame."""
        for number in range(self.end):
            frame = self.frame(number)
            page, size = _FRAME.unpack_from(frame)[:2]
            yield page, size, frame[_FRAME.size :]


def look(journal: Path, *, alone: bool) -> Log:
    """Examine the log of a journal; where others may be writing to it, until it stands still.

    Raises OSError.
    """
    log = _read(journal)
    if alone:
        return log
    for _ in range(_LOOKS_MAX):
        if not log.doubtful:
            return log
        before, log = log, _read(journal)
        # What was synced stays as it is until the log begins anew, under another header.
        if log.damage == before.damage:
            return log
    return Log()


def _read(journal: Path) -> Log:
    try:
        return examined(journal.with_name(journal.name + SUFFIX).read_bytes())
    except FileNotFoundError:
        return Log()


def examined(data: bytes) -> Log:
    """Verify the bytes of a log frame by frame. One that is shorter than its header holds none."""
    if len(data) < _HEADER.size:
        return Log(data)
    magic, version, page, _, *salts, first, second = _HEADER.unpack_from(data)
    order = ">" if magic & 1 else "<"
    sums = _summed(data[:24], order, (0, 0))
    if magic & ~1 != _MAGIC or version != _VERSION or sums != (first, second):
        return Log(data, headless=True)
    page = 65536 if page == 1 else page
    size = _FRAME.size + page
    count = (len(data) - _HEADER.size) // size
    end = bad = 0
    for bad in range(count):
        start = _HEADER.size + bad * size
        number, commit, salt, other, *wanted = _FRAME.unpack_from(data, start)
        if not number or [salt, other] != salts:
            break
        sums = _summed(data[start : start + 8], order, sums)
        sums = _summed(data[start + _FRAME.size : start + size], order, sums)
        if list(sums) != wanted:
            break
        end = bad + 1 if commit else end
    else:
        return Log(data, page, end, count)
    behind, proven = _followers(data, size, bad, count, salts)
    return Log(data, page, end, bad, behind, proven)


def _followers(data: bytes, size: int, bad: int, count: int, salts: list[int]) -> tuple[int, bool]:
    """Count the frames of this log behind a bad one; is one of a later transaction among them?"""
    behind, ended, proven = 0, False, False
    for number in range(bad, count):
        _, commit, *found = _FRAME.unpack_from(data, _HEADER.size + number * size)[:4]
        if found != salts:
            continue
        if number > bad:
            behind += 1
            proven = proven or ended
        ended = ended or commit > 0
    return behind, proven


def _summed(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """Go on with a checksum over whole pairs of 32-bit words."""
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second


def in_memory(journal: Path, log: Log) -> sqlite3.Connection:
    """Open a copy, in memory, of the database as the whole transactions of its log leave it.

    Nothing is written anywhere. Raises OSError, and sqlite3.Error when it is no database.
    """
    image = bytearray(journal.read_bytes())
    for number, size, page in log.pages():
        start = (number - 1) * log.page
        image.extend(bytes(max(0, start + log.page - len(image))))
        image[start : start + log.page] = page
        if size:
            del image[size * log.page :]
    image[_MODE] = b"\1\1"
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.deserialize(bytes(image))
    except BaseException:
        connection.close()
        raise
    return connection
