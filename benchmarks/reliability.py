"""Runs the reliability trials of tests/trials, counts them, and writes the table of docs/reliability.md.

    python benchmarks/reliability.py                      all trials: the better part of an hour on two cores
    python benchmarks/reliability.py --results a.xml b.xml  the table of trials that have been run: pytest --junitxml a.xml

The exit status is 1 where a trial failed.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import tyro

ROOT = Path(__file__).resolve().parents[1]
TRIALS = ROOT / "tests" / "trials"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- counts: written by benchmarks/reliability.py -->", "<!-- end of counts -->"
HEAD = ("trials of", "number", "kinds", "skipped", "failures", "file")


@dataclass
class Count:
    """What became of the trials of one file."""

    trials: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    """Test functions: what they vary in are the trials."""


def main(results: tuple[Path, ...] = (), page: Path = PAGE) -> None:
    """Count the trials, print the table and write it.

    Args:
        results: files that pytest --junitxml wrote; without them the trials are run.
        page: the page whose table is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        counts = counted(results or (run_trials(Path(folder)),))
    if not counts:
        raise SystemExit("no trials were run")
    text = f"{measured_with()}\n\n{table(counts)}"
    print(text)
    write(page, text)
    failures = [name for count in counts.values() for name in count.failures]
    print("\n".join(["", *(f"failed: {name}" for name in failures)]), end="")
    sys.exit(1 if failures else 0)


def run_trials(folder: Path) -> Path:
    """Run every trial, one after the other: their clocks and their processes would disturb each other."""
    result = folder / "trials.xml"
    command = [sys.executable, "-m", "pytest", "-q", str(TRIALS), "-m", "", f"--junitxml={result}", "-p", "no:xdist"]
    command += ["-o", "addopts=--strict-markers", f"--basetemp={folder / 'trials'}"]
    subprocess.run(command, cwd=ROOT, check=False)
    return result


def counted(results: tuple[Path, ...]) -> dict[str, Count]:
    """The counts by the name of a file, in the order of the alphabet."""
    counts: dict[str, Count] = {}
    for result in results:
        for case in ElementTree.parse(result).iter("testcase"):
            module = case.get("classname", "").split(".")[-1]
            count = counts.setdefault(module, Count())
            name = case.get("name", "")
            if case.find("skipped") is not None:
                count.skipped += 1
                continue
            count.trials += 1
            count.kinds.add(name.split("[")[0])
            if case.find("failure") is not None or case.find("error") is not None:
                count.failures.append(f"{module}: {name}")
    return dict(sorted(counts.items()))


def table(counts: dict[str, Count]) -> str:
    """The counts as Markdown, with a row of sums."""
    rows = [
        [subject(m), c.trials, len(c.kinds), c.skipped, len(c.failures), f"`tests/trials/{m}.py`"]
        for m, c in counts.items()
    ]
    rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, 5)), ""])
    lines = [list(HEAD), ["---"] * len(HEAD), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def subject(module: str) -> str:
    """What the trials of a file are about: its docstring up to the first colon or full stop."""
    text = ast.get_docstring(ast.parse((TRIALS / f"{module}.py").read_text())) or module
    return text.splitlines()[0].split(":")[0].rstrip(".")


def measured_with() -> str:
    """The commit and the machine, for the line above the table."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Counted at commit {commit}, on {cores} cores, with jax {version('jax')}."


def write(page: Path, text: str) -> None:
    """Put the text between the markers of the page."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    tyro.cli(main)
