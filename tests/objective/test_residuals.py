"""Residuals and the loss: values by hand, precision, data files, weights, and every mistake in a method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, Wave, objective, random_parameters, refused

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective import Equations
from pinnkit.objective.collocation import sample_points

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
    heat, warm, cold = (
        heat / made.sizes["heat"],
        (u - np.sin(np.pi * X[:, 1])) / made.sizes["warm_start"],
        u / made.sizes["cold_ends"],
    )
    expected = 10 * np.mean(heat**2) + np.mean(warm**2) + 0.5 * np.mean(cold**2)
    np.testing.assert_allclose(residual, heat, rtol=1e-11)
    np.testing.assert_allclose(square, np.mean(cold**2), rtol=1e-12)
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
    slope = np.mean(-2 * (u_t - 0.3 * u_xx) * u_xx) * 0.3 / made.sizes["heat"] ** 2  # alpha = exp(z)
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
        (lambda self, u: jnp.mean(u), ("has the shape (), one number", "without a mean or sum over the points")),
        (lambda self, u_at: u_at(t=0.0, x=0.5), ("has the shape (), one number", "@pk.at(x=0.5)")),
        (lambda self, u_at: u_at(x=jnp.ones((1, 5))), ("the shape (points, 5)", "values @ weights is (points,)")),
        (lambda self, u_at: u_at(x=jnp.ones(5)), ("'u_at' is called with x of the shape (5,)", "x=nodes[None, :]")),
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


NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def one_number(self, u_at):
    return jnp.sum(WEIGHTS / 2 * u_at(t=0.0, x=(1 + NODES) / 2)) - 1.0


def sum_of_calls(self, u_at):
    return sum(w / 2 * u_at(t=0.0, x=(1 + n) / 2) for n, w in zip(NODES, WEIGHTS, strict=True)) - 1.0


def one_value_per_point(self, u_at):
    return u_at(x=(1 + NODES[None, :]) / 2) @ (WEIGHTS / 2) - 1.0


def with_mass(decorator, integral):
    return type("P", (Rod,), {"mass": decorator(lambda self, u_at: integral(self, u_at))})()


@pytest.mark.parametrize(
    ("decorator", "integral"),
    [
        (pk.at(x=0.3), one_number),
        (pk.boundary("x"), one_number),
        (pk.initial, sum_of_calls),
        (pk.initial, one_value_per_point),
    ],
)
def test_an_integral_is_a_residual(decorator, integral):
    """The integral of u over x at t = 0: its mean square is its square, tile by tile and in the vector of residuals too."""
    made = objective(with_mass(decorator, integral), weights={"mass": 3.0})
    made.tile_rows = dict.fromkeys(made.tile_rows, 3)  # four tiles
    params = random_parameters(made.network)
    points = {g.name: sample_points(jax.random.key(0), g, 10, jnp.float64) for g in made.equations.groups}
    x = np.linspace(0.0, 1.0, 2001)
    u = made.network.values(params, np.stack([0 * x, x], axis=1))[:, 0]
    square = ((np.trapezoid(u, x) - 1.0) / made.sizes["mass"]) ** 2

    @jax.jit
    def measured(params, points):
        vector = made.residual_vector(points)(params)
        return made.mean_squares(params, points), made.loss(params, points), jnp.sum(vector**2)

    squares, loss, of_vector = measured(params, points)
    assert float(squares["mass"]) == pytest.approx(square, rel=1e-5)
    assert float(loss) == pytest.approx(sum(made.weights[t] * float(s) for t, s in squares.items()), rel=1e-12)
    assert float(of_vector) == pytest.approx(float(loss), rel=1e-12)


def test_one_number_is_no_residual_of_a_row_of_data_or_of_a_hard_condition(tmp_path):
    text = "s,x,u_measured,t\n1,0.25,2.5,0.5\n3,0.75,-1,1.0\n"
    mean = pk.data("sensors.csv")(lambda self, u, u_measured: jnp.mean(u - u_measured))
    refused(lambda: objective(with_file(tmp_path, text, sensors=mean)), "one number", "in a row of the file")
    hard = pk.boundary("x", hard=True)(lambda self, u: jnp.mean(u))
    refused(lambda: objective(type("P", (Rod,), {"cold_ends": hard})()), "one number", "met exactly")


def test_calls_of_a_field_are_one_evaluation_of_the_network():
    """However many there are: so a sum compiles as fast as one call. What differentiates or maps a call is left alone."""

    def many(self, u_at, v_at, t):
        late = u_at(t=t - u_at(t=0.0) ** 2)  # needs a call that comes before
        slope = jax.vmap(jax.grad(lambda s: u_at(t=s, x=0.5)))(t)
        spread = jax.vmap(lambda s: v_at(t=0.0, x=s))(jnp.asarray(NODES)) @ WEIGHTS
        fixed = sum(u_at(t=0.1, x=0.1 * k) for k in range(9))
        return sum(u_at(x=0.1 * k) * v_at(t=0.2 * k) for k in range(8)) + late + slope + spread + fixed

    class Several(Rod):
        fields = ("u", "v")
        ends = pk.boundary("x")(many)
        v_inside = pk.interior(lambda self, v: v)

    equations = Equations(Several())
    group = next(g for g in equations.groups if g.kind == "boundary")
    f = Wave((1.0, 2.0), (-1.0, 0.5), phases=(0.3, 0.0))
    calls = []

    def counted(X):
        calls.append(X.shape)
        return f(X)

    found = equations.evaluate(Several(), counted, group, Points(X, jnp.ones_like(X)))["ends"]
    t, x = np.asarray(X).T
    u, v = (lambda t, x, k=k: F.partial(np.stack(np.broadcast_arrays(t, x), axis=-1), (), k) for k in (0, 1))
    late = u(t - u(0.0, x) ** 2, x)
    slope = F.partial(np.stack([t, 0 * t + 0.5], axis=1), (0,))
    spread = v(0.0, NODES) @ WEIGHTS
    fixed = sum(u(0.1, 0.1 * k) for k in range(9))
    expected = sum(u(t, 0.1 * k) * v(0.2 * k, x) for k in range(8)) + late + slope + spread + fixed
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (17 * 3 + 9, 2) in calls
    evaluate = lambda X: equations.evaluate(Several(), f, group, Points(X, jnp.ones_like(X)))  # noqa: E731
    program = str(jax.make_jaxpr(evaluate)(X))  # u itself, 26 calls, the delayed one, the derivative, the mapped one
    assert program.count(" = sin ") + program.count(" = cos ") <= 8, program


@pytest.mark.parametrize("shared", [False, True], ids=["one device", "devices"])
def test_a_sum_of_calls_trains_as_one_call(shared, monkeypatch):
    """Also where tiles are shared among devices, in which arrays are of another kind."""
    if shared:
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("devices",))
        for module in ("pinnkit.parallel.tiled_map_reduce", "pinnkit.objective.tiles"):
            monkeypatch.setattr(f"{module}.device_mesh", lambda: mesh)
    counts = []
    for integral in (one_number, sum_of_calls):
        made = objective(with_mass(pk.at(x=0.3), integral))
        points = {g.name: sample_points(jax.random.key(0), g, 10, jnp.float64) for g in made.equations.groups}
        slope = jax.jit(jax.value_and_grad(made.loss))
        program = str(jax.make_jaxpr(slope)(made.network.initial_parameters, points))
        assert "pinnkit_elsewhere" not in program  # every call was recognised
        counts.append(program.count(" = tanh "))
    assert counts[0] == counts[1] > 0


def test_means_over_the_points_are_no_coefficients():
    """A mean of u_xx is linear in it with a constant slope, but not the same as u_xx."""

    class Mean(Rod):
        heat = pk.interior(lambda self, u_t, u_xx: u_t - u_xx + jnp.mean(u_xx))
        ends = pk.boundary("x")(lambda self, u_x: jnp.mean(u_x) - 1.0)

    equations = Equations(Mean())
    inside, ends = equations.interior, next(g for g in equations.groups if g.kind == "boundary")
    f = Wave((1.0, 2.0), phases=(0.3,))
    u_t, u_xx, u_x = (f.partial(X, index) for index in ((0,), (1, 1), (1,)))
    found = equations.evaluate(Mean(), f, inside, Points(X))["heat"]
    np.testing.assert_allclose(found, u_t - u_xx + np.mean(u_xx), rtol=1e-12)
    found = equations.evaluate(Mean(), f, ends, Points(X, jnp.ones_like(X)))["ends"]
    np.testing.assert_allclose(found, np.mean(u_x) - 1.0, rtol=1e-12)
    assert not equations.pointwise(inside) and equations.means_over_points(inside) == ()
    assert equations.means_over_points(ends) == ("ends",)


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
        (
            "# made by me\nt,x,u_measured,s\n\n0,0,1,1\n# gap\n0.5,1.5,1,1\n",
            ("outside the domain: x = 1.5", "sensors.csv:6"),
        ),
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
