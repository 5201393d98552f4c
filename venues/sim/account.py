"""The account at a simulated venue: positions, average entries, fees, funding and cash.

One-way netting: a fill against the position realises its profit, the rest opens the other way. All
money is `Decimal` in the quote currency, and cash always equals start + realised - fees + funding.
This module must not check whether a fill was allowed; the venue did.
"""

from decimal import Decimal

from machines.types import Instrument

ZERO = Decimal(0)
_BPS = Decimal(10_000)


class Holding:
    """Position in one instrument: `qty` in signed units, `entry` its average price or None."""

    __slots__ = ("_maker", "_taker", "entry", "fees", "funding", "instrument", "marks", "qty")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.qty = 0
        self.entry: Decimal | None = None
        self.fees = ZERO
        self.funding = ZERO
        #: (time, qty) after every change: what a stale read shows.
        self.marks: list[tuple[int, int]] = []
        scale = instrument.unit * instrument.tick / _BPS
        self._maker = instrument.maker_fee_bps * scale
        self._taker = instrument.taker_fee_bps * scale

    def fee(self, qty: int, price: int, maker: bool) -> Decimal:
        """Return the fee of a trade in quote currency."""
        instrument = self.instrument
        if instrument.type == "inverse":
            bps = instrument.maker_fee_bps if maker else instrument.taker_fee_bps
            return instrument.base(qty) * bps / _BPS
        rate = self._maker if maker else self._taker
        return qty * price * rate if rate else ZERO

    def apply(self, change: int, price: int) -> Decimal:
        """Book a signed change of position at a price in ticks; return the realised profit."""
        before = self.qty
        after = before + change
        self.qty = after
        paid = self.instrument.price(price)
        if before * change >= 0:
            self.entry = self._average(before, change, paid)
            return ZERO
        closed = min(abs(change), abs(before))
        result = self._profit(closed if before > 0 else -closed, paid)
        if after == 0:
            self.entry = None
        elif before * after < 0:
            self.entry = paid
        return result

    def _average(self, before: int, change: int, paid: Decimal) -> Decimal:
        if not before or self.entry is None:
            return paid
        if self.instrument.type == "inverse":
            return (before + change) / (before / self.entry + change / paid)
        return (before * self.entry + change * paid) / (before + change)

    def _profit(self, qty: int, paid: Decimal) -> Decimal:
        """Return what closing `qty` signed units at `paid` earns (0 while the entry is unknown)."""
        if self.entry is None:
            return ZERO
        if self.instrument.type == "inverse":
            return self.instrument.base(qty) * (paid / self.entry - 1)
        return qty * self.instrument.unit * (paid - self.entry)

    def qty_at(self, at: int) -> int:
        """Return the position as a view of time `at` shows it."""
        for mark_at, qty in reversed(self.marks):
            if mark_at <= at:
                return qty
        return 0


class Account:
    """All holdings of one account at one venue."""

    __slots__ = ("_lean", "balance", "cash", "holdings", "realised")

    def __init__(self, balance: Decimal, lean: bool = False) -> None:
        self.balance = balance
        self.cash = balance
        self.realised = ZERO
        self.holdings: dict[int, Holding] = {}
        self._lean = lean

    def give(self, instrument: int, qty: int, entry: Decimal | None) -> None:
        """Put a position into the account that was there before all time."""
        holding = self.holdings[instrument]
        holding.qty = qty
        holding.entry = entry if qty else None
        self._mark(holding, 0)

    def fill(self, instrument: int, change: int, price: int, maker: bool, at: int) -> Decimal:
        """Book a trade; return its fee."""
        holding = self.holdings[instrument]
        fee = holding.fee(abs(change), price, maker)
        profit = holding.apply(change, price)
        if fee or profit:
            holding.fees += fee
            self.realised += profit
            self.cash += profit - fee
        self._mark(holding, at)
        return fee

    def fund(self, instrument: int, amount: Decimal) -> None:
        """Book a funding payment, received positive."""
        self.holdings[instrument].funding += amount
        self.cash += amount

    def _mark(self, holding: Holding, at: int) -> None:
        if not self._lean:
            holding.marks.append((at, holding.qty))
