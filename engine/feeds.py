"""Opens the files that recorded books come from; a simulated venue itself opens none."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from machines.types import Instrument
from venues.sim.recordings import Recorded, read_recording, split_source


def open_recording(recording: str, instrument: Instrument) -> Iterator[Recorded]:
    """Read `path#venue`, a CSV slice that may be gzipped, row by row.

    Raises OSError if there is no such file, ValueError with file and line for a bad row.
    """
    path, venue = split_source(recording)
    opener = gzip.open if Path(path).suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        yield from read_recording(lines, venue, instrument, path)
