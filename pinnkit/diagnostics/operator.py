"""The linear operator of an equation: the derivatives of the network that a residual sums, and their coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.compilation import jit_once
from pinnkit.fields import Expansion, Points
from pinnkit.fields.names import FieldFunction
from pinnkit.init.mean_field import channel_closure
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Equations, Group

LINEAR = 1e-8
"""Largest deviation from linearity, relative to the size of the terms, that rounding can explain."""


@dataclass(frozen=True)
class Operator:
    """The operator r = r_0 + sum over fields and channels of c_a d^a N, N the network's outputs before hard conditions.

    coefficients: (points, fields, channels) where the residual is linear in the network, else None.
    """

    channels: tuple[MultiIndex, ...]
    coefficients: Float[np.ndarray, "points fields channels"] | None


def operator(equations: Equations, group: Group, term: str, points: Points) -> Operator:
    """Return the operator of one term at points, hard conditions and quantities included; float64 has to be enabled.

    A residual that is not linear, or that evaluates the field at other points (`u_at`), has channels but no coefficients.
    """
    problem = equations.problem.at_first_guesses()
    condition = group.condition(term)
    requests = [group.requests[a] for a in condition.arguments]
    channels = channel_closure(equations.catalogue.highest_orders(requests))
    if any(isinstance(r, FieldFunction) for r in requests):
        return Operator(channels, None)
    X = jnp.asarray(points.X, jnp.float64)
    fields, probes = len(problem.fields), _probe_polynomials(channels, len(problem.fields), problem.domain.dim)

    def residual(amounts: Any) -> Any:
        """Return the residual at the points for the polynomial sum of amounts[field, monomial] (Y - X)^monomial / monomial!."""
        f = equations.ansatz(problem, Expansion(X, tuple(amounts.T[:, None, :]), probes.monomials))
        return equations.evaluate(problem, f, group, Points(X, points.normals))[term]

    residuals = np.asarray(jit_once(jax.vmap(residual))(jnp.asarray(probes.amounts)))
    end = 1 + fields * len(channels)
    constant, single, mixed = residuals[0], residuals[1:end], residuals[end:]
    c = (single - constant).T.reshape(len(X), fields, len(channels))
    expected = constant[None, :] + np.einsum("nfc,kfc->kn", c, probes.amounts[-len(mixed) :, :, : len(channels)])
    scale = np.max(np.abs(c)) * np.max(np.abs(probes.amounts)) + np.max(np.abs(constant))
    linear = np.isfinite(residuals).all() and np.max(np.abs(mixed - expected)) <= LINEAR * max(float(scale), 1e-300)
    return Operator(channels, c if linear else None)


@dataclass(frozen=True)
class _ProbePolynomials:
    """Polynomials that identify a linear operator: zero, each channel by itself, and random mixtures with further ones."""

    monomials: tuple[MultiIndex, ...]
    amounts: Float[np.ndarray, "trials fields monomials"]


def _probe_polynomials(channels: tuple[MultiIndex, ...], fields: int, dim: int) -> _ProbePolynomials:
    order = max(len(index) for index in channels)
    further = [(axis,) * (order + 1) for axis in range(dim)]  # an operator of this order ignores them
    further += [(axis,) for axis in range(dim) if (axis,) not in channels]
    monomials = (*channels, *further)
    single = np.zeros((fields * len(channels), fields, len(monomials)))
    for i, (field, channel) in enumerate(np.ndindex(fields, len(channels))):
        single[i, field, channel] = 1.0
    # Three sizes, since a nonlinear term may be negligible for small fields, or saturate for large ones.
    mixed = np.random.default_rng(0).normal(size=(3, fields, len(monomials))) * np.array([0.1, 1.0, 5.0])[:, None, None]
    return _ProbePolynomials(monomials, np.concatenate([np.zeros((1, fields, len(monomials))), single, mixed]))
