"""The words that an operator may say to a running engine: one row each.

The socket, the command line and the tests read this table, so a new word is a new row. What the
core does with a word is a matter of its own tables.
"""

from typing import NamedTuple


class Argument(NamedTuple):
    """Something that a word is about. `name` is the field of the request and of the command line.

    On the command line it stands by itself under its `label`, or is an option without one.
    """

    name: str
    help: str
    label: str = ""
    required: bool = True


class Verb(NamedTuple):
    """One word. `urgent` ones have a door of their own; `trigger` is what machines are told by it.

    Words with a `trigger` are about machines that may have nothing to do.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    urgent: bool = False
    trigger: str = ""


_PAIR = Argument("pair", "Name of the pair.", "PAIR")
_ANY_PAIR = Argument("pair", "Name of the pair; all if left out.", "PAIR", required=False)
_VENUE = Argument(
    "venue", "A venue whose halt is lifted; your own halt if left out.", "VENUE", required=False
)
_ORDER = Argument(
    "order", "An order as venue:symbol#n, or the instrument it stands on.", "ORDER_OR_INSTRUMENT"
)
_FILLED = Argument("filled", "How much of it has filled, in the venue's contracts.")
_QTY = Argument(
    "qty", "What is held, in base units, where a venue shows no positions.", required=False
)

#: Every word by its name, in the order in which they are shown.
VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("halt", "Place no order any more and cancel those that rest.", urgent=True),
        Verb("resume", "Go on after a halt.", (_VENUE,)),
        Verb(
            "kill", "Close everything, for the reason KILL, with the highest urgency.", urgent=True
        ),
        Verb("retry", "Try again now where a close is stuck.", (_ANY_PAIR,), trigger="retry_asked"),
        Verb(
            "cancel", "Withdraw a close of which nothing has filled.", (_PAIR,), trigger="withdraw"
        ),
        Verb(
            "adopt",
            "Let a frozen close go on with what the venues show now.",
            (_PAIR, _QTY),
            trigger="adopt",
        ),
        Verb(
            "write_off",
            "End a frozen, stuck or quarantined close; what is left is yours to look after.",
            (_PAIR,),
            trigger="write_off",
        ),
        Verb("release", "Let a quarantined close go on.", (_PAIR,), trigger="release"),
        Verb(
            "settle",
            "Say what an order in doubt has done, where the venue cannot.",
            (_ORDER, _FILLED),
            trigger="settled",
        ),
    )
}


def typed(name: str) -> str:
    """A word or argument as it is typed on the command line."""
    return name.replace("_", "-")
