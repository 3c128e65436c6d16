"""The interval of unknown parameters: what noise in the data does to them when the network's parameters are free too.

Training makes L = sum_t w_t mean(r_t^2) small, with noise in the rows of data only: an equation that is asked for at
more points is not better known. With J = [J_net, J_u] the Jacobian of all residuals, each row times sqrt(w_t / N_t), noise
e in the data moves the unknowns by S^-1 F^T e, where F = (I - P) J_u, S = F^T F and P is the projection on the columns
of J_net. Hence their covariance is S^-1 (F_data^T diag(w_t / N_t sigma_t^2) F_data) S^-1: Gauss-Newton at the solution
(Seber and Wild 2003, section 2.1) of an estimator whose weights need not be those of the noise (White 1980). sigma_t
comes from the residuals of the data, less the degrees of freedom that the fit has used. Where equations are weighty and
well resolved, this is the textbook interval of least squares on the solutions of the PDE.

Directions of the network that change the loss by less than its rounding are left out: no training has moved along them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy import linalg, special

from pinnkit.fields import Points
from pinnkit.objective import Group, Objective, Parameters, PointSets

Jacobian = Callable[[Parameters, Points], Any]
Jacobians = dict[str, Jacobian]
LEVEL = 0.95
ROWS = 6
"""Rows of the Jacobian for each parameter of the network: fewer, and the network could bend between the points."""
DETERMINED = 1e-12
"""Share of an unknown's effect (squared) that the network must be unable to imitate."""


@dataclass(frozen=True)
class Estimate:
    """An unknown parameter with its standard deviation and 95% interval; infinite where nothing determines it."""

    value: float
    deviation: float
    lower: float
    upper: float


@dataclass(frozen=True)
class _Term:
    """One term of the loss on some points: w mean(r^2) = r.r and its Jacobian, rows and residuals times sqrt(w / N)."""

    J: np.ndarray
    r: np.ndarray
    data: bool


def draws_needed(objective: Objective, points: PointSets) -> int:
    """How many draws of collocation points like these give the Jacobian enough rows."""
    rows = sum(len(points[g.name].X) for g in objective.equations.groups if g.region is not None)
    return -(-ROWS * objective.network.count() // rows)


def jacobians(objective: Objective) -> Jacobians:
    """The compiled residuals and Jacobian of each group, for one or more calls of `estimates`."""
    return {group.name: jax.jit(_rows(objective, group)) for group in objective.equations.groups}


def estimates(
    objective: Objective, params: Parameters, draws: Sequence[PointSets], compiled: Jacobians | None = None
) -> dict[str, Estimate]:
    """Value and 95% interval of each unknown parameter; {} where there are none.

    Arguments
        draws: collocation points as training draws them, several times over (`draws_needed`).
        compiled: `jacobians(objective)`, where there are several calls.

    Without any data there is no noise: the residuals of all terms stand in for it, each as one value that is wrong
    everywhere alike, and the interval says how far such an error could move the unknowns.
    """
    unknowns = objective.network.problem.unknowns()
    if not unknowns:
        return {}
    compiled = compiled or jacobians(objective)
    terms = [t for g in objective.equations.groups for t in _terms(objective, g, draws, params, compiled[g.name])]
    covariance, freedom = _covariance(terms, len(unknowns), float(np.finfo(objective.network.dtype).eps) ** 0.5)
    share = (1 + LEVEL) / 2
    # Student's t with the degrees of freedom of the noise; the normal distribution without data.
    quantile = float(special.stdtrit(freedom, share) if np.isfinite(freedom) else special.ndtri(share))
    found = {}
    for (name, u), variance in zip(unknowns.items(), np.diag(covariance), strict=True):
        z = params["unknowns"][name]
        # The Jacobian is per unit of the unbounded number z; the chain rule brings it to the parameter's own units.
        value, deviation = float(u.value(z)), float(np.sqrt(variance)) * abs(float(jax.grad(u.value)(z)))
        reach = quantile * deviation
        found[name] = Estimate(value, deviation, max(value - reach, u.lower), min(value + reach, u.upper))
    return found


def _covariance(terms: Sequence[_Term], unknowns: int, cut: float) -> tuple[np.ndarray, float]:
    """The covariance of the unknowns (in units of z), and the degrees of freedom that the noise was measured with."""
    R = np.asarray(np.linalg.qr(np.concatenate([t.J for t in terms]), mode="r"))
    own = R[:, -unknowns:]
    Q, T, order = linalg.qr(R[:, :-unknowns], mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(T)) > cut * abs(T[0, 0])))
    Q, T, order = Q[:, :rank], T[:rank, :rank], order[:rank]
    F = own - Q @ (Q.T @ own)
    Z = np.concatenate([np.zeros((R.shape[1] - unknowns, unknowns)), np.eye(unknowns)])  # F = R Z
    Z[order] = -linalg.solve_triangular(T, Q.T @ own)
    inverse, determined = _inverse(F.T @ F, np.sum(own**2, axis=0))
    noise, freedom, data = np.zeros((unknowns, unknowns)), 0.0, [t for t in terms if t.data]
    for term in data or terms:
        moved, count = term.J @ Z, len(term.r)
        if not term.data:
            noise += (term.r @ term.r) * moved.T @ moved
            continue
        # E |e - H e|^2 = sigma^2 |1 - H|^2, where H = G G^T is what the fit makes of the noise e.
        own_part = moved @ linalg.sqrtm(inverse).real
        G = np.concatenate([linalg.solve_triangular(T, term.J[:, order].T, trans="T").T, own_part], axis=1)
        left = count - 2 * np.sum(G**2) + np.sum((G.T @ G) ** 2)
        freedom += left
        noise += (term.r @ term.r) / max(left, 1e-300) * moved.T @ moved
    # Where training has not come to rest, what is left of the way counts as well.
    rest = inverse @ sum(Z.T @ (t.J.T @ t.r) for t in terms)
    covariance = inverse @ noise @ inverse + np.outer(rest, rest)
    covariance[~determined, ~determined] = np.inf
    return covariance, float(freedom) if data else np.inf


def _inverse(S: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of S on what is determined, and which unknowns are. `sizes`: S if the network could imitate nothing."""
    scale = np.sqrt(np.where(sizes > 0, sizes, 1.0))
    values, vectors = np.linalg.eigh(S / np.outer(scale, scale))
    good = values > DETERMINED
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T / np.outer(scale, scale)
    return inverse, np.all(np.abs(vectors[:, ~good]) < 1e-6, axis=1)


def _terms(
    objective: Objective, group: Group, draws: Sequence[PointSets], params: Parameters, rows: Jacobian
) -> list[_Term]:
    """The terms of one group, from all draws; data rows are the same in each, so one is enough."""
    data = group.region is None
    parts = [rows(params, points[group.name]) for points in (draws[:1] if data else draws)]
    found = []
    for term in objective.equations.terms(group):
        r, J = (np.concatenate([np.asarray(part[i][term], np.float64) for part in parts]) for i in (0, 1))
        used = [(points[group.name].weights or {}).get(term) for points in (draws[:1] if data else draws)]
        own = np.concatenate([np.ones(len(r) // len(used)) if v is None else np.asarray(v, np.float64) for v in used])
        scale = np.sqrt(objective.weights[term] * own / len(r))
        found.append(_Term(scale[:, None] * J, scale * r, data))
    return found


def _rows(objective: Objective, group: Group) -> Jacobian:
    """Residuals {term: (points,)} and their Jacobian {term: (points, parameters)}, the unknowns in the last columns."""
    equations, network = objective.equations, objective.network
    pointwise = equations.pointwise(group)

    def rows(params: Parameters, points: Points) -> Any:
        flat, restore = ravel_pytree((params["network"], params["unknowns"]))
        arrays, structure = jax.tree.flatten(points)

        def both(some: Points) -> Any:
            def residuals(z: Any) -> Any:
                tree = dict(zip(("network", "unknowns"), restore(z), strict=True))
                return equations.evaluate(network.bound(tree), network.fields(tree), group, some)

            return residuals(flat), jax.jacrev(residuals)(flat)

        def one(*row: Any) -> Any:
            return jax.tree.map(lambda a: a[0], both(jax.tree.unflatten(structure, [a[None] for a in row])))

        # A condition that ties points together has no residual of one point.
        return jax.vmap(one)(*arrays) if pointwise else both(points)

    return rows
