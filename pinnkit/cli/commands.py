"""The commands of `pinnkit`. Each takes its arguments and returns the exit status."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pinnkit.checking.boundaries import boundaries
from pinnkit.cli.exporting import export as export_run
from pinnkit.cli.options import Options, read
from pinnkit.cli.printing_session import printing_session
from pinnkit.cli.pruning import prune as prune_run
from pinnkit.cli.resuming import resume as resume_run
from pinnkit.cli.solving import solve as solve_problem
from pinnkit.cli.starting import Training, take_start
from pinnkit.cli.template import problem_file
from pinnkit.cli.verifying import verify as verify_run
from pinnkit.diagnostics.finding import Settings
from pinnkit.errors import UsageError, advice, display_path, printable
from pinnkit.figures.terminal import print_boundaries, print_check, print_conclusion, print_summary, table
from pinnkit.parallel.processes import is_first, own_folder
from pinnkit.problem import available_problems, problem_class
from pinnkit.problem.watching import record_opened_files
from pinnkit.runs.description import describe_run
from pinnkit.runs.folder import COLLOCATION, RunFolder, all_runs, free_path, require_free_folder
from pinnkit.runs.kinds import equations_of, kind_of
from pinnkit.runs.run import Run, build_objective
from pinnkit.runs.summary import usable_summary
from pinnkit.runs.verifying import verify_first
from pinnkit.runs.warm_start import WarmStart
from pinnkit.stopping import raise_pending_signal

SLOW_ORDER = 10
"""Order of derivatives from which compilation takes so long that the terminal says so."""
console = Console(markup=False, highlight=False)  # names, paths and docstrings may hold brackets


def train(arguments: Sequence[str]) -> int:
    """Check, train with a live display, evaluate, plot, and say how good the answer is."""
    name, rest = _problem_name("train", arguments)
    cls = problem_class(name)
    start, rest = take_start(rest)
    options = read(cls, rest, f"pinnkit train {name}", Training(), start)
    if is_first():
        require_free_folder(options.out)
    run = _run(options, start)
    with record_opened_files() as opened:
        print_check(console, run.check())
        _ = run.accuracy  # the truth is computed, and its mistakes found, before anything is trained
    raise_pending_signal()
    with ExitStack() as stack:
        folder = RunFolder.create(run.problem.name, stack.enter_context(own_folder()) or options.out)
        stack.enter_context(folder.lock())
        describe_run(run, folder, opened, ["train", *arguments], Path(inspect.getfile(cls)))
        console.print(f"training {run.title}; folder {printable(str(folder.path))}")
        verify_first(run, console, options.further.verify)
        session = printing_session(run, folder, console, options.further.verify)
        session.train(start.begin(run) if start else run.trainer.start())
    return session.status


def check(arguments: Sequence[str]) -> int:
    """Everything that can be known before training: names, shapes, orders, exact solution, corners, sizes."""
    name, rest = _problem_name("check", arguments)
    options = read(problem_class(name), rest, f"pinnkit check {name}")
    run = _run(options)
    checked = run.check(thorough=True)
    print_check(console, checked)
    print_boundaries(console, boundaries(run.objective.equations), checked.units)
    for line in checked.derivatives:
        console.print(f"  {line}", style="dim")
    print_conclusion(console, checked)
    return 0


def diagnose(arguments: Sequence[str]) -> int:
    """Can this network be trained on this problem? Gradients by width, derivatives by depth, balance, kernel."""
    name, rest = _problem_name("diagnose", arguments)
    options = read(problem_class(name), rest, f"pinnkit diagnose {name}", Settings())
    require_free_folder(options.out)
    folder = options.out or free_path(Path("runs") / options.problem.name / "diagnosis")
    began = time.monotonic()
    with console.status("") as status:

        def announce(task: str) -> None:
            """Say what is computed: on a terminal in a line that moves, elsewhere in a line of its own."""
            line = f"{time.monotonic() - began:.0f} s: {task} ..."
            if console.is_terminal:
                status.update(line)
            else:
                console.print(line)

        announce("building the network")
        objective, _ = build_objective(options.problem, options.model, options.recipe, options.seed, options.equations)
        diagnosis = kind_of(options.problem).diagnose(objective, options.further, options.seed, announce)
    from pinnkit.figures.diagnosis import print_diagnosis, write_diagnosis  # matplotlib takes most of a second

    print_diagnosis(console, diagnosis)
    paths = write_diagnosis(diagnosis, folder)
    console.print(f"{time.monotonic() - began:.0f} s; {len(paths)} files in {folder}", style="dim", soft_wrap=True)
    return 0 if diagnosis.verdict == "fit" else 1


def resume(arguments: Sequence[str]) -> int:
    """Go on with a run that was interrupted, as if it had not been; with options: with more steps, other points, weights."""
    return resume_run(console, arguments)


def show(arguments: Sequence[str]) -> int:
    """Print the results of a run again; --gradients draws each term's gradient by layer."""
    wanted = "--gradients" in arguments
    folder = RunFolder.open(_one("show", [a for a in arguments if a != "--gradients"]))
    if wanted:
        _draw_gradients(folder)
    config, summary = folder.config(), folder.summary()
    try:
        _print_config(config)
        if summary is None:
            last = list(folder.metrics())[-1:]
            trainer = folder.trainer()
            console.print(
                (f"the run is being trained by process {trainer}" if trainer else "the run has not ended")
                + f"; last step {last[0]['step'] if last else 0}",
                style="yellow",
            )
            if not trainer:
                console.print(f"go on with it: pinnkit resume {printable(str(folder.path))}", soft_wrap=True)
            return 0
        for event in usable_summary(summary, folder)["events"]:
            console.print(event, style="dim")
        print_summary(console, summary, folder.path)
        for figure in sorted((folder.path / "figures").glob("*.png")):
            console.print(f"  {printable(str(figure))}", style="dim", soft_wrap=True)
        if summary["interrupted"]:
            console.print(
                f"go on with it: pinnkit resume {printable(str(folder.path))}", style="yellow", soft_wrap=True
            )
        return int(summary["exit_status"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise folder.damage_error("run.json or summary.json", f"{type(error).__name__}: {error}") from None


def _draw_gradients(folder: RunFolder) -> None:
    """Draw the gradients of a run from its metrics. Raises UsageError where it has none."""
    from pinnkit.figures.courses import gradients  # matplotlib takes most of a second
    from pinnkit.figures.pictures import save  # matplotlib

    metrics = list(folder.metrics())
    if not any("gradients" in m for m in metrics):
        raise UsageError(
            "The run has no measurements of gradients.",
            where=display_path(folder.path),
            expected="a run with --gradients 100, say",
            do="Train again with that option.",
        )
    save(gradients(metrics), folder.path / "figures" / "gradients.png")


def solve(arguments: Sequence[str]) -> int:
    """Solve a problem by collocation, without a network; the solution states its own error."""
    name, rest = _problem_name("solve", arguments)
    return solve_problem(console, name, rest)


def verify(arguments: Sequence[str]) -> int:
    """Solve the problem of a run by an independent method, which states its own error, and compare."""
    return verify_run(console, arguments)


def prune(arguments: Sequence[str]) -> int:
    """Keep the largest weights of a run, start them again where they started, train, and compare errors."""
    return prune_run(console, arguments)


def export(arguments: Sequence[str]) -> int:
    """Write a run as a StableHLO program, with --int8 also in eight bits for numpy, and measure what that costs."""
    return export_run(console, arguments)


def list_all(arguments: Sequence[str]) -> int:
    """List the problems that can be trained and the runs in ./runs."""
    if arguments:
        raise UsageError(
            f"'{arguments[0]}' is one word too many.", where="pinnkit list", expected="pinnkit list", do="Leave it out."
        )
    problems = Table(
        title="problems", title_justify="left", title_style="bold", box=None, padding=(0, 2), show_header=False
    )
    for name, path in sorted(available_problems().items()):
        problems.add_row(printable(name), _first_line(path))
    console.print(problems)
    runs = table("runs", "folder", "steps", "worst error", "state")
    for path in all_runs():
        runs.add_row(*(printable(cell) for cell in _run_row(path)))
    console.print(runs if runs.row_count else "no runs in ./runs yet")
    return 0


def new(arguments: Sequence[str]) -> int:
    """Write a commented problem file that trains as it is."""
    name = _one("new", arguments).removesuffix(".py").replace("-", "_")
    path = Path("problems") / f"{name}.py"
    if not name.isidentifier() or name.startswith("_"):
        raise UsageError(
            f"'{name}' cannot name a problem.",
            where="pinnkit new",
            expected="letters, digits and _, a letter first; the file goes to ./problems",
            do="Choose another name.",
        )
    hidden = available_problems().get(name)
    if path.exists():
        raise UsageError(
            f"'{path}' exists.",
            where=str(path),
            expected="a new name: nothing is written over",
            do="Choose another name.",
        )
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(problem_file(name))
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be written: {error.strerror}.",
            expected="a folder that can be written to",
            do="Change to another folder.",
        ) from None
    console.print(f"wrote {path}" + (f", which hides the '{name}' that ships with pinnkit" if hidden else ""))
    console.print(f"next: pinnkit train {name}")
    return 0


COMMANDS = {
    "train": train,
    "solve": solve,
    "check": check,
    "diagnose": diagnose,
    "resume": resume,
    "show": show,
    "verify": verify,
    "prune": prune,
    "export": export,
    "list": list_all,
    "new": new,
}
TAKES = {
    "train": "PROBLEM [--from RUN] [options]",
    "solve": "PROBLEM [--seconds 60] [--accuracy 1e-9]",
    "check": "PROBLEM [options]",
    "diagnose": "PROBLEM [options]",
    "resume": "RUN [options]",
    "show": "RUN [--gradients]",
    "verify": "RUN [--seconds 60] [--accuracy 1e-9]",
    "prune": "RUN [options]",
    "export": "RUN [--int8] [--untrained]",
    "list": "",
    "new": "NAME",
}


def usage() -> None:
    """Print what the commands do."""
    console.print(
        "pinnkit: physics-informed neural networks, checked before training and measured after\n", style="bold"
    )
    lines = Table(box=None, padding=(0, 2), show_header=False)
    for name, command in COMMANDS.items():
        lines.add_row(f"pinnkit {name} {TAKES[name]}", inspect.getdoc(command) or "")
    console.print(lines)
    console.print("\nA problem is a name (see pinnkit list) or the path of a Python file; a run is its folder.")
    console.print("Options of a problem: pinnkit train PROBLEM --help")
    console.print(
        "Exit status: 0 done or fit, 1 requested accuracy not met or unfit, 2 bad input, 3 diverged, "
        "4 results could not be written, 5 another process has ended, 130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP",
        style="dim",
    )


def _problem_name(command: str, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not arguments or arguments[0].startswith("-"):
        if arguments and arguments[0] in ("-h", "--help"):
            usage()
            sys.exit(0)
        raise UsageError(
            f"pinnkit {command} needs a problem first.",
            where="command line",
            expected=f"pinnkit {command} PROBLEM, one of "
            + ", ".join(sorted(available_problems()))
            + ", or the path of a file",
            do=f"Try pinnkit {command} advection.",
        )
    return arguments[0], arguments[1:]


def _one(command: str, arguments: Sequence[str]) -> str:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageError(
            f"pinnkit {command} takes one {TAKES[command]}.",
            where="command line",
            expected=f"pinnkit {command} {TAKES[command]}",
            do="pinnkit list shows what there is.",
        )
    return arguments[0]


def _run(options: Options, start: WarmStart | None = None) -> Run:
    equations = options.equations or equations_of(options.problem)
    order = equations.highest_order
    if order >= SLOW_ORDER:
        console.print(f"compiling derivatives of order {order}, which may take minutes", style="yellow")
    build = start.build if start else Run
    return build(options.problem, options.model, options.recipe, seed=options.seed, equations=equations)


def _run_row(path: Path) -> tuple[str, str, str, str]:
    try:
        summary = RunFolder(path).summary()
    except UsageError:
        return str(path), "", "", "damaged"
    if summary is None:
        return str(path), "", "", "being trained" if RunFolder(path).trainer() else "not ended"
    try:
        errors = [np.inf if e["relative_l2"] is None else e["relative_l2"] for e in (summary["errors"] or {}).values()]
        if (solved := summary.get(COLLOCATION)) is not None:
            worst = f"{max(errors):.2e}" if errors else f"{solved['own_error']:.0e} (own)"
            return str(path), "", worst, "solved" if solved["solved"] else "not solved"
        state = "diverged" if summary["diverged"] else "interrupted" if summary["interrupted"] else "ended"
        return str(path), str(summary["steps"]), f"{max(errors):.2e}" if errors else "not verified", state
    except (KeyError, TypeError, AttributeError, ValueError):
        return str(path), "", "", "damaged"


def _first_line(path: Path) -> str:
    """Return the first line of a problem file's docstring; empty where there is none or the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").lstrip()
    except OSError:
        return "(cannot be read)"
    line = text[3:].split("\n")[0].rstrip('"') if text.startswith('"""') else ""
    return printable(line)


def unknown(command: str) -> UsageError:
    """Return the error for a command that does not exist."""
    return UsageError(
        f"There is no command '{command}'.",
        where="command line",
        expected="one of " + ", ".join(COMMANDS),
        do=advice(command, COMMANDS),
    )


def _print_config(config: dict[str, Any]) -> None:
    console.print(config["problem"]["name"], style="bold", end="  ")
    if COLLOCATION in config:
        console.print(f"{_key_values(config['parameters'])}  solved by collocation, without a network")
        return
    console.print(
        f"{_key_values(config['parameters'])}  seed={config['seed']}  precision={config['recipe']['precision']}"
    )
    console.print(f"model: {_key_values(config['model'])}")
    for stage in config["recipe"]["stages"]:
        console.print(f"stage: {_key_values(stage)}")
    console.print(f"sampling: {_key_values(config['recipe']['sampling'])}")


def _key_values(values: dict[str, Any]) -> str:
    """Return options as one line: "width=30  depth=3"."""
    return "  ".join(f"{k}={v}" for k, v in values.items())
