"""The linear operator behind an equation, against the residual of a network with known derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, random_parameters

import pinnkit as pk
from pinnkit.diagnostics.operator import operator
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.objective.group import points_of


class Hard(Rod):
    """Coefficients that vary, a quantity, and two hard conditions."""

    @pk.quantity
    def flux(self, u_x, x):
        return -(1 + x**2) * u_x

    @pk.interior
    def heat(self, u, u_t, flux_x, t, x):
        return u_t + flux_x - jnp.sin(t) * u + x

    @pk.initial(hard=True)
    def warm_start(self, u, x):
        return u - jnp.sin(jnp.pi * x)

    @pk.boundary("x", hard=True)
    def cold_ends(self, u):
        return u

    exact = None


class System(pk.Problem):
    fields = ("u", "v")
    domain = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0))

    @pk.interior
    def flow(self, u_x, v_y, u_laplacian, v):
        return {"mass": u_x + v_y, "force": u_laplacian - 2.0 * v}


class Quadratic(Rod):
    @pk.interior
    def heat(self, u, u_t, u_x):
        return u_t + u * u_x

    exact = None


class Delay(Rod):
    @pk.interior
    def heat(self, u_t, u_at):
        return u_t - u_at(x=0.5)

    exact = None


def inside(problem):
    made = objective(problem)
    group = made.equations.interior
    return made, group, points_of(group, 9)


def test_constant_coefficients():
    made, group, points = inside(Rod(alpha=0.3))
    found = operator(made.equations, group, "heat", points)
    assert found.channels == ((), (0,), (1,), (1, 1))
    np.testing.assert_allclose(found.coefficients, np.tile([0.0, 1.0, 0.0, -0.3], (9, 1, 1)), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "terms"), [(Rod, ["heat"]), (Hard, ["heat"]), (System, ["flow.mass", "flow.force"])]
)
def test_the_operator_applied_to_a_network_is_its_residual(problem, terms):
    made, group, points = inside(problem())
    network = made.network
    params = random_parameters(network)

    def plain(X):
        return network.apply(params["network"], network.embedding(X))

    zero = made.equations.ansatz(network.problem, lambda X: 0.0 * plain(X))
    for term in terms:
        found = operator(made.equations, group, term, points)
        channels = partial_derivatives(plain, jnp.asarray(points.X), found.channels)
        values = np.stack([np.asarray(channels[c]) for c in found.channels], axis=2)  # points, fields, channels
        residual = made.equations.evaluate(network.problem, network.fields(params), group, points)[term]
        constant = made.equations.evaluate(network.problem, zero, group, points)[term]
        np.testing.assert_allclose(
            np.sum(found.coefficients * values, axis=(1, 2)) + constant, residual, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("problem", [Quadratic, Delay])
def test_what_is_not_linear_or_not_local_has_no_coefficients(problem):
    made, group, points = inside(problem())
    assert operator(made.equations, group, "heat", points).coefficients is None


def test_it_needs_no_particular_precision_of_the_network():
    made = objective(Rod(), dtype=jnp.float32)
    group = made.equations.interior
    found = operator(made.equations, group, "heat", points_of(group, 3))
    assert found.coefficients.dtype == np.float64
    assert jax.config.read("jax_enable_x64")
