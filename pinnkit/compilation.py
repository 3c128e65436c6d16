"""How JAX compiles: less optimisation for programs that run once or twice, and float32 products that keep their digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")

SETTING = "jax_default_matmul_precision"
FULL = "highest"


def jit_once(function: Callable[P, R]) -> Callable[P, R]:
    """`jax.jit` for a program that is run a few times only: compiled in half the time, into slower code."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def are_rounded() -> bool:
    """Whether float32 products lose digits here, and nobody has asked for it (by JAX's setting, or its environment variable)."""
    return jax.default_backend() != "cpu" and getattr(jax.config, SETTING) is None


def keep_digits() -> None:
    """Make products of float32 exact to float32 on an accelerator; who has set JAX's precision keeps that."""
    if are_rounded():
        jax.config.update(SETTING, FULL)
