"""Two small problems with their residuals and Jacobians, computed independently, for the optimisers of residuals."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from cases import objective, random_parameters
from jax.flatten_util import ravel_pytree

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective.collocation import point_sampler


class Flow(pk.Problem):
    """A system, an unknown parameter, and a condition that is not pointwise: the mean of u."""

    fields = ("u", "v")
    k: float = pk.unknown(0.7, bounds=(0.0, 2.0))

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def balance(self, u_t, v_x, u_xx, v):
        return {"mass": u_t + v_x, "momentum": v - self.k * u_xx}

    @pk.initial
    def mean_at_start(self, u):
        return u - jnp.mean(u) + u[0]

    @pk.boundary("x")
    def at_rest(self, u):
        return u


@lru_cache
def case(problem, interior=41):
    """Objective, points (three tiles inside, the last one filled up; own weights), parameters."""
    found = objective(problem(), weights={"at_rest" if problem is Flow else "cold_ends": 3.0})
    inside = found.equations.interior.name
    found.tile_rows[inside] = 16
    points = point_sampler(found, pk.Sampling(interior=interior, initial=7, boundary=6)).init(jax.random.key(0))
    term = "balance.mass" if problem is Flow else "heat"
    points[inside] = Points(points[inside].X, weights={term: jnp.linspace(0.5, 2.0, interior)})
    return found, points, random_parameters(found.network)


@lru_cache
def by_definition(problem):
    """rho of the flat parameters, all points at once, compiled; and the parameters: an independent computation."""
    found, points, params = case(problem)
    flat, unravel = ravel_pytree(params)

    def rho(x):
        parts = []
        for group in found.equations.groups:
            own, count = points[group.name].weights or {}, points[group.name].X.shape[0]
            residuals = found.equations.evaluate(
                found.network.bound(unravel(x)), found.network.fields(unravel(x)), group, points[group.name]
            )
            scaled = [
                jnp.sqrt(found.weights[t] * own.get(t, jnp.ones(count)) / count) * r / found.sizes[t]
                for t, r in residuals.items()
            ]
            parts.append(jnp.stack(scaled, axis=1).reshape(-1))
        return jnp.concatenate(parts)

    return jax.jit(rho), flat


@lru_cache
def dense(problem):
    """rho, and J by reverse mode."""
    rho, flat = by_definition(problem)
    return jax.tree.map(np.asarray, (rho(flat), jax.jit(jax.jacrev(rho))(flat)))
