"""JAX's compiler: less optimisation for programs that run a few times, one program for any number of points, exact float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

SETTING = "jax_default_matmul_precision"
FULL = "highest"


def jit_once(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function by `jax.jit` in half the time, into slower code: for programs that are run a few times only."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def in_blocks(function: Callable[[np.ndarray], Any], X: np.ndarray, size: int) -> Any:
    """Evaluate a function of points for so many at a time that one compiled program serves all.

    Args:
        function: A function (size, dim) -> arrays with a row for each point; a tree of them.
        X: The points, at least one.
        size: How many at a time; the last ones are filled up.
    """
    starts = range(0, len(X), size)
    filled = np.concatenate([X, np.repeat(X[:1], starts[-1] + size - len(X), axis=0)])
    parts = [function(filled[start : start + size]) for start in starts]
    return jax.tree.map(lambda *blocks: np.concatenate([np.asarray(b) for b in blocks])[: len(X)], *parts)


def rounds_float32() -> bool:
    """Return whether float32 products are rounded on this device, and neither JAX's setting nor its variable asks for it."""
    return jax.default_backend() != "cpu" and getattr(jax.config, SETTING) is None


def keep_digits() -> None:
    """Make products of float32 exact to float32 on an accelerator; who has set JAX's precision keeps that."""
    if rounds_float32():
        jax.config.update(SETTING, FULL)
