"""The value and gradient that line-search methods store in their state, so that neither is computed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from pinnkit.errors import UsageError


def value_and_grad(
    loss: Callable[[Any], Float[Array, ""]], params: PyTree, state: optax.OptState
) -> tuple[Float[Array, ""], PyTree]:
    """Return value and gradient at the current parameters, from the optimiser's state where it holds them.

    It serves as `optax.value_and_grad_from_state`, which however confuses a parameter called "value" with the stored
    value, and refuses a value whose type differs from that of the parameters.

    Args:
        loss: Function that maps the parameters to one number.
        params: Any pytree of arrays.
        state: State of `self_scaled_broyden`, `levenberg_marquardt` or `optax.lbfgs`. Its value and gradient are used
            unless the value is infinite, as it is at the start and after `invalidate`.

    Returns:
        The value and its gradient, in the dtypes of the state.

    Raises:
        UsageError: The state holds no value, as for Adam.
    """
    value, grad = (optax.tree_utils.tree_get(state, name, filtering=_is_field) for name in ("value", "grad"))
    if value is None or grad is None:
        raise UsageError(
            "The optimiser's state holds no value and gradient.",
            where="value_and_grad",
            expected="the state of self_scaled_broyden, levenberg_marquardt or optax.lbfgs",
            do="Write: value, grad = jax.value_and_grad(loss)(params)",
        )

    def compute() -> tuple[Float[Array, ""], PyTree]:
        # Both branches of a cond must have the same dtypes: float64 data may give a float64 value to float32 parameters.
        return jax.tree.map(
            lambda new, old: jnp.asarray(new, old.dtype), jax.value_and_grad(loss)(params), (value, grad)
        )

    # A cond, since jnp.where would evaluate the loss and its gradient in every step. (Under vmap it becomes one.)
    return jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), compute)


def invalidate(state: optax.OptState) -> optax.OptState:
    """Set each stored objective `value` to infinity, so that `value_and_grad` computes it anew.

    Call it when the objective has changed (new collocation points, new weights). A state without such a value, as
    Adam's, is returned unchanged.
    """
    # Infinity is optax's own mark of "not computed yet", so that optax.lbfgs understands it too.
    for path_of_value, value in optax.tree_utils.tree_get_all_with_path(state, "value", _is_field):
        unknown = jnp.full_like(value, jnp.inf)
        state = optax.tree_utils.tree_set(state, lambda path, _, wanted=path_of_value: path == wanted, value=unknown)
    return state


def _is_field(path: tuple[Any, ...], _: PyTree) -> bool:
    """Whether an entry is a field of a state, rather than a parameter of the same name."""
    return isinstance(path[-1], optax.tree_utils.NamedTupleKey)
