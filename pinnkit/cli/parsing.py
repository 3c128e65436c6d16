"""Reading command lines by tyro, with pinnkit's own messages for what cannot be read."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from pinnkit.errors import SYNONYMS, UsageError, advice

PLACE = "command line"
KINDS = {int: "a whole number", float: "a number", str: "a word", Path: "a path", bool: "True or False"}


def parse(kind: Any, arguments: Sequence[str], command: str, description: str | None = None, config: Any = ()) -> Any:
    """Return an instance of the dataclass `kind`, its fields set by the arguments.

    Args:
        kind: A dataclass; its nested dataclasses are groups of options, `--group.name`.
        arguments: The words of the command line behind the command.
        command: The command as the user typed it, for messages: "pinnkit train rod".
        description: The text at the beginning of `--help`; the docstring of `kind` unless given.
        config: Markers of tyro.

    Raises:
        UsageError: An option that does not exist, a value that cannot be read, or a word too many.
    """
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            parsed, unknown = tyro.cli(
                kind,
                args=list(arguments),
                prog=command,
                description=description,
                use_underscores=True,
                config=config,
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        raise _unreadable(output.getvalue(), options_of(kind), arguments, command) from None
    except UsageError as error:
        error.where = error.where or PLACE
        raise
    except Exception as error:  # tyro cannot make an option of something in the class
        raise UsageError(
            f"The options cannot be made: {type(error).__name__}: {error}.",
            where=command,
            expected="parameters of the types float, int, bool, str or Literal, or tuples of these",
            do="Change the types of the parameters in the problem's class.",
        ) from None
    if unknown:
        _refuse_unknown(unknown[0], options_of(kind), command)
    return parsed


def parse_early(group: str, default: Any, arguments: Sequence[str]) -> Any:
    """Return a dataclass whose options, `--group.name`, are read before the others; the default where they cannot be read.

    What is wrong with them is for `parse` to say, and `--help` shows the defaults.
    """
    words: list[str] = []
    own = False
    for word in arguments:
        if word.startswith("--"):
            own = word.startswith(f"--{group}.")
        words += [word] if own else []
    if not words or {"-h", "--help"} & set(arguments):
        return default
    kind = dataclasses.make_dataclass(
        "Early", [(group, type(default), dataclasses.field(default_factory=lambda: default))]
    )
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return getattr(tyro.cli(kind, args=words, use_underscores=True), group)
    except (SystemExit, Exception):
        return default


def options_of(kind: Any, prefix: str = "") -> dict[str, Any]:
    """Return the type of each option by its name as it is typed, such as "--model.width"."""
    options: dict[str, Any] = {}
    hints = get_type_hints(kind, include_extras=True)
    for spec in dataclasses.fields(kind):
        if not spec.init:
            continue
        own, name = hints[spec.name], spec.name
        if get_origin(own) is Annotated:
            own, *marks = get_args(own)
            if any(mark in (tyro.conf.Positional, tyro.conf.Suppress) for mark in marks):
                continue
            named = [mark.name for mark in marks if getattr(mark, "name", None) is not None]
            name = named[0] if named else name
        if dataclasses.is_dataclass(own):
            options |= options_of(own, f"{prefix}{name}." if name else prefix)
        else:
            options[f"--{prefix}{name}"] = own
    return options


def _refuse_unknown(word: str, options: dict[str, Any], command: str) -> None:
    """Raise the UsageError for a word that is no option, with the options that it may have meant."""
    name = word.partition("=")[0]
    if not name.startswith("-"):
        raise UsageError(
            f"'{word}' is one word too many.",
            where=PLACE,
            expected="options, each with its value: --seed 3",
            do=f"Leave it out; {command} --help shows the options.",
        )
    group = name.partition(".")[0] + "."
    near = [option for option in options if option.startswith(group)] if "." in name else []
    raise UsageError(
        f"There is no option '{name}'.",
        where=PLACE,
        expected="one of " + ", ".join(near or [option for option in options if "." not in option]),
        do=_nearest(name, options, near, command),
    )


def _nearest(name: str, options: dict[str, Any], near: list[str], command: str) -> str:
    """Return advice that names what was probably meant: an option with the same last part, or one of a similar name."""
    last = name.rpartition(".")[2].lstrip("-").replace("-", "_")
    same = [option for option in options if option.rpartition(".")[2].lstrip("-") == SYNONYMS.get(last, last)]
    if same:
        return "Did you mean " + " or ".join(f"'{option}'" for option in same[:3]) + "?"
    stem = name.rpartition(".")[0] + "." if near else ""  # only what differs is compared
    text = advice(name.removeprefix(stem), [option.removeprefix(stem) for option in near or options])
    text = re.sub(r"'([^']+)'", rf"'{stem}\1'", text)
    return text if text.startswith("Did") else f"Use one of those; {command} --help says what they do."


def _unreadable(output: str, options: dict[str, Any], arguments: Sequence[str], command: str) -> UsageError:
    """Return the error for a value that tyro cannot read, from what it says in its frame."""
    text = " ".join(line.strip("│┃| ") for line in output.splitlines() if not set(line) & set("╭╰┏┗"))
    reason = re.split(r"─{3,}|━{3,}", text)[0].strip()
    option = next((word for word in re.findall(r"--[\w.]*\w", reason) if word in options), "")
    if not option and "required" in reason.lower():
        return UsageError(
            f"{command} needs a RUN.",
            where=PLACE,
            expected=f"{command} RUN, the folder of a run",
            do="pinnkit list shows the runs.",
        )
    value = _value_of(option, arguments)
    what = f"{option} is {value!r}." if value is not None else f"{option} has no value." if option else f"{reason}."
    return UsageError(
        what,
        where=option or PLACE,
        expected=in_words(options[option]) if option in options else reason,
        do=f"Change the value; {command} --help shows the options." if value is not None or not option
        else f"Write a value behind {option}.",
    )  # fmt: skip


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the last value that an option has on a command line; None where it has none."""
    value = None
    for position, word in enumerate(arguments):
        if word.replace("-", "_") == option.replace("-", "_"):
            following = arguments[position + 1] if position + 1 < len(arguments) else "--"
            value = None if following.startswith("--") else following
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value


def in_words(kind: Any) -> str:
    """Return a type in words: "a whole number", "one of sobol, rad, r3"."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return in_words(parts[0])
    if origin is Literal:
        return "one of " + ", ".join(str(part) for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part) for part in parts if part is not type(None))
    if origin is tuple:
        return f"one or more values, each {in_words(parts[0])}" if parts else "values"
    return KINDS.get(kind, f"a value of the type {getattr(kind, '__name__', kind)}")
