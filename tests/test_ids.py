"""Client order ids: unique, readable without a journal, and safe against a changed character."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venues.ids import IdExhausted, OrderId, account_number, decode, encode

WIDE = ("text36", "hex128")

accounts = st.integers(0, (1 << 16) - 1)
orders = st.integers(0, (1 << 64) - 1)
legs = st.integers(0, 15)
attempts = st.integers(0, 4095)


@pytest.mark.parametrize("width", WIDE)
@settings(deadline=None)
@given(account=accounts, order=orders, leg=legs, attempt=attempts)
def test_a_wide_id_reads_back_as_what_was_written(width, account, order, leg, attempt):
    text = encode(account, order, leg, attempt, width)
    assert decode(text, width) == OrderId(account, order, leg, attempt)


@settings(deadline=None)
@given(epoch=st.integers(0, (1 << 20) - 1), n=st.integers(1, (1 << 28) - 1))
def test_a_narrow_id_reads_back_its_order_only(epoch, n):
    order = epoch << 40 | n
    text = encode(7, order, 1, 2, "uint48")
    assert 1 <= int(text) < 1 << 48
    assert decode(text, "uint48") == OrderId(None, order, None, None)


def test_the_layout_is_the_one_of_the_specification():
    fields = 0x756E << 96 | 0xBEEF << 80 | 5 << 56 | 9 << 16 | 3 << 12 | 7
    text = encode(0xBEEF, 5 << 40 | 9, 3, 7, "hex128")
    assert text[:30] == f"0x{fields:028x}"
    assert _crc_by_bits(fields.to_bytes(14, "big")) == int(text[30:], 16)
    assert int(encode(0xBEEF, 5 << 40 | 9, 3, 7, "text36"), 32) == int(text, 16) << 2
    assert encode(0, 5 << 40 | 9, 0, 0, "uint48") == str(5 << 28 | 9)


def test_the_texts_fit_what_venues_accept():
    text = encode(0xFFFF, (1 << 64) - 1, 15, 4095, "text36")
    assert len(text) == 26
    assert text.isascii()
    assert text.isalnum()
    assert text == text.lower()
    assert len(encode(0, 1 << 40 | 1, 0, 0, "hex128")) == 34


@pytest.mark.parametrize("width", [*WIDE, "uint48"])
def test_no_two_intents_of_many_epochs_share_an_id(width):
    rng = random.Random(11)
    intents = {
        (
            rng.randrange(1, 1001) << 40 | rng.randrange(1, 1 << 28),
            rng.randrange(3),
            rng.randrange(9),
        )
        for _ in range(20_000)
    }
    if width == "uint48":
        intents = {(order, 0, 0) for order, _, _ in intents}
    texts = {encode(77, order, leg, attempt, width) for order, leg, attempt in intents}
    assert len(texts) == len(intents)


@pytest.mark.parametrize("width", WIDE)
def test_neighbouring_fields_never_share_an_id(width):
    near = (0, 1, 2, 3)
    texts = {
        encode(account, epoch << 40 | seq, leg, attempt, width)
        for account in near
        for epoch in near
        for seq in near
        for leg in near
        for attempt in near
    }
    assert len(texts) == 4**5


@pytest.mark.parametrize("width", WIDE)
def test_one_changed_character_is_rejected(width):
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABVX_-. "
    text = encode(0xA5A5, 3 << 40 | 12345, 1, 2, width)
    changed = [
        text[:i] + c + text[i + 1 :] for i in range(len(text)) for c in alphabet if c != text[i]
    ]
    assert [t for t in changed if decode(t, width) is not None] == []


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize("text", ["", "x", "web_1234567890", "0x" + "0" * 32, "0" * 26, "٣" * 26])
def test_a_foreign_id_is_not_ours(width, text):
    assert decode(text, width) is None


def test_an_intact_id_of_another_program_is_not_ours():
    body = (0x756F << 96 | 1 << 80 | 5 << 56 | 9 << 16).to_bytes(14, "big")
    assert decode(f"0x{body.hex()}{_crc_by_bits(body):04x}", "hex128") is None


@pytest.mark.parametrize("text", ["", "0", "-5", "007", "1_0", "٣", str(1 << 28), str(1 << 48 | 1)])
def test_an_integer_outside_the_narrow_fields_is_not_ours(text):
    assert decode(text, "uint48") is None


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize(
    ("account", "order", "leg", "attempt"),
    [
        (1 << 16, 1, 0, 0),
        (-1, 1, 0, 0),
        (0, 1 << 64, 0, 0),
        (0, -1, 0, 0),
        (0, 1, 16, 0),
        (0, 1, -1, 0),
        (0, 1, 0, 4096),
        (0, 1, 0, -1),
    ],
)
def test_an_exhausted_field_of_a_wide_id_refuses(width, account, order, leg, attempt):
    with pytest.raises(IdExhausted):
        encode(account, order, leg, attempt, width)


@pytest.mark.parametrize("order", [1 << 60, 1 << 40 | 1 << 28, 1 << 40, -1])
def test_an_exhausted_field_of_a_narrow_id_refuses(order):
    with pytest.raises(IdExhausted):
        encode(0, order, 0, 0, "uint48")


def test_a_width_without_encoding_is_named():
    with pytest.raises(ValueError, match="uint16"):
        encode(0, 1 << 40 | 1, 0, 0, "uint16")
    with pytest.raises(ValueError, match="uint16"):
        decode("1", "uint16")


@pytest.mark.parametrize("order", [1 << 40 | 1, 4095 << 40 | (1 << 20) - 1, 7 << 40 | 12345])
def test_an_id_of_32_bits_reads_back_and_fits(order):
    text = encode(0, order, 3, 5, "uint32")
    assert int(text) < 1 << 32
    known = decode(text, "uint32")
    assert known is not None
    assert known.order == order
    with pytest.raises(IdExhausted, match="uint32"):
        encode(0, 4096 << 40 | 1, 0, 0, "uint32")


def test_accounts_of_a_venue_get_numbers_of_their_own():
    numbers = [account_number("g", "v", name) for name in ("", "a", "b", "ab")]
    assert len(set(numbers)) == 4
    assert account_number("g", "va", "b") != account_number("g", "v", "ab")
    assert all(0 <= n < 1 << 16 for n in numbers)


def _crc_by_bits(data: bytes) -> int:
    """CRC-16/CCITT from its polynomial x^16 + x^12 + x^5 + 1, one bit at a time."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
