"""Calls of `pk.train` and the like: a wrong argument is refused in words that help, and an error shows the user's line."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

from pinnkit.errors import SYNONYMS, UsageError, advice
from pinnkit.models import MLP
from pinnkit.objective.collocation import Sampling
from pinnkit.optim import Adam, Auto
from pinnkit.training.recipe import Recipe

P = ParamSpec("P")
R = TypeVar("R")
HOMES: tuple[tuple[type, str, str], ...] = (
    (MLP, "model", "model=pk.MLP({})"),
    (Recipe, "recipe", "recipe=pk.Recipe({})"),
    (Sampling, "recipe", "recipe=pk.Recipe(sampling=pk.Sampling({}))"),
    (Auto, "recipe", "recipe=pk.Recipe(stages=(pk.Auto({}),))"),
    (Adam, "recipe", "recipe=pk.Recipe(stages=(pk.Adam({}),))"),
)
"""The classes whose options are often passed to `train` itself, with the argument that takes them and its text."""
CHOICES = {"stages": "(pk.Adam(), pk.SSBroyden())", "schedule": "pk.Windows(5)", "weighting": "pk.Causality()"}
"""Values that can be copied for options that are neither numbers nor texts."""


def user_call(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with a UsageError for arguments that it does not have, and for all of its errors a short traceback.

    The frames between the user's line and the place where a mistake was noticed say nothing to the user.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*unnamed: P.args, **named: P.kwargs) -> R:
        try:
            signature.bind(*unnamed, **named)
        except TypeError:
            raise _misuse(f"pk.{function.__name__}", signature, unnamed, named) from None
        try:
            return function(*unnamed, **named)
        except UsageError as error:
            if hasattr(error, "__notes__"):
                del error.__notes__  # JAX writes there that it has left out frames, at the end of the message
            raise error.with_traceback(None) from None

    return call


def _misuse(name: str, signature: inspect.Signature, unnamed: tuple[Any, ...], named: Mapping[str, Any]) -> UsageError:
    """Return the error for arguments that do not fit a signature: the first may come without its name, others may not."""
    first, *others = signature.parameters
    strange = [n for n in named if n not in signature.parameters]
    expected = ", ".join([first, *(f"{n}=..." for n in others)])
    if strange:
        what, do = f"{name} has no argument '{strange[0]}'.", _mend(name, signature, strange[0], named[strange[0]])
    elif len(unnamed) > 1:
        what = f"{name} is called with {len(unnamed)} values without a name."
        do = f"Write {name}({expected})." if others else f"Write {name}({first})."
    else:
        twice = first in named and unnamed
        what = f"{name} is called with its {first} twice." if twice else f"{name} is called without its {first}."
        do = f"Write {name}({first})."
    return UsageError(what, expected=f"{name}({expected})", do=do)


def _mend(name: str, signature: inspect.Signature, strange: str, value: Any) -> str:
    """Return advice about an unknown argument: another name, or the object that has such an option."""
    known = list(signature.parameters)
    option = SYNONYMS.get(strange, strange)
    if option in known:
        return f"Write {option}=... instead."
    if not get_close_matches(strange, known, cutoff=0.6):
        for owner, argument, form in HOMES:
            if argument in known and option in (f.name for f in dataclasses.fields(owner)):
                plain = isinstance(value, (int, float, str)) and option not in CHOICES
                text = repr(value).replace("'", '"') if plain else CHOICES.get(option, "...")
                return f"Write {name}({known[0]}, {form.format(f'{option}={text}')})."
    return advice(strange, known)
