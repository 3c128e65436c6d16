"""CSV files with named columns, read with a message for whatever may be wrong with them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import UsageError, shown_path, suggestion

SHAPE = "a header with the names of the columns, then one row of numbers a point, separated by commas"


def read_columns(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """The columns of a CSV file by name, each of shape (rows,).

    The first line holds the names (a leading '#' is ignored), every other one a finite number for each. Empty lines are
    passed over.

    Raises UsageError, with the line, for a missing or empty file, a missing header, repeated names, rows that are too
    long or too short, and entries that are not finite numbers.
    """
    file = Path(path)
    require_file(file)
    rows = _rows(file)
    first = next(rows, None)
    if first is None:
        raise UsageError("The file is empty.", where=shown_path(file), expected=SHAPE, do="Check how it was written.")
    names = _header(file, *first)
    values = [_numbers(file, line, names, row) for line, row in rows]
    if not values:
        raise UsageError(
            "The file has a header but no rows.",
            where=shown_path(file),
            expected=SHAPE,
            do="Check how it was written.",
        )
    table = np.array(values, dtype=np.float64)
    return {name: table[:, i].copy() for i, name in enumerate(names)}


def require_file(file: Path) -> None:
    """Raise UsageError, with files of similar names, unless there is such a file."""
    if file.is_file():
        return
    folder = file.parent
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder '{shown_path(folder)}', so no file '{file.name}' in it.",
            where=shown_path(file),
            expected="an existing file",
            do="Correct the path; a relative one starts from the folder of the problem file.",
        )
    others = [other.name for other in folder.iterdir() if other.suffix == file.suffix]
    raise UsageError(
        f"There is no file '{file.name}'.",
        where=shown_path(file),
        expected="an existing file; a relative path starts from the folder of the problem file",
        do=f"Correct the path; {suggestion(file.name, others) if others else 'there is no such file in that folder'}",
    )


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line that is not empty."""
    try:
        # utf-8-sig: spreadsheets put a byte-order mark before the first name.
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle)
            for row in reader:
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(
            f"The file cannot be read as text ({problem}).",
            where=shown_path(file),
            expected="a CSV file in UTF-8",
            do="Save it as CSV in UTF-8, or as .npz by numpy.savez where a table of values is asked for.",
        ) from None
    except OSError as problem:
        raise UsageError(
            f"The file cannot be read: {problem.strerror}.",
            where=shown_path(file),
            expected="a file that may be read",
            do="Check its permissions.",
        ) from None


def _header(file: Path, line: int, cells: list[str]) -> list[str]:
    where = f"{shown_path(file)}:{line}"
    if any(_number(cell) is not None for cell in cells):
        raise UsageError(
            "The file has no header: the first line holds numbers.",
            where=where,
            expected=SHAPE,
            do="Put the names of the columns into a first line, such as t,x,u.",
        )
    names = [cells[0].lstrip("# "), *cells[1:]]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t "):
        raise UsageError(
            f"The first line is a single name: '{names[0]}'.",
            where=where,
            expected=SHAPE,
            do="Separate the columns by commas, and write decimals with a point.",
        )
    for i, name in enumerate(names):
        if not name or name in names[:i]:
            raise UsageError(
                f"Column {i + 1} has no name." if not name else f"Two columns are called '{name}'.",
                where=where,
                expected="a different name for each column",
                do="Correct the first line.",
            )
    return names


def _numbers(file: Path, line: int, names: list[str], cells: list[str]) -> list[float]:
    where = f"{shown_path(file)}:{line}"
    if len(cells) != len(names):
        raise UsageError(
            f"Line {line} has {len(cells)} entries, the header has {len(names)}.",
            where=where,
            expected=f"one number each for {', '.join(names)}",
            do="Complete or remove the line; decimals are written with a point.",
        )
    numbers = [_number(cell) for cell in cells]
    for name, cell, number in zip(names, cells, numbers, strict=True):
        if number is None or not math.isfinite(number):
            raise UsageError(
                f"Line {line}, column '{name}': '{cell}' is not a {'number' if number is None else 'finite number'}.",
                where=where,
                expected="a finite number",
                do="Correct the entry, or remove the line if there is no value.",
            )
    return [number for number in numbers if number is not None]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
