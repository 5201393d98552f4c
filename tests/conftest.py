"""What all tests share: reproducible properties and the tables that run in production.

It must not hold state between tests; a description of the tables is never changed.
"""

import pytest
from hypothesis import settings

from engine.diagrams.docs import Docs, describe
from machines.table import Table

#: Modules that export `TABLE`; a module that is not there yet is skipped by name.
PRODUCTION = (
    "machines.order",
    "machines.leg",
    "machines.close",
    "machines.holding",
    "machines.session",
    "machines.lane",
)

settings.register_profile("unwind", derandomize=True, deadline=None, database=None)
settings.load_profile("unwind")


@pytest.fixture(params=PRODUCTION)
def production(request: pytest.FixtureRequest) -> Table:
    """Each table of the running engine in turn."""
    table: Table = pytest.importorskip(request.param).TABLE
    return table


@pytest.fixture(scope="session")
def docs() -> Docs:
    """All machines as plain data; reading them takes a second."""
    return describe()
