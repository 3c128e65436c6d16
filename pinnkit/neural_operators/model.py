"""The interface of a neural operator's network, which maps input fields on all cells to solution fields on all cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Watch = Callable[[str, Array], None]
"""Receives the name of each layer and its output, before normalisation and activation."""


class GridNetwork(Protocol):
    """A built `flax.nnx` module.

    Where it normalises over samples, `train` and `eval` choose the statistics: those of this batch, or of the previous one. A
    second argument called `watch` is optional. A module that has it calls `watch(name, output)` for each layer, and `diagnose`
    measures every layer; otherwise it measures the output of the network only.
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
            cells: Number of cells along each axis.
            inputs: Number of input fields.
            outputs: Number of solution fields.
            rngs: Random numbers for the parameters.
            dtype: Dtype of the parameters.

        Raises:
            UsageError: The network cannot take this grid.
        """
        ...


class Expected(NamedTuple):
    """Expected sizes of a layer at initialisation, averaged over random weights."""

    forward: float
    """Mean square of the layer's output."""
    gradient: float | None = None
    """Sum of the squared derivatives of the network's outputs with respect to the layer's output; None if unknown."""


@runtime_checkable
class HasTheory(Protocol):
    """A network with a theory of its signal at initialisation. Optional: without it `diagnose` measures and does not judge."""

    def expected(self, cells: tuple[int, ...], inputs: int, outputs: int, mean_square: float) -> dict[str, Expected]:
        """Return the expected sizes by layer, in the order of the layers, for inputs with this mean square."""
        ...

    def sound(self) -> Any:
        """Return the same network with a sound initialisation, which is the standard of the verdicts."""
        ...
