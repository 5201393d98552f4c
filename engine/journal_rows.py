"""Records, and the rows that hold them: each batch is sealed into one row, chained by hash.

It must not touch a file, read a clock or number anything: records come numbered from 1 and go on
without gaps (I21), and what one means is the fold's affair.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from engine.journal_errors import BrokenChain, CorruptJournal, NewerJournal, SequenceGap
from machines.messages import Command, Fact, TopSeen

CODEC = 1  #: version of a row's body: msgpack array of `Record`
GENESIS = bytes(32)


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step of the core: the fact, the book tops its decision consumed, the intents it made.

    `seq` counts from 1; `at` is the step's time, `wall_ns` the wall clock beside it.
    """

    seq: int
    at: int
    fact: Fact
    seen: tuple[TopSeen, ...]
    intents: tuple[Command, ...]
    wall_ns: int


class Row(NamedTuple):
    """One batch as the table holds it."""

    first_seq: int
    last_seq: int
    epoch: int
    ts_mono: int
    ts_wall: int
    n: int
    codec: int
    body: bytes
    prev_hash: bytes
    hash: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Record])
_HEADER = struct.Struct(">7q")


class Head:
    """Where a journal ends: what the next batch continues. Shared by a front and its connection."""

    __slots__ = ("epoch", "last_hash", "last_seq", "machines", "recorded", "unchecked")

    def __init__(self, epoch: int = 0, last_seq: int = 0, last_hash: bytes = GENESIS) -> None:
        self.epoch = epoch
        self.last_seq = last_seq
        self.last_hash = last_hash
        self.machines = 0  #: version of the machines that wrote the file, 0 for one to be made
        self.recorded = 0  #: epoch of the last record that the file was opened with
        self.unchecked = 0  #: bytes written since the last checkpoint, estimated


def seal(head: Head, records: Sequence[Record]) -> Row:
    """Make the row that continues `head` with a non-empty batch; `head` stays.

    Raises SequenceGap when the records do not follow on.
    """
    last = records[-1]
    first_seq, last_seq, n = records[0].seq, last.seq, len(records)
    if first_seq != head.last_seq + 1 or last_seq - first_seq != n - 1:
        text = f"batch {first_seq} to {last_seq} of {n} does not follow record {head.last_seq}"
        raise SequenceGap(text, head.last_seq + 1)
    epoch, at, wall, prev = head.epoch, last.at, last.wall_ns, head.last_hash
    body = _ENCODER.encode(records)
    header = _HEADER.pack(first_seq, last_seq, epoch, at, wall, n, CODEC)
    digest = blake2b(prev + header + body, digest_size=32).digest()
    return Row(first_seq, last_seq, epoch, at, wall, n, CODEC, body, prev, digest)


def verified(rows: Iterable[Row], where: object) -> Iterator[Row]:
    """Pass rows on while each is intact and follows the one before."""
    seq, chain = 0, GENESIS
    for row in rows:
        try:
            header = _HEADER.pack(*row[:7])
            digest = blake2b(row.prev_hash + header + row.body, digest_size=32).digest()
        except (struct.error, TypeError) as error:
            text = f"{where}: the batch from record {seq + 1} is none ({error}); restore a copy"
            raise BrokenChain(text, seq + 1) from error
        if digest == row.hash and row.first_seq != seq + 1:
            text = f"{where}: records {seq + 1} to {row.first_seq - 1} are missing; restore a copy"
            raise SequenceGap(text, seq + 1)
        if digest != row.hash or row.prev_hash != chain or row.last_seq - seq != row.n:
            span = f"record {row.first_seq}, in the batch up to {row.last_seq},"
            raise BrokenChain(f"{where}: {span} was altered; restore a copy", row.first_seq)
        if row.codec != CODEC:
            text = (
                f"{where}: record {row.first_seq} has codec {row.codec}, this program reads {CODEC}"
            )
            raise NewerJournal(f"{text}; start the newer program")
        seq, chain = row.last_seq, row.hash
        yield row


def decoded(rows: Iterable[Row], where: object) -> Iterator[Record]:
    for row in verified(rows, where):
        try:
            records = _DECODER.decode(row.body)
        except msgspec.DecodeError as error:
            text = f"{where}: the batch from record {row.first_seq} cannot be decoded ({error})"
            raise CorruptJournal(f"{text}; start the version that wrote it") from error
        if [record.seq for record in records] != list(range(row.first_seq, row.last_seq + 1)):
            text = f"{where}: the batch from record {row.first_seq} is not numbered in order"
            raise SequenceGap(text, row.first_seq)
        yield from records
