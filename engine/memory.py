"""How the engine collects garbage: rarely, and never what start-up built.

Machines point at each other, so a retired close is freed by the cycle collector alone; it must stay
on. Its stock threshold of 700 would run it every few closes. This module must not decide when to
start or stop anything else.
"""

import gc

#: Containers that may be allocated, net of those freed, before the young are looked at.
YOUNG_MAX = 20_000


def spare_collector() -> None:
    """Take what exists out of the collector's sight and let it run every `YOUNG_MAX` containers.

    To be called once, after set-up and before the first fact.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 10, 10)
