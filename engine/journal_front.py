"""What every journal shows, wherever it keeps its rows: its epoch and where it ends.

It must not write: each journal appends in its own way.
"""

from collections.abc import Sequence
from typing import Protocol

from engine.journal_rows import Head, Record

CHECKPOINT_BYTES = 16 << 20  #: of log, above which a live engine checkpoints when it is idle


class Journal(Protocol):
    """What the synchronous loop needs of a journal."""

    @property
    def epoch(self) -> int:
        """Number of this process start."""

    @property
    def last_seq(self) -> int:
        """Number of the last durable record, and the count of them; 0 before the first."""

    def append(self, records: Sequence[Record]) -> None:
        """Record a non-empty batch that continues `last_seq`, or raise and leave nothing of it."""


class Front:
    """Views of the head, the same for all journals."""

    def __init__(self, head: Head) -> None:
        self._head = head

    @property
    def epoch(self) -> int:
        """Number of this process start."""
        return self._head.epoch

    @property
    def last_seq(self) -> int:
        """Number of the last durable record, and the count of them; 0 before the first."""
        return self._head.last_seq

    @property
    def last_hash(self) -> bytes:
        """Hash of the last durable row."""
        return self._head.last_hash

    @property
    def checkpoint_due(self) -> bool:
        """Whether the log has grown enough for a checkpoint, off the way of a send."""
        return self._head.unchecked > CHECKPOINT_BYTES
