"""Residuals and the loss: values by hand, precision, data files, weights, and every mistake in a method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, Wave, objective, refused

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective import Equations

F = Wave((1.0, 2.0), (-1.0, 0.5), phases=(0.3, 0.0))
BOX = pk.Box(t=(0.0, 1.0), x=(0.0, 2.0))


class System(pk.Problem):
    k: float = 3.0

    domain = BOX
    fields = ("u", "v")

    @pk.interior
    def flow(self, u_t, v_x, v):
        return {"mass": u_t + v_x, "force": self.k * v - u_t}

    @pk.interior
    def energy(self, u):
        return u**2

    @pk.initial
    def start(self, u, x):
        return u - x

    @pk.boundary("x")
    def ends(self, v_n, u, n_x):
        return v_n + u * n_x

    @pk.at(x=1.0)
    def pin(self, v, t):
        return v - t


X = jnp.asarray([[0.1, 0.2], [0.5, 1.5], [0.9, 1.0]])


def test_groups_and_terms():
    equations = Equations(System())
    assert [(g.name, g.kind, equations.terms(g)) for g in equations.groups] == [
        ("interior", "interior", ("flow.mass", "flow.force", "energy")),
        ("initial", "initial", ("start",)),
        ("boundary x", "boundary", ("ends",)),
        ("at x=1", "at", ("pin",)),
    ]
    assert equations.groups[0].condition("flow.force").name == "flow"


def test_residuals_by_hand():
    equations = Equations(System(k=2.0))
    inside, _, ends, _ = equations.groups
    found = equations.evaluate(System(k=2.0), F, inside, Points(X))
    u_t, v, v_x = F.partial(X, (0,)), F.partial(X, (), 1), F.partial(X, (1,), 1)
    np.testing.assert_allclose(found["flow.mass"], u_t + v_x, rtol=1e-13)
    np.testing.assert_allclose(found["flow.force"], 2.0 * v - u_t, rtol=1e-13)
    np.testing.assert_allclose(found["energy"], F.partial(X, ()) ** 2, rtol=1e-13)
    normals = jnp.asarray([[0.0, -1.0], [0.0, 1.0], [0.0, 1.0]])
    r = equations.evaluate(System(), F, ends, Points(X, normals))["ends"]
    np.testing.assert_allclose(r, np.asarray(normals)[:, 1] * (v_x + F.partial(X, ())), rtol=1e-13)


def small(problem=Rod, **options):
    made = objective(problem(), **options)
    points = {g.name: Points(X, jnp.asarray([[0.0, 1.0]] * 3)) for g in made.equations.groups}
    return made, made.network.initial_parameters, points


def test_the_loss_by_hand():
    made, params, points = small(weights={"heat": 10.0, "cold_ends": 0.5})
    u, u_t, u_xx = second_order(made.network.fields(params))
    heat = u_t - 0.1 * u_xx

    @jax.jit
    def found(params, points):
        residuals, squares = made.residuals(params, points), made.mean_squares(params, points)
        return (
            residuals["heat"],
            squares["cold_ends"],
            made.loss(params, points),
            made.interior_energy(params, Points(X)),
        )

    residual, square, loss, energy = found(params, points)
    expected = 10 * np.mean(heat**2) + np.mean((u - np.sin(np.pi * X[:, 1])) ** 2) + 0.5 * np.mean(u**2)
    np.testing.assert_allclose(residual, heat, rtol=1e-11)
    np.testing.assert_allclose(square, np.mean(u**2), rtol=1e-12)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_allclose(energy, 10 * heat**2, rtol=1e-11)


def second_order(f):
    """u, u_t and u_xx at the three points, by nested reverse mode."""
    value = lambda p: f(p[None])[0, 0]  # noqa: E731
    both = jax.jit(jax.vmap(lambda p: (value(p), jax.grad(value)(p)[0], jax.jacrev(jax.grad(value))(p)[1, 1])))
    return map(np.asarray, both(X))


def test_weights_of_methods_and_of_their_parts_in_any_order():
    for order in (1, -1):
        weights = dict([("flow", 5.0), ("flow.mass", 2.0)][::order])
        assert objective(System(), weights=weights).weights == {
            **{"flow.mass": 2.0, "flow.force": 5.0},
            **dict.fromkeys(("energy", "start", "ends", "pin"), 1.0),
        }


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"flw": 1.0}, ("no term 'flw'", "flow.force", "Did you mean 'flow'")),
        ({"flow.momentum": 1.0}, ("no term 'flow.momentum'",)),
        ({"flow": -1.0}, ("weight of 'flow' is -1.0", "positive")),
        ({"flow": 0.0}, ("weight of 'flow' is 0.0",)),
        ({"energy": float("nan")}, ("weight of 'energy' is nan",)),
        ({"energy": float("inf")}, ("weight of 'energy' is inf",)),
    ],
)
def test_wrong_weights(weights, words):
    refused(lambda: objective(System(), weights=weights), *words)


def test_a_hard_condition_has_no_weight():
    hard = type("P", (Rod,), {"cold_ends": pk.boundary("x", hard=True)(lambda self, u: u)})()
    refused(lambda: objective(hard, weights={"cold_ends": 2.0}), "no term 'cold_ends'", "met exactly (hard=True)")


def test_unknown_parameters_reach_the_method_and_are_trained():
    class Inverse(Rod):
        alpha: float = pk.unknown(0.3, bounds=(0.0, None))

    made, params, points = small(Inverse)
    with_known, _, _ = small(lambda: Rod(alpha=0.3))
    network = {**params, "unknowns": {}}
    loss, slopes = jax.jit(jax.value_and_grad(made.loss))(params, points)
    np.testing.assert_allclose(loss, jax.jit(with_known.loss)(network, points), rtol=1e-12)
    _, u_t, u_xx = second_order(made.network.fields(params))
    slope = np.mean(-2 * (u_t - 0.3 * u_xx) * u_xx) * 0.3  # alpha = exp(z)
    np.testing.assert_allclose(slopes["unknowns"]["alpha"], slope, rtol=1e-9)


def test_float32_stays_float32():
    class Careless(Rod):
        @pk.interior
        def heat(self, u_t, u_xx, x):
            return u_t - np.float64(self.alpha) * u_xx + jnp.linspace(0.0, 1.0, 3)[1] * x

    made, params, points = small(Careless, dtype=jnp.float32)
    points = jax.tree.map(lambda a: a.astype(jnp.float32), points)
    residuals = jax.eval_shape(made.residuals, params, points)
    others = (
        jax.eval_shape(made.loss, params, points),
        jax.eval_shape(made.interior_energy, params, points["interior"]),
    )
    assert {r.dtype for r in (*residuals.values(), *others)} == {jnp.dtype(jnp.float32)}


# Mistakes in a method


def helper(u):
    return undefined + u  # noqa: F821


def silent(self, u):
    raise KeyError


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (lambda self, u: u[:, None], ("has the shape (points, 1)",)),
        (lambda self, u: u[:, None] - u[None, :], ("has the shape (points, points)",)),
        (lambda self, u: jnp.mean(u), ("has the shape ()",)),
        (lambda self, u: u[:3], ("has the shape (3,)",)),
        (lambda self, u_grad: u_grad, ("has the shape (points, 1)",)),
        (lambda self, u: None, ("is None: the method returns nothing",)),
        (lambda self, u: 0.0, ("is a float",)),
        (lambda self, u: (u, u), ("is a tuple", "a dict of such, by name")),
        (lambda self, u: [u], ("is a list",)),
        (lambda self, u: {}, ("returns no residual",)),
        (lambda self, u: {"a": u, "b": 1.0}, ("residual of 'equation.b' is a float",)),
        (lambda self, u: u + 1j, ("is complex", "imaginary part by name")),
        (lambda self, u: u - self.beta, ("'equation' failed: AttributeError", "beta")),
        (lambda self, u: helper(u), ("failed: NameError", "undefined")),
        (lambda self, u: u if u > 0 else -u, ("'equation' failed:", "No `if`", "jnp.where(condition, a, b)")),
        (lambda self, u: np.sin(u), ("failed: Tracer", "functions of jnp, not of np")),
        (lambda self, u: u + jnp.zeros(3), ("failed: TypeError",)),
        (lambda self, u_at: u_at(0.5), ("failed: TypeError", "positional")),
        (lambda self, u_at, u: u_at(z=0.5) + u, ("'u_at' is called with 'z'",)),
        (silent, ("'equation' failed: KeyError: no message",)),
    ],
)
def test_mistakes_inside_a_method(method, words):
    problem = type("P", (Rod,), {"equation": pk.interior(method)})()
    error = refused(lambda: objective(problem), *words)
    assert "test_residuals.py:" in error.where


def test_the_line_is_that_of_the_mistake():
    def wrong(self, u):
        square = u**2
        return square + missing  # noqa: F821

    problem = type("P", (Rod,), {"equation": pk.interior(wrong)})()
    error = refused(lambda: objective(problem))
    assert int(error.where.rpartition(":")[2]) == wrong.__code__.co_firstlineno + 2


@pytest.mark.parametrize(
    ("decorator", "method"),
    [
        (pk.interior, lambda self, t, x: t + x),
        (pk.initial, lambda self, x: x),
        (pk.boundary("x"), lambda self, n_x: n_x),
        (pk.interior, lambda self: 0.0),
    ],
)
def test_no_field_in_the_signature(decorator, method):
    problem = type("P", (Rod,), {"equation": decorator(method)})()
    refused(lambda: Equations(problem), "'equation' does not depend on any field", "def equation(self, u, ...)")


def test_a_field_that_no_equation_asks_for():
    refused(lambda: Equations(type("P", (Rod,), {"fields": ("u", "v")})()), "No equation asks for the field 'v'")


# Data files


class Sensors(Rod):
    @pk.data("sensors.csv")
    def sensors(self, u, u_measured):
        return u - u_measured

    @pk.data("sensors.csv")
    def slopes(self, u_x, s, t):
        return u_x - s * t


def with_file(folder, text, **members):
    (folder / "sensors.csv").write_text(text)
    return type("P", (Sensors,), {"folder": folder, **members})()


def test_rows_of_a_file_are_points_in_any_order_of_columns(tmp_path):
    text = "s,x,u_measured,t\n1,0.25,2.5,0.5\n3,0.75,-1,1.0\n"
    made = objective(with_file(tmp_path, text))
    (group,) = (g for g in made.equations.groups if g.kind == "data")
    assert group.name == "data sensors.csv" and made.equations.terms(group) == ("sensors", "slopes")
    assert group.data.X.tolist() == [[0.5, 0.25], [1.0, 0.75]]
    points = jax.tree.map(jnp.asarray, group.data)
    found = made.equations.evaluate(Sensors(), Wave((1.0, 2.0)), group, points)
    np.testing.assert_allclose(found["sensors"], np.sin([1.0, 2.5]) - [2.5, -1.0], rtol=1e-13)
    np.testing.assert_allclose(found["slopes"], 2 * np.cos([1.0, 2.5]) - [0.5, 3.0], rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t,u_measured,s\n0,1,1\n", ("no column for the coordinate 'x'", "it has t, u_measured, s", "sensors.csv:1")),
        ("t,x,u_measured\n0,0,1\n", ("'slopes' asks for 's'", "columns u_measured")),
        ("t,x,u_measured,s\n0,0,1,1\n0.5,nan,1,1\n", ("Line 3, column 'x'", "sensors.csv:3", "asked for by 'sensors'")),
        ("t,x,u_measured,s\n0,0,1,1\n0.5,1.5,1,1\n", ("outside the domain: x = 1.5", "sensors.csv:3", "0 <= x <= 1")),
        ("t,x,u_measured,s,u\n0,0,1,1,1\n", ("Column 'u'", "u_measured")),
        ("t,x\n", ("no rows",)),
        ("", ("empty",)),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, words):
    refused(lambda: Equations(with_file(tmp_path, text)), *words)


def test_a_file_that_is_not_there(tmp_path):
    problem = with_file(tmp_path, "", sensors=pk.data("sensor.csv")(lambda self, u: u))
    refused(lambda: Equations(problem), "no file 'sensor.csv'", "did you mean 'sensors.csv'", "asked for by 'sensors'")


def test_rows_of_a_periodic_axis_may_lie_in_any_period(tmp_path):
    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 1.0))
    text = "t,x,u_measured,s\n0,-0.5,1,1\n"
    problem = with_file(tmp_path, text, domain=domain, cold_ends=None)
    assert Equations(problem).groups[-1].data.X.tolist() == [[0.0, -0.5]]
