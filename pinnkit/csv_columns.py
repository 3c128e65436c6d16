"""CSV files with named columns, read with a message for whatever may be wrong with them."""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pinnkit.dates import FORMS, DateRule, is_date, parse_dates
from pinnkit.errors import UsageError, display_path, suggestion

SHAPE = (
    "a header with the names of the columns, then one row of numbers per point, separated by commas, semicolons or tabs"
)
SEPARATORS = ",;\t"
"""What may stand between columns. Where it is no comma, decimals may have one."""
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


def read_columns(
    path: str | Path,
    asked: Collection[str] | None = None,
    dates: DateRule | None = None,
    notes: list[str] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a CSV file by name, each of shape (rows,).

    The first line that is no comment holds the names, every other one a value for each. Empty lines and lines that begin
    with '#' are ignored; where all lines above the numbers begin with '#', the last of them holds the names. Columns are
    separated by commas, or as spreadsheets of other countries write them: by semicolons or tabs, with decimal commas. A column
    of dates and times becomes one of numbers, if it is asked for.

    Args:
        path: The file.
        asked: The columns that must hold finite numbers; of the others, those that do not are left out. All unless given.
        dates: What dates in such columns mean; they are refused unless given.
        notes: A list to which a sentence is added for each column of dates, which says how they were read.

    Raises:
        UsageError: With the line, for a missing or empty file, a missing header, repeated names, rows that are too long or
            too short, and entries of a column that is asked for that are neither finite numbers nor dates with a meaning.
    """
    file = Path(path)
    require_file(file)
    names, line = _column_names(file)
    table = _quickly(file, line, len(names))
    if table is not None and np.isfinite(table).all():
        return {name: table[:, i].copy() for i, name in enumerate(names)}
    rows = [(number, cells) for number, cells in _rows(file) if number > line and not _is_comment(cells)]
    for number, cells in rows:
        _require_length(file, number, names, cells)
    if not rows:
        raise UsageError(
            "The file has a header but no rows.",
            where=display_path(file),
            expected=SHAPE,
            do="Check how it was written.",
        )
    columns = {}
    for i, name in enumerate(names):
        values = [_number(cells[i]) for _, cells in rows]
        if None not in values and np.isfinite(np.array(values, dtype=np.float64)).all():
            columns[name] = np.array(values, dtype=np.float64)
        elif (asked is None or name in asked) and is_date(rows[0][1][i]):
            entries = [(number, cells[i]) for number, cells in rows]
            columns[name] = _dates_as_numbers(file, name, entries, dates or DateRule(), notes)
        elif asked is None or name in asked:
            _refuse_entry(
                file, name, next((n, c[i], v) for (n, c), v in zip(rows, values, strict=True) if not _valid(v))
            )
    return columns


def line_of(path: Path, row: int) -> int:
    """Return the line of a CSV file on which a row of its numbers stands, both counted as `read_columns` reads them."""
    _, header = _column_names(path)
    lines = (number for number, cells in _rows(path) if number > header and not _is_comment(cells))
    return next(islice(lines, row, None))


def _column_names(file: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of their line. Raises UsageError where there are none."""
    comment: tuple[int, list[str]] | None = None
    for line, cells in _rows(file):
        if _is_comment(cells):
            comment = (line, cells)
            continue
        if comment and all(_number(cell) is not None or is_date(cell) for cell in cells):
            return _header(file, *comment), comment[0]
        return _header(file, line, cells), line
    if comment:
        return _header(file, *comment), comment[0]
    raise UsageError("The file is empty.", where=display_path(file), expected=SHAPE, do="Check how it was written.")


def _quickly(file: Path, line: int, columns: int) -> NDArray[np.float64] | None:
    """Return the numbers behind a line, (rows, columns), by NumPy's own reader; None for a file that needs a closer look."""
    try:
        with file.open(encoding="utf-8-sig") as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "input contained no data"
            for _ in range(line):
                handle.readline()
            table = np.loadtxt(handle, dtype=np.float64, delimiter=_separator(file), comments="#", ndmin=2)
    except (ValueError, OSError):
        return None
    return table if table.size and table.shape[1] == columns else None


def _is_comment(cells: list[str]) -> bool:
    return next((cell for cell in cells if cell), "").startswith("#")


def require_file(file: Path) -> None:
    """Raise UsageError, with files of similar names, unless there is such a file."""
    if file.is_file():
        return
    if file.is_dir():
        raise UsageError(
            f"'{file.name}' is a folder.",
            where=display_path(file),
            expected="a file",
            do="Name a file in it, with its path from the problem file on.",
        )
    folder = file.parent
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder '{display_path(folder)}', so no file '{file.name}' in it.",
            where=display_path(file),
            expected="an existing file",
            do="Correct the path; a relative one starts from the folder of the problem file.",
        )
    others = [other.name for other in folder.iterdir() if other.suffix == file.suffix]
    raise UsageError(
        f"There is no file '{file.name}'.",
        where=display_path(file),
        expected="an existing file; a relative path starts from the folder of the problem file",
        do=f"Correct the path; {suggestion(file.name, others) if others else 'there is no such file in that folder'}",
    )


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each line that is not empty."""
    try:
        # utf-8-sig: spreadsheets put a byte-order mark before the first name.
        with file.open(newline="", encoding="utf-8-sig") as handle:
            separator = _separator(file)
            reader = csv.reader(handle, delimiter=separator)
            for row in reader:
                cells = [cell.strip() for cell in row]
                if separator != ",":
                    cells = [c.replace(",", ".") if DECIMAL_COMMA.fullmatch(c) else c for c in cells]
                if any(cells):
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(
            f"The file cannot be read as text ({problem}).",
            where=display_path(file),
            expected="a CSV file in UTF-8",
            do="Save it as CSV in UTF-8, or as .npz by numpy.savez where a table of values is asked for.",
        ) from None
    except OSError as problem:
        raise UsageError(
            f"The file cannot be read: {problem.strerror}.",
            where=display_path(file),
            expected="a file that may be read",
            do="Check its permissions.",
        ) from None


def _separator(file: Path) -> str:
    """Return what separates the columns of a file: what its first line with any of the separators has, outside of comments."""
    with file.open(newline="", encoding="utf-8-sig") as handle:
        first = ""
        for line in handle:
            # Names may stand in a comment, which may have commas too: a line that is none decides where there is one.
            if any(mark in line for mark in SEPARATORS) and (not first or not line.lstrip().startswith("#")):
                first = line
            if line.strip() and not line.lstrip().startswith("#"):
                break
    bare = re.sub(r'"[^"]*"', "", first)
    if ";" in bare or "\t" in bare:  # a comma beside one of them is that of a decimal
        return ";" if ";" in bare else "\t"
    return ","


def _header(file: Path, line: int, cells: list[str]) -> list[str]:
    where = f"{display_path(file)}:{line}"
    if any(_number(cell) is not None or is_date(cell) for cell in cells):
        raise UsageError(
            "The file has no header: the first line holds numbers.",
            where=where,
            expected=SHAPE,
            do="Put the names of the columns into a first line, separated by commas.",
        )
    names = [cells[0].lstrip("# "), *cells[1:]]
    if cells[0].startswith("#") and len(names) == 1 and not names[0].isidentifier():
        raise UsageError(
            "The file has no header: there are only comments above the numbers.",
            where=where,
            expected=SHAPE,
            do="Put the names of the columns into a line above the numbers, separated by commas.",
        )
    if len(names) == 1 and " " in names[0]:
        raise UsageError(
            f"The first line is a single name: '{names[0]}'.",
            where=where,
            expected=SHAPE,
            do="Separate the columns by commas, semicolons or tabs.",
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


def _require_length(file: Path, line: int, names: list[str], cells: list[str]) -> None:
    """Raise UsageError for a row that is longer or shorter than the header."""
    where = f"{display_path(file)}:{line}"
    if len(cells) != len(names):
        raise UsageError(
            f"Line {line} has {len(cells)} entries, the header has {len(names)}.",
            where=where,
            expected=f"one number each for {', '.join(names)}",
            do="Complete or remove the line; decimals are written with a point.",
        )


def _refuse_entry(file: Path, name: str, entry: tuple[int, str, float | None]) -> NoReturn:
    """Raise the UsageError for an entry that is no finite number: its line, its text, and what was read of it."""
    line, cell, number = entry
    raise UsageError(
        f"Line {line}, column '{name}': '{cell}' is not a {'number' if number is None else 'finite number'}.",
        where=f"{display_path(file)}:{line}",
        expected="a finite number",
        do="Correct the entry, or remove the line if there is no value.",
    )


def _dates_as_numbers(
    file: Path, name: str, entries: list[tuple[int, str]], rule: DateRule, notes: list[str] | None
) -> NDArray[np.float64]:
    """Return a column of dates, its lines with their texts, as numbers (rows,). Raises UsageError."""
    for line, text in entries:
        if not is_date(text):
            raise UsageError(
                f"Line {line}, column '{name}': '{text}' is no date, and the first entry of the column is one.",
                where=f"{display_path(file)}:{line}",
                expected="dates such as " + FORMS,
                do="Correct the entry, or remove the line if there is no value.",
            )
    where = f"{display_path(file)}:{entries[0][0]}"
    moments = parse_dates([text for _, text in entries], where, name)
    assert moments is not None  # each entry has the form of a date
    numbers = rule.numbers(moments, name, where)
    if notes is not None:
        notes.append(rule.note(display_path(file), name, numbers))
    return numbers


def _valid(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def _number(text: str) -> float | None:
    """Return the number that a text is; None for what only Python reads as one, such as 1_000 and digits of other scripts."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None
