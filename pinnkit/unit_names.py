"""The same unit under several spellings: "m s-1", "m/s" and "meters / second". Nothing is converted."""

from __future__ import annotations

import re
from collections import Counter

SYNONYMS = {
    "m": ("metre", "metres", "meter", "meters"),
    "s": ("second", "seconds", "sec", "secs"),
    "min": ("minute", "minutes", "mins"),
    "h": ("hour", "hours", "hr", "hrs"),
    "d": ("day", "days"),
    "week": ("weeks",),
    "ms": ("millisecond", "milliseconds", "msec"),
    "K": ("kelvin", "kelvins"),
    "°C": ("degc", "deg_c", "celsius", "degree_celsius", "degrees_celsius", "degree_c", "degrees_c", "℃"),
    "kg": ("kilogram", "kilograms"),
    "Pa": ("pascal", "pascals"),
    "W": ("watt", "watts"),
    "J": ("joule", "joules"),
    "N": ("newton", "newtons"),
    "°": ("degree", "degrees", "deg"),
    "rad": ("radian", "radians"),
}
"""Symbols of units with their names, in lower case: symbols themselves differ by case (s and S, K and k)."""
_SYMBOLS = {name: symbol for symbol, names in SYNONYMS.items() for name in names}
_FACTOR = re.compile(r"(?P<symbol>[^\W\d]+|[°℃%][A-Za-z]*)(?:\^|\*\*)?(?P<power>[+-]?\d+)?")


def same_unit(one: str, other: str) -> bool:
    """Return whether two texts name the same unit: by the same symbols with the same powers, in any order."""
    return one.strip() == other.strip() or _powers(one) == _powers(other)


def symbol_of(unit: str) -> str:
    """Return the symbol of a unit that is written by its name, "h" for "hours"; what is none of them stays as it is."""
    return _SYMBOLS.get(unit.strip().lower(), unit.strip())


def _powers(unit: str) -> frozenset[tuple[str, int]]:
    """Return the symbols of a unit with their powers; a text that is no product of powers counts as one symbol."""
    powers: Counter[str] = Counter()
    rest = unit.replace("·", " ").replace("²", "2").replace("³", "3").strip()
    if rest in ("", "1", "-", "dimensionless"):
        return frozenset()
    sign, bracketed = 1, False
    while rest:
        if match := _FACTOR.match(rest):
            powers[symbol_of(match["symbol"])] += sign * int(match["power"] or 1)
            rest, sign = rest[match.end() :], sign if bracketed else 1
        elif rest[0] in "/ *.()1":
            bracketed = (bracketed or rest[0] == "(") and rest[0] != ")"
            sign = -1 if rest[0] == "/" else 1 if rest[0] == ")" else sign
            rest = rest[1:]
        else:
            return frozenset({(unit.strip(), 1)})
    return frozenset((symbol, power) for symbol, power in powers.items() if power)
