"""`pinnkit export`: a trained solution as files that need no pinnkit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from pinnkit.cli.parsing import parse
from pinnkit.errors import UsageError
from pinnkit.exporting import EXPORTERS, Exporter
from pinnkit.problem import Problem
from pinnkit.runs.calls import load
from pinnkit.runs.exports import write_exports
from pinnkit.runs.folder import RunFolder, free_path, require_free_folder
from pinnkit.runs.restore import restore_problem
from pinnkit.settings import choices

ABOUT = "export.json"
OWN_OPTIONS = ("untrained", "out", "help")
"""Options that belong to no exporter."""
DESCRIPTION = (
    "Write a trained solution as a StableHLO program, and as what is asked for beside it; compare each with the run."
)


def export(console: Console, arguments: Sequence[str]) -> int:
    """Export a run as the arguments say; returns the exit status."""
    known = _known_exporters(arguments)
    asked: Any = parse(_options_type(known), arguments, "pinnkit export", description=DESCRIPTION,
                       config=(tyro.conf.FlagCreatePairsOff,))  # fmt: skip
    require_free_folder(asked.out)
    source = RunFolder.open(asked.run)
    solution = load(source.path, untrained=asked.untrained)
    exporters = [
        getattr(asked, f"{name}_options", None) or cls()
        for name, cls in known.items()
        if cls.standard or getattr(asked, name)
    ]
    exports = {exporter.name: exporter.convert(solution) for exporter in exporters}
    folder = asked.out or free_path(source.path / "export")
    write_exports(exports.values(), folder)
    about = _about(solution.answer.problem)
    for name, exported in exports.items():
        about |= exported.about if known[name].standard else {name: exported.about}
        for file, content in exported.files.items():
            console.print(f"{folder / file}: {len(content) / 1000:.1f} kB", soft_wrap=True)
        for note in exported.notes:
            text = isinstance(note, str)
            console.print(
                f"  {note.format(folder=folder)}" if text else note, style="dim" if text else None, soft_wrap=True
            )
    RunFolder(folder).write(ABOUT, about)
    return 0


def _known_exporters(arguments: Sequence[str]) -> dict[str, type[Exporter]]:
    """Return the exporters of pinnkit, and, where an option is none of theirs, those of the run's own problem file."""
    options = {
        word.removeprefix("--").partition("=")[0].partition(".")[0] for word in arguments if word.startswith("--")
    }
    run = next((word for word in arguments if not word.startswith("-")), None)
    if run is None or options <= {*EXPORTERS, *OWN_OPTIONS}:
        return dict(EXPORTERS)
    try:
        return choices(EXPORTERS, type(restore_problem(RunFolder.open(run))), Exporter)
    except UsageError:  # a folder that is no run: what is wrong with the options is said first
        return dict(EXPORTERS)


def _options_type(known: Mapping[str, type[Exporter]]) -> Any:
    """The dataclass of the options: a flag per exporter that is not used anyway, and the options of each."""

    def option(name: str, kind: Any, default: Any, meaning: str) -> tuple[str, Any, Any]:
        return name, Annotated[kind, tyro.conf.arg(help=meaning)], field(default=default)

    options: list[Any] = [("run", Annotated[str, tyro.conf.Positional, tyro.conf.arg(help="Folder of the run.")])]
    for name, cls in known.items():
        if not cls.standard:
            options.append(option(name, bool, False, (inspect.getdoc(cls) or "").split("\n\n")[0]))
        if fields(cls):
            kind: Any = Annotated[cls, tyro.conf.arg(name=name)]
            options.append((f"{name}_options", kind, field(default_factory=cls)))
    options += [
        option("untrained", bool, False, "Export also where the only network that can be read has not been trained."),
        option("out", Path | None, None, "Folder for what is written, instead of export in the folder of the run."),
    ]
    return make_dataclass("Export", options, frozen=True)


def _about(problem: Problem) -> dict[str, Any]:
    return {
        "problem": problem.name,
        "domain": {a: [x.lower, x.upper] for a, x in zip(problem.domain.names, problem.domain.axes, strict=True)},
    }
