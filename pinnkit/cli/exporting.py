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
from pinnkit.exporting import EXPORTERS, Exporter, FieldExporter
from pinnkit.problem import Problem
from pinnkit.runs.calls import load
from pinnkit.runs.exports import write_exports
from pinnkit.runs.folder import RunFolder, free_path, require_free_folder
from pinnkit.runs.restore import restore_problem
from pinnkit.settings import choices

PLACES = tuple(option.name for option in fields(FieldExporter))
"""Options that files of fields share."""
ABOUT = "export.json"
OWN_OPTIONS = ("untrained", "out", "help")
"""Options that belong to no exporter."""
DESCRIPTION = (
    "Write a solution for other programs: as a StableHLO program (the network), as files of fields (--netcdf, --vtk, --csv) for "
    "analysis and viewers; compare each with the run."
)


def export(console: Console, arguments: Sequence[str]) -> int:
    """Export a run as the arguments say; returns the exit status."""
    known = _known_exporters(arguments)
    asked: Any = parse(_options_type(known), arguments, "pinnkit export", description=DESCRIPTION,
                       config=(tyro.conf.FlagCreatePairsOff,))  # fmt: skip
    require_free_folder(asked.out)
    source = RunFolder.open(asked.run)
    solution = load(source.path, untrained=asked.untrained)
    exporters = _exporters(known, asked)
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


def _exporters(known: Mapping[str, type[Exporter]], asked: Any) -> list[Exporter]:
    """Return the exporters that the arguments ask for, and the standard ones unless fields alone are asked for."""
    chosen = {name: cls for name, cls in known.items() if not cls.standard and getattr(asked, name)}
    places = {option: getattr(asked, option) for option in PLACES}
    fields_alone = bool(chosen) and all(issubclass(cls, FieldExporter) for cls in chosen.values())
    if any(places.values()) and not any(issubclass(cls, FieldExporter) for cls in chosen.values()):
        raise UsageError(
            f"--{next(name for name, value in places.items() if value)} says where fields are written, and none are.",
            expected="one of "
            + ", ".join(f"--{name}" for name, cls in known.items() if issubclass(cls, FieldExporter)),
            do="Add --netcdf, say.",
        )
    if not fields_alone:
        chosen = {name: cls for name, cls in known.items() if cls.standard} | chosen
    return [
        cls(**places) if issubclass(cls, FieldExporter) else getattr(asked, f"{name}_options", None) or cls()
        for name, cls in chosen.items()
    ]


def _known_exporters(arguments: Sequence[str]) -> dict[str, type[Exporter]]:
    """Return the exporters of pinnkit, and, where an option is none of theirs, those of the run's own problem file."""
    options = {
        word.removeprefix("--").partition("=")[0].partition(".")[0] for word in arguments if word.startswith("--")
    }
    run = next((word for word in arguments if not word.startswith("-")), None)
    if run is None or options <= {*EXPORTERS, *OWN_OPTIONS, *PLACES}:
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
        if fields(cls) and not issubclass(cls, FieldExporter):
            kind: Any = Annotated[cls, tyro.conf.arg(name=name)]
            options.append((f"{name}_options", kind, field(default_factory=cls)))
    options += [
        option(
            "grid", str, "", "Values along axes for files of fields: t=0:1:50,x=0.5 (FIRST:LAST:COUNT, or one VALUE)."
        ),
        option("points", Path | None, None, "CSV file with columns named as coordinates, where fields are written."),
        option("mesh", Path | None, None, "Mesh of space (.msh, .vtu, .stl, ...) at whose nodes fields are written."),
        option("quantities", tuple[str, ...], (), "Derivatives and quantities beside the fields: flux T_x."),
        option("untrained", bool, False, "Export also where the only network that can be read has not been trained."),
        option("out", Path | None, None, "Folder for what is written, instead of export in the folder of the run."),
    ]
    return make_dataclass("Export", options, frozen=True)


def _about(problem: Problem) -> dict[str, Any]:
    return {
        "problem": problem.name,
        "domain": {a: [x.lower, x.upper] for a, x in zip(problem.domain.names, problem.domain.axes, strict=True)},
    }
