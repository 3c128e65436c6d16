"""The interface of a model, and the conversion of a flax module to a pure function of plain parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Params: TypeAlias = dict[str, Any]
Apply: TypeAlias = Callable[[Params, Float[Array, "points ..."]], Float[Array, "points ..."]]


@runtime_checkable
class Network(Protocol):
    """A built module: it maps a batch of embedded points to a batch of fields."""

    def __call__(self, X: Float[Array, "points features"], /) -> Float[Array, "points outputs"]:
        """Evaluate the network on a batch."""
        ...


@runtime_checkable
class Model(Protocol):
    """The hyper-parameters of a network: a frozen dataclass whose fields are options of the command line.

    A network of one's own derives from this class, or just has its members. It maps points as the embedding gives them (scaled
    coordinates, sine and cosine of periodic ones, features) to the network's outputs; hard conditions are applied behind it.
    Defined in a problem file it is chosen with `--model NAME`.
    """

    @property
    @abstractmethod
    def activation(self) -> str:
        """Name of the activation, a key of `ACTIVATIONS`: the check compares its smoothness with the order of the equation."""
        ...

    @abstractmethod
    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> Network:
        """Return the `flax.nnx` module, (points, features) -> (points, outputs), with random parameters."""
        ...

    @abstractmethod
    def parameters(self, features: int, outputs: int) -> int:
        """Return the number of trainable parameters."""
        ...


def split(module: Network) -> tuple[Params, Apply]:
    """Split a module into plain parameters and a pure function: apply(params, X) = module(X).

    Args:
        module: A `flax.nnx` module that maps a batch to a batch.

    Returns:
        params and apply. params holds every `nnx.Param`, as nested dicts and lists of arrays without types of nnx. apply is
        pure, for any JAX transformation; every other variable of the module is a constant in it.
    """
    graphdef, trainable, *rest = nnx.split(module, nnx.Param, ...)
    constants = [nnx.to_pure_dict(state) for state in rest]

    def apply(params: Params, X: Float[Array, "points ..."]) -> Float[Array, "points ..."]:
        return nnx.merge(graphdef, _lists_to_dicts(params), *constants)(X)

    return _dicts_to_lists(nnx.to_pure_dict(trainable)), apply


def constants(module: Network) -> list[Array]:
    """Return the arrays of a module that are not trained: random frequencies, places of weights."""
    _, _, *rest = nnx.split(module, nnx.Param, ...)
    return jax.tree.leaves(rest)


def set_params(module: Any, params: Params) -> Any:
    """Replace the parameters of a module, in place, by those that `split` returned; return the module."""
    state = nnx.state(module, nnx.Param)
    nnx.replace_by_pure_dict(state, _lists_to_dicts(params))
    nnx.update(module, state)
    return module


def _dicts_to_lists(tree: Any) -> Any:
    """Return the tree with lists in place of dicts with keys 0, 1, ..., by which nnx stores the items of a list."""
    if not isinstance(tree, dict):
        return tree
    items = {key: _dicts_to_lists(value) for key, value in tree.items()}
    if items and all(isinstance(key, int) for key in items):
        # An item without parameters (an activation in a list of layers) becomes an empty dict, so that indices stay.
        return [items.get(i, {}) for i in range(max(items) + 1)]
    return items


def _lists_to_dicts(tree: Any) -> Any:
    """Return the tree as nnx stores it: the inverse of `_dicts_to_lists`."""
    if isinstance(tree, list):
        return {i: _lists_to_dicts(item) for i, item in enumerate(tree) if not _is_empty(item)}
    if isinstance(tree, dict):
        return {key: _lists_to_dicts(value) for key, value in tree.items()}
    return tree


def _is_empty(item: Any) -> bool:
    return isinstance(item, dict) and not item
