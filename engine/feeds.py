"""Opens the files that recorded books come from; a simulated venue itself opens none.

A recording is read once as a whole before it is replayed. Must not repair what is wrong with it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from engine.config import Config, Findings, InstrumentSpec, scale_instruments
from engine.config_values import join
from engine.files import open_regular
from machines.types import Instrument
from venues.sim.recordings import Recorded, read_recording, split_source

#: No row of a slice comes near; a compressed file could hold one line without end.
LINE_MAX = 4096
#: Rows that are replayed: some days of the busiest market.
ROWS_MAX = 10_000_000


def open_recording(recording: str, instrument: Instrument) -> Iterator[Recorded]:
    """Read `path#venue`, a CSV slice that may be gzipped, row by row.

    Raises OSError if there is no such file, ValueError with file and line for a bad row.
    """
    path, venue = split_source(recording)
    with open_regular(Path(path)) as raw:
        packed = Path(path).suffix == ".gz"
        data = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        with io.TextIOWrapper(data, encoding="utf-8", newline="") as text:
            yield from read_recording(_lines(text, path), venue, instrument, path)


def _lines(text: TextIO, path: str) -> Iterator[str]:
    try:
        for _ in range(ROWS_MAX):
            line = text.readline(LINE_MAX + 1)
            if not line:
                return
            if len(line) > LINE_MAX:
                raise ValueError(f"a line has at most {LINE_MAX} characters")
            yield line
    except (EOFError, zlib.error) as error:
        raise OSError(f"{path}: is damaged ({error})") from error
    raise ValueError(f"a recording has at most {ROWS_MAX} rows")


def check_recordings(config: Config, source: Path) -> None:
    """Read every recording of the configuration in `source` once, before anything relies on it.

    Raises `ConfigError` with the first bad row of each: a row that cannot be read would end the
    market in the middle of a close.
    """
    findings = Findings()
    for rules in scale_instruments(config.venues, config.instruments, config.positions, Findings()):
        note_bad_recording(config.instruments[rules.key], rules, findings)
    findings.raise_if_any(str(source))


def note_bad_recording(spec: InstrumentSpec, rules: Instrument, findings: Findings) -> None:
    """Note what keeps the recording of an instrument, if it has one, from being replayed."""
    if not spec.recording:
        return
    try:
        for _ in open_recording(spec.recording, rules):
            pass
    except (OSError, ValueError) as error:
        where = join(join("instruments", spec.key), "recording")
        findings.add(where, spec.recording, f"cannot be replayed: {error}")
