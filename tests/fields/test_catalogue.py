"""The arrays that methods get, against closed forms: derivatives, operators, quantities, columns, u_at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, Wave, computed, refused, scattered

import pinnkit as pk
from pinnkit.fields import Catalogue, Points

K, L = (3.0, -2.0, 1.5), (-1.0, 0.5, 2.0)


class Plane(pk.Problem):
    k: float = 2.0

    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0), y=(0.0, 2.0))
    fields = ("u", "u_plus")

    @pk.interior
    def equation(self, u):
        return u

    @pk.quantity
    def flux(self, u_x, x):
        return -self.k * jnp.exp(x) * u_x

    @pk.quantity
    def power(self, flux, u):
        return flux * u

    @pk.quantity
    def slope(self, flux_x, u_plus_t):
        return flux_x + u_plus_t

    @pk.quantity
    def load(self):
        return 4.0

    @pk.quantity
    def delayed(self, u_at, t):
        return u_at(t=t / 2)


F = Wave(K, L, phases=(0.3, -0.7))
X = scattered(Plane.domain)
x = np.asarray(X)[:, 1]


def u(*index):
    return F.partial(X, index, 0)


def v(*index):
    return F.partial(X, index, 1)


FLUX = -2 * np.exp(x) * u(1)
FLUX_X = -2 * np.exp(x) * (u(1) + u(1, 1))
FLUX_Y = -2 * np.exp(x) * u(1, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("u", u()),
        ("u_t", u(0)),
        ("u_xx", u(1, 1)),
        ("u_xy", u(1, 2)),
        ("u_yx", u(1, 2)),
        ("u_ttyy", u(0, 0, 2, 2)),
        ("u_plus", v()),
        ("u_plus_x", v(1)),
        ("u_laplacian", u(1, 1) + u(2, 2)),
        ("u_grad", np.stack([u(1), u(2)], axis=1)),
        ("u_hessian", np.stack([np.stack([u(i, j) for j in (1, 2)], axis=1) for i in (1, 2)], axis=1)),
        ("t", np.asarray(X)[:, 0]),
        ("x", x),
        ("flux", FLUX),
        ("flux_x", FLUX_X),
        ("flux_y", FLUX_Y),
        ("flux_xx", -2 * np.exp(x) * (u(1) + 2 * u(1, 1) + u(1, 1, 1))),
        ("flux_laplacian", -2 * np.exp(x) * (u(1) + 2 * u(1, 1) + u(1, 1, 1) + u(1, 2, 2))),
        ("power", FLUX * u()),
        ("power_x", FLUX_X * u() + FLUX * u(1)),
        ("slope", FLUX_X + v(0)),
        ("slope_y", -2 * np.exp(x) * (u(1, 2) + u(1, 1, 2)) + v(0, 2)),
        ("load", np.full(7, 4.0)),
        ("load_x", np.zeros(7)),
        ("delayed_t", 0.5 * F.partial(X.at[:, 0].mul(0.5), (0,))),
    ],
)
def test_values_against_closed_forms(name, expected):
    values = computed(Plane(), F, X, name)[name]
    np.testing.assert_allclose(values, expected, atol=2e-13 * max(1, np.abs(expected).max()))
    assert values.shape == expected.shape


def test_all_at_once_are_the_same_as_one_by_one():
    names = ("u_t", "u_plus_xx", "flux_y", "u_laplacian", "power_x", "y", "u")
    together = jax.jit(lambda X: computed(Plane(), F, X, *names))(X)
    assert set(together) == set(names)
    for name in names:
        np.testing.assert_allclose(together[name], computed(Plane(), F, X, name)[name], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("target", ["x-", "x+", "y-", "y+"])
def test_derivatives_along_the_outward_normal(target):
    axis, sign = 1 + "xy".index(target[0]), -1.0 if target[1] == "-" else 1.0
    place, normals = Plane.domain.boundary(target).place(jnp.linspace(0.1, 0.9, 18).reshape(6, 3)[:, :2], 6)
    found = computed(Plane(), F, Points(place, normals), "u_n", "flux_n", "n_x", "n_y", has_normal=True)
    np.testing.assert_allclose(found["u_n"], sign * F.partial(place, (axis,)), atol=1e-12)
    along = {1: (1, 1), 2: (1, 2)}[axis]
    slope = F.partial(place, along) + (F.partial(place, (1,)) if axis == 1 else 0.0)
    np.testing.assert_allclose(found["flux_n"], sign * -2 * np.exp(np.asarray(place)[:, 1]) * slope, atol=1e-12)
    assert np.all(found["n_x"] == (sign if axis == 1 else 0)) and np.all(found["n_y"] == (sign if axis == 2 else 0))


def test_columns_of_a_data_file():
    points = Points(X, None, {"u_measured": jnp.arange(7.0)})
    found = computed(Plane(), F, points, "u_measured", "u", columns=("u_measured",))
    assert found["u_measured"].tolist() == list(range(7))


def test_long_names_and_parameters_of_a_family():
    domain = pk.Box(t=(0, 1), theta=pk.Periodic(0, 1), r=(1, 2), nu=pk.ParameterAxis(0, 1))
    problem = type("P", (Plane,), {"domain": domain, "fields": ("u",), **dict.fromkeys(("flux", "power", "slope"))})()
    f, X = Wave((1.0, 2.0, 3.0, 5.0)), scattered(domain)
    found = computed(problem, f, X, "u_theta_theta", "u_r_theta", "u_nu", "u_laplacian")
    np.testing.assert_allclose(found["u_theta_theta"], f.partial(X, (1, 1)), atol=1e-13)
    np.testing.assert_allclose(found["u_r_theta"], f.partial(X, (1, 2)), atol=1e-13)
    np.testing.assert_allclose(found["u_nu"], f.partial(X, (3,)), atol=1e-13)
    np.testing.assert_allclose(found["u_laplacian"], f.partial(X, (1, 1)) + f.partial(X, (2, 2)), atol=1e-12)


# The field at other places


def at(name):
    return computed(Plane(), F, X, name)[name]


def shifted(**coordinates):
    moved = np.array(X)
    for name, value in coordinates.items():
        moved[:, "txy".index(name)] = value
    return moved


def test_the_field_elsewhere():
    u_at = at("u_at")
    np.testing.assert_allclose(u_at(), u(), atol=1e-14)
    np.testing.assert_allclose(u_at(x=0.5), F.partial(shifted(x=0.5), ()), atol=1e-14)
    np.testing.assert_allclose(u_at(t=X[:, 0] / 2, y=0), F.partial(shifted(t=X[:, 0] / 2, y=0), ()), atol=1e-14)
    np.testing.assert_allclose(at("u_plus_at")(x=0.1), F.partial(shifted(x=0.1), (), 1), atol=1e-14)
    np.testing.assert_allclose(at("flux_at")(t=0.2), -2 * np.exp(x) * F.partial(shifted(t=0.2), (1,)), atol=1e-13)
    assert u_at(t=0.1, x=0.2, y=0.3).shape == ()


def test_an_integral_over_one_coordinate_by_quadrature():
    nodes, weights = (jnp.asarray(a)[:, None] for a in np.polynomial.legendre.leggauss(12))
    integral = jnp.sum(weights * at("u_at")(x=nodes), axis=0)
    angle = np.asarray(X)[:, [0, 2]] @ np.array(K)[[0, 2]] + 0.3
    exact = (np.cos(angle - K[1]) - np.cos(angle + K[1])) / K[1]
    assert at("u_at")(x=nodes).shape == (12, 7)
    np.testing.assert_allclose(integral, exact, atol=1e-10)


def test_nodes_along_rows_and_points_along_columns():
    nodes = np.linspace(-1.0, 1.0, 7)  # as many as there are points: shapes alone must decide
    expected = np.stack([F.partial(shifted(x=n), ()) for n in nodes], axis=1)
    u_at = at("u_at")
    np.testing.assert_allclose(u_at(x=nodes[None, :]), expected, atol=1e-14)
    np.testing.assert_allclose(u_at(x=nodes[:, None]), expected.T, atol=1e-14)
    np.testing.assert_allclose(u_at(t=X[:, :1], x=nodes[None, :], y=X[:, 2:]), expected, atol=1e-14)
    columns = u_at(t=X[None, :, 0], x=nodes[:, None])
    np.testing.assert_allclose(columns, expected.T, atol=1e-14)
    words = "x of the shape (3,)", "with t, y, one value per point", "t=t[:, None], x=nodes[None, :], y=y[:, None]"
    refused(lambda: u_at(x=nodes[:3]), *words, "For one number, name t, y by a number too.")
    refused(lambda: u_at(t=0.0, x=nodes[:3], y=nodes[:2]), "that does not fit together.")


def test_any_transformation_of_the_field():
    slope = jax.vmap(jax.grad(lambda s: at("u_at")(t=0.5, x=s, y=1.0)))(jnp.linspace(-1, 1, 5))
    place = jnp.stack([jnp.full(5, 0.5), jnp.linspace(-1, 1, 5), jnp.ones(5)], axis=1)
    np.testing.assert_allclose(slope, F.partial(place, (1,)), atol=1e-13)


def test_an_unknown_coordinate_elsewhere():
    refused(lambda: at("u_at")(z=1.0), "'u_at' is called with 'z'", "coordinates t, x, y")


# Quantities that go wrong


def with_quantities(**methods):
    return type("P", (Rod,), {name: pk.quantity(method) for name, method in methods.items()})()


@pytest.mark.parametrize(
    ("methods", "chain"),
    [
        ({"a": lambda self, a_x: a_x}, "a -> a"),
        ({"a": lambda self, b: b, "b": lambda self, a_t: a_t}, "a -> b -> a"),
        ({"a": lambda self, b_at: b_at(x=0), "b": lambda self, a: a}, "a -> b -> a"),
    ],
)
def test_circles(methods, chain):
    refused(lambda: Catalogue(with_quantities(**methods)), "defined by itself", chain)


def failing(self, u):
    raise ValueError


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (lambda self, q_r: q_r, ("'flux' asks for 'q_r'", "test_catalogue.py:")),
        (lambda self, u_n: u_n, ("needs a normal",)),
        (lambda self, u: u[:, None], ("quantity 'flux' has the shape (points, 1)",)),
        (lambda self, u: jnp.sum(u) * jnp.ones(3), ("has the shape (3,)",)),
        (lambda self, u: None, ("is None",)),
        (lambda self, u: u * 1j, ("is complex",)),
        (lambda self, u: u + self.beta, ("'flux' failed: AttributeError", "beta", "test_catalogue.py:")),
        (lambda self, u: np.sin(u), ("failed: Tracer", "functions of jnp, not of np")),
        (failing, ("failed: ValueError: no message", "test_catalogue.py:")),
    ],
)
def test_quantities_that_go_wrong(method, words):
    problem = with_quantities(flux=method)
    refused(lambda: jax.jit(lambda X: computed(problem, Wave((1.0, 2.0)), X, "flux_x"))(scattered(Rod.domain)), *words)


def test_which_derivatives_reach_the_network():
    catalogue = Catalogue(Plane())
    orders = catalogue.highest_orders([catalogue.names.resolve(n) for n in ("slope_y", "u_plus", "x", "load_x")])
    assert set(orders) == {(1, 1, 2), (0, 2), ()}
    assert catalogue.fields_behind([catalogue.names.resolve("power")]) == {"u"}
    assert catalogue.fields_behind([catalogue.names.resolve(n) for n in ("slope", "t")]) == {"u", "u_plus"}
