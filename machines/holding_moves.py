"""The holding's guards and actions: pure predicates over what was read, and what a row appends.

None chooses the next state or invents a fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines.holding_model import verdict_of, void_contradicts
from machines.messages import Alarm, Arm, FillReported, PositionMoved, ReadTruth, TradeRow
from machines.policy.reconciling import SUSPECT_NS, Verdict, ask_again_after, look_again_after
from machines.table import Out

if TYPE_CHECKING:
    from transitions import EventData

    from machines.holding_model import Holding


#: Why a close is frozen for what two reads show and nobody has explained.
UNEXPLAINED = "unexplained"

# ---------------------------------------------------------------- guards


def venue_is_untrusted(e: EventData) -> bool:
    """The view of the venue is not known to be whole yet."""
    holding: Holding = e.model
    return not holding.session.trusted


def _says(e: EventData) -> Verdict:
    """What the newest read says."""
    return verdict_of(e.model)


def round_adds_up(e: EventData) -> bool:
    """What was held, with everything that is known since, is what the venue shows."""
    return _says(e) == "adds_up"


def round_is_void(e: EventData) -> bool:
    """The read is incomplete, or older than something that is known."""
    return _says(e) == "void"


def round_may_lag(e: EventData) -> bool:
    """The read shows what may have been held before our newest fill, within the read lag."""
    return _says(e) == "may_lag"


def rounds_are_explained(e: EventData) -> bool:
    """Two rounds add up with what strangers were said to do, or what the venue says it took."""
    return _says(e) == "explained"


def rounds_turned(e: EventData) -> bool:
    """Two rounds agree on the other side of the position, and no trade explains that."""
    return _says(e) == "turned"


def rounds_are_foreign(e: EventData) -> bool:
    """Two rounds agree on what no own fill and no known event explains."""
    return _says(e) == "foreign"


def rounds_are_suspected(e: EventData) -> bool:
    """Two rounds agree on what nothing explains, while an order of ours may still fill."""
    return _says(e) == "suspected"


def nothing_is_held(e: EventData) -> bool:
    """Two rounds agree that nothing is held any more, and nothing known explains why."""
    return _says(e) == "foreign" and not e.model.read_qty


def more_is_held(e: EventData) -> bool:
    """The venue shows more than we believe to hold, of the same side or where nothing was held."""
    holding: Holding = e.model
    shown = holding.read_qty or 0
    return abs(shown) > abs(holding.qty + holding.listed_units)


def void_round_contradicts(e: EventData) -> bool:
    """The read counts for nothing, but shows that what we believe to hold is not so."""
    return void_contradicts(e.model)


def order_exceeds_what_is_shown(e: EventData) -> bool:
    """The read contradicts us, and orders of ours may close more than it shows."""
    holding: Holding = e.model
    if not holding.orders or _says(e) in ("void", "adds_up", "may_lag"):
        return False
    shown = holding.read_qty or 0
    open_qty = sum(order.side * order.open_qty for order in holding.orders)
    return abs(open_qty) > abs(shown) or open_qty * shown > 0


def round_contradicts(e: EventData) -> bool:
    """The first read after a gap shows another position than we believe to hold."""
    return _says(e) == "differs"


def own_order_may_explain(e: EventData) -> bool:
    """Two rounds differ, and an order of ours that may still fill could be the reason."""
    return _says(e) == "own"


def venue_is_banned(e: EventData) -> bool:
    """The venue has banned us: every request would lengthen that."""
    banned: int = e.model.lane.banned_until
    return banned > 0


def explanation_may_come(e: EventData) -> bool:
    """A part is gone that nothing explains, and the venue's list of trades may lag behind that."""
    holding: Holding = e.model
    now: int = e.args[1].now
    lost = holding.owner is not None and holding.unexplained * holding.owner.start_qty < 0
    return lost and now < holding.unexplained_at + holding.venue.read_lag_ns


def is_asked_by_another(e: EventData) -> bool:
    """The leg waits, or its close prepares or reconciles: they read by themselves, sooner."""
    leg = e.model.owner
    if leg is None:
        return False
    return "reread" in leg.timers or leg.close.state in ("preparing", "reconciling")


# ---------------------------------------------------------------- in question


def forget_rounds(e: EventData) -> None:
    """Nothing that was read before says what is held now."""
    holding, out = e.model, e.args[1]
    holding.timers.clear()
    holding.ask_count = 0
    holding.read_equal = 0
    holding.read_agreed = False
    holding.doubted_at = out.now


def doubt(e: EventData) -> None:
    """Place nothing there until what is held is known again."""
    holding, out = e.model, e.args[1]
    holding.ask_count = 0
    holding.doubted_at = out.now
    holding.read_agreed = False


def judge_again(e: EventData) -> None:
    """Let the same round be judged as one of a position that is in question."""
    e.args[1].tell(e.model, "read")


def ask_later(e: EventData) -> None:
    """Read again by ourselves if nobody has done so meanwhile; a leg that waits asks sooner."""
    holding, out = e.model, e.args[1]
    if holding.owner is not None:
        out.tell(holding.owner, "position_doubted")
    if "ask" not in holding.timers:
        holding.timers["ask"] = due = out.now + look_again_after(holding.ask_count)
        holding.ask_count += 1
        out.commands.append(Arm(holding.uid, "ask", due))


def ask_after_ban(e: EventData) -> None:
    """Read when the ban is over."""
    holding, out = e.model, e.args[1]
    holding.timers["ask"] = due = holding.lane.banned_until
    out.commands.append(Arm(holding.uid, "ask", due))


def read_now(e: EventData) -> None:
    """Read positions, orders and trades of this instrument."""
    holding, out = e.model, e.args[1]
    out.commands.append(ReadTruth(out.now, holding.venue.name, holding.instrument.index))


def suspect_soon(e: EventData) -> None:
    """End our orders there in a moment, unless it was settled by then: one read may be wrong."""
    holding, out = e.model, e.args[1]
    if holding.orders and "suspect" not in holding.timers:
        holding.timers["suspect"] = due = out.now + SUSPECT_NS
        out.commands.append(Arm(holding.uid, "suspect", due))


def end_own_orders(e: EventData) -> None:
    """Our orders there have to end before the next round: what they did is part of the answer."""
    holding, out = e.model, e.args[1]
    leg = holding.owner
    for order in holding.orders:
        if order.cancel_wanted:
            continue
        if leg is not None and order is leg.order:
            out.tell(leg, "order_suspected")
        else:
            out.tell(order, "cancel_asked")


# ---------------------------------------------------------------- settled


def confirm(e: EventData) -> None:
    """What we believe is what the venue shows: nothing is in question."""
    holding = e.model
    holding.timers.clear()
    holding.settle()
    holding.read_agreed = True
    holding.told_qty = holding.contradicted_qty = None
    if explanation_may_come(e):
        _ask_for_explanation(holding, e.args[1])


def ask_once_more(e: EventData) -> None:
    """Ask again, after a longer pause, for what took a part."""
    holding = e.model
    holding.ask_count += 1
    _ask_for_explanation(holding, e.args[1])


def _ask_for_explanation(holding: Holding, out: Out) -> None:
    holding.timers["ask"] = due = out.now + ask_again_after(holding.ask_count)
    out.commands.append(Arm(holding.uid, "ask", due))


def believe(e: EventData) -> None:
    """Take the venue's word for what is held: what it took by itself, and what strangers did."""
    holding, out = e.model, e.args[1]
    for row in tuple(holding.listed.values()):
        take(holding, row, out.now, holding.read_sent_at, out)
    before = holding.qty
    shown = holding.read_qty
    holding.suffer(shown - before)
    holding.believed_at = out.now
    holding.ask_count = 0
    if shown != before:
        holding.unexplained = shown - before - holding.announced
        holding.unexplained_at = out.now
        holding.unexplained_until = holding.read_taken_at
        if not before:
            holding.entry = holding.read_entry
    confirm(e)
    if holding.owner is not None:
        holding.owner.close.note_exposure(out)


def tell_foreign(e: EventData) -> None:
    """Tell a person of a change that nothing explains, once for each figure."""
    holding, out = e.model, e.args[1]
    if holding.told_qty == holding.read_qty:
        return
    holding.told_qty = holding.read_qty
    base = holding.instrument.base
    shown, known = base(holding.read_qty or 0), base(holding.qty + holding.listed_units)
    _alarm_foreign(holding, f"{holding.id}: venue {shown:f}, known {known:f}", out)


def freeze_close(e: EventData) -> None:
    """Whoever closes this position must not go on by himself: an operator decides."""
    holding, out = e.model, e.args[1]
    if holding.owner is not None:
        out.tell(holding.owner.close, "foreign")


def freeze_unadopted(e: EventData) -> None:
    """As `freeze_close`, unless an operator has told the close to adopt what is held.

    Nobody knows yet who did it: a venue may list a liquidation later than it shows it.
    """
    owner = e.model.owner
    if owner is not None and not owner.close.adopting:
        e.args[1].tell(owner.close, "foreign", UNEXPLAINED)


def _alarm_foreign(holding: Holding, text: str, out: Out) -> None:
    name = holding.id
    if holding.owner is not None:
        close = holding.owner.close
        close.foreign_text = text
        close.alarmed.add("foreign_exposure")
        name = close.id
    out.commands.append(Alarm(out.now, "foreign_exposure", name, text))


# ---------------------------------------------------------------- told by others


def note_strangers_trade(e: EventData) -> None:
    """Somebody else traded here: tell a person. It is believed when two rounds show it."""
    holding, fact, out = e.model, e.args[0], e.args[1]
    change = _change_of(holding, fact)
    holding.announced += change
    holding.announced_at = fact.at
    holding.read_agreed = False
    base = holding.instrument.base(change)
    text = f"{base:f} traded by somebody else ({fact.origin})"
    if holding.owner is not None:
        holding.owner.close.foreign_text = text
        holding.owner.close.alarmed.add("foreign_exposure")
    out.commands.append(Alarm(out.now, "foreign_exposure", holding.id, text))


def book_taken(e: EventData) -> None:
    """The venue took a part by itself: book it with its price, and let the legs act on it."""
    holding, fact, out = e.model, e.args[0], e.args[1]
    take(holding, fact, out.now, out.now, out)
    leg = holding.owner
    if leg is not None:
        leg.close.note_exposure(out)
        out.tell(leg, "order_filling")


def take(
    holding: Holding,
    told: FillReported | PositionMoved | TradeRow,
    now: int,
    known_at: int,
    out: Out,
) -> None:
    """Book what the venue did by itself, once; a change without a price leaves it unknown.

    `known_at` is when the question that told of it was sent, or when a stream told it. What reads
    had shown before anybody explained it changes nothing any more but the leg's account, and not
    that where reads had shown it before its close was asked for.
    """
    change = _change_of(holding, told)
    shown = holding.absorb(change) if told.venue_at <= holding.unexplained_until else 0
    holding.suffer(change - shown)
    if change != shown:
        holding.note_fill(change, known_at, told.venue_at)
    if not isinstance(told, PositionMoved):
        holding.remember(told.trade)
        holding.listed.pop(told.trade, None)
    if told.origin != "settlement":
        rules = holding.instrument
        price = "" if isinstance(told, PositionMoved) else f" at {rules.price(told.price):f}"
        text = f"{rules.base(change):f} by {told.origin}{price}"
        out.commands.append(Alarm(now, "leg_liquidated", holding.id, text))
    leg = holding.owner
    if leg is not None and shown and not holding.unexplained:
        out.tell(leg.close, "explained")
    if leg is None or (change == shown and holding.unexplained_at <= leg.close.requested_at):
        return
    if told.origin != "settlement":
        leg.liquidated = True
    if isinstance(told, PositionMoved):
        leg.note_taken(change, None)
    else:
        leg.note_taken(change, told.price, told.fee)


def count(e: EventData) -> None:
    """Believe a person's figure; all of it is ours."""
    holding = e.model
    holding.accept(e.args[0])
    holding.read_agreed = False
    if holding.owner is not None:
        holding.owner.close.note_exposure(e.args[1])


def _change_of(holding: Holding, told: FillReported | PositionMoved | TradeRow) -> int:
    """Signed units of what was told."""
    if isinstance(told, PositionMoved):
        return told.qty - holding.qty
    return told.side * told.qty


def ignore(e: EventData) -> None:
    """Nothing to do: the fact is recorded and changes no state."""
