"""The `pinnkit` command once its libraries are loaded: JAX's settings, the choice of a command, and what is said of errors."""

from __future__ import annotations

import io
import platform
import sys
from contextlib import suppress
from typing import Any

import jax
from rich.console import Console

from pinnkit.cache import private_folder
from pinnkit.cli import commands
from pinnkit.compilation import keep_digits
from pinnkit.errors import LIBRARIES, UsageError, printable
from pinnkit.parallel import processes
from pinnkit.parallel.devices import use_all_cores
from pinnkit.runs.session import UNWRITTEN
from pinnkit.runs.versions import version_of

BAD_INPUT = 2
"""Exit status after a user's mistake."""
LOST_STATUS = 5
"""Exit status where another process of a training has ended."""
LOST = (
    "Another process of this training has ended, or cannot be reached ({reason}). Its own message says why. "
    "Go on from the last checkpoint: pinnkit resume RUN, started as this was."
)
PLACE = {
    "--coordinator": "the address host:port of process 0",
    "--processes": "the number of processes",
    "--process": "the number of this process, from 0",
}
"""The options of a training by several processes, with what each expects."""
TOGETHER = ("train", "resume")
"""The commands that several processes do together; of any other, the first one does it alone."""


def run(arguments: list[str]) -> int:
    """Run a command; returns the exit status."""
    print_every_name()
    # The global settings, made before anything is traced: checks and evaluation are in float64 whatever the
    # precision of training, whose dtype is explicit everywhere.
    jax.config.update("jax_enable_x64", True)
    set_compilation_cache()
    use_all_cores()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands.usage()
        return 0 if arguments else BAD_INPUT
    if arguments[0] == "--version":
        print("pinnkit", version_of("pinnkit"))
        return 0
    try:
        rest, place = split_place(arguments[1:])
        command = commands.COMMANDS.get(arguments[0])
        if command is None:
            raise commands.unknown(arguments[0])
        if not join_others(arguments[0], place):
            return 0
        keep_digits()
        return command(rest)
    except UsageError as error:
        _say_error(str(error))
        return BAD_INPUT
    except (RuntimeError, ValueError) as error:  # JAX raises both for a connection that was lost
        if not processes.is_lost(error):
            raise
        _say_error(LOST.format(reason=str(error).splitlines()[0][:200]))
        return LOST_STATUS
    except OSError as error:  # a full disk, a folder without permission: the system's word, and where
        file = f" ({error.filename})" if error.filename else ""
        _say_error(f"The system refused: {error.strerror or error}{file}.")
        return UNWRITTEN


def split_place(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split off the options that say which of several processes this is. Raises UsageError for one without a value."""
    rest, place, waiting = [], dict[str, str](), ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if waiting:
            place[waiting], waiting = argument, ""
        elif name in PLACE and equals:
            place[name] = value
        elif name in PLACE:
            waiting = name
        else:
            rest.append(argument)
    if waiting:
        raise UsageError(f"{waiting} has no value.", where="command line", expected=PLACE[waiting], do="Add it.")
    return rest, place


def join_others(command: str, place: dict[str, str]) -> bool:
    """Join the other processes, where there are some; return whether this process has something to do.

    Raises UsageError for a place among them that makes no sense, and where they do not come together.
    """
    numbers = {name: _whole_number(name, place[name]) for name in ("--processes", "--process") if name in place}
    coordinator, count, own = place.get("--coordinator"), numbers.get("--processes"), numbers.get("--process")
    if command not in TOGETHER:
        return processes.is_first_by(count, own)
    processes.join(coordinator, count, own)
    commands.console.quiet = not processes.is_first()
    return True


def _whole_number(name: str, text: str) -> int:
    if not text.isdigit():
        raise UsageError(f"{name} is '{text}'.", where="command line", expected=PLACE[name], do="Write a whole number.")
    return int(text)


def _say_error(message: str) -> None:
    if processes.several() and not processes.is_first():
        message = f"process {jax.process_index()}: {message}"
    # Never wrapped: paths and suggestions must stay copyable.
    Console(stderr=True).print(
        f"error: {printable(message)}",
        style="red" if sys.stderr.isatty() else None,
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def warn_in_words(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Show a warning (in place of `warnings.showwarning`): with a place if that is the user's, not one in a library."""
    if filename.startswith(LIBRARIES) or filename.startswith("<"):
        text = f"warning: {message}"
    else:
        text = f"warning: {message} ({filename}:{lineno})"
    with suppress(OSError, ValueError):  # as Python does it: a warning that cannot be shown stops nothing
        print(printable(text), file=file or sys.stderr)


def print_every_name() -> None:
    """Let names have characters that the terminal does not know: these are printed by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def set_compilation_cache() -> None:
    """Let JAX keep compiled programs in the user's cache folder, so that the next run of a problem starts at once.

    A folder for each machine: a program may use instructions that another processor lacks. JAX's own setting
    (JAX_COMPILATION_CACHE_DIR) is left as it is.
    """
    if jax.config.jax_compilation_cache_dir or (own := private_folder()) is None:  # type: ignore[attr-defined]
        return
    machine = "".join(c if c.isalnum() else "-" for c in platform.node()) or "machine"
    programs = own / f"jax-{machine}"
    with suppress(OSError):  # JAX says where it cannot write
        programs.mkdir(mode=0o700, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(programs))
    # Dozens of small programs take longer to compile than the large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
