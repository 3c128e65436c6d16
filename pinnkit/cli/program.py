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
from pinnkit.parallel.devices import use_all_cores
from pinnkit.runs.session import UNWRITTEN
from pinnkit.runs.versions import version_of

BAD_INPUT = 2
"""Exit status after a user's mistake."""


def run(arguments: list[str]) -> int:
    """Run a command; returns the exit status."""
    print_every_name()
    # The global settings, made before anything is traced: checks and evaluation are in float64 whatever the
    # precision of training, whose dtype is explicit everywhere.
    jax.config.update("jax_enable_x64", True)
    set_compilation_cache()
    use_all_cores()
    keep_digits()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands.usage()
        return 0 if arguments else BAD_INPUT
    if arguments[0] == "--version":
        print("pinnkit", version_of("pinnkit"))
        return 0
    try:
        command = commands.COMMANDS.get(arguments[0])
        if command is None:
            raise commands.unknown(arguments[0])
        return command(arguments[1:])
    except UsageError as error:
        _say_error(str(error))
        return BAD_INPUT
    except OSError as error:  # a full disk, a folder without permission: the system's word, and where
        place = f" ({error.filename})" if error.filename else ""
        _say_error(f"The system refused: {error.strerror or error}{place}.")
        return UNWRITTEN


def _say_error(message: str) -> None:
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
