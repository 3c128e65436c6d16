"""Settings of JAX's compiler: less optimisation for programs that run a few times, and exact products of float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")

SETTING = "jax_default_matmul_precision"
FULL = "highest"


def jit_once(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function by `jax.jit` in half the time, into slower code: for programs that are run a few times only."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def rounds_float32() -> bool:
    """Return whether float32 products are rounded on this device, and neither JAX's setting nor its variable asks for it."""
    return jax.default_backend() != "cpu" and getattr(jax.config, SETTING) is None


def keep_digits() -> None:
    """Make products of float32 exact to float32 on an accelerator; who has set JAX's precision keeps that."""
    if rounds_float32():
        jax.config.update(SETTING, FULL)
