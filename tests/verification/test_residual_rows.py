"""What methods get, and the Jacobian by coefficients: against the derivative engine and against finite differences."""

import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective.residuals import Equations
from pinnkit.verification.arguments import Unsupported
from pinnkit.verification.discretisation import Discretisation
from pinnkit.verification.residual_rows import Conditions
from pinnkit.verification.series import Series


class Everything(pk.Problem):
    """Not a sensible problem: it asks for all that a method can ask for."""

    domain = pk.Box(x=(0.0, 2.0), y=(-1.0, 1.0))
    fields = ("u", "v")
    k: float = 0.3

    @pk.quantity
    def flux(self, u, u_x, v, x):
        return (1 + self.k * u**2) * u_x + x * jnp.sin(v)

    @pk.quantity
    def twice(self, flux, y):
        return 2 * flux * jnp.exp(y)

    @pk.interior
    def nonlinear(self, flux_x, twice_xy, u_laplacian, v_grad, u_hessian, x):
        return {"a": flux_x + jnp.sum(v_grad**2, axis=-1) * x, "b": twice_xy - u_laplacian * u_hessian[:, 0, 1]}

    @pk.boundary("x")
    def outflow(self, u_n, n_x, v):
        return u_n * n_x - v**3

    @pk.at(x=0.5)
    def delayed(self, u, v_at, y):
        return u - v_at(x=1.0 + 0.5 * y)

    @pk.boundary("y-")
    def mean(self, u_at):
        nodes = jnp.linspace(0.1, 1.9, 5)
        return jnp.sum(u_at(x=nodes, y=0.25) ** 2) - 1.0


@pytest.fixture(scope="module")
def system():
    equations = Equations(Everything())
    discretisation = Discretisation(equations)
    series = Series.over(Everything.domain.axes, (5, 4))
    return equations, series, discretisation.system(discretisation.whole, series)


def coefficients(series, seed=0):
    size = 0.4 / (1.0 + np.arange(series.size))[:, None]
    return np.random.default_rng(seed).normal(size=(series.size, 2)) * size


def test_residuals_are_those_of_the_derivative_engine(system):
    equations, series, own = system
    C = coefficients(series)
    terms = set()
    for group in own.groups:
        X = np.asarray(group.points.X)
        points = Points(jnp.asarray(X), jnp.asarray(group.points.normals))
        f = lambda Y: series.traced_values(jnp.asarray(C), Y)  # noqa: E731
        expected = equations.evaluate(Everything(), f, group.conditions.group, points)
        for term, values in group.residuals(C).items():
            np.testing.assert_allclose(values, expected[term], rtol=1e-10, atol=1e-10)
            terms.add(term)
    assert terms == {"nonlinear.a", "nonlinear.b", "outflow", "delayed", "mean"}


def test_the_jacobian_is_that_of_finite_differences(system):
    _, series, own = system
    C, step = coefficients(series), 1e-6
    jacobian = own.jacobian(C)
    for k in range(0, 2 * series.size, 3):
        direction = np.zeros(2 * series.size)
        direction[k] = step
        direction = direction.reshape(2, -1).T
        ahead, behind = own.residuals(C + direction), own.residuals(C - direction)
        for term, J in jacobian.items():
            np.testing.assert_allclose(J[:, k], (ahead[term] - behind[term]) / (2 * step), rtol=1e-6, atol=1e-6)


def test_normals_and_nodes_of_a_region(system):
    own = system[2]
    outflow = next(g for g in own.groups if g.terms == ("outflow",))
    X, normals = np.asarray(outflow.points.X), np.asarray(outflow.points.normals)
    assert set(X[:, 0]) == {0.0, 2.0} and np.all(np.abs(X[:, 1]) < 1)
    np.testing.assert_array_equal(normals, np.stack([X[:, 0] - 1, 0 * X[:, 0]], axis=1))
    inside = next(g for g in own.groups if g.is_equation)
    assert len(inside.points.X) == 7 * 6  # 1.3 per function and one more, along each axis


def test_quantities_at_other_points_are_refused():
    class Elsewhere(Everything):
        @pk.at(x=0.5)
        def delayed(self, u, flux_at):
            return u - flux_at(x=1.0)

    equations = Equations(Elsewhere())
    group = next(g for g in equations.groups if any(c.name == "delayed" for c in g.conditions))
    conditions = Conditions(equations, group)
    with pytest.raises(Unsupported, match="'flux_at' asks for the quantity 'flux' at other points"):
        conditions.evaluate(Points(jnp.zeros((3, 2))), jnp.zeros((len(conditions.keys), 3)), lambda X: X, {})
