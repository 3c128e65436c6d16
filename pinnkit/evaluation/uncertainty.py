"""The interval of unknown parameters: what noise in the data does to them when the network's parameters are free too.

Training makes L = sum_t w_t mean(r_t^2) small, with noise in the rows of data only: an equation that is asked for at
more points is not better known. With J = [J_net, J_u] the Jacobian of all residuals, each row times sqrt(w_t / N_t), noise
e in the data moves the unknowns by S^-1 F^T e, where F = (I - P) J_u, S = F^T F and P is the projection on the columns
of J_net. Hence their covariance is S^-1 (F_data^T diag(w_t / N_t sigma_t^2) F_data) S^-1: Gauss-Newton at the solution
(Seber and Wild 2003, section 2.1) of an estimator whose weights need not be those of the noise (White 1980). sigma_t
comes from the residuals of the data, less the degrees of freedom that the fit has used. Where equations are weighty and
well resolved, this is the textbook interval of least squares on the solutions of the PDE.

What is left of the equations beyond what the noise explains is an error of the model (the network has not solved them): it
counts as one value that is wrong everywhere alike, the worst that it can do to the unknowns.

Directions of the network that change the loss by less than its rounding are left out: no training has moved along them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import linalg, special

from pinnkit.objective import Group, Objective, Parameters, PointSets
from pinnkit.objective.jacobians import Jacobian, Jacobians, jacobians
from pinnkit.problem import Unknown

LEVEL = 0.95
ROWS = 6
"""Number of rows of the Jacobian per parameter of the network: with fewer, the network could oscillate between the points."""
DETERMINED = 1e-12
"""Share of an unknown's effect (squared) that the network must be unable to imitate."""


NEGLIGIBLE = 1e-3
"""Changes of a parameter by less than this part of it are nothing to wait for, however small its standard deviation is."""
EXPLAINED = 2.0
"""Residuals of an equation up to this many times what noise in the data explains are put down to the noise."""

Tick = Callable[[float], None]
"""A function that is called with the share of the work that is done, from 0 to 1."""


@dataclass(frozen=True)
class Estimate:
    """An unknown parameter with its standard deviation and 95% interval, in the parameter's own units.

    Without an interval the deviation is infinite, lower and upper are the bounds of the parameter, and `reason` says why.
    """

    value: float
    deviation: float
    lower: float
    upper: float
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not self.reason and bool(np.isfinite(self.deviation))

    @property
    def at_bound(self) -> str:
        """The bound to which the parameter has run: "lower", "upper" or ""."""
        return next((end for end in ("lower", "upper") if self.reason == RAN_TO_BOUND.format(end)), "")

    def __str__(self) -> str:
        """Return the interval in words, or why there is none."""
        if self.known:
            lower, upper = f"{self.lower:.6g}", f"{self.upper:.6g}"
            half = 0.5 * (self.upper - self.lower)
            return f"95% interval [{lower}, {upper}]" if lower != upper else f"95% interval of +- {half:.0e}"
        return f"no interval: {self.reason or UNDETERMINED}"


UNDETERMINED = "nothing determines it"
UNCONVERGED = "training has not converged: the next step would move it farther than its standard deviation"
RAN_TO_BOUND = "it ran to its {} bound: not found"


def estimate_without_interval(unknown: Unknown, value: float, reason: str) -> Estimate:
    """Return the estimate of a parameter of which no interval is known."""
    return Estimate(value, np.inf, unknown.lower, unknown.upper, reason)


def estimate_of(entry: Mapping[str, Any]) -> Estimate:
    """Return an estimate as summary.json holds it, where infinite numbers are null."""
    value, deviation, lower, upper = (entry[n] for n in ("value", "deviation", "lower", "upper"))
    return Estimate(
        math.nan if value is None else value,
        math.inf if deviation is None else deviation,
        -math.inf if lower is None else lower,
        math.inf if upper is None else upper,
        entry.get("reason", ""),
    )


@dataclass(frozen=True)
class WeightedRows:
    """One term of the loss on some points: w mean(r^2) = r.r and its Jacobian, rows and residuals times sqrt(w / N)."""

    J: np.ndarray
    r: np.ndarray
    data: bool


def number_of_draws(objective: Objective, points: PointSets) -> int:
    """Return how many draws of collocation points like these give the Jacobian enough rows."""
    rows = sum(len(points[g.name].X) for g in objective.equations.groups if g.region is not None)
    return -(-ROWS * objective.network.count() // rows)


def estimates(
    objective: Objective,
    params: Parameters,
    draws: Sequence[PointSets],
    compiled: Jacobians | None = None,
    tick: Tick = lambda share: None,
) -> dict[str, Estimate]:
    """Return value and 95% interval of each unknown parameter; {} where there are none.

    Without any data there is no noise: the residuals of all terms stand in for it, each as one value that is wrong
    everywhere alike, and the interval says how far such an error could move the unknowns. A parameter that has run to one
    of its bounds has no interval: there the loss says nothing about it.

    Args:
        objective: The objective that was trained.
        params: The trained parameters.
        draws: Collocation points as training draws them, several times over (`number_of_draws`).
        compiled: `jacobians(objective)`, where there are several calls.
        tick: Called between the pieces of the work.
    """
    unknowns = objective.network.problem.unknowns()
    if not unknowns:
        return {}
    compiled = compiled or jacobians(objective)
    terms = weighted_rows(objective, draws, params, compiled, tick)
    if not all(np.isfinite(t.r).all() and np.isfinite(t.J).all() for t in terms):
        values = {name: float(u.value(params["unknowns"][name])) for name, u in unknowns.items()}
        return {n: estimate_without_interval(u, values[n], "residuals are not finite") for n, u in unknowns.items()}
    covariance, rest, freedom = _covariance(terms, len(unknowns), float(np.finfo(objective.network.dtype).eps) ** 0.5)
    tick(1.0)
    return {
        name: interval_of(u, params["unknowns"][name], float(variance), float(step), freedom)
        for (name, u), variance, step in zip(unknowns.items(), np.diag(covariance), rest, strict=True)
    }


def interval_of(
    unknown: Unknown, z: Float[Array, ""] | float, variance: float, remaining: float, freedom: float
) -> Estimate:
    """Return the value and 95% interval of an unknown parameter.

    Args:
        unknown: The parameter.
        z: Its trained number.
        variance: The variance of z that noise makes; infinite where nothing determines it.
        remaining: The step of z that is left to the minimum, which counts as well.
        freedom: Number of degrees of freedom with which the noise was measured; infinite without data.
    """
    # Student's t with the degrees of freedom of the noise; the normal distribution without data.
    level = (1 + LEVEL) / 2
    quantile = float(special.stdtrit(freedom, level) if np.isfinite(freedom) else special.ndtri(level))
    # Both are per unit of the trained number z; the chain rule brings them to the parameter's own units.
    value, slope = float(unknown.value(z)), abs(float(jax.grad(unknown.value)(jnp.asarray(z, float))))
    if end := unknown.which_bound(value):
        return estimate_without_interval(unknown, value, RAN_TO_BOUND.format(end))
    # A deviation beyond every number: nothing determines the parameter, also where the slope is zero.
    noise = float(np.sqrt(variance)) * slope if np.isfinite(variance) else np.inf
    rest = abs(remaining) * slope
    deviation = math.hypot(noise, rest)
    if not np.isfinite(deviation):
        return estimate_without_interval(unknown, value, UNDETERMINED)
    if rest > max(noise, NEGLIGIBLE * abs(value)):
        return estimate_without_interval(unknown, value, UNCONVERGED)
    reach = quantile * deviation
    return Estimate(value, deviation, max(value - reach, unknown.lower), min(value + reach, unknown.upper))


def _covariance(terms: Sequence[WeightedRows], unknowns: int, cut: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the covariance of the unknowns and the Gauss-Newton step that remains, in units of z, and the noise's freedom.

    That is the number of degrees of freedom with which the noise was measured.
    """
    R = np.asarray(np.linalg.qr(np.concatenate([t.J for t in terms]), mode="r"))
    own = R[:, -unknowns:]
    Q, T, order = linalg.qr(R[:, :-unknowns], mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(T)) > cut * abs(T[0, 0])))
    Q, T, order = Q[:, :rank], T[:rank, :rank], order[:rank]
    F = own - Q @ (Q.T @ own)
    Z = np.concatenate([np.zeros((R.shape[1] - unknowns, unknowns)), np.eye(unknowns)])  # F = R Z
    Z[order] = -linalg.solve_triangular(T, Q.T @ own)
    inverse, determined = _inverse(F.T @ F, np.sum(own**2, axis=0))
    root = _root(inverse)

    # H = G G^T is what the fit makes of an error e in the rows of all terms; G of one term are its rows.
    G = [
        np.concatenate([linalg.solve_triangular(T, t.J[:, order].T, trans="T").T, t.J @ Z @ root], axis=1)
        for t in terms
    ]
    ahead = sum(g.T @ t.r for g, t in zip(G, terms, strict=True))

    noise, freedom = np.zeros((unknowns, unknowns)), 0.0
    explaining = np.zeros((rank + unknowns, rank + unknowns))  # the noise of all data, as the fit spreads it
    for term, g in ((t, g) for t, g in zip(terms, G, strict=True) if t.data):
        moved, gram = term.J @ Z, g.T @ g
        # E |e - H e|^2 = sigma^2 |1 - H|^2.
        left = len(term.r) - 2 * np.trace(gram) + np.sum(gram**2)
        freedom += left
        variance = (term.r @ term.r) / max(left, 1e-300)
        explaining += variance * gram
        noise += variance * moved.T @ moved
    for term, g in ((t, g) for t, g in zip(terms, G, strict=True) if not t.data):
        # What the linear model still takes away belongs to the rest of the way, below.
        moved, size = term.J @ Z, np.sum((term.r - g @ ahead) ** 2)
        noise += max(0.0, size - EXPLAINED * np.sum((g.T @ g) * explaining)) * moved.T @ moved
    rest = inverse @ sum(Z.T @ (t.J.T @ t.r) for t in terms)
    covariance = inverse @ noise @ inverse
    covariance[~determined, ~determined] = np.inf
    return covariance, rest, float(freedom) if any(t.data for t in terms) else np.inf


def _root(S: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues, but for rounding."""
    values, vectors = np.linalg.eigh(S)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _inverse(S: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse of S on the determined subspace, and a mask of the determined unknowns.

    Args:
        S: F^T F, (unknowns, unknowns).
        sizes: Its diagonal if the network could imitate no effect of an unknown, (unknowns,).
    """
    scale = np.sqrt(np.where(sizes > 0, sizes, 1.0))
    values, vectors = np.linalg.eigh(S / np.outer(scale, scale))
    good = values > DETERMINED
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T / np.outer(scale, scale)
    return inverse, np.all(np.abs(vectors[:, ~good]) < 1e-6, axis=1)


def weighted_rows(
    objective: Objective, draws: Sequence[PointSets], params: Parameters, compiled: Jacobians, tick: Tick
) -> list[WeightedRows]:
    """Return the rows of all terms of the loss, with the share of the work said after each draw."""
    groups, terms = objective.equations.groups, list[WeightedRows]()
    pieces, done = sum(1 if g.region is None else len(draws) for g in groups) + 1, 0

    def step() -> None:
        nonlocal done
        done += 1
        tick(done / (pieces + 1))

    for group in groups:
        terms += _terms(objective, group, draws, params, compiled[group.name], step)
    return terms


def _terms(
    objective: Objective,
    group: Group,
    draws: Sequence[PointSets],
    params: Parameters,
    rows: Jacobian,
    step: Callable[[], None],
) -> list[WeightedRows]:
    """Return the terms of one group, from all draws; data rows are the same in each, so one is enough."""
    data, parts, terms = group.region is None, [], []
    for points in draws[:1] if data else draws:
        parts.append(jax.block_until_ready(rows(params, points[group.name])))
        step()
    for term in objective.equations.terms(group):
        r, J = (np.concatenate([np.asarray(part[i][term], np.float64) for part in parts]) for i in (0, 1))
        used = [(points[group.name].weights or {}).get(term) for points in (draws[:1] if data else draws)]
        own = np.concatenate([np.ones(len(r) // len(used)) if v is None else np.asarray(v, np.float64) for v in used])
        scale = np.sqrt(objective.weights[term] * own / len(r))
        terms.append(WeightedRows(scale[:, None] * J, scale * r, data))
    return terms
