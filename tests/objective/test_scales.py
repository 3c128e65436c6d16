"""The scales of a problem: closed forms, units that change nothing, and what a user sets."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, objective, refused

import pinnkit as pk
from pinnkit.cli.options import read
from pinnkit.fields import Points
from pinnkit.objective import Equations
from pinnkit.problem.scales import FieldScale


class Wall(pk.Problem):
    """k T_xx = rho T_t, from one temperature, one side held at another and the other cooled, in units of the user's choice."""

    length: float = 1.0
    seconds: float = 1.0
    kelvin: float = 1.0
    k: float = 0.3
    rho: float = 2.0
    h: float = 0.8
    cold: float = 0.0

    def domain(self):
        return pk.Box(t=(0.0, self.seconds), x=(0.0, self.length))

    fields = ("T",)

    @pk.interior
    def heat(self, T_t, T_xx):
        return self.rho * T_t - self.k * T_xx

    @pk.initial
    def start(self, T):
        return T - self.cold

    @pk.boundary("x-")
    def hot(self, T):
        return T - self.cold - self.kelvin

    @pk.boundary("x+")
    def cooled(self, T, T_n):
        return self.k * T_n + self.h * (T - self.cold)


PLAIN = Wall()
LENGTH, SECONDS, KELVIN = 0.01, 100.0, 1000.0
SI = Wall(
    length=LENGTH,
    seconds=SECONDS,
    kelvin=KELVIN,
    k=0.3e5 * LENGTH**2 / KELVIN,
    rho=2.0e5 * SECONDS / KELVIN,
    h=0.8e5 * LENGTH / KELVIN,
)
"""The same wall with other units of length, time and temperature, and equations that are 1e5 times as large."""


def test_units_change_no_relative_residual():
    one, other = (objective(problem) for problem in (PLAIN, SI))
    params = one.network.initial_parameters
    points, unit = {}, {}
    rng = np.random.default_rng(0)
    for group in one.equations.groups:
        u = jnp.asarray(rng.random((20, 2)))
        region, twin = group.region, next(g.region for g in other.equations.groups if g.name == group.name)
        place = lambda r, u=u: r.place(u[:, : len(r.free)], 20)  # noqa: E731
        points[group.name], unit[group.name] = (_points(*place(r), group.kind) for r in (region, twin))
    ours, theirs = one.residuals(params, points), other.residuals(params, unit)
    for term in one.terms:
        np.testing.assert_allclose(ours[term], theirs[term], rtol=1e-9, atol=1e-9)
    # and they are of order one, whatever the units
    assert all(0.05 < float(jnp.sqrt(jnp.mean(r**2))) < 20.0 for r in theirs.values())


def test_offset_and_size_of_prescribed_values():
    scales = Equations(Wall(kelvin=80.0, cold=293.0)).scales
    assert scales.fields["T"] == FieldScale(333.0, 40.0)  # 293 to 373
    near_zero = Equations(Wall(kelvin=80.0, cold=20.0)).scales
    assert near_zero.fields["T"] == FieldScale(0.0, 100.0)  # 20 to 100


class Plate(pk.Problem):
    """-u_xx = f, walls at zero."""

    f: float = 1000.0
    waves: int = 1
    length: float = 2.0

    def domain(self):
        return pk.Box(x=(0.0, self.length))

    @pk.interior
    def poisson(self, u_xx, x):
        return u_xx + self.f * jnp.sin(self.waves * jnp.pi * x / self.length)

    @pk.boundary("x")
    def walls(self, u):
        return u


@pytest.mark.parametrize("waves", [1, 8])
def test_size_of_a_forced_field(waves):
    # u = f (L / (waves pi))^2 sin(...): also where the source is a short wave, whose response is smaller.
    largest = 1000.0 * (2.0 / (waves * np.pi)) ** 2
    size = Equations(Plate(waves=waves)).scales.fields["u"].size
    assert largest / 3 < size < 3 * largest


class Coupled(pk.Problem):
    """A field that nothing prescribes: q is the flux of T."""

    fields = ("T", "q")
    domain = pk.Box(x=(0.0, 0.01))

    @pk.interior
    def fourier(self, q, T_x):
        return q + 45.0 * T_x

    @pk.interior
    def balance(self, q_x):
        return q_x

    @pk.boundary("x-")
    def hot(self, T):
        return T - 400.0

    @pk.boundary("x+")
    def cold(self, T):
        return T - 300.0


def test_size_of_a_field_that_others_drive():
    flux = 45.0 * 100.0 / 0.01
    scales = Equations(Coupled()).scales
    assert flux / 4 < scales.fields["q"].size < 4 * flux
    assert scales.fields["T"] == FieldScale(350.0, 50.0)


def test_homogeneous_problems_keep_one():
    class Free(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def laplace(self, u_xx):
            return u_xx

        @pk.boundary("x")
        def walls(self, u):
            return u

    assert Equations(Free()).scales.fields["u"] == FieldScale()


def test_a_step_on_a_face_is_no_short_wave():
    # The lid moves on y = 1 alone: moved off its face, a point would see a jump across.
    class Lid(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

        @pk.interior
        def laplace(self, u_laplacian):
            return u_laplacian

        @pk.boundary
        def walls(self, u, y):
            return u - (y == 1.0)

    assert Equations(Lid()).scales.size("laplace") < 100.0


def test_what_a_user_sets():
    class Set(Wall):
        scales = {"T": (300.0, 50.0), "heat": 7.0}  # noqa: RUF012

    scales = Equations(Set(kelvin=80.0, cold=293.0)).scales
    assert scales.fields["T"] == FieldScale(300.0, 50.0) and scales.size("heat") == 7.0
    assert scales.size("hot") > 10.0  # the others are found

    class Off(Wall):
        scales = None

    made = objective(Off(kelvin=80.0, cold=293.0))
    assert set(made.sizes.values()) == {1.0}
    X = jnp.asarray([[0.5, 0.5]])
    params = made.network.initial_parameters
    np.testing.assert_array_equal(made.network.fields(params)(X), made.network.outputs(params)(X))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"heet": 2.0}, ["'heet'", "no field and no equation", "Did you mean 'heat'"]),
        ({"heat": -1.0}, ["size of 'heat'", "positive number"]),
        ({"T": (1.0, 2.0, 3.0)}, ["scale of the field 'T'", "a pair (offset, size)"]),
        ({"T": (float("nan"), 2.0)}, ["scale of the field 'T'"]),
        ("big", ["scales is 'big'", '"auto"']),
    ],
)
def test_mistakes(value, words):
    wrong = type("Wrong", (Wall,), {"scales": value, "__module__": __name__})
    refused(lambda: Equations(wrong()).scales, *words)


class Hard(Wall):
    @pk.initial(hard=True)
    def start(self, T, x):
        return T - self.cold - self.kelvin * (1 - x / self.length)

    @pk.boundary("x", hard=True)
    def hot(self, T, x):
        return T - self.cold - self.kelvin * (1 - x / self.length)

    cooled = None


def test_hard_conditions_are_met_with_an_offset():
    problem = Hard(kelvin=80.0, cold=293.0, length=0.1)
    made = objective(problem)
    assert made.equations.scales.fields["T"].offset > 300.0
    rng = np.random.default_rng(0)
    X = rng.random((50, 2)) * [1.0, 0.1]
    params = jax.tree.map(lambda a: a + 0.3, made.network.initial_parameters)
    for axis, value in ((0, 0.0), (1, 0.0), (1, 0.1)):
        on_face = X.copy()
        on_face[:, axis] = value
        u = made.network.values(params, on_face)[:, 0]
        np.testing.assert_allclose(u, 293.0 + 80.0 * (1 - on_face[:, 1] / 0.1), rtol=1e-14)


@pytest.mark.slow
def test_windows_join_where_fields_have_an_offset():
    class Lenient(Wall):  # with sizes so large that no window fails
        scales = {"T": (333.0, 40.0), "heat": 1e9, "start": 1e9, "hot": 1e9, "cooled": 1e9}  # noqa: RUF012

    problem = Lenient(kelvin=80.0, cold=293.0, length=0.1)
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=2),), schedule=pk.Windows(3), sampling=pk.Sampling(interior=20, boundary=8)
    )
    solution = pk.train(problem, model=SMALL, recipe=recipe, progress=False)
    x = np.linspace(0.0, 0.1, 7)
    for end in (1 / 3, 2 / 3):
        before, after = (solution(t=end * (1 + s * 1e-12), x=x)["T"] for s in (-1, 1))
        np.testing.assert_allclose(before, after, rtol=1e-9)
        assert np.ptp(before) > 0


@pytest.mark.slow
def test_a_run_keeps_the_scales_with_which_it_was_trained(tmp_path):
    problem = Wall(kelvin=80.0, cold=293.0)
    recipe = pk.Recipe(stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=20, boundary=8))
    solution = pk.train(problem, model=SMALL, recipe=recipe, progress=False, out=tmp_path / "run")
    value = solution(t=0.5, x=0.5)["T"]
    assert pk.load(tmp_path / "run")(t=0.5, x=0.5)["T"] == value
    config = json.loads((tmp_path / "run" / "run.json").read_text())
    assert config["scales"]["T"] == [333.0, 40.0]
    # A folder of a version without scales has none: its network gives the field itself.
    del config["scales"], config["fingerprint"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(config))
    assert pk.load(tmp_path / "run")(t=0.5, x=0.5)["T"] == pytest.approx((value - 333.0) / 40.0, rel=1e-12)


def _points(X, normals, kind):
    return Points(X, normals if kind == "boundary" else None)


def test_measured_values_weigh_less_than_equations(tmp_path):
    np.savetxt(tmp_path / "wall.csv", [[0.5, 0.5, 0.4]], delimiter=",", header="t,x,measured", comments="")
    sensors = pk.data(str(tmp_path / "wall.csv"))(lambda self, T, measured: T - measured)
    measured = type("Measured", (Wall,), {"sensors": sensors, "__module__": __name__})
    assert objective(measured()).weights == {"heat": 1.0, "start": 1.0, "hot": 1.0, "cooled": 1.0, "sensors": 0.01}
    assert objective(measured(), weights={"sensors": 3.0}).weights["sensors"] == 3.0
    unscaled = type("Unscaled", (measured,), {"scales": None, "__module__": __name__})
    assert set(objective(unscaled()).weights.values()) == {1.0}


def test_the_command_line_knows_the_weight_of_measured_values(tmp_path):
    """A weight of 1 is another one than that of the problem, and no option that was left out."""
    np.savetxt(tmp_path / "wall.csv", [[0.5, 0.5, 0.4]], delimiter=",", header="t,x,measured", comments="")
    sensors = pk.data(str(tmp_path / "wall.csv"))(lambda self, T, measured: T - measured)
    measured = type("Measured", (Wall,), {"sensors": sensors, "__module__": __name__})
    asked = [["--weights.sensors", value] for value in ("1", "0.01", "3")]
    assert [read(measured, words, "pinnkit train").recipe.weights for words in ([], *asked)] == [
        {}, {"sensors": 1.0}, {}, {"sensors": 3.0}
    ]  # fmt: skip
