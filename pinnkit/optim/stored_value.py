"""The value and the gradient that line-search methods keep in their state, so that nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from pinnkit.errors import UsageError


def value_and_grad(
    loss: Callable[[Any], Float[Array, ""]], params: Any, state: optax.OptState
) -> tuple[Float[Array, ""], Any]:
    """Value and gradient at the present parameters, from the optimiser's state where it holds them.

    The use is that of `optax.value_and_grad_from_state`, which however cannot tell a parameter called "value" from the
    value, and refuses a value that has another type than the parameters.

    Args:
        loss: Function that maps the parameters to one number.
        params: Any pytree of arrays.
        state: State of `self_scaled_broyden`, `levenberg_marquardt` or `optax.lbfgs`. What it holds is used unless its value
            is infinite, as it is at the start and after `invalidate`.

    Returns:
        The value and its gradient, in the types that the state has.

    Raises:
        UsageError: The state holds no value, as that of Adam.
    """
    value, grad = (optax.tree_utils.tree_get(state, name, filtering=_is_field) for name in ("value", "grad"))
    if value is None or grad is None:
        raise UsageError(
            "The optimiser's state holds no value and gradient.",
            where="value_and_grad",
            expected="the state of self_scaled_broyden, levenberg_marquardt or optax.lbfgs",
            do="Write: value, grad = jax.value_and_grad(loss)(params)",
        )

    def compute() -> Any:
        return jax.tree.map(
            lambda new, old: jnp.asarray(new, old.dtype), jax.value_and_grad(loss)(params), (value, grad)
        )

    return jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), compute)


def invalidate(state: optax.OptState) -> optax.OptState:
    """Sets each stored objective `value` to infinity, so that `value_and_grad` computes it anew.

    To be called when the objective changed (new collocation points, new weights). A state without such a value, as
    Adam's, is returned as it is.
    """
    for place, value in optax.tree_utils.tree_get_all_with_path(state, "value", _is_field):
        unknown = jnp.full_like(value, jnp.inf)
        state = optax.tree_utils.tree_set(state, lambda path, _, place=place: path == place, value=unknown)
    return state


def _is_field(path: tuple[Any, ...], _: Any) -> bool:
    """Of a state, and no parameter of the same name."""
    return isinstance(path[-1], optax.tree_utils.NamedTupleKey)
