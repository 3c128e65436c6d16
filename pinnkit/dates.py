"""Dates and times in files, as numbers of a unit of time after the moment that is zero.

Nothing is guessed: that moment and that unit are stated, and a date that may be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import UsageError
from pinnkit.unit_names import symbol_of

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "week": 604800.0}
"""Units of time, in seconds. A month and a year have no length of their own."""
FORMS = "2024-05-01 08:00, 2024-05-01T08:00:30+02:00, 01.05.2024 08:00 or 5/31/2024 8:00 PM"
"""Dates that can be read."""
_TIME = (
    r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?"
)
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})" + _TIME)
_YEAR_LAST = re.compile(r"(?P<one>\d{1,2})(?P<mark>[./-])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4})" + _TIME)


@dataclass(frozen=True)
class Moments:
    """Dates and times of a column.

    Attributes:
        values: The moments, (rows,), of the type datetime64[us]; those with a time zone are in UTC.
        zoned: Whether they have a time zone.
        first: The text of the first one, as the file has it.
    """

    values: NDArray[np.datetime64]
    zoned: bool
    first: str

    @classmethod
    def of(cls, values: NDArray[np.datetime64], zoned: bool = False) -> Moments:
        """The moments of an array of datetime64, (rows,), without NaT."""
        moments = values.astype("datetime64[us]")
        return cls(moments, zoned, str(moments.min().astype("datetime64[s]")).replace("T", " "))


@dataclass(frozen=True)
class DateRule:
    """What the dates of a file mean: the moment that is zero, and the unit in which time is counted from there.

    Attributes:
        zero: The moment as a user wrote it; None where nobody said it.
        unit: The unit as a user wrote it; None where nobody said it.
        advice: How both are stated, with {zero} and {unit} where they are written.
        where: Where they are stated, or should be.
    """

    zero: str | None = None
    unit: str | None = None
    advice: str = "Replace the dates by numbers, counted from {zero}."
    where: str = ""

    def require_valid(self) -> None:
        """Raise UsageError for a moment that cannot be read."""
        if self.zero is not None:
            self._zero()

    @property
    def zero_has_zone(self) -> bool:
        """Whether the moment that is zero has a time zone. Raises UsageError where it cannot be read."""
        return self._zero().zoned

    def numbers(self, moments: Moments, name: str, where: str) -> NDArray[np.float64]:
        """Return moments as numbers, (rows,).

        Args:
            moments: The moments.
            name: The name of their column.
            where: Its place, for messages.

        Raises:
            UsageError: The moment that is zero or the unit is not stated, or no such; or only one of the moments and the zero
                has a time zone.
        """
        if self.zero is None or self.unit is None:
            missing = [
                text
                for text, value in (("which moment is zero", self.zero), ("the unit of time", self.unit))
                if value is None
            ]
            raise UsageError(
                f"'{name}' holds dates and times, {moments.first} say, and nothing says {' and '.join(missing)}.",
                where=where,
                expected="numbers, or a word on how dates become numbers",
                do=self.advice.format(zero=self.zero or _text(moments.values.min()), unit=self.unit or "h"),
            )
        seconds = UNITS.get(symbol_of(self.unit))
        if seconds is None:
            raise UsageError(
                f"'{name}' holds dates and times, which cannot be counted in {self.unit!r}.",
                where=self.where or where,
                expected="a unit of time: " + ", ".join(UNITS),
                do=self.advice.format(zero=self.zero, unit="h"),
            )
        zero = self._zero()
        if zero.zoned != moments.zoned:
            with_zone, without = ("the file", "the moment that is zero") if moments.zoned else ("that", "the file")
            raise UsageError(
                f"'{name}' holds dates such as {moments.first}, and zero is {self.zero}: {with_zone} has a time zone, {without} "
                "has none.",
                where=where,
                expected="a time zone for both, or for none",
                do=self.advice.format(zero=self.zero + "Z" if moments.zoned else self.zero[:16], unit=self.unit)
                + " Mind the hours between the zones.",
            )
        # Microseconds: 64 bits of nanoseconds reach from 1678 to 2262 only, and wrap around silently.
        microseconds = (moments.values - zero.values[0]).astype("timedelta64[us]").astype(np.int64)
        return microseconds / (seconds * 1e6)

    def note(self, file: str, name: str, numbers: NDArray[np.float64]) -> str:
        """Return the sentence that says how dates of a file were read."""
        return (
            f"{file}: dates are counted in {self.unit} from {self.zero}, so that they are {name} = {numbers.min():.6g} to "
            f"{numbers.max():.6g}."
        )

    def _zero(self) -> Moments:
        """Return the moment that is zero. Raises UsageError for a text that is none."""
        moments = parse_dates([str(self.zero)], self.where)
        if moments is None:
            raise UsageError(
                f"The moment that is zero, {self.zero!r}, is no date.",
                where=self.where,
                expected="a date, with a time of day unless that is 00:00",
                do=self.advice.format(zero="2024-05-01 08:00", unit=self.unit or "h"),
            )
        return moments


def same_moment(one: str, other: str) -> bool:
    """Return whether two texts name the same moment; those that are no dates do where they are equal."""
    moments = [parse_dates([text]) for text in (one, other)]
    a, b = moments
    return one == other if a is None or b is None else bool(a.zoned == b.zoned and a.values[0] == b.values[0])


def is_date(text: str) -> bool:
    """Return whether a text has the form of a date, though it may be none, as 2024-13-01 is."""
    return bool(_YEAR_FIRST.fullmatch(text) or _YEAR_LAST.fullmatch(text))


def parse_dates(texts: Sequence[str], where: str = "", name: str = "") -> Moments | None:
    """Return texts as moments; None where one of them has no form of a date.

    A year that comes first is followed by month and day. Between dots the day comes first. Where slashes or hyphens stand between
    the numbers and the year comes last, a number above 12 in any of the texts decides which is the day.

    Args:
        texts: The dates, such as `FORMS`.
        where: Their place, for messages.
        name: The name of their column, for messages.

    Raises:
        UsageError: Day and month cannot be told apart, there is no such day or hour, or only some of them have a time zone.
    """
    matches = [_YEAR_FIRST.fullmatch(text) or _YEAR_LAST.fullmatch(text) for text in texts]
    if not texts or None in matches:
        return None
    parts = [match.groupdict() for match in matches if match]
    of = f"'{name}': " if name else ""
    day_first = _day_first(parts, texts, where, of)
    values = []
    for text, part in zip(texts, parts, strict=True):
        try:
            values.append(_moment(part, day_first))
        except ValueError:
            raise UsageError(
                f"{of}'{text}' is no date: there is no such day or hour.",
                where=where,
                expected="dates such as " + FORMS,
                do="Correct the entry.",
            ) from None
    zoned = {bool(part["zone"]) for part in parts}
    if len(zoned) > 1:
        other = next(
            text for text, part in zip(texts, parts, strict=True) if bool(part["zone"]) != bool(parts[0]["zone"])
        )
        raise UsageError(
            f"{of}only one of {texts[0]} and {other} has a time zone.",
            where=where,
            expected="a time zone for all dates, or for none",
            do="Write all of them in one time zone, or with theirs.",
        )
    return Moments(np.array(values, "datetime64[us]"), zoned.pop(), texts[0])


def _day_first(parts: list[dict[str, Any]], texts: Sequence[str], where: str, of: str) -> bool:
    """Return whether the day comes before the month, where the year comes last. Raises UsageError where nothing decides it."""
    open_parts = [part for part in parts if part.get("mark") and part["mark"] != "."]
    if not open_parts:
        return True
    day_first, month_first = (any(int(part[key]) > 12 for part in open_parts) for key in ("one", "two"))
    if day_first == month_first:
        text = next(text for text, part in zip(texts, parts, strict=True) if part in open_parts)
        raise UsageError(
            f"{of}the order of day and month in dates such as {text} is not known.",
            where=where,
            expected="dates that can be read in one way only, such as 2024-05-01 08:00",
            do="Write the year first: in a spreadsheet, by the format yyyy-mm-dd hh:mm of the column.",
        )
    return day_first


def _moment(part: dict[str, Any], day_first: bool) -> np.datetime64:
    """Return one moment, in UTC where it has a zone. Raises ValueError for a day or an hour that there is not."""
    if part.get("mark"):
        first_is_day = day_first or part["mark"] == "."
        day, month = (part["one"], part["two"]) if first_is_day else (part["two"], part["one"])
    else:
        day, month = part["day"], part["month"]
    hour = int(part["hour"] or 0)
    if part["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if part["half"][0] in "pP" else 0)
    moment = datetime(int(part["year"]), int(month), int(day), hour, int(part["minute"] or 0), int(part["second"] or 0))
    zone = part["zone"]
    if zone and zone not in ("Z", "UTC"):
        digits, sign = zone[1:].replace(":", ""), -1 if zone[0] == "-" else 1
        moment -= sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    microseconds = int((part["fraction"] or "0").ljust(6, "0")[:6])
    return np.datetime64(moment, "us") + np.timedelta64(microseconds, "us")


def _text(moment: np.datetime64) -> str:
    """Return a moment as a user writes it: without seconds where they are zero."""
    text = str(moment.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00")
