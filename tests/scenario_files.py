"""Where the scenario files are; files that only serve as a base are left out."""

from pathlib import Path

DIRECTORY = Path(__file__).parent / "scenarios"
BASES = {"fixture.toml", "two_venues.toml"}
FILES = sorted(file for file in DIRECTORY.rglob("*.toml") if file.name not in BASES)


def name_of(file: Path) -> str:
    """Short name for test ids."""
    return str(file.relative_to(DIRECTORY).with_suffix(""))
