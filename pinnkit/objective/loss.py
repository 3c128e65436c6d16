"""The loss: a weighted sum over terms of the mean squared residual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, advice
from pinnkit.fields import Points
from pinnkit.fields.calls import Residuals
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.residuals import Equations

PointSets = dict[str, Points]
"""Collocation points by group name."""


class Objective:
    """Residuals, term losses and the loss of one problem with one network.

    L = sum_i w_i mean(r_i^2). `weights` names methods or terms of a system ("flow", or "flow.continuity"); 1 elsewhere.
    """

    def __init__(self, equations: Equations, network: FieldNetwork, weights: Mapping[str, float]) -> None:
        self.equations, self.network = equations, network
        self.terms: tuple[str, ...] = tuple(t for g in equations.groups for t in equations.terms(g))
        self.weights = self._resolved(weights)

    def residuals(self, params: Parameters, points: PointSets) -> Residuals:
        """All residuals, {term: (points,)}."""
        problem, f = self.network.bound(params), self.network.fields(params)
        residuals: Residuals = {}
        for group in self.equations.groups:
            residuals |= self.equations.evaluate(problem, f, group, points[group.name])
        return residuals

    def mean_squares(self, params: Parameters, points: PointSets) -> dict[str, Float[Array, ""]]:
        """Mean squared residual of each term, unweighted."""
        return {term: jnp.mean(r**2) for term, r in self.residuals(params, points).items()}

    def loss(self, params: Parameters, points: PointSets) -> Float[Array, ""]:
        """The weighted sum that training makes small."""
        squares = self.mean_squares(params, points)
        return sum(
            (self.weights[term] * value for term, value in squares.items()), start=jnp.zeros((), self.network.dtype)
        )

    def interior_energy(self, params: Parameters, X: Any) -> Float[Array, " points"]:
        """Weighted sum of squared interior residuals at each point: where the sampler should look."""
        problem, f = self.network.bound(params), self.network.fields(params)
        inside = next(g for g in self.equations.groups if g.kind == "interior")
        squares = self.equations.evaluate(problem, f, inside, Points(X)).items()
        return sum((self.weights[term] * r**2 for term, r in squares), start=jnp.zeros_like(X[:, 0]))

    def _resolved(self, weights: Mapping[str, float]) -> dict[str, float]:
        resolved = dict.fromkeys(self.terms, 1.0)
        methods = {t.partition(".")[0] for t in self.terms}
        for name, weight in sorted(
            weights.items(), key=lambda w: "." in w[0]
        ):  # "flow.u" has the last word over "flow"
            matching = [t for t in self.terms if name in (t, t.partition(".")[0])]
            if not matching:
                raise UsageError(
                    f"There is no term '{name}' to weigh.",
                    where="weights of the recipe",
                    expected="one of " + ", ".join(sorted({*self.terms, *methods})),
                    do="It is met exactly (hard=True), so it has no weight: remove it."
                    if name in {c.name for g in self.equations.hard for c in g.conditions}
                    else advice(name, {*self.terms, *methods}),
                )
            if not (weight > 0 and weight < float("inf")):
                raise UsageError(
                    f"The weight of '{name}' is {weight}.",
                    where="weights of the recipe",
                    expected="a positive finite number",
                    do="Remove the equation if it should not count.",
                )
            resolved |= dict.fromkeys(matching, float(weight))
        return resolved
