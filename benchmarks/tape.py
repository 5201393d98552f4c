"""The tape of the close benchmark: integer quotes that every engine can generate.

Prices are ticks, times nanoseconds. Instrument 2p is pair p's leg on venue A, 2p + 1 its leg on B;
each quotes `hz` times per second, B half an interval after A, pair p later by p ms modulo half an
interval. The bid walks by one tick up or down with probability 1 / (2 hz) each, drawn from one
xorshift64* stream per instrument; the ask is always `SPREAD` ticks above.
"""

SPREAD = 4
START_NS = 1_700_000_000_000_000_000
FIRST_BID = 1_000_000
_MASK = (1 << 64) - 1


def bids(seed: int, index: int, count: int, hz: int) -> list[int]:
    """The bids of one instrument, in ticks."""
    word = ((seed + 1) * 0x9E3779B97F4A7C15 + index * 0xD1342543DE82EF95) & _MASK or 1
    up = (1 << 32) // (2 * hz)
    bid = FIRST_BID
    walk = []
    for _ in range(count):
        word ^= word >> 12
        word ^= (word << 25) & _MASK
        word ^= word >> 27
        drawn = (word * 0x2545F4914F6CDD1D & _MASK) >> 32
        if drawn < up:
            bid += 1
        elif drawn < 2 * up:
            bid -= 1
        walk.append(bid)
    return walk


def quotes(seed: int, pairs: int, ticks: int, hz: int) -> list[tuple[int, int, int]]:
    """All quotes as (time ns, instrument, bid), in order of time, then instrument.

    `ticks` counts the quotes of all instruments together. Raises ValueError when quotes would not
    fall on whole milliseconds.
    """
    if hz < 1 or 500 % hz:
        raise ValueError(f"hz must divide 500, not {hz}")
    interval = 1_000_000_000 // hz
    half = interval // 2
    count = ticks // (2 * pairs)
    tape = []
    for index in range(2 * pairs):
        pair, on_b = divmod(index, 2)
        first = START_NS + on_b * half + pair * 1_000_000 % half
        walk = bids(seed, index, count, hz)
        tape += [(first + step * interval, index, bid) for step, bid in enumerate(walk)]
    tape.sort()
    return tape
