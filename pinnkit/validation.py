"""Numbers among the options of networks, stages, samplings and recipes: one rule for what is valid, and one message."""

from __future__ import annotations

import math
import numbers
from typing import Any, NoReturn

from pinnkit.errors import UsageError

INFINITE = math.inf


def is_number(
    value: Any,
    *,
    whole: bool = False,
    least: float = -INFINITE,
    above: float = -INFINITE,
    most: float = INFINITE,
    below: float = INFINITE,
) -> bool:
    """Return whether a value is a finite number in a range; True and False are no numbers.

    Args:
        value: anything.
        whole: Only integers are valid.
        least: The lower end of the range, which belongs to it.
        above: The lower end of the range, which does not belong to it.
        most: The upper end of the range, which belongs to it.
        below: The upper end of the range, which does not belong to it.
    """
    kind = numbers.Integral if whole else numbers.Real
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    # Of an integer with hundreds of digits, math.isfinite raises OverflowError.
    finite = isinstance(value, numbers.Integral) or math.isfinite(value)
    return finite and bool(least <= value <= most and above < value < below)  # type: ignore[operator]


def require_number(
    value: Any,
    name: str,
    *,
    where: str,
    whole: bool = False,
    least: float = -INFINITE,
    above: float = -INFINITE,
    most: float = INFINITE,
    below: float = INFINITE,
    meaning: str = "",
) -> None:
    """Raise UsageError unless a value is a finite number in a range (see `is_number`).

    Args:
        value: The value of the option.
        name: Name of the option, such as "sampling.interior".
        where: The place that the message names.
        whole: Only integers are valid.
        least: The lower end of the range, which belongs to it.
        above: The lower end of the range, which does not belong to it.
        most: The upper end of the range, which belongs to it.
        below: The upper end of the range, which does not belong to it.
        meaning: The expected values in words, instead of the range.
    """
    if is_number(value, whole=whole, least=least, above=above, most=most, below=below):
        return
    refuse_value(
        value,
        name,
        where=where,
        expected=meaning or _in_words(whole, least, above, most, below),
        do=_suggestion(value, whole, max(least, above), min(most, below)),
    )


def refuse_value(value: Any, name: str, *, where: str, expected: str, do: str = "") -> NoReturn:
    """Raise the UsageError for the value of an option."""
    raise UsageError(f"{name} is {value!r}.", where=where, expected=expected, do=do or "Change the value.")


def _in_words(whole: bool, least: float, above: float, most: float, below: float) -> str:
    """Return the range as a message says it: "a whole number, 1 or more"."""
    kind = "a whole number" if whole else "a number"
    if above == 0 and most == below == INFINITE:
        return f"a positive {'whole ' if whole else ''}number"
    lower = f"from {least:g}" if least > -INFINITE else f"above {above:g}" if above > -INFINITE else ""
    upper = f"to {most:g}" if most < INFINITE else f"to below {below:g}" if below < INFINITE else ""
    if lower and not upper:
        return f"{kind}, {least:g} or more" if least > -INFINITE else f"{kind} above {above:g}"
    return " ".join(word for word in (kind, lower, upper) if word) if lower or upper else f"a finite {kind[2:]}"


def _suggestion(value: Any, whole: bool, lower: float, upper: float) -> str:
    """Return a valid number near the one that was given: "Use 100."; empty where there is none to name."""
    if isinstance(value, str):
        return "Write the number without quotation marks." if _reads_as_number(value) else ""
    if whole and isinstance(value, float) and math.isfinite(value) and lower <= round(value) <= upper:
        return f"Use {round(value)}."
    return f"Use {lower:g}." if whole and lower > -INFINITE and isinstance(value, int) and value < lower else ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
