"""The check before training: what it refuses, what it finds, and what it lets pass."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, Rod, objective, refused

import pinnkit as pk
from pinnkit.checking.check import check, smooth_enough
from pinnkit.checking.hints import notes, warnings
from pinnkit.checking.initial_residuals import sizes_at_start
from pinnkit.checking.misfits import corner_misfits, edge_misfits, exact_misfits, hard_misfits
from pinnkit.objective import Equations
from pinnkit.problem import problem_class


def variant(base=Rod, **members):
    return type("P", (base,), members)()


# Derivatives and activations


def relu(problem):
    return smooth_enough(Equations(problem), pk.MLP(activation="relu"))


def test_relu_is_refused_where_a_second_derivative_is_needed():
    error = refused(
        lambda: relu(Rod()),
        "'heat' needs 'u_xx', a derivative of order 2",
        "relu network of order 2 or more are zero almost everywhere",
        "--model.activation tanh",
    )
    assert "cases.py:" in error.where


@pytest.mark.parametrize(
    ("members", "argument"),
    [
        ({"heat": pk.interior(lambda self, u_laplacian: u_laplacian)}, "u_laplacian"),
        ({"heat": pk.interior(lambda self, flux_x: flux_x), "flux": pk.quantity(lambda self, u_x: u_x)}, "flux_x"),
        ({"heat": pk.interior(lambda self, u_t: u_t), "cold_ends": pk.boundary("x")(lambda self, u_xt: u_xt)}, "u_xt"),
    ],
)
def test_second_derivatives_in_disguise(members, argument):
    refused(lambda: relu(variant(**members)), f"needs '{argument}', a derivative of order 2")


def test_elu_has_two_derivatives_and_relu_one():
    first = variant(
        heat=pk.interior(lambda self, u_t, u_x, load: u_t + u_x - load), load=pk.quantity(lambda self, x: x)
    )
    assert relu(first) == ("heat: order 1", "warm_start: order 0", "cold_ends: order 0")
    assert smooth_enough(Equations(Rod()), pk.MLP(activation="elu"))[0] == "heat: order 2"
    third = Equations(variant(heat=pk.interior(lambda self, u_xxx: u_xxx)))
    refused(lambda: smooth_enough(third, pk.MLP(activation="elu")), "order 3 or more are zero")
    assert smooth_enough(third, pk.MLP(activation="sin"))[0] == "heat: order 3"


# The exact solution


def test_an_exact_solution_that_satisfies_everything():
    places = exact_misfits(Equations(Rod()))
    assert [p.term for p in places] == ["heat", "warm_start", "cold_ends"]
    assert all(p.relative < 1e-13 for p in places)
    assert places[0].scale == pytest.approx(1 + 0.1, rel=1.0), "u_t and alpha u_xx of u of order one"


def test_an_exact_solution_that_does_not_satisfy_the_equation():
    def exact(self, t, x):
        return jnp.exp(-2 * self.alpha * jnp.pi**2 * t) * jnp.sin(jnp.pi * x)

    error = refused(
        lambda: exact_misfits(Equations(variant(exact=exact))),
        "does not satisfy 'heat': its residual is 9.6",
        "Mend 'heat' or `exact` of P",
    )
    # u_t - alpha u_xx = -alpha pi^2 u, largest at t = 0, x = 1/2.
    place = error.what.partition(" at ")[2].rstrip(".")
    found = dict(part.split("=") for part in place.split(", "))
    assert float(found["t"]) < 0.02 and abs(float(found["x"]) - 0.5) < 0.05
    assert "cases.py:" in error.where


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"exact": lambda self, t, x: Rod.exact(self, t, x) + 1.0}, ("'warm_start': its residual is 1.00e+00 at t=0",)),
        ({"cold_ends": pk.boundary("x+")(lambda self, u, t: u - t)}, ("'cold_ends'", "x=1")),
        ({"cold_ends": pk.boundary("x", hard=True)(lambda self, u: u - 1)}, ("'cold_ends'",)),
        ({"cold_ends": pk.boundary("x")(lambda self, u_n: u_n)}, ("'cold_ends': its residual is 3.1",)),
        ({"exact": lambda self, t, x: jnp.sqrt(x - 0.5)}, ("its residual is inf",)),
    ],
)
def test_conditions_that_the_exact_solution_does_not_satisfy(members, words):
    refused(lambda: exact_misfits(Equations(variant(**members))), *words)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_units_do_not_matter(size):
    """A wrong solution is wrong in nanometres too, and a right one right."""

    class Rescaled(Rod):
        @pk.initial
        def warm_start(self, u, x):
            return u - size * jnp.sin(jnp.pi * x)

        def exact(self, t, x):
            return size * Rod.exact(self, t, x)

    exact_misfits(Equations(Rescaled()))
    off = variant(Rescaled, exact=lambda self, t, x: size * (Rod.exact(self, t, x) + 1e-4 * x * (1 - x)))
    refused(lambda: exact_misfits(Equations(off)), "does not satisfy")


class Harmonic(pk.Problem):
    """u_xx and u_yy cancel exactly: what remains is rounding, and must not look like a misfit."""

    domain = pk.Box(x=(0.0, 3.0), y=(0.0, 3.0))

    @pk.quantity
    def divergence(self, u_xx, u_yy):
        return u_xx + u_yy

    @pk.interior
    def laplace(self, u_laplacian, divergence_x):
        return {"operator": u_laplacian, "quantity": divergence_x}

    @pk.boundary
    def symmetric(self, u, u_at, x):
        return u - u_at(x=x)

    def exact(self, x, y):
        return jnp.exp(x) * jnp.sin(y)


def test_rounding_is_no_misfit():
    assert max(p.relative for p in exact_misfits(Equations(Harmonic()))) < 1e-12


SHIPPED = ["advection", "heat", "wave", "poisson_2d", "kovasznay"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_problems_have_right_solutions(name):
    problem = problem_class(name)()
    equations = Equations(problem)
    assert max(p.relative for p in exact_misfits(equations)) < 1e-10
    assert corner_misfits(equations) == edge_misfits(equations) == () and warnings(equations) + notes(equations) == ()


@pytest.mark.parametrize("name", ["burgers", "burgers_inverse", "allen_cahn"])
def test_the_shipped_problems_without_one_agree_at_their_corners(name):
    equations = Equations(problem_class(name)())
    assert corner_misfits(equations) == edge_misfits(equations) == () and warnings(equations) + notes(equations) == ()


# Initial against boundary conditions


def corners(**members):
    return corner_misfits(Equations(variant(**members)))


@pytest.mark.parametrize(
    ("condition", "size", "at"),
    [
        (pk.boundary("x+")(lambda self, u: u - 2.0), 2.0, 1.0),
        (pk.boundary("x+", hard=True)(lambda self, u: u - 2.0), 2.0, 1.0),
        (pk.boundary("x-")(lambda self, u_n: u_n), np.pi, 0.0),
        (pk.boundary("x-")(lambda self, u_n, t, u: u_n + u - jnp.cos(t)), np.pi + 1.0, 0.0),
    ],
)
def test_contradictions_at_corners(condition, size, at):
    (place,) = corners(cold_ends=condition)
    assert place.term == "cold_ends" and place.at == {"t": 0.0, "x": at}
    assert place.size == pytest.approx(size)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_a_corner_is_judged_by_the_size_of_the_field(size):
    """The tail of a Gaussian at a wall is no contradiction, a hundredth of the field is one; in any unit."""

    def disagreeing(share):
        return corners(cold_ends=pk.boundary("x+")(lambda self, u: u - share * size), warm_start=start)

    start = pk.initial(lambda self, u, x: u - size * jnp.sin(jnp.pi * x))
    assert disagreeing(3.7e-6) == ()
    (place,) = disagreeing(1e-2)
    assert place.size == pytest.approx(1e-2 * size)


def test_a_field_that_is_zero_at_the_start_is_as_large_as_its_walls_become():
    start = pk.initial(lambda self, u: u)
    pulse = pk.boundary("x-")(lambda self, u, t: u - jnp.exp(-50.0 * (t - 0.5) ** 2))  # 4e-6 at the start
    assert corners(cold_ends=pulse, warm_start=start) == ()
    step = pk.boundary("x-")(lambda self, u, t: u - 0.02 - t)
    (place,) = corners(cold_ends=step, warm_start=pk.initial(lambda self, u: u))
    assert place.size == pytest.approx(0.02)


def test_hard_conditions_that_disagree_a_little_are_a_note():
    members = {
        "warm_start": pk.initial(hard=True)(lambda self, u, x: u - jnp.sin(jnp.pi * x)),
        "cold_ends": pk.boundary("x+", hard=True)(lambda self, u: u - 3.7e-6),
        "exact": None,
    }
    checked = check(objective(variant(**members)))
    assert checked.warnings == ()
    assert "'warm_start' disagrees a little with another hard condition" in checked.notes[0]
    assert "missed by 3.70e-06" in checked.notes[0]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"warm_start": pk.initial(hard=True)(lambda self, u, x: 2 * u - jnp.sin(jnp.pi * x))},
        {"cold_ends": pk.boundary("x-")(lambda self, u_n, t: u_n + jnp.pi * jnp.exp(-t))},
        {
            "cold_ends": pk.boundary("x-")(lambda self, u_n, flux: u_n - flux),
            "flux": pk.quantity(lambda self, u_x: -u_x),
        },
        # Not decided by the initial values: time derivatives, places at other times, conditions not affine.
        {"cold_ends": pk.boundary("x")(lambda self, u_t: u_t - 1.0)},
        {"cold_ends": pk.boundary("x")(lambda self, rate: rate - 1.0), "rate": pk.quantity(lambda self, u_t: u_t)},
        {"cold_ends": pk.boundary("x")(lambda self, u, u_at: u - u_at(t=1.0) - 3.0)},
        {"warm_start": pk.initial(lambda self, u, x: u**2 - 4.0)},
        {"warm_start": None},
    ],
)
def test_no_contradiction(members):
    assert corners(**members) == ()


HARD = {
    "warm_start": pk.initial(hard=True)(lambda self, u, x: u - jnp.sin(jnp.pi * x)),
    "cold_ends": pk.boundary("x", hard=True)(lambda self, u: u),
}


def edges(**members):
    return edge_misfits(Equations(variant(**HARD, **members)))


@pytest.mark.parametrize(
    ("equation", "size"),
    [
        # At t = 0 beside a wall u_t = 0, u_x = +-pi and u_xx = 0, whatever the network.
        (lambda self, u_t, u_x, u_xx: u_t + 2.0 * u_x - u_xx, 2.0 * np.pi),
        (lambda self, u_t, u_xx: u_t - u_xx - 5.0, 5.0),
        (lambda self, u, u_t, u_x: u_t + u_x**2 + u, np.pi**2),
    ],
)
def test_an_equation_that_hard_conditions_contradict_where_they_meet(equation, size):
    (place,) = edges(heat=pk.interior(equation))
    assert place.term == "heat" and place.at["t"] == 0.0 and place.at["x"] in (0.0, 1.0)
    assert place.size == pytest.approx(size)


def test_no_contradiction_where_conditions_meet():
    assert edges() == ()
    # u_tx is free at the corner: the network can meet this.
    assert edges(heat=pk.interior(lambda self, u_tx, u_xx, u_x: u_tx - u_xx + u_x)) == ()
    assert edge_misfits(Equations(Rod())) == ()  # nothing is hard


def test_hard_conditions_that_contradict_each_other():
    """Joined by the ansatz, one of them would silently change the other everywhere, not in the corner only."""
    hard = {"warm_start": pk.initial(hard=True)(lambda self, u, x: u - 1.0 - x)}
    ends = pk.boundary("x", hard=True)(lambda self, u: u)
    error = refused(
        lambda: hard_misfits(Equations(variant(**hard, cold_ends=ends))),
        "'warm_start' contradicts another hard condition where they meet: it is missed by 2.00e+00 at t=0",
        "make one of the conditions soft",
    )
    assert "test_check.py:" in error.where
    agreeing = pk.boundary("x", hard=True)(lambda self, u, x, t: u - 1.0 - x - t)
    hard_misfits(Equations(variant(**hard, cold_ends=agreeing)))
    hard_misfits(Equations(Rod()))


def test_velocities_that_contradict_hard_ends():
    class Wave(Rod):
        @pk.initial(hard=True)
        def warm_start(self, u, x):
            return u - jnp.sin(jnp.pi * x)

        @pk.initial(hard=True)
        def velocity(self, u_t, x):
            return u_t - jnp.cos(x)

        @pk.boundary("x", hard=True)
        def cold_ends(self, u):
            return u

    refused(lambda: hard_misfits(Equations(Wave())), "'velocity' contradicts another hard condition")


def test_contradictions_in_a_system_with_a_field_without_an_initial_value():
    class Flow(Rod):
        fields = ("u", "p")

        @pk.boundary("x")
        def ends(self, u, p):
            return p - u

    assert corner_misfits(Equations(Flow())) == ()
    (place,) = corner_misfits(Equations(variant(Flow, cold_ends=pk.boundary("x+")(lambda self, u: u - 1.0))))
    assert place.term == "cold_ends"


def test_initial_values_that_jump_across_periodic_ends():
    circle = {"domain": pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 1.0)), "cold_ends": None}
    assert corners(**circle) == ()
    (place,) = corners(**circle, warm_start=pk.initial(lambda self, u, x: u - 3.0 * x))
    assert place.term == "warm_start" and place.size == pytest.approx(3.0)
    assert place.at == {"t": 0.0, "x": 1.0}


# Step 0


def test_sizes_at_the_start():
    made = objective(Rod())
    rms = sizes_at_start(made)
    assert list(rms) == ["heat", "warm_start", "cold_ends"] and all(0 < v < 100 for v in rms.values())


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            lambda self, u, x: u / (x - x),
            ("'warm_start' is not finite before training: 1024 of 1024 points", "at t=0, x="),
        ),
        (lambda self, u, x: u + jnp.where(x > 0.75, jnp.nan, 0.0), ("not finite", "256 of 1024", "x=0.")),
        (lambda self, u, x: jnp.log(u - u) + x, ("not finite",)),
        (lambda self, u, x: jnp.where(x > -1, u, jnp.sqrt(u - u)), ("its gradient is not",)),
        (lambda self, u, x: 0.0 * u + x, ("'warm_start' does not depend on any field",)),
        (lambda self, u, x: jnp.sign(u) + x, ("'warm_start' does not depend on any field",)),
    ],
)
def test_what_cannot_be_trained(method, words):
    cheap = pk.interior(lambda self, u: u)
    problem = variant(heat=cheap, cold_ends=None, warm_start=pk.initial(method))
    error = refused(lambda: sizes_at_start(objective(problem)), *words)
    assert "test_check.py:" in error.where


def test_an_unknown_that_nothing_depends_on():
    class Idle(Rod):
        beta: float = pk.unknown(1.0)

    refused(
        lambda: sizes_at_start(objective(Idle())), "No term depends on the unknown parameter 'beta'", "test_check.py:"
    )


@pytest.mark.slow
def test_long_names_parameters_and_unknowns_pass_the_whole_check():
    class Annulus(pk.Problem):
        nu: float = pk.unknown(0.5, bounds=(0.0, None))

        domain = pk.Box(
            t=(0.0, 1.0), radius=(1.0, 2.0), theta=pk.Periodic(0.0, 2 * jnp.pi), speed=pk.ParameterAxis(0.5, 1.0)
        )

        @pk.interior
        def diffusion(self, u_t, u_radius, u_radius_radius, u_theta_theta, u_theta, radius, speed):
            return u_t + speed * u_theta - self.nu * (u_radius_radius + u_radius / radius + u_theta_theta / radius**2)

        @pk.initial
        def start(self, u, radius, theta):
            return u - (radius - 1.0) * jnp.sin(theta)

        @pk.boundary("radius-", hard=True)
        def inside(self, u):
            return u

        @pk.boundary("radius+")
        def outside(self, u_n, n_radius, theta):
            return u_n - n_radius * jnp.sin(theta)

        def exact(self, t, radius, theta, speed):
            return (radius - 1.0) * jnp.sin(theta - speed * t)

    checked = check(objective(Annulus()))
    assert checked.derivatives[0] == "diffusion: order 2" and checked.corners == () and checked.exact is None
    assert set(checked.initial_rms) == {"diffusion", "start", "outside"}
    assert checked.notes == ("exact is not put into the equations: the problem has unknown parameters",)


def test_the_check_reads_the_truth_before_training(tmp_path):
    missing = objective(variant(exact=None, reference="nothing.csv", folder=tmp_path))
    refused(lambda: check(missing), "no file 'nothing.csv'")
    wrong = objective(
        variant(alpha=pk.unknown(0.1), __annotations__={"alpha": float}, exact=lambda self, x: x + missing)
    )
    refused(lambda: check(wrong), "'exact' failed: TypeError")


def test_places_say_where():
    place = dataclasses.replace(exact_misfits(Equations(Rod()))[0], size=0.25, at={"t": 0.5, "x": 1 / 3})
    assert str(place) == "2.50e-01 at t=0.5, x=0.3333"
    assert dataclasses.replace(place, scale=0.0).relative == np.inf
    assert dataclasses.replace(place, size=0.0, scale=0.0).relative == 0.0
    assert SMALL.width == 5
