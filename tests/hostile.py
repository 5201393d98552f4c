"""A scenario whose every free text attacks whoever shows it: terminals, browsers, Mermaid, XML.

It must not be run for what it does; its close is an ordinary one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.scenario_files import DIRECTORY

#: Runs where it is taken for HTML, colours a terminal, turns the way in which it is read, ends a
#: line, a statement or an element.
ATTACK = (
    "<img src=q onerror=attacked=1></script><script>attacked=1</script>"
    " & \"x\" 'y' `z` | %% ;#\n/*PICTURE*/\x1b[31m\x00\u2028\u202e\x9b"
)


def hostile_scenario(folder: Path) -> Path:
    """Write the scenario into a folder and return its file; its pair is `x`."""
    shutil.copy(DIRECTORY / "fixture.toml", folder)
    text = json.dumps(ATTACK)
    path = folder / "hostile.toml"
    path.write_text(
        f"""
name = {text}
about = {text}
source = {text}
base = "fixture.toml"
duration_s = 90

[[timeline]]
at_s = 0
answer = {{ venue = "a", on = "create", outcome = "reject", code = {text}, reason = "PRICE_BAND" }}

[[timeline]]
at_s = 0
close = {{ pair = "x", reason = {text}, urgency = "normal" }}

[[timeline]]
at_s = 3
report = {{ instrument = "b:X", order = 1, status = "CANCELED", reason = {text} }}

[expect]
orders = 0
""",
        encoding="utf-8",
    )
    return path
