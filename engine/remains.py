"""What an earlier process left: whether it belongs together, and what of it forbids a start.

It must not move, write or delete anything.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.journal_errors import explaining
from engine.journal_file import inspected
from engine.lock import LockFile
from engine.paths import Paths
from engine.session_file import Session


def is_at_its_end(session: Session, paths: Paths, lock: LockFile) -> bool:
    """Whether a session is finished, and at the very record that is the journal's last.

    Where no journal is there, the last that the lock file knows: putting it aside was interrupted.
    Raises JournalError at a journal that is damaged.
    """
    if not session.finished:
        return False
    if not paths.journal.exists():
        return session.last_seq == lock.seq
    with explaining(paths.journal):
        last = inspected(paths.journal, True, lock.seq).last_seq
    return session.last_seq in (-1, last) and (lock.seq or 0) <= last


def is_unbegun(paths: Paths, lock: LockFile) -> bool:
    """Whether the journal is one that a process made and died before anything belonged to it.

    Without a session file and books, and without a record: none that is there, and none that the
    lock file knows of since the process start that made it. Raises JournalError at a journal that
    is damaged.
    """
    if not paths.journal.exists() or remains_of(paths):
        return False
    with explaining(paths.journal):
        head = inspected(paths.journal, True, lock.seq)
    return not head.last_seq and (not lock.seq or lock.epoch != head.epoch)


def remains_of(paths: Paths) -> list[str]:
    """Names of what belongs to a journal, where that is gone: beside them ids might repeat."""
    books = sorted(paths.books.glob("*.book"))
    return [each.name for each in (paths.session, *books) if os.path.lexists(each)]


def is_free(path: Path) -> bool:
    """Whether a socket may be made there: nothing is, or a socket that nobody serves."""
    return not os.path.lexists(path) or stat.S_ISSOCK(path.lstat().st_mode)


def words_of_loss(journal: Path, last: int, written: int, unknown: int) -> str:
    """What is known of the missing end of a journal; empty if nothing is missing.

    `last` is its last record, `written` the last one that is known to have been there, `unknown`
    the number of orders that others know.
    """
    lost = []
    if written > last:
        lost.append(f"records {last + 1} to {written} are missing at its end")
    if unknown:
        orders = "an order" if unknown == 1 else f"{unknown} orders"
        lost.append(f"it does not know {orders} that the venues' books show")
    return f"{journal}: {', and '.join(lost)}" if lost else ""
