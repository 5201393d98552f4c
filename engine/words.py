"""Transitions and facts in plain words, for people who watch a run.

It must not decide anything; what it does not know it shows as it stands.
"""

from machines.close import TABLE as CLOSE
from machines.holding import TABLE as HOLDING
from machines.lane import TABLE as LANE
from machines.leg import TABLE as LEG
from machines.order import TABLE as ORDER
from machines.session import TABLE as SESSION
from machines.table import Transition

TABLES = {table.name: table for table in (ORDER, LEG, CLOSE, HOLDING, SESSION, LANE)}


def why(transition: Transition) -> str:
    """Why the row was taken: its own reason, else what its guard or action says, in one line."""
    row = TABLES[transition.machine].rows[transition.row]
    if row.why:
        return row.why
    for callback in (*row.actions, *row.guards):
        first = (callback.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        if first and not first.startswith("Nothing to do"):
            return first[0].lower() + first[1:]
    return transition.trigger.replace("_", " ")


def sentence(transition: Transition) -> str:
    """One transition of a close or leg without its name: `live > withdrawing: why`."""
    return f"{transition.source} → {transition.dest}: {why(transition)}"
