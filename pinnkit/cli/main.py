"""The entry point of the `pinnkit` command: what has to hold before JAX is imported."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NoReturn

from pinnkit.stopping import Stopped, signals_exit, signals_raise


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status. A user's mistake is one message on stderr and exit status 2.

    A signal ends it with 128 and the signal's number, from the first moment on.
    """
    own_process = arguments is None
    if own_process:
        if sys.getfilesystemencoding() != "utf-8":
            restart_in_utf8()
        for stream in (sys.stdout, sys.stderr):
            outlive(stream)
    try:
        with signals_exit() if own_process else nullcontext(), _loading():
            # Imported here: JAX takes seconds, in which signals must end the program cleanly, and a terminal be told something.
            from pinnkit.cli import program
        if own_process:
            warnings.showwarning = program.warn_in_words
        with signals_raise():
            status = program.run(list(sys.argv[1:] if arguments is None else arguments))
    except Stopped as stop:  # outside of training, which ends cleanly by itself
        print(stop, file=sys.stderr)
        status = stop.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = Stopped().status
    if own_process and (loaded := sys.modules.get("pinnkit.parallel.processes")) is not None:
        loaded.leave(status)
    sys.exit(status)


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


def restart_in_utf8() -> NoReturn:
    """Begin anew with file names in UTF-8: XLA notes them with each operation, and takes no other."""
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    main()
