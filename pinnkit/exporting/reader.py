"""Reads and evaluates an eight-bit solution that `pinnkit export --int8` wrote. Needs numpy and nothing else: copy this file.

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
"""Steps of an eight-bit number to either side of zero."""


class Int8Solution:
    """A solution whose inner weights and activations are eight-bit integers: u = G + D N, N the network.

    Products of integers are summed exactly. What reads the coordinates is not quantised: eight bits would make steps of them.

    Arguments
        file: as `pinnkit export --int8` wrote it.
    """

    def __init__(self, file: Any) -> None:
        with np.load(file) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        self.about = json.loads(str(self.arrays["about"]))
        self.coordinates: list[str] = [axis["name"] for axis in self.about["axes"]]
        self.fields: list[str] = self.about["fields"]

    def __call__(self, **coordinates: Any) -> dict[str, Array]:
        """The fields at coordinates, broadcast together. Raises ValueError unless every coordinate is given by its name."""
        if set(coordinates) != set(self.coordinates):
            raise ValueError(f"give each coordinate by its name: {', '.join(self.coordinates)}")
        given = np.broadcast_arrays(*(np.asarray(coordinates[n], np.float64) for n in self.coordinates))
        u = self.values(np.stack([g.ravel() for g in given], axis=1))
        return {name: u[:, i].reshape(given[0].shape) for i, name in enumerate(self.fields)}

    def values(self, X: Array) -> Array:
        """The fields at points, (points, coordinates) -> (points, fields)."""
        N = self.network(self.embed(X))
        if "G" not in self.arrays:
            return N.astype(np.float64)
        return self.evaluate_table("G", X) + self.evaluate_table("D", X) * N

    def embed(self, X: Array) -> Array:
        """What the network reads: scaled coordinates, circles, further features."""
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
        """A function of the points, kept as the coefficients of its Chebyshev series, (degrees of each axis..., columns)."""
        table = self.arrays[name]
        found = np.broadcast_to(table, (len(X), *table.shape))
        for i, axis in enumerate(self.about["axes"]):
            scaled = (2 * X[:, i] - axis["lower"] - axis["upper"]) / (axis["upper"] - axis["lower"])
            V = np.polynomial.chebyshev.chebvander(scaled, table.shape[i] - 1)
            found = np.einsum("pi,pi...->p...", V, found)
        return found

    def network(self, E: Array) -> Array:
        """The network's outputs, of embedded points."""
        phi, gates = ACTIVATIONS[self.about["activation"]], self.arrays.get("gates")
        count = 0

        def dense(h: Array) -> Array:
            nonlocal count
            count += 1
            return self.layer(count - 1, h)

        return WALKS[self.about["model"]](E, dense, phi, self.about["depth"], gates)

    def layer(self, i: int, h: Array) -> Array:
        """One dense layer: q_h q_W in integers, times the steps of both, plus the bias."""
        W, bias = self.arrays[f"W{i}"], self.arrays[f"b{i}"]
        if W.dtype != np.int8:
            return h @ W + bias
        step = self.arrays["steps"][i]
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
