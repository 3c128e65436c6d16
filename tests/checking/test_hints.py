"""What a check tells of and does not refuse: oversights, missing initial conditions, terms that dominate the others."""

from pathlib import Path

import jax.numpy as jnp
import pytest
import tiny
from cases import Rod, objective
from cli import pinnkit

import pinnkit as pk
from pinnkit.checking.check import check
from pinnkit.checking.hints import notes, warnings
from pinnkit.checking.initial_residuals import dominance_notes, sizes_at_start
from pinnkit.objective import Equations


def variant(base=Rod, **members):
    return type("P", (base,), members)()


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ({"exakt": lambda self, x: x}, "'exakt' has no meaning in a problem: did you mean 'exact'?"),
        ({"field": ("u", "v")}, "did you mean 'fields'?"),
        ({"unit": {"u": "K"}}, "did you mean 'units'?"),
        ({"scale": {"u": 2.0}}, "did you mean 'scales'?"),
        ({"more": lambda self, u_t, x: u_t - x}, "The method 'more' asks for fields but has no decorator"),
        ({"heat": pk.interior(lambda self, u_xx: u_xx)}, "No equation has a derivative with respect to t;"),
        (
            {"heat": pk.interior(lambda self, u_tt, u_xx: u_tt - u_xx)},
            "u has derivatives of order 2 in t and 1 initial condition:",
        ),
        ({"warm_start": None}, "u has derivatives of order 1 in t and no initial conditions:"),
        ({"cold_ends": None}, "No condition on u holds at the ends of x:"),
    ],
)
def test_warnings_of_what_is_probably_missing(members, hint):
    told = warnings(Equations(variant(**members)))
    assert any(hint in sentence for sentence in told), told


class Struck(pk.Problem):
    """An oscillator: u and u_t are needed at the start."""

    domain = pk.Box(t=(0.0, 2.0))

    @pk.interior
    def newton(self, u, u_tt):
        return u_tt + 4.0 * u


@pytest.mark.parametrize(
    ("conditions", "hint"),
    [
        ([lambda self, u, u_t: {"place": u - 1.0, "speed": 1e-9 * u_t}], None),
        ([lambda self, u: u, lambda self, u_t: u_t], None),
        ([lambda self, u, u_t: {"in": u + u_t, "out": u - u_t}], None),
        ([lambda self, energy, u: {"energy": energy - 1.0, "u": u}], None),
        ([lambda self, u, u_at: {"period": u_at(t=2.0) - u, "place": u}], None),
        ([lambda self, u: u, lambda self, u: 2.0 * u - 1.0], "1 initial condition: the solution is not unique"),
        ([lambda self, u: u, lambda self, u: 2.0 * u - 1.0], "No initial condition says what u_t is."),
        ([lambda self, u, u_t: u + u_t], "1 initial condition: "),
        ([lambda self, u, u_t: {"a": u + u_t, "b": 2.0 * (u + u_t)}], "one ties the derivatives together"),
        ([lambda self, u_t, u_tt: {"speed": u_t, "force": u_tt}], "No initial condition says what u is."),
    ],
)
def test_initial_conditions_are_counted_by_what_they_depend_on(conditions, hint):
    members = {f"start_{k}": pk.initial(c) for k, c in enumerate(conditions)}
    members["energy"] = pk.quantity(lambda self, u, u_t: u_t**2 / 2 + 2.0 * u**2)
    told = warnings(Equations(variant(Struck, **members)))
    assert told == () if hint is None else len(told) == 1 and hint in told[0], told


def test_initial_conditions_of_a_system():
    class Shallow(Rod):
        """Waves of h and v: both need a value; hard ones count too."""

        fields = ("h", "v")
        heat, cold_ends = None, pk.boundary("x")(lambda self, v: v)
        waves = pk.interior(lambda self, h_t, v_x, v_t, h_x: {"mass": h_t + v_x, "force": v_t + h_x})
        warm_start = pk.initial(hard=True)(lambda self, h, x: h - x)

    (told,) = warnings(Equations(Shallow()))
    assert "v has derivatives of order 1 in t and no initial conditions" in told and "what v is" in told
    both = pk.initial(lambda self, h, v, x: {"sum": h + v, "difference": h - v - x})
    assert warnings(Equations(variant(Shallow, warm_start=both))) == ()


def test_notes():
    (told,) = notes(Equations(variant(nu=0.1)))
    assert "nu = 0.1 is a constant; `nu: float = 0.1` makes it" in told


def test_warnings_are_shown_as_such(tmp_path):
    (tmp_path / "rod.py").write_text(Path(tiny.__file__).read_text().replace('@pk.boundary("x-")', ""))
    status, out, _ = pinnkit("check", "rod.py", folder=tmp_path)
    words = " ".join(out.split())
    assert status == 0
    assert "warning: The method 'start' asks for fields but has no decorator" in words
    assert "warning: Nothing determines u: it can change by a function of x" in words
    assert "2 warnings (training is not blocked)" in words and "consistent" not in words


class Beam(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def bending(self, u_xxxx):
        return u_xxxx - 24.0

    @pk.boundary("x")
    def clamped(self, u, u_x):
        return {"place": u, "slope": u_x}


@pytest.mark.slow
def test_a_start_whose_high_derivatives_dominate_everything_else():
    (told,) = check(objective(Beam(), pk.MLP(width=64, depth=4))).notes
    assert "'bending' starts" in told and "--model.init glorot" in told
    assert check(objective(Beam(), pk.MLP(width=64, depth=4, init="glorot"))).notes == ()


class Robertson(pk.Problem):
    """Three species; two equations have a coefficient of 3e7, so that neither is alone with its size."""

    fast: float = 3e7

    fields = ("a", "b", "c")
    domain = pk.Box(t=(0.0, 40.0))
    scales = None  # with them no term would dominate

    @pk.interior
    def rates(self, a, b, c, a_t, b_t, c_t):
        slow, back, fast = 0.04 * a, 1e4 * b * c, self.fast * b**2
        return {"a": a_t + slow - back, "b": b_t - slow + back + fast, "c": c_t - fast}

    @pk.initial
    def start(self, a, b, c):
        return {"a": a - 1.0, "b": b, "c": c}


@pytest.mark.slow
def test_terms_that_dominate_together_do_not_hide_each_other():
    made = objective(Robertson())
    (told,) = dominance_notes(made, sizes_at_start(made))
    assert all(f"'rates.{name}'" in told and f'"rates.{name}": ' in told for name in "bc")
    large, small = told.split("larger than")
    assert "'start.a'" in small and "start." not in large
    calm = objective(Robertson(fast=1.0), weights={"rates": 1e-6})
    assert dominance_notes(calm, sizes_at_start(calm)) == []


def test_sizes_of_every_order_do_not_hide_the_smallest():
    """No term is a thousand times its neighbour, and the smallest is that far below the median."""
    made = objective(Robertson())
    sizes = {"rates.a": 4e5, "rates.b": 2e3, "rates.c": 2e3, "start.a": 1.5e3, "start.b": 60.0, "start.c": 1.0}
    (told,) = dominance_notes(made, sizes)
    large, small = told.split("larger than")
    assert "'rates.a', 'rates.b', 'rates.c'" in large and "'start.c', which is hardly trained" in small
    assert dominance_notes(made, {**sizes, "start.c": 2.5}) == []


def test_terms_of_ordinary_sizes_dominate_nothing():
    """A stiff spring: its coefficient of 400 trains well, whatever the RMS of a velocity is by chance."""

    class Spring(Struck):
        newton = pk.interior(lambda self, u, u_tt: u_tt + 400.0 * u)
        released = pk.initial(lambda self, u, u_t: {"place": u - 1.0, "speed": u_t})

    made = objective(Spring())
    rms = sizes_at_start(made)
    assert dominance_notes(made, {**rms, "released.speed": 0.1}) == []


def test_a_term_that_is_large_because_the_solution_is_does_not_dominate():
    """Degrees Kelvin and Pascal: 1e5 is what the field has to become."""
    warm = variant(cold_ends=pk.boundary("x")(lambda self, u: u - 1e5))
    made = objective(warm)
    assert dominance_notes(made, sizes_at_start(made)) == []


def test_no_hint_without_a_reason():
    def heat(self, u_t, u_xx, u):
        return u_t - self.flux(u, u_xx)

    def flux(self, u, u_xx):
        return u * u_xx

    members = {"heat": pk.interior(heat), "flux": flux, "other": lambda self, count: count, "_k": 3.0, "name_of": "rod"}
    assert warnings(Equations(variant(**members))) + notes(Equations(variant(**members))) == ()


def test_a_mean_over_the_points_is_told_of():
    """One number made of the values at collocation points is no integral, and no condition at each point."""
    told = warnings(Equations(variant(cold_ends=pk.boundary("x")(lambda self, u: jnp.mean(u)))))
    assert len(told) == 1 and "'cold_ends' is one number made of the values at the collocation points" in told[0]
    total = pk.at(x=0.5)(lambda self, u_at: jnp.sum(u_at(t=0.0, x=jnp.linspace(0.0, 1.0, 5))))
    assert warnings(Equations(variant(total=total))) == ()
