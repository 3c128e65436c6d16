"""`pinnkit export`: a trained solution as files that need no pinnkit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from pinnkit.cli.parsing import parse
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.exporting import QuantisedSolution, export_program, quantise, reader
from pinnkit.figures.terminal import number, table
from pinnkit.runs.folder import RunFolder, free_path, require_free_folder
from pinnkit.runs.solution import load

PROGRAM, INT8, READER, ABOUT = "solution.stablehlo", "solution_int8.npz", "int8_reader.py", "export.json"


@dataclass(frozen=True)
class Export:
    """Write a trained solution as a StableHLO program, and with --int8 as an eight-bit solution; measure both."""

    run: Annotated[str, tyro.conf.Positional]
    """Folder of the run."""
    int8: bool = False
    """Eight-bit weights and activations for numpy as well, with the reader."""
    untrained: bool = False
    """Export also where the only network that can be read has not been trained."""
    out: Path | None = None
    """Folder for what is written, instead of export in the folder of the run."""


def export(console: Console, arguments: Sequence[str]) -> int:
    """Export a run as the arguments say; returns the exit status."""
    asked = parse(Export, arguments, "pinnkit export", config=(tyro.conf.FlagCreatePairsOff,))
    require_free_folder(asked.out)
    source = RunFolder.open(asked.run)
    evaluation = load(source.path, untrained=asked.untrained).evaluation
    small = quantise(evaluation) if asked.int8 else None  # what cannot be done is said before anything is written
    program, difference = export_program(evaluation)
    folder = asked.out or free_path(source.path / "export")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROGRAM).write_bytes(program)
    about = _about(evaluation, difference)
    console.print(f"{folder / PROGRAM}: {len(program) / 1000:.0f} kB", soft_wrap=True)
    console.print(
        f"  read back, it differs by {difference:.1e} from the run at {len(evaluation.accuracy.points)} points"
    )
    _print_use(console, evaluation, folder)
    if small is not None:
        (folder / INT8).write_bytes(small.content)
        shutil.copy(str(reader.__file__), folder / READER)
        about["int8"] = {k: v for k, v in asdict(small).items() if k != "content"}
        _print_int8(console, small, evaluation, folder)
    RunFolder(folder).write(ABOUT, about)
    return 0


def _about(evaluation: Evaluation, difference: float) -> dict[str, Any]:
    problem = evaluation.problem
    return {
        "problem": problem.name,
        "inputs": {"shape": ["points", problem.domain.dim], "columns": list(problem.domain.names)},
        "outputs": {"shape": ["points", len(problem.fields)], "columns": list(problem.fields)},
        "dtype": str(evaluation.network.dtype),
        "domain": {a: [x.lower, x.upper] for a, x in zip(problem.domain.names, problem.domain.axes, strict=True)},
        "errors": {f: asdict(e) for f, e in evaluation.errors.items()} if evaluation.errors else None,
        "largest_difference": difference,
    }


def _print_use(console: Console, evaluation: Evaluation, folder: Path) -> None:
    """Print the lines that call the program, to be copied from the terminal."""
    domain = evaluation.problem.domain
    lines = ["import jax"]
    if evaluation.network.dtype.itemsize == 8:
        lines.append('jax.config.update("jax_enable_x64", True)')
    lines += [
        f'program = jax.export.deserialize(bytearray(open("{folder / PROGRAM}", "rb").read()))',
        f"program.call(X)  # X: (points, {domain.dim}), columns {', '.join(domain.names)}; "
        f"gives {', '.join(evaluation.problem.fields)}",
    ]
    for line in lines:
        console.print(f"    {line}", style="dim", soft_wrap=True)


def _print_int8(console: Console, small: QuantisedSolution, evaluation: Evaluation, folder: Path) -> None:
    count = evaluation.network.count()
    size = f"{len(small.content) / 1000:.1f} kB, {small.small} of {count} parameters in eight bits"
    console.print(f"{folder / INT8}: {size}", soft_wrap=True)
    console.print(f"  read by {folder / READER}, which needs numpy only", soft_wrap=True)
    shown = table(
        "",
        "field",
        "int8 against network",
        *(["int8 against truth", "network against truth"] if evaluation.errors else []),
    )
    for field, error in small.against_network.items():
        truth = [small.against_truth, evaluation.errors]
        shown.add_row(field, number(error.relative_l2), *(number(t[field].relative_l2) for t in truth if t))
    console.print(shown)
