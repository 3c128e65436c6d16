"""What a network on a grid is: it maps the input fields of all cells to the fields of all cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.models.base import Model

Watch = Callable[[str, Array], None]
"""Gets the name of each layer and what it gives, before normalisation and activation."""


@runtime_checkable
class GridNetwork(Protocol):
    """A built module; its `train` and `eval` say whose mean and variance normalise: the batch's own, or those of the last one."""

    def __call__(self, X: Float[Array, "samples *cells inputs"], /, watch: Watch | None = None) -> Any:
        """(samples, *cells, inputs) -> (samples, *cells, outputs)."""
        ...


class Expected(NamedTuple):
    """What a layer has at the start, over random weights."""

    forward: float
    """Mean square of its output."""
    gradient: float | None = None
    """Sum of the squared derivatives, with respect to the layer's output, of the network's outputs; None where not known."""


@runtime_checkable
class GridModel(Protocol):
    """The hyper-parameters of a network on a grid: a frozen dataclass that the command line can show."""

    def build_on(
        self, cells: tuple[int, ...], inputs: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> GridNetwork:
        """The `flax.nnx` module, with its parameters drawn. Raises UsageError for a grid that it cannot take."""
        ...

    def expected(self, cells: tuple[int, ...], inputs: int, outputs: int, mean_square: float) -> dict[str, Expected]:
        """By layer, in their order, for inputs of a mean square."""
        ...

    def sound(self) -> GridModel:
        """The same network with the start that it should have."""
        ...


AnyModel = Model | GridModel
"""Of fields at points, or on a grid."""
