"""Options that are names: networks, optimisers and weightings. They decide which other options exist, so they are read first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from pinnkit.errors import UsageError, advice
from pinnkit.runs.kinds import AnyModel, network_class, network_classes
from pinnkit.settings import Setting

S = TypeVar("S", bound=Setting)
NONE = "none"
"""The word behind `--weighting` or `--trackers` that stands for none."""


def take_names(arguments: Sequence[str], option: str, kind: str, known: Collection[str]) -> tuple[list[str], list[str]]:
    """Take an option such as `--stages adam ssbroyden` out of a command line.

    Returns:
        The names behind the option, and the other arguments.

    Raises:
        UsageError: A name that is not known, or none.
    """
    names, rest = take_words(arguments, option)
    for name in [] if names is None else names or [""]:
        if name not in known:
            raise UsageError(
                f"There is no {kind} '{name}'." if name else f"{option} names no {kind}.",
                where=option,
                expected="one or more of " + ", ".join(known),
                do=advice(name, known),
            )
    return names or [], rest


def take_words(arguments: Sequence[str], option: str, most: int | None = None) -> tuple[list[str] | None, list[str]]:
    """Return the words of an option (None where it is absent), and the other arguments. The last occurrence counts."""
    rest = [part for a in arguments for part in (a.split("=", 1) if a.startswith(f"{option}=") else [a])]
    words = None
    while option in rest:
        start = rest.index(option) + 1
        end = next((i for i in range(start, len(rest)) if rest[i].startswith("-")), len(rest))
        end = end if most is None else min(end, start + most)
        words = [w for item in rest[start:end] for w in item.split(",") if w]
        rest = rest[: start - 1] + rest[end:]
    return words, rest


def refuse_idle(
    arguments: Sequence[str],
    option: str,
    kind: str,
    known: Collection[str],
    labels: Sequence[str],
    *,
    instead: bool = False,
) -> None:
    """Raise UsageError for options of an optimiser or a weighting that the recipe does not use.

    Args:
        arguments: The words of the command line.
        option: The option that chooses by name, such as "--stages".
        kind: "an optimiser" or "a weighting".
        known: The names that exist.
        labels: The names that the recipe uses.
        instead: Whether the name is to be chosen in place of those that are used, and not after them.
    """
    for name, argument in idle_options(arguments, known, labels).items():
        chosen = [name] if instead else [*(label for label in labels if label in known), name]
        raise UsageError(
            f"'{argument}' sets {kind} that is not used.",
            where="command line",
            expected="options of " + (", ".join(labels) or "the others"),
            do=f"Choose it by name: {option} {' '.join(chosen)}.",
        )


def idle_options(arguments: Sequence[str], known: Collection[str], labels: Sequence[str]) -> dict[str, str]:
    """Return the first option on a command line of each known name that is not among the labels: {"adam": "--adam.steps"}."""
    idle: dict[str, str] = {}
    for argument in arguments:
        name, dot, _ = argument.removeprefix("--").partition(".")
        if argument.startswith("--") and dot and name in known and name not in labels:
            idle.setdefault(name, argument.partition("=")[0])
    return idle


def without(arguments: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the words of a command line without the options of some groups and their values: `--adam.steps 3` for "adam"."""
    rest: list[str] = []
    skipping = False
    for word in arguments:
        if word.startswith("--"):
            skipping = any(word.startswith(f"--{group}.") for group in groups)
        if not skipping:
            rest.append(word)
    return rest


def take_model(arguments: Sequence[str], own: AnyModel, problem: type) -> tuple[AnyModel, list[str]]:
    """Take `--model resnet` out of a command line.

    Args:
        arguments: The words of the command line.
        own: The problem's own model.
        problem: The class of the problem, whose file may define networks of its own.

    Returns:
        The named model (the problem's own one where none is named, or where the kinds agree), and the other arguments.
    """
    names, rest = take_words(arguments, "--model", most=1)
    if names is None:
        return own, rest
    if not names:
        raise UsageError(
            "--model names no network.",
            where="--model",
            expected="one of " + ", ".join(network_classes(problem)),
            do=f"Write --model {next(iter(network_classes()))}.",
        )
    cls = network_class(names[0], problem, where="--model")
    return own if type(own) is cls else cls(), rest


def name_of_model(model: AnyModel) -> str:
    """Return the name of a model's kind."""
    return next((name for name, cls in network_classes().items() if type(model) is cls), type(model).__name__)


def setting_by_name(name: str, own: Sequence[S], known: Mapping[str, type[S]]) -> S:
    """Return the setting of a name: the recipe's own one where it has one, else the class with its defaults."""
    return next((s for s in own if s.name == name), None) or known[name]()


def settings_by_name(
    option: str, names: Sequence[str], own: Sequence[S], known: Mapping[str, type[S]]
) -> tuple[S, ...]:
    """Return the settings of several names, the recipe's own ones where it has them; "none" alone gives an empty tuple.

    Args:
        option: The option, such as "--weighting".
        names: The words behind it.
        own: The settings of the recipe.
        known: The classes by name.

    Raises:
        UsageError: A name is repeated, or "none" stands beside others.
    """
    if NONE in names and len(names) > 1:
        raise UsageError(
            f"{option} has '{NONE}' beside others.",
            where=option,
            expected=f"'{NONE}' alone",
            do="Remove one or the other.",
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            f"{option} names '{twice[0]}' twice.",
            where=option,
            expected="each name once",
            do=f"Write {option} {' '.join(dict.fromkeys(names))}.",
        )
    return tuple(setting_by_name(name, own, known) for name in names if name != NONE)
