"""Client order ids: the engine's order number as text that a venue accepts, and back.

An id is a pure function of the intent, so that a process which lost the tail of its journal still
recognises its own orders. It must not count, remember or look anything up, and it carries no
strategy, size or secret.

The logical id has 128 bits, big-endian (`reliability/recovery.md` section 6):

    magic 16 | account 16 | epoch 24 | seq 40 | leg 4 | attempt 12 | check 16

The check is CRC-16/CCITT over the other 112 bits. It finds every error that is confined to 16
neighbouring bits, therefore every single changed character. An order number is epoch << 40 | seq.

| width    | text                                                   | carries        |
|----------|--------------------------------------------------------|----------------|
| `text36` | 26 characters of base32 (extended-hex digits 0-9, a-v)  | all fields     |
| `hex128` | `0x` and 32 hexadecimal digits                          | all fields     |
| `uint48` | decimal integer of epoch 20 bits, n 28 bits, n >= 1     | order only     |
| `uint32` | decimal integer of epoch 12 bits, n 20 bits, n >= 1     | order only     |
"""

import re
from binascii import crc_hqx
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

#: First field of every id of this program.
MAGIC = 0x756E

SEQ_BITS = 40
#: Bits of epoch and number in the ids that are plain integers.
NARROW = {"uint48": (20, 28), "uint32": (12, 20)}

_CRC_START = 0xFFFF
_SEQ_MASK = (1 << SEQ_BITS) - 1
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
# Two digits at a time halve the lookups; int(text, 32) reads this alphabet back.
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_TEXT36 = re.compile("[0-9a-v]{26}").fullmatch
_HEX128 = re.compile("0x[0-9a-f]{32}").fullmatch
_UINT48 = re.compile("[1-9][0-9]{0,14}").fullmatch


class IdExhausted(Exception):
    """A field of the id has no room for the number: nothing may be sent under a cut one."""


class OrderId(NamedTuple):
    """What an id says; the fields that a narrow id cannot carry are None."""

    account: int | None
    order: int
    leg: int | None
    attempt: int | None


def account_number(group: str, venue: str, account: str) -> int:
    """Hash an account into the 16 bits that its ids carry."""
    name = "\0".join((group, venue, account)).encode()
    return int.from_bytes(blake2b(name, digest_size=2).digest(), "big")


def encode(account: int, order: int, leg: int, attempt: int, width: str) -> str:
    """Write the id of one order for a venue's `id_width`.

    Raises IdExhausted when a number does not fit its field, ValueError for an unknown width.
    """
    epoch = order >> SEQ_BITS
    if width in NARROW:
        return _narrow(epoch, order & _SEQ_MASK, width)
    if leg >> 4 or attempt >> 12:
        raise IdExhausted(f"leg {leg} needs 4 bits, attempt {attempt} needs 12")
    text, rest, crc, head = _prefix(account, epoch)
    tail = (order & _SEQ_MASK) << 16 | leg << 12 | attempt
    low = tail << 16 | crc_hqx(tail.to_bytes(7, "big"), crc)
    if width == "text36":
        # 56 bits of prefix are eleven digits and one bit; text holds ten, so 80 bits remain here.
        v = (rest << 72 | low) << 2
        p = _PAIRS
        return (
            f"{text}{p[v >> 70]}{p[v >> 60 & 1023]}{p[v >> 50 & 1023]}{p[v >> 40 & 1023]}"
            f"{p[v >> 30 & 1023]}{p[v >> 20 & 1023]}{p[v >> 10 & 1023]}{p[v & 1023]}"
        )
    if width == "hex128":
        return f"0x{head << 72 | low:032x}"
    raise ValueError(f"no id encoding for width {width!r}: use text36, hex128, uint48 or uint32")


def decode(text: str, width: str) -> OrderId | None:
    """Read an id that a venue reported; None when this program cannot have written it.

    A narrow id has no check: any integer with both fields set reads as one.
    """
    if width == "text36":
        if not _TEXT36(text):
            return None
        padded = int(text, 32)
        return None if padded & 3 else _fields(padded >> 2)
    if width == "hex128":
        return _fields(int(text[2:], 16)) if _HEX128(text) else None
    if width in NARROW:
        epoch_bits, n_bits = NARROW[width]
        number = int(text) if _UINT48(text) else 0
        epoch, n = number >> n_bits, number & (1 << n_bits) - 1
        if not n or epoch >> epoch_bits:
            return None
        return OrderId(None, epoch << SEQ_BITS | n, None, None)
    raise ValueError(f"no id encoding for width {width!r}: use text36, hex128, uint48 or uint32")


@lru_cache(maxsize=256)
def _prefix(account: int, epoch: int) -> tuple[str, int, int, int]:
    """First 56 bits, equal for all ids of one account in one process start.

    Returns ten digits of text, the six bits after them, the check's state, and the bits as a whole.
    """
    if account >> 16 or epoch >> 24:
        raise IdExhausted(f"account {account} needs 16 bits, epoch {epoch} needs 24")
    head = MAGIC << 40 | account << 24 | epoch
    text = "".join(_PAIRS[head >> shift & 1023] for shift in (46, 36, 26, 16, 6))
    return text, head & 63, crc_hqx(head.to_bytes(7, "big"), _CRC_START), head


def _narrow(epoch: int, n: int, width: str) -> str:
    epoch_bits, n_bits = NARROW[width]
    if epoch < 0 or epoch >> epoch_bits or n >> n_bits or not n:
        text = f"epoch {epoch} needs {epoch_bits} bits, number {n} needs 1 to {n_bits}"
        raise IdExhausted(f"{width}: {text}")
    return str(epoch << n_bits | n)


def _fields(bits: int) -> OrderId | None:
    body = bits >> 16
    if body >> 96 != MAGIC or crc_hqx(body.to_bytes(14, "big"), _CRC_START) != bits & 0xFFFF:
        return None
    return OrderId(body >> 80 & 0xFFFF, body >> 16 & (1 << 64) - 1, body >> 12 & 15, body & 0xFFF)
