"""What the network of a neural operator is: it maps the input fields on all cells to the solution fields on all cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Watch = Callable[[str, Array], None]
"""Gets the name of each layer and its output, before normalisation and activation."""


class GridNetwork(Protocol):
    """A built `flax.nnx` module.

    Where it normalises over samples, `train` and `eval` choose the statistics: those of the batch, or those of the batch before.
    A second argument called `watch` is optional. Where a module takes it, it calls `watch(name, output)` for each layer, and
    `diagnose` measures every layer; without it, the output of the network alone.
    """

    def __call__(self, X: Float[Array, "samples *cells inputs"], /) -> Float[Array, "samples *cells outputs"]:
        """Return the outputs on the cells of each sample."""
        ...


@runtime_checkable
class GridModel(Protocol):
    """The options of a network on a grid: a frozen dataclass, pinnkit's own or one of a problem file."""

    def build_on(
        self, cells: tuple[int, ...], inputs: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> GridNetwork:
        """Build the module, with random parameters.

        Args:
            cells: number of cells along each axis.
            inputs: number of input fields.
            outputs: number of solution fields.
            rngs: random numbers for the parameters.
            dtype: dtype of the parameters.

        Raises:
            UsageError: the network cannot take this grid.
        """
        ...


class Expected(NamedTuple):
    """What theory expects of a layer at the start, in the mean over random weights."""

    forward: float
    """Mean square of its output."""
    gradient: float | None = None
    """Sum of the squared derivatives of the network's outputs with respect to the layer's output; None where not known."""


@runtime_checkable
class HasTheory(Protocol):
    """A network whose size of signal at the start is known. Optional: without it `diagnose` measures and does not judge."""

    def expected(self, cells: tuple[int, ...], inputs: int, outputs: int, mean_square: float) -> dict[str, Expected]:
        """What theory expects by layer, in the order of the layers, for inputs of a mean square."""
        ...

    def sound(self) -> Any:
        """The same network with the start that it should have: what findings are judged by."""
        ...
