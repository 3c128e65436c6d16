"""Reader of eight-bit solutions from `pinnkit export --int8`. It needs only numpy: copy this file.

from int8_reader import Int8Solution

solution = Int8Solution("solution_int8.npz")
solution(t=0.5, x=[0.1, 0.2])["u"]
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
LEVELS = 127
"""Number of steps of an eight-bit number on either side of zero."""


class Int8Solution:
    """A solution whose inner weights and activations are eight-bit integers: u = G + D N, N the network.

    Products of integers are summed exactly. Layers that read the coordinates are not quantised: eight bits would turn the
    coordinates into steps.

    Args:
        file: Path or open file that `pinnkit export --int8` wrote.
    """

    def __init__(self, file: Any) -> None:
        with np.load(file) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        self.about = json.loads(str(self.arrays["about"]))
        self.coordinates: list[str] = [axis["name"] for axis in self.about["axes"]]
        self.fields: list[str] = self.about["fields"]

    def __call__(self, **coordinates: Any) -> dict[str, Array]:
        """Return the fields at coordinates, which are broadcast against each other.

        Raises:
            ValueError: The names are not those of all coordinates.
        """
        if set(coordinates) != set(self.coordinates):
            raise ValueError(f"give each coordinate by its name: {', '.join(self.coordinates)}")
        columns = np.broadcast_arrays(*(np.asarray(coordinates[n], np.float64) for n in self.coordinates))
        u = self.values(np.stack([c.ravel() for c in columns], axis=1))
        return {name: u[:, i].reshape(columns[0].shape) for i, name in enumerate(self.fields)}

    def values(self, X: Array) -> Array:
        """Return the fields at points, (points, coordinates) -> (points, fields)."""
        N = self.network(self.embed(X))
        if "G" not in self.arrays:
            return N.astype(np.float64)
        return self.evaluate_table("G", X) + self.evaluate_table("D", X) * N

    def embed(self, X: Array) -> Array:
        """Return the inputs of the network: scaled coordinates, circles, additional features."""
        columns = []
        for i, axis in enumerate(self.about["axes"]):
            lower, upper = axis["lower"], axis["upper"]
            if axis["periodic"]:
                angles = (X[:, i : i + 1] - lower) * (2 * math.pi / (upper - lower)) * np.arange(1, axis["modes"] + 1)
                columns += [math.sqrt(2) * np.cos(angles), math.sqrt(2) * np.sin(angles)]
            else:
                columns.append((X[:, i : i + 1] - (lower + upper) / 2) * (2 * math.sqrt(3) / (upper - lower)))
        if "features" in self.arrays:
            columns.append(self.evaluate_table("features", X))
        E = np.concatenate(columns, axis=1)
        if "frequencies" in self.arrays:
            phase = E @ self.arrays["frequencies"]
            E = math.sqrt(2) * np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
        return E.astype(np.float32)

    def evaluate_table(self, name: str, X: Array) -> Array:
        """Return a function at points from its Chebyshev coefficients, (degrees of each axis..., columns)."""
        table = self.arrays[name]
        values = np.broadcast_to(table, (len(X), *table.shape))
        for i, axis in enumerate(self.about["axes"]):
            scaled = (2 * X[:, i] - axis["lower"] - axis["upper"]) / (axis["upper"] - axis["lower"])
            V = np.polynomial.chebyshev.chebvander(scaled, table.shape[i] - 1)
            values = np.einsum("pi,pi...->p...", V, values)
        return values

    def network(self, E: Array) -> Array:
        """Return the network's outputs at embedded points."""
        phi, gates = ACTIVATIONS[self.about["activation"]], self.arrays.get("gates")
        count = 0

        def dense(h: Array) -> Array:
            nonlocal count
            count += 1
            return self.layer(count - 1, h)

        return WALKS[self.about["model"]](E, dense, phi, self.about["depth"], gates)

    def layer(self, i: int, h: Array) -> Array:
        """Apply one dense layer: q_h q_W in integers, times the steps of both, plus the bias."""
        W, bias = self.arrays[f"W{i}"], self.arrays[f"b{i}"]
        if W.dtype != np.int8:
            return h @ W + bias
        step = self.arrays["steps"][i]
        # int32: a sum of n products of at most 127^2 stays exact up to n = 133,000, float32 only up to 1,040.
        q = np.clip(np.rint(h / step), -LEVELS, LEVELS).astype(np.int32)
        return (q @ W.astype(np.int32)).astype(np.float32) * (step * self.arrays[f"s{i}"]) + bias


def _mlp(h: Array, dense: Callable[[Array], Array], phi: Callable[[Array], Array], depth: int, gates: Array) -> Array:
    for _ in range(depth):
        h = phi(dense(h))
    return dense(h)


def _modified_mlp(
    h: Array, dense: Callable[[Array], Array], phi: Callable[[Array], Array], depth: int, gates: Array
) -> Array:
    U, V = phi(dense(h)), phi(dense(h))
    for _ in range(depth):
        h = U + phi(dense(h)) * (V - U)
    return dense(h)


def _resnet(
    h: Array, dense: Callable[[Array], Array], phi: Callable[[Array], Array], depth: int, gates: Array
) -> Array:
    h = phi(dense(h))
    for i in range(depth):
        h = h + gates[i] * phi(dense(phi(dense(h))))
    return dense(h)


def _piratenet(
    h: Array, dense: Callable[[Array], Array], phi: Callable[[Array], Array], depth: int, gates: Array
) -> Array:
    U, V = phi(dense(h)), phi(dense(h))
    for i in range(depth):
        k = U + phi(dense(h)) * (V - U)
        k = U + phi(dense(k)) * (V - U)
        h = gates[i] * phi(dense(k)) + (1 - gates[i]) * h
    return dense(h)


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * z))  # no overflow for large -z


WALKS: dict[str, Callable[..., Array]] = {
    "MLP": _mlp,
    "ModifiedMLP": _modified_mlp,
    "ResNet": _resnet,
    "PirateNet": _piratenet,
}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sin": np.sin,
    "sigmoid": _sigmoid,
    "silu": lambda z: z * _sigmoid(z),
    "swish": lambda z: z * _sigmoid(z),
    "gelu": lambda z: z * (0.5 * (1 + np.vectorize(math.erf, otypes=[np.float32])(z / math.sqrt(2)))),
    "softplus": lambda z: np.logaddexp(z, 0),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
}
