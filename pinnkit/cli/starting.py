"""`pinnkit train NAME --from RUN`: the option is read first, since the other run decides the defaults of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from pinnkit.cli.named import take_words
from pinnkit.errors import UsageError
from pinnkit.runs.verifying import Verifying
from pinnkit.runs.warm_start import WarmStart

FROM = "--from"


@dataclass(frozen=True)
class Training(Verifying):
    """The options of `pinnkit train` besides those of the problem."""

    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Folder of a run whose network, unknown parameters and inverse Hessian are the start of this one."""


def take_start(arguments: Sequence[str]) -> tuple[WarmStart | None, list[str]]:
    """Take `--from RUN` out of a command line; returns the run to start from, and the other arguments. Raises UsageError."""
    words, rest = take_words(arguments, FROM, most=1)
    if words is None:
        return None, rest
    if not words:
        raise UsageError(
            f"{FROM} names no run.",
            where=FROM,
            expected=f"the folder of a run, {FROM} runs/rod",
            do="pinnkit list shows the runs.",
        )
    return WarmStart.of(words[0]), rest
