"""The review page: every machine as a picture to click on, in one file that needs no network.

Collects what the page shows and puts it into `review.html` as data; everything else is in the page.
It must not decide anything about a machine.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from engine.config import Config
from engine.diagrams import overview
from engine.diagrams.arrows import Groups, moving_arrows
from engine.diagrams.coverage import Coverage, excuse, seconds, takers, weights
from engine.diagrams.docs import Docs, MachineDoc, RowDoc, StateDoc
from engine.diagrams.graphs import Overlay, draw
from engine.diagrams.keys import by_short, known, named_in, values
from engine.diagrams.pages import bound, in_words

_ID = re.compile(r"[CPF]\d+[a-z]?\b")
#: The end of a line that the next one goes on with.
_WRAPPED = re.compile(r"(?<!\n)\n(?!\n|\s*\d+\. )\s*")
_PLACE = "/*DATA*/"


def page(
    docs: Docs, config: Config | None, coverage: Coverage | None, whole: Docs | None = None
) -> str:
    """The page as HTML; `whole` are all machines where `docs` are some. Raises MissingGraphviz."""
    template = files("engine.diagrams").joinpath("review.html").read_text(encoding="utf-8")
    data = msgspec.json.encode(_data(docs, config, coverage, whole or docs)).decode()
    # What the data says must not end the element that holds it.
    return template.replace(_PLACE, data.replace("<", "\\u003c"))


def _data(
    docs: Docs, config: Config | None, coverage: Coverage | None, whole: Docs
) -> dict[str, Any]:
    return {
        "note": _note(config, coverage),
        "judges": coverage is None or coverage.judges,
        "kind": "scenarios" if coverage is None or coverage.judges else "journals",
        "overview": bare(overview.draw(whole, "svg")),
        "joint": [msgspec.structs.asdict(rule) for rule in docs.joint],
        "machines": [_machine(machine, coverage) for machine in reversed(docs.machines)],
        "keys": _keys(docs, config),
        "sources": _sources(coverage),
    }


def _note(config: Config | None, coverage: Coverage | None) -> str:
    parts = ["configured values" if config else "default values (no --config)"]
    if coverage is not None:
        count = len(coverage.sources)
        kind = "scenario" if coverage.judges else "journal"
        parts.append(f"rows counted over {count} {kind}{'' if count == 1 else 's'}")
    else:
        parts.append("rows not counted (--coverage, --journal)")
    return "; ".join(parts)


def bare(svg: bytes) -> str:
    """A picture without the declaration of a file, at the size of its surroundings."""
    text = svg.decode()
    return text[text.index("<svg") :]


def _machine(machine: MachineDoc, coverage: Coverage | None) -> dict[str, Any]:
    arrows = moving_arrows(machine)
    looks = weights(machine, arrows, coverage) if coverage is not None else {}
    groups = Groups(machine)
    counted = takers(coverage, machine.name) if coverage is not None else {}
    return {
        "name": machine.name,
        "about": flowed(machine.about),
        "svg": bare(draw(machine, arrows, "svg", Overlay(arrows=looks))),
        "initial": machine.initial,
        "origins": machine.origins,
        "states": [_state(machine, state, coverage) for state in machine.states],
        "arrows": [
            {
                "number": arrow.number,
                "source": arrow.source.name,
                "dest": arrow.dest.name,
                "sources": groups.leaves(arrow.source),
                "dests": groups.leaves(arrow.dest),
                "rows": arrow.rows,
            }
            for arrow in arrows
        ],
        "rows": [_row(machine, row, counted.get(row.number, [])) for row in machine.rows],
        "callbacks": {
            name: {
                "doc": each.doc,
                "keys": [known()[f].path for f in each.settings if f in known()],
                "code": machine.code[each.calls[0]] if each.calls else "",
            }
            for name, each in machine.callbacks.items()
        },
    }


def flowed(text: str) -> str:
    """Paragraphs on one line each, so that a window breaks them; numbered lines stay their own."""
    return _WRAPPED.sub(" ", text)


def _state(machine: MachineDoc, state: StateDoc, coverage: Coverage | None) -> dict[str, Any]:
    stay = coverage.stay(machine.name, state.name) if coverage is not None else None
    held = f"median {seconds(stay[0])}, longest {seconds(stay[1])}" if stay else ""
    return {
        "name": state.name,
        "meaning": state.meaning,
        "timers": [
            [tag, length, [key.path for key in named_in(length)]] for tag, length in state.timers
        ],
        "terminal": state.terminal,
        "unbounded": state.unbounded,
        "keys": [key.path for key in named_in(state.unbounded)],
        "stay": held,
    }


def _row(machine: MachineDoc, row: RowDoc, counted: list[tuple[int, int]]) -> dict[str, Any]:
    does = list(dict.fromkeys(map(in_words, machine.effects(row))))
    return {
        "number": row.number,
        "trigger": row.trigger,
        "source": row.source,
        "dest": row.dest,
        "guards": row.guards,
        "actions": row.actions,
        "does": does,
        "why": row.why,
        "bound": bound(machine, row) if does else "",
        "late": row.late,
        "untaken": excuse(row),
        "count": sum(times for _, times in counted),
        "takers": counted,
    }


def _keys(docs: Docs, config: Config | None) -> dict[str, Any]:
    """Every key that a guard, an action or a state names, with what it is set to."""
    read = config or Config({}, {}, {}, {})
    fields = [
        field for m in docs.machines for each in m.callbacks.values() for field in each.settings
    ]
    shown = [known()[field] for field in fields if field in known()] + list(by_short().values())
    return {
        key.path: {"meaning": key.meaning, "values": values(key, read) or [["", "by venue"]]}
        for key in dict.fromkeys(shown)
    }


def _sources(coverage: Coverage | None) -> list[dict[str, Any]]:
    if coverage is None:
        return []
    return [
        {
            "id": catalogue_id(source.name, source.file),
            "file": source.file,
            "name": source.name,
            "about": source.about,
            "source": source.source,
            "rows": len(source.rows),
        }
        for source in coverage.sources
    ]


def catalogue_id(name: str, file: str) -> str:
    """The id of a scenario in the catalogue, from its name or its file's; else the file's name."""
    stem = Path(file).stem
    found = _ID.match(name) or _ID.match(stem.partition("_")[0].upper())
    return found.group() if found else stem.replace("_", " ")
