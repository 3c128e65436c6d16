"""Validation of what a second-order optimiser receives from its caller, with messages that name what is missing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from pinnkit.errors import UsageError

VALUE_AND_GRAD = "value, grad = pinnkit.optim.value_and_grad(value_fn, params, state)"
"""Line of a training loop that computes `value` and `grad`, or takes them from the state where it holds them."""


def require_parameters(params: optax.Params, optimiser: str) -> None:
    """Refuse parameters that cannot be joined to one vector of at least 32 bits.

    Args:
        params: Any pytree of arrays.
        optimiser: Name of the function that made the optimiser.

    Raises:
        UsageError: No parameters, parameters that are not real floating-point numbers, or fewer than 32 bits.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise UsageError(
                f"The optimiser '{optimiser}' cannot train a parameter of type {jnp.result_type(leaf)}.",
                where=f"params{jax.tree_util.keystr(path)}, in the call of init",
                expected="real floating-point numbers in every leaf",
                do="Give trained arrays only; of a flax.nnx module: nnx.split(model, nnx.Param, ...)[1].",
            )
    if not jax.tree.leaves(params):
        raise UsageError(
            f"The optimiser '{optimiser}' got no parameters.",
            where="params, in the call of init",
            expected="a pytree with at least one array",
        )
    # The dtype of the joined vector, not of a leaf: leaves of float16 and float32 together become float32.
    dtype = jax.eval_shape(lambda p: ravel_pytree(p)[0], params).dtype
    if dtype.itemsize < 4:
        raise UsageError(
            f"The optimiser '{optimiser}' needs more digits than {dtype} has.",
            where="params, in the call of init",
            expected="parameters in float32 or float64",
            do="Use optax.adam, or convert: params = jax.tree.map(lambda a: a.astype('float32'), params).",
        )


def require_arguments(optimiser: str, params: optax.Params | None, **arguments: Any) -> None:
    """Refuse a call of `update` that lacks an argument, or whose arguments do not fit the parameters.

    Args:
        optimiser: Name of the function that made the optimiser.
        params: The current parameters; None where the caller left them out.
        **arguments: `value`, `grad` and the functions (`value_fn`, `residual_fn`); None where the caller left one out.

    Raises:
        UsageError: A missing argument, a value that is no scalar, a gradient of another structure, a function that
            cannot be called.
    """
    place = f"update of the optimiser '{optimiser}'"
    call = f"update(grad, state, params, {', '.join(f'{name}={name}' for name in arguments)})"
    missing = [name for name, argument in {"params": params, **arguments}.items() if argument is None]
    if missing:
        raise UsageError(
            f"The optimiser '{optimiser}' needs {' and '.join(missing)}.",
            where=place,
            expected=call,
            do=f"Write: {VALUE_AND_GRAD}; updates, state = optimiser.{call}",
        )
    for name, argument in arguments.items():
        if name.endswith("_fn") and not callable(argument):
            raise UsageError(f"{name} is {argument!r}.", where=place, expected="a function of the parameters")
    if jnp.shape(arguments["value"]) != ():
        raise UsageError(
            f"The value has the shape {jnp.shape(arguments['value'])}.",
            where=place,
            expected="one number, the value of value_fn at params",
        )
    shapes = [[jnp.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (params, arguments["grad"])]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"The gradient does not belong to these parameters: its leaves have the shapes {shapes[1]}.",
            where=place,
            expected=f"grad as jax.grad(value_fn)(params) gives it, with the shapes {shapes[0]}",
            do=f"Write: {VALUE_AND_GRAD}",
        )


def require_residuals(optimiser: str, params: Any, residual_fn: Any) -> None:
    """Validate what `update` receives where it needs no value and no gradient: parameters and residuals.

    Raises:
        UsageError: A missing argument, or residuals that cannot be called.
    """
    place, call = f"update of the optimiser '{optimiser}'", "update(grad, state, params, residual_fn=residual_fn)"
    missing = [name for name, given in {"params": params, "residual_fn": residual_fn}.items() if given is None]
    if missing:
        raise UsageError(
            f"The optimiser '{optimiser}' needs {' and '.join(missing)}.",
            where=place,
            expected=call,
            do=f"Write: updates, state = optimiser.{call}",
        )
    if not callable(residual_fn):
        raise UsageError(f"residual_fn is {residual_fn!r}.", where=place, expected="a function of the parameters")


def bind_extra(function: Callable[..., Any], extra: dict[str, Any]) -> Callable[..., Any]:
    """Bind to the function those extra arguments of `update` that appear in its own signature."""
    names = inspect.signature(function).parameters if extra else {}
    return partial(function, **{name: argument for name, argument in extra.items() if name in names})
