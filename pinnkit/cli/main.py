"""The entry point of the `pinnkit` command."""

from __future__ import annotations

import io
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from pinnkit.stopping import Stopped, signals_exit, signals_raise

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status. A user's mistake is one message on stderr and exit status 2.

    A signal ends it with 128 and the signal's number, from the first moment on.
    """
    if arguments is None and sys.getfilesystemencoding() != "utf-8":
        restart_in_utf8()
    try:
        if arguments is None:  # not in a process of somebody else's
            for stream in (sys.stdout, sys.stderr):
                outlive(stream)
            with signals_exit(), _loading():
                from pinnkit.cli import commands  # noqa: F401
            warnings.showwarning = warn_in_words
        with signals_raise():
            status = run(list(sys.argv[1:] if arguments is None else arguments))
    except Stopped as stop:  # outside of training, which ends cleanly by itself
        print(stop, file=sys.stderr)
        status = stop.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = Stopped().status
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run a command; returns the exit status."""
    with _loading():
        import jax

        print_every_name()
        # The global settings, made before anything is traced: checks and evaluation are in float64 whatever the
        # precision of training, whose dtype is explicit everywhere.
        jax.config.update("jax_enable_x64", True)
        set_compilation_cache()
        from pinnkit.compilation import keep_digits
        from pinnkit.parallel.devices import use_all_cores

        use_all_cores()
        keep_digits()
        from pinnkit.cli import commands
        from pinnkit.errors import UsageError
        from pinnkit.runs.session import UNWRITTEN

    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands.usage()
        return 0 if arguments else BAD_INPUT
    if arguments[0] == "--version":
        from pinnkit.runs.versions import version_of

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
    from rich.console import Console

    from pinnkit.errors import printable

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
    from pinnkit.errors import LIBRARIES, printable

    if filename.startswith(LIBRARIES) or filename.startswith("<"):
        text = f"warning: {message}"
    else:
        text = f"warning: {message} ({filename}:{lineno})"
    with suppress(OSError, ValueError):  # as Python does it: a warning that cannot be shown stops nothing
        print(printable(text), file=file or sys.stderr)


def outlive(stream: Any) -> None:
    """Let a stream that can no longer be written to (its reader has gone, its disk is full) swallow what is sent to it.

    A training must not end because nobody reads what it says.
    """
    write, flush = stream.write, stream.flush

    def surviving(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            try:
                return action(*arguments)
            except OSError:
                # In its place, so that the flush when Python ends finds a stream that takes everything.
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                return len(arguments[0]) if arguments else None

        return act

    stream.write, stream.flush = surviving(write), surviving(flush)


@contextmanager
def _loading() -> Iterator[None]:
    """Say on a terminal that something happens, while JAX is imported; the line is gone afterwards."""
    if "jax" in sys.modules or not sys.stderr.isatty():
        yield
        return
    print("loading ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r           \r", end="", file=sys.stderr, flush=True)


def print_every_name() -> None:
    """Let names have characters that the terminal does not know: these are printed by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def restart_in_utf8() -> NoReturn:
    """Begin anew with file names in UTF-8: XLA notes them with each operation, and takes no other."""
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def set_compilation_cache() -> None:
    """Let JAX keep compiled programs in the user's cache folder, so that the next run of a problem starts at once.

    A folder for each machine: a program may use instructions that another processor lacks. JAX's own setting
    (JAX_COMPILATION_CACHE_DIR) is left as it is.
    """
    import jax

    from pinnkit.cache import private_folder

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


if __name__ == "__main__":
    main()
