"""Dates and times in files: against Python's own calendar, with a message for whatever can be read in two ways."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from cases import refused

from pinnkit.csv_columns import read_columns
from pinnkit.dates import UNITS, DateRule, parse_dates
from pinnkit.unit_names import same_unit

ZERO = datetime(2024, 2, 28, 22, 30)
RULE = DateRule("2024-02-28 22:30", "h", 'Write time_zero = "{zero}", unit "{unit}".')


def column(folder, texts, rule=RULE, separator=","):
    """The numbers of a column of dates, and the notes about them."""
    notes: list[str] = []
    rows = "".join(f"{text}{separator}{i}\n" for i, text in enumerate(texts))
    (folder / "d.csv").write_text(f"t{separator}T\n" + rows)
    return read_columns(folder / "d.csv", ["t", "T"], rule, notes)["t"], notes


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y/%m/%d %H:%M:%S",
        "%d.%m.%Y %H:%M:%S",
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %I:%M:%S %p",
        "%m-%d-%Y, %H:%M:%S",
    ],
)
def test_dates_are_counted_from_zero_in_every_form(tmp_path, form):
    # Over the leap day, from before zero on.
    moments = [ZERO + timedelta(seconds=s) for s in (-3600, 0, 5400, 86400 + 7, 3 * 86400)]
    numbers, notes = column(tmp_path, [m.strftime(form) for m in moments], separator=";")
    expected = [(m - ZERO).total_seconds() / 3600.0 for m in moments]
    np.testing.assert_allclose(numbers, expected, rtol=1e-15, atol=1e-15)
    assert len(notes) == 1 and "counted in h from 2024-02-28 22:30" in notes[0] and "t = -1 to 72" in notes[0]


@pytest.mark.parametrize(("unit", "seconds"), [*UNITS.items(), ("hours", 3600.0), ("days", 86400.0)])
def test_units_of_time(tmp_path, unit, seconds):
    numbers, _ = column(tmp_path, ["2024-02-29", "2024-03-01"], DateRule("2024-02-28", unit))
    np.testing.assert_allclose(numbers, [86400.0 / seconds, 2 * 86400.0 / seconds], rtol=1e-15)


def test_time_zones_and_fractions_of_seconds(tmp_path):
    texts = ["2024-05-01T08:00:00Z", "2024-05-01 10:30+02:00", "2024-05-01T04:00:00.25-0500", "2024-05-01 09:00 +01"]
    numbers, _ = column(tmp_path, texts, DateRule("2024-05-01T10:00+02:00", "s"))
    zero = datetime(2024, 5, 1, 8, tzinfo=UTC)
    others = [
        datetime(2024, 5, 1, 10, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(2024, 5, 1, 4, 0, 0, 250000, tzinfo=timezone(-timedelta(hours=5))),
    ]
    np.testing.assert_array_equal(numbers, [0.0, *((m - zero).total_seconds() for m in others), 0.0])


def test_years_that_nanoseconds_do_not_reach(tmp_path):
    numbers, _ = column(tmp_path, ["1500-01-01", "2500-01-01"], DateRule("2000-01-01", "d"))
    expected = [(datetime(year, 1, 1) - datetime(2000, 1, 1)).days for year in (1500, 2500)]
    np.testing.assert_array_equal(numbers, expected)


def test_noon_and_midnight_of_twelve_hours():
    moments = parse_dates(["5/31/2024 12:00 AM", "5/31/2024 12:00 PM", "5/31/2024 1:05 pm"])
    hours = [str(value)[11:16] for value in moments.values]
    assert hours == ["00:00", "12:00", "13:05"]


@pytest.mark.parametrize(
    ("texts", "rule", "words"),
    [
        (["2024-05-01 08:00"], DateRule(), ("nothing says which moment is zero and the unit of time", "d.csv:2")),
        (["2024-05-01 08:00"], DateRule(unit="h"), ("nothing says which moment is zero.", "2024-05-01 08:00")),
        (["2024-05-01"], DateRule("2024-05-01", advice='unit "{unit}"'), ("says the unit of time", 'unit "h"')),
        (["2024-05-01"], DateRule("2024-05-01", "m"), ("cannot be counted in 'm'", "ms, s, min, h, d, week")),
        (["2024-05-01"], DateRule("soon", "h"), ("'soon', is no date",)),
        (["5/1/2024", "6/2/2024"], RULE, ("order of day and month", "5/1/2024", "yyyy-mm-dd")),
        (["5/31/2024", "31/5/2024"], RULE, ("order of day and month",)),
        (["2024-05-01", "yesterday"], RULE, ("Line 3, column 't': 'yesterday' is no date", "d.csv:3")),
        (["2024-02-30"], RULE, ("'2024-02-30' is no date: there is no such day",)),
        (["2024-02-20 24:00"], RULE, ("no such day or hour",)),
        (["5/31/2024 13:00 PM"], RULE, ("no such day or hour",)),
        (["2024-05-01 08:00Z", "2024-05-01 08:00"], RULE, ("only one of", "has a time zone")),
        (["2024-05-01 08:00Z"], RULE, ("the file has a time zone", "time zone for both", "2024-02-28 22:30Z")),
        (["2024-05-01 08:00"], DateRule("2024-05-01 08:00Z", "h"), ("that has a time zone, the file has none",)),
        (["08:00"], RULE, ("'08:00' is not a number",)),
    ],
)
def test_dates_that_cannot_be_read(tmp_path, texts, rule, words):
    refused(lambda: column(tmp_path, texts, rule), *words)


def test_dates_that_nobody_asks_for_are_passed_over(tmp_path):
    (tmp_path / "d.csv").write_text("when,t\n2024-05-01,1\n")
    assert list(read_columns(tmp_path / "d.csv", ["t"])) == ["t"]


def test_names_in_a_comment_above_dates(tmp_path):
    (tmp_path / "d.csv").write_text("# t,T\n2024-02-28 23:30,5\n")
    assert read_columns(tmp_path / "d.csv", None, RULE)["t"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("m/s", "m s-1", True),
        ("W/(m K)", "W m^-1 K**-1", True),
        ("meters / second", "m s-1", True),
        ("kg m-3", "kg/m³", True),
        ("degC", "°C", True),
        ("1", "", True),
        ("K", "°C", False),
        ("m", "km", False),
        ("m", "M", False),
        ("m/s", "m s", False),
        ("h", "hours", True),
        ("1", "m", False),
        ("1/s", "s-1", True),
    ],
)
def test_one_unit_in_two_spellings(one, other, same):
    assert same_unit(one, other) is same and same_unit(other, one) is same
