"""Intervals of fields that measured values decide: what noise in these may have done to them.

It is the posterior of the linearised problem. With J the Jacobian of the weighted residuals at the trained parameters, kappa the
factor that makes the loss of the measured values a sum of squares in units of their noise, and a normal prior of precision alpha
of the parameters around their random start, the covariance of the parameters is (kappa J^T J + alpha I)^-1 (MacKay, A practical
Bayesian framework for backpropagation networks, Neural Computation 4, 448 (1992)). alpha and kappa are those of largest
evidence: alpha |theta - theta_0|^2 = gamma, the number of parameters that the residuals determine, and kappa times the loss of
the measured values is their number less the degrees of freedom that they decide (MacKay, Bayesian interpolation, Neural
Computation 4, 415 (1992), section 4). So a direction that nothing determines is as uncertain as training has moved parameters.

Such intervals hold the truth in 95 of 100 places on average over the domain, not at each of them alike (Wahba, J. R. Stat. Soc. B
45, 133 (1983)). They know nothing of what is wrong with the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import special

from pinnkit.evaluation.uncertainty import LEVEL, Tick, weighted_rows
from pinnkit.models.linearised import linearise, plain_part, trained_part
from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.objective.group import points_of
from pinnkit.objective.jacobians import field_rows, jacobians

LARGEST = 4000
"""Largest number of parameters: the eigenvectors of J^T J then take half a minute."""
ROUNDS = 50
"""Largest number of updates of alpha and kappa, which change little after a few."""
SETTLED = 1e-3
"""Relative change of alpha at which they end."""
AT_ONCE = 64 * 1024**2
"""Size [bytes] of the Jacobian of the fields that is held at a time."""


@dataclass(frozen=True, repr=False)
class FieldIntervals:
    """The standard deviation of each field at any point, as noise in the measured values leaves it.

    Args:
        fields: Names of the fields.
        rows: The function points (points, dim) -> Jacobian of the fields (points, fields, parameters).
        root: A root of the covariance of the parameters, (parameters, parameters).
        deviations: Root mean square of the standard deviation over the domain, by field.
        freedom: Number of degrees of freedom that the measured values decide.
    """

    fields: tuple[str, ...]
    rows: Callable[[Array], Float[Array, "points fields parameters"]]
    root: Float[np.ndarray, "parameters parameters"]
    deviations: Mapping[str, float]
    freedom: float

    @property
    def half_widths(self) -> dict[str, float]:
        """Half the width of the 95% interval of each field, root mean square over the domain."""
        return {name: QUANTILE * value for name, value in self.deviations.items()}

    def deviation(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the standard deviation of each field at some points."""
        return _deviation(self.rows, self.root, X)


QUANTILE = float(special.ndtri((1 + LEVEL) / 2))
"""Half the width of a 95% interval, in standard deviations."""


def field_intervals(
    objective: Objective, params: Parameters, draws: Sequence[PointSets], tick: Tick = lambda share: None
) -> FieldIntervals | None:
    """Return the intervals of the fields; None without measured values, or with more than `LARGEST` parameters.

    Args:
        objective: The objective that was trained.
        params: The trained parameters.
        draws: Collocation points as training draws them, several times over (`number_of_draws`).
        tick: Called with the share of the work that is done.
    """
    if objective.network.count() > LARGEST or all(group.data is None for group in objective.equations.groups):
        return None
    terms = weighted_rows(objective, draws, params, jacobians(objective), tick)
    whole = sum(t.J.T @ t.J for t in terms)
    measured = [t for t in terms if t.data]
    values, loss = sum(len(t.r) for t in measured), float(sum(t.r @ t.r for t in measured))
    if not (np.isfinite(whole).all() and np.isfinite(loss) and loss > 0):
        return None
    eigenvalues, V = np.linalg.eigh(whole)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    # Of each eigenvector, its share in the misfit of the measured values.
    parts = sum(np.sum((t.J @ V) ** 2, axis=0) for t in measured)
    distance = _squared_distance(objective.network.initial_parameters["network"], params["network"])
    kappa, alpha, freedom = values / loss, 1.0, 0.0
    for _ in range(ROUNDS):
        before = alpha
        alpha = float(np.sum(kappa * eigenvalues / (kappa * eigenvalues + alpha))) / distance
        freedom = float(np.sum(kappa * parts / (kappa * eigenvalues + alpha)))
        kappa = max(values - freedom, 1.0) / loss
        if abs(alpha - before) <= SETTLED * alpha:
            break
    root = V / np.sqrt(kappa * eigenvalues + alpha)
    compiled = field_rows(objective)

    def rows(X: Array) -> Float[Array, "points fields parameters"]:
        return compiled(params, X)

    fields = tuple(objective.network.problem.fields)
    inside = np.asarray(points_of(objective.equations.interior).X)
    mean_squares = np.mean(_deviation(rows, root, inside) ** 2, axis=0)
    deviations = {name: float(np.sqrt(v)) for name, v in zip(fields, mean_squares, strict=True)}
    return FieldIntervals(fields, rows, root, deviations, freedom)


def _deviation(
    rows: Callable[[Array], Array], root: Float[np.ndarray, "parameters parameters"], X: np.ndarray
) -> Float[np.ndarray, "points fields"]:
    piece = max(1, AT_ONCE // (8 * len(root)))
    parts = []
    for start in range(0, len(X), piece):
        chosen = X[start : start + piece]
        # Filled up, so that one program serves all pieces.
        J = np.asarray(rows(jnp.asarray(np.resize(chosen, (min(piece, len(X)), X.shape[1])))), np.float64)
        parts.append(np.sqrt(np.sum((J[: len(chosen)] @ root) ** 2, axis=2)))
    return np.concatenate(parts)


def _squared_distance(start: Any, trained: Any) -> float:
    """Return |theta - theta_0|^2 of a network's parameters, with those of its linearised form where it has one."""
    moved = jax.tree.map(jnp.subtract, plain_part(trained), start)
    along = trained_part(linearise(trained))
    return float(sum(jnp.sum((m + a) ** 2) for m, a in zip(*map(jax.tree.leaves, (moved, along)), strict=True)))
