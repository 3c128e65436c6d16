"""Options that are names: optimisers and weightings. They decide which other options exist, so they are read first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pinnkit.errors import UsageError, advice
from pinnkit.optim import STAGES, Stage
from pinnkit.training.recipe import Recipe
from pinnkit.weighting import WEIGHTINGS, Causality, Weighting

NONE = "none"
"""What `--weighting` is called with for none."""


def taken(arguments: Sequence[str], option: str, kind: str, known: Collection[str]) -> tuple[list[str], list[str]]:
    """Take `--stages adam ssbroyden` out, or the like: it decides which other options exist."""
    arguments = [part for a in arguments for part in (a.split("=", 1) if a.startswith(f"{option}=") else [a])]
    if option not in arguments:
        return [], arguments
    start = arguments.index(option)
    end = next((i for i in range(start + 1, len(arguments)) if arguments[i].startswith("-")), len(arguments))
    names = [n for item in arguments[start + 1 : end] for n in item.split(",") if n]
    for name in names or [""]:
        if name not in known:
            raise UsageError(
                f"There is no {kind} '{name}'." if name else f"{option} names no {kind}.",
                where=option,
                expected="one or more of " + ", ".join(known),
                do=advice(name, known),
            )
    return names, arguments[:start] + arguments[end:]


def refuse_idle(
    arguments: Sequence[str], option: str, kind: str, known: Collection[str], labels: Sequence[str]
) -> None:
    """Raise UsageError for options of an optimiser or a weighting that the recipe does not use."""
    for argument in arguments:
        name = argument.removeprefix("--").partition(".")[0]
        if argument.startswith("--") and "." in argument and name in known and name not in labels:
            raise UsageError(
                f"'{argument}' sets {kind} that is not used.",
                where="command line",
                expected="options of " + (", ".join(labels) or "the others"),
                do=f"Choose by name first: {option} {' '.join((*labels, name))}.",
            )


def stage_named(name: str, recipe: Recipe) -> Stage:
    """The optimiser of a name, with the recipe's settings where it has them."""
    return next((s for s in recipe.stages if s.name == name), STAGES[name]())


def weightings_named(names: Sequence[str], recipe: Recipe) -> tuple[Weighting, ...]:
    """The weightings of some names, with the recipe's settings where it has them; causality first."""
    if NONE in names and len(names) > 1:
        raise UsageError(f"--weighting has '{NONE}' beside others.", where="--weighting", expected=f"'{NONE}' alone",
                         do="Remove one or the other.")  # fmt: skip
    own = {w.name: w for w in recipe.weightings}
    found = [own.get(name) or WEIGHTINGS[name]() for name in names if name != NONE]
    return tuple(sorted(found, key=lambda w: not isinstance(w, Causality)))
