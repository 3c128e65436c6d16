"""Signals that ask a run to end: Ctrl-C, what a scheduler sends before it kills, a terminal that is closed.

Nothing here imports JAX: it has to work in the first second of the command line.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = {
    getattr(signal, name): reason
    for name, reason in (
        ("SIGINT", "interrupted"),
        ("SIGTERM", "asked to end (SIGTERM)"),
        ("SIGHUP", "the terminal was closed (SIGHUP)"),
    )
    if hasattr(signal, name)  # Windows has no SIGHUP
}
"""The words about each signal, for a run that it ended."""


class Stopped(KeyboardInterrupt):
    """A signal that ends what is being done at once."""

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__()
        self.signum = signum

    @property
    def status(self) -> int:
        """The exit status of a program that the signal ended."""
        return 128 + self.signum

    def __str__(self) -> str:
        return SIGNALS[signal.Signals(self.signum)]


class Request:
    """A request of a signal to end; true once there is one."""

    def __init__(self, say: Callable[[int], None]) -> None:
        self.signum, self.at_once, self._say = 0, False, say

    def __bool__(self) -> bool:
        return self.signum != 0

    @property
    def status(self) -> int:
        """The exit status of a program that the signal ended; 0 without one."""
        return 128 + self.signum if self.signum else 0

    @property
    def is_urgent(self) -> bool:
        """Whether there is no time to evaluate: a second signal came, or one that a kill follows."""
        return self.at_once or self.signum not in (0, signal.SIGINT)

    def receive(self, signum: int, _frame: FrameType | None) -> None:
        """Note the first signal; a second one raises `Stopped` wherever the program is."""
        if self:
            self.at_once = True
            raise Stopped(signum)
        self.signum = signum
        self._say(signum)


SHORTLY = 0.02
"""Seconds after which a signal whose exception was dropped is sent again: the callback that dropped it has ended by then."""
_raised: list[int] = []
"""Signals that raised `Stopped`: an extension module that is being imported may swallow it."""


@contextmanager
def signals_exit() -> Iterator[None]:
    """Within this, a signal ends the process at once: for imports, where an exception would be lost or garbled."""

    def leave(signum: int, _frame: FrameType | None) -> None:
        os.write(2, f"\r{Stopped(signum)}\n".encode())
        os._exit(128 + signum)

    with _handlers(leave):
        yield


@contextmanager
def signals_raise() -> Iterator[None]:
    """Within this, a signal raises `Stopped`. Those that the parent process has ignored (`nohup`) stay ignored."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        _raised.append(signum)
        raise Stopped(signum)

    try:
        with _handlers(stop):
            yield
    except Stopped:  # nobody has swallowed it
        forget_pending_signal()
        raise


def raise_pending_signal() -> None:
    """Raise `Stopped` where a signal has come whose exception was swallowed on its way."""
    if _raised:
        signum = _raised[-1]
        forget_pending_signal()
        raise Stopped(signum)


def forget_pending_signal() -> None:
    """Say that the signals so far have been heeded: nothing raises `Stopped` for them any more."""
    _raised.clear()


@contextmanager
def signals_request(say: Callable[[int], None], signals: Iterable[int] = tuple(SIGNALS)) -> Iterator[Request]:
    """Within this, the first signal is noted and the second raises `Stopped`; `say` is told of the first."""
    request = Request(say)
    with _handlers(request.receive, signals):
        yield request


@contextmanager
def _handlers(
    handler: Callable[[int, FrameType | None], None], signals: Iterable[int] = tuple(SIGNALS)
) -> Iterator[None]:
    before = {}
    unraisable = sys.unraisablehook

    def deliver_again(lost: sys.UnraisableHookArgs) -> None:
        # Raised in a destructor or in a callback of the garbage collector (JAX has one), where Python drops exceptions.
        if isinstance(lost.exc_value, Stopped):
            if lost.exc_value.signum in _raised:
                _raised.remove(lost.exc_value.signum)
            threading.Timer(SHORTLY, _send, [lost.exc_value.signum]).start()
        else:
            unraisable(lost)

    try:
        for signum in signals:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, handler)
    except ValueError:  # not the main thread: whoever runs us handles signals
        pass
    if before:
        sys.unraisablehook = deliver_again
    try:
        yield
    finally:
        if before:
            sys.unraisablehook = unraisable
        for signum, old in before.items():
            signal.signal(signum, old)


def _send(signum: int) -> None:
    """Send a signal to the main thread, which it wakes where it waits."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signum)
    else:  # Windows
        signal.raise_signal(signum)
