"""Programs that run once or twice: most of their time is the compiler's, so it is asked for less."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


def jit_once(function: Callable[P, R]) -> Callable[P, R]:
    """`jax.jit` for a program that is run a few times only: compiled in half the time, into slower code."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
