"""The value and the gradient that line-search methods keep in their state, so that nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def value_and_grad(
    loss: Callable[[Any], Float[Array, ""]], params: Any, state: optax.OptState
) -> tuple[Float[Array, ""], Any]:
    """Those of the state at the present parameters; computed where the state's value is not finite.

    As `optax.value_and_grad_from_state`, which takes a parameter called "value" for the value.
    """
    value, grad = (optax.tree_utils.tree_get(state, name, filtering=_is_field) for name in ("value", "grad"))
    return jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), lambda: jax.value_and_grad(loss)(params))


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
