"""Where the engine of a configuration listens: all that a command that only asks has to read.

Mistakes anywhere else in the file must not keep a person from halting, so they are not looked for;
where even these two keys cannot be read, the defaults beside the file are tried.
"""

from pathlib import Path
from typing import Any, NamedTuple

from engine.config import Findings, read_toml
from engine.config_specs import EngineSpec
from engine.config_values import Refused, path_text


class Address(NamedTuple):
    """The path of the socket; `remark` says what had to be assumed, empty if nothing."""

    path: Path
    remark: str = ""


def address_of(config: Path) -> Address:
    """Read where the engine of a configuration file listens; never fails."""
    findings = Findings()
    engine = read_toml(config, findings).get("engine", {})
    if not isinstance(engine, dict):
        findings.add("engine", engine, "must be a table")
        engine = {}
    usual = EngineSpec()
    directory = _name(engine, "directory", usual.directory, findings)
    socket = _name(engine, "socket", usual.socket, findings)
    try:
        folder = path_text(directory)
    except Refused as error:
        findings.add("engine.directory", directory, f"must be {error}")
        folder = usual.directory
    path = config.parent / folder / socket
    if not findings:
        return Address(path)
    why = "; ".join(str(each) for each in findings.items)
    return Address(path, f"{config}: {why}; trying {path} instead")


def _name(engine: dict[str, Any], key: str, usual: str, findings: Findings) -> str:
    value = engine.get(key, usual)
    if isinstance(value, str) and value and value.isprintable():
        return value
    findings.add(f"engine.{key}", value, "must be a name in quotes, of printable characters")
    return usual
