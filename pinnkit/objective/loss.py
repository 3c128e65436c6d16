"""The loss: a weighted sum over terms of the mean squared residual."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef
from jaxtyping import Array, Float
from typing_extensions import TypeVar

from pinnkit.errors import UsageError, advice
from pinnkit.fields import Points
from pinnkit.fields.user_calls import Residuals
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.group import Group
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.protocols import ProblemEquations, SolutionNetwork
from pinnkit.objective.residuals import Equations
from pinnkit.objective.tiles import (
    Sum,
    map_over_points,
    points_of_tile,
    rows_of_a_tile,
    split_into_tiles,
    sum_over_points,
)
from pinnkit.parallel.residual_blocks import Block, ResidualVector
from pinnkit.problem.terms import by_term, method_of
from pinnkit.validation import require_number

PointSets = dict[str, Points]
"""Collocation points by group name."""
Saved: TypeAlias = tuple[Parameters, list[Array]]
"""What the loss keeps for its derivative: the gradient, and the arrays of the points."""


class InitialHistory(Protocol):
    """The fields that a network continues, computed before its training began: arrays that a compiled program is given."""

    def prepare(self, points: Points, derivatives: set[MultiIndex] | None) -> Points:
        """Points of a region, moved to where the history ends, with the trial solution near them.

        Args:
            points: points as they were sampled.
            derivatives: the derivatives that residuals ask for; None where they ask for fields elsewhere too.
        """
        ...


MEASURED = 0.01
"""Default weight of measured values among relative residuals. Equations hold exactly, measured values do not: with equal weights
a network follows their noise, and bends the equations. With this one two inverse problems come out as least squares on their
exact solutions do (docs/scales.md)."""

E = TypeVar("E", bound=ProblemEquations, default=Equations, covariant=True)
N = TypeVar("N", bound=SolutionNetwork, default=FieldNetwork, covariant=True)


class Objective(Generic[E, N]):
    """Residuals, term losses and the loss of one problem with one network.

    The loss is L = sum_i w_i mean(v_i r_i^2), with a weight w_i per term and weights v_i per point, 1 where there are none. All
    residuals r_i here are relative: they are divided by their own size (`sizes`, in the units of the equations).
    Means are accumulated tile by tile (`tiles.py`).

    Args:
        equations: The equations and conditions.
        network: The network with its initial parameters.
        weights: w_i by method or by term of a system ("flow", or "flow.continuity"); 1 for those that are not named, and
            `MEASURED` for measured values.

    Raises:
        UsageError: A weight has the name of no term, or is not positive.
    """

    def __init__(self, equations: E, network: N, weights: Mapping[str, float]) -> None:
        self.equations, self.network = equations, network
        self.terms: tuple[str, ...] = tuple(t for g in equations.groups for t in equations.terms(g))
        self.weights = self._term_weights(weights)
        self.sizes: dict[str, float] = {term: equations.scales.size(term) for term in self.terms}
        """Size of each residual in the units of its equation, by which it is divided."""
        pointwise = [g for g in equations.groups if equations.pointwise(g)]
        self.tile_rows = {g.name: rows_of_a_tile(network, 1 + equations.channels(g)) for g in pointwise}
        """Number of points per tile, by group; groups whose points are coupled are not among them."""
        self._loss = self._differentiable_loss()
        self._scaled: dict[str, Sum] = {
            g.name: jax.value_and_grad(partial(self._group_loss_times, g)) for g in equations.groups
        }

    def residuals(self, params: Parameters, points: PointSets) -> Residuals:
        """Relative residuals of all terms, {term: (points,)}."""
        residuals: Residuals = {}
        for group in self.equations.groups:
            residuals |= self.group_residuals(group, params, points[group.name])
        return residuals

    def prepare(self, group: Group, points: Points, history: InitialHistory | None) -> Points:
        """Points sampled in a group's region as training takes them: moved to where the history ends, with its fields."""
        return points if history is None else history.prepare(points, self.equations.derivatives(group))

    def mean_squares(self, params: Parameters, points: PointSets) -> dict[str, Float[Array, ""]]:
        """Mean squared relative residual of each term, {term: ()}, without any weights."""
        parts: dict[str, Sum] = {g.name: partial(self._group_mean_squares, g) for g in self.equations.groups}
        by_group = sum_over_points(parts, self.tile_rows, params, points)
        return {term: value for squares in by_group.values() for term, value in squares.items()}

    def loss(self, params: Parameters, points: PointSets) -> Float[Array, ""]:
        """The loss, (); it is differentiable with respect to the parameters, by reverse mode only."""
        arrays, structure = jax.tree.flatten(points)
        return self._loss(structure, params, arrays)

    def loss_and_scaled_slope(
        self, params: Parameters, points: PointSets, scale: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Parameters]:
        """The loss and its gradient, which is `scale` times as large while it goes back through the network."""
        # The factor acts inside the pass over each tile: afterwards, small gradients of 16 bits would already be zero.
        per_group = list(sum_over_points(self._scaled, self.tile_rows, (params, scale), points).values())
        value, (slope, _) = jax.tree.map(lambda *parts: sum(parts[1:], start=parts[0]) / scale, *per_group)
        return value, slope

    def residuals_by_tile(self, params: Parameters, points: PointSets) -> Residuals:
        """Residuals as `residuals` returns them, tile by tile: memory does not grow with the number of points."""
        residuals: Residuals = {}
        for group in self.equations.groups:
            evaluate, group_points = partial(self.group_residuals, group), points[group.name]
            rows = self.tile_rows.get(group.name)
            residuals |= (
                map_over_points(evaluate, rows, params, group_points) if rows else evaluate(params, group_points)
            )
        return residuals

    def slopes(self, params: Parameters, points: PointSets) -> dict[str, Parameters]:
        """Gradient of each term mean(v_i r_i^2), {term: tree of the parameters}, accumulated tile by tile."""
        # jacrev: one forward pass per tile for all terms of a group, one backward pass per term.
        parts: dict[str, Sum] = {g.name: jax.jacrev(partial(self._group_term_losses, g)) for g in self.equations.groups}
        by_group = sum_over_points(parts, self.tile_rows, params, points)
        return {term: slope for slopes in by_group.values() for term, slope in slopes.items()}

    def residual_vector(self, points: PointSets) -> ResidualVector:
        """The vector rho of all sqrt(w_i v_i / n_i) r_i as a function of the parameters; the loss is ||rho||^2."""
        return ResidualVector(tuple(self.block(group, points[group.name]) for group in self.equations.groups))

    def interior_energy(self, params: Parameters, points: Points) -> Float[Array, " points"]:
        """Weighted sum of squared interior residuals per point, which residual-driven sampling follows."""
        inside = self.equations.interior

        def energy(params: Parameters, points: Points) -> Float[Array, " points"]:
            squares = self.group_residuals(inside, params, points).items()
            return sum(
                (self.weights[term] * _square_per_point(r) for term, r in squares), start=jnp.zeros_like(points.X[:, 0])
            )

        if inside.name not in self.tile_rows:
            return energy(params, points)
        return map_over_points(energy, self.tile_rows[inside.name], params, points)

    def group_residuals(self, group: Group, params: Parameters, points: Points) -> Residuals:
        """Relative residuals of one group, {term: (points,)}."""
        # Windows replace the ansatz near their points by one whose initial history is expanded there once, not in each step.
        fields = self.network.fields(params, points.trial)
        residuals = self.equations.evaluate(self.network.bound(params), fields, group, points)
        return {term: r / self.sizes[term] if self.sizes[term] != 1 else r for term, r in residuals.items()}

    def in_units(self, rms: Mapping[str, float]) -> dict[str, float]:
        """Sizes of relative residuals, {term: size}, in the units of the equations."""
        return {term: self.sizes[term] * value for term, value in rms.items()}

    def _group_mean_squares(
        self, group: Group, params: Parameters, points: Points, shares: Float[Array, " points"]
    ) -> dict[str, Float[Array, ""]]:
        """Mean squared residuals of a group's terms, without any weights."""
        return {
            term: jnp.sum(shares * _square_per_point(r))
            for term, r in self.group_residuals(group, params, points).items()
        }

    def _group_term_losses(
        self, group: Group, params: Parameters, points: Points, shares: Float[Array, " points"]
    ) -> dict[str, Float[Array, ""]]:
        """Mean squared residuals of a group's terms, with the weights of the points."""
        residuals = self.group_residuals(group, params, points)
        return {t: jnp.sum(_own_shares(points, t, shares) * _square_per_point(r)) for t, r in residuals.items()}

    def _group_loss(
        self, group: Group, params: Parameters, points: Points, shares: Float[Array, " points"]
    ) -> Float[Array, ""]:
        """The part of a group in the loss."""
        squares = self._group_term_losses(group, params, points, shares)
        return sum((self.weights[t] * s for t, s in squares.items()), start=jnp.zeros((), self.network.dtype))

    def block(self, group: Group, points: Points) -> Block:
        """The weighted residuals of a group, in the tiles in which its loss is accumulated."""
        tiles = split_into_tiles(points, self.tile_rows.get(group.name))

        def residuals(params: Parameters, tile: list[Array]) -> Float[Array, "rows terms"]:
            # Rows that fill up the last tile have a share of zero, so that their residuals vanish with their gradients.
            tile_points, shares = points_of_tile(points, tile)
            return jnp.stack(
                [
                    jnp.sqrt(self.weights[term] * _own_shares(tile_points, term, shares)) * r
                    for term, r in self.group_residuals(group, params, tile_points).items()
                ],
                axis=1,
            )

        return Block(residuals, tiles, points.X.shape[0], group.name in self.tile_rows)

    def _group_loss_times(
        self, group: Group, params: tuple[Parameters, Float[Array, ""]], points: Points, shares: Float[Array, " points"]
    ) -> Float[Array, ""]:
        """The loss of a group times a factor, for parameters that are a pair (parameters, factor)."""
        return params[1] * self._group_loss(group, params[0], points, shares)

    def _differentiable_loss(self) -> Callable[[PyTreeDef, Parameters, list[Array]], Float[Array, ""]]:
        """The loss as a function (structure of the points, parameters, arrays of the points), with a derivative rule of its own.

        Points come as their structure and their arrays, since JAX fills the trees that a custom rule gets with placeholders.
        """
        # Without a rule, reverse mode through the sum over tiles would save the activations of every tile until the
        # backward pass. Here each tile's gradient is computed and added up at once, so that memory is that of one tile.
        values: dict[str, Sum] = {g.name: partial(self._group_loss, g) for g in self.equations.groups}
        slopes: dict[str, Sum] = {name: jax.value_and_grad(value) for name, value in values.items()}

        @partial(jax.custom_vjp, nondiff_argnums=(0,))
        def loss(structure: PyTreeDef, params: Parameters, arrays: list[Array]) -> Float[Array, ""]:
            by_group = sum_over_points(values, self.tile_rows, params, jax.tree.unflatten(structure, arrays))
            return sum(by_group.values(), start=jnp.zeros((), self.network.dtype))

        def forward(structure: PyTreeDef, params: Parameters, arrays: list[Array]) -> tuple[Float[Array, ""], Saved]:
            by_group = sum_over_points(slopes, self.tile_rows, params, jax.tree.unflatten(structure, arrays))
            value, grad = jax.tree.map(lambda *parts: sum(parts[1:], start=parts[0]), *by_group.values())
            return value, (grad, arrays)

        def backward(structure: PyTreeDef, saved: Saved, cotangent: Float[Array, ""]) -> Saved:
            grad, arrays = saved
            # Zero, not the truth, for points and their weights: nobody may differentiate the loss by these.
            return jax.tree.map(lambda g: cotangent * g, grad), [jnp.zeros_like(a) for a in arrays]

        loss.defvjp(forward, backward)
        return loss

    def _term_weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The weight of each term. Raises UsageError for a name without a term, and for a weight that is not positive."""
        term_weights = default_weights(self.equations)
        methods = set(map(method_of, self.terms))
        for name, weight, matching in by_term(weights, self.terms):
            if not matching:
                raise UsageError(
                    f"There is no term '{name}' to weigh.",
                    where="weights of the recipe",
                    expected="one of " + ", ".join(sorted({*self.terms, *methods})),
                    do="It is met exactly (hard=True), so it has no weight: remove it."
                    if name in {c.name for g in self.equations.hard for c in g.conditions}
                    else advice(name, {*self.terms, *methods}),
                )
            require_number(weight, f"The weight of '{name}'", where="weights of the recipe", above=0)
            term_weights |= dict.fromkeys(matching, float(weight))
        return term_weights


def default_weights(equations: ProblemEquations) -> dict[str, float]:
    """The weight of each term where none is given: 1, and `MEASURED` for measured values among relative residuals."""
    scaled = equations.problem.scales is not None  # not `equations.scales`, which would be searched for `--help` alone
    return {
        term: MEASURED if scaled and group.data is not None else 1.0
        for group in equations.groups
        for term in equations.terms(group)
    }


AnyObjective: TypeAlias = Objective[ProblemEquations, SolutionNetwork]
"""The objective of any kind of problem; `Objective` alone is that of a problem that is solved at points."""


def _square_per_point(r: Float[Array, "points ..."]) -> Float[Array, " points"]:
    """Squared residual per point, (points,); the mean over its values where a sample has several."""
    return r**2 if r.ndim == 1 else jnp.mean(r**2, axis=1)


def _own_shares(points: Points, term: str, shares: Float[Array, " points"]) -> Float[Array, " points"]:
    """Shares of the points in a mean, times the weights that they have for a term."""
    own = points.weights or {}
    return shares * own[term] if term in own else shares


MeanSquares = Callable[[Parameters, PointSets], Mapping[str, float | Float[Array, ""]]]
"""Mean squared residual of each term, {term: ()}, from network parameters and points."""


def residual_rms(mean_squares: MeanSquares, params: Parameters, point_sets: Sequence[PointSets]) -> dict[str, float]:
    """Root mean square of each term's residual over several sets of points."""
    squares = [mean_squares(params, points) for points in point_sets]
    return {term: float(np.sqrt(np.mean([s[term] for s in squares]))) for term in squares[0]}
