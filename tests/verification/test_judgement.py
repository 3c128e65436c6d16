"""Problems without one solution, each with a sound twin: the first are named, the others and the shipped ones are clean."""

import re

import jax.numpy as jnp
import pytest
from cases import Rod

import pinnkit as pk
from pinnkit.objective.residuals import Equations
from pinnkit.problem import problem_class
from pinnkit.runs.run import Run
from pinnkit.verification.judgement import Judgement, judge


class Square(pk.Problem):
    """-laplace u = 1 with u = 0 all around."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def poisson(self, u_laplacian):
        return u_laplacian + 1.0

    @pk.boundary
    def rim(self, u):
        return u


class OpenSide(Square):
    @pk.boundary("x")
    def rim(self, u):
        return u


class Pinned(Rod):
    """The rod without its ends, pinned in the middle."""

    cold_ends = None

    @pk.at(x=0.5)
    def pin(self, u, t):
        return u - jnp.exp(-self.alpha * jnp.pi**2 * t)


class Backwards(Rod):
    """The rod with a wrong sign."""

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t + self.alpha * u_xx


class Insulated(Square):
    """A source that no flux takes away."""

    up_to_constant = ("u",)

    @pk.boundary
    def rim(self, u_n):
        return u_n


class Balanced(Insulated):
    @pk.boundary
    def rim(self, u_n):
        return u_n + 0.25


class BalancedWithoutWord(Balanced):
    up_to_constant = ()


class AString(pk.Problem):
    """u_tt = u_xx between fixed ends, one method for both initial values."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def wave(self, u_tt, u_xx):
        return u_tt - u_xx

    @pk.initial
    def start(self, u, u_t, x):
        return {"place": u - jnp.sin(jnp.pi * x), "speed": u_t}

    @pk.boundary
    def ends(self, u):
        return u


class WithoutSpeed(AString):
    @pk.initial
    def start(self, u, x):
        return u - jnp.sin(jnp.pi * x)


class Flow(pk.Problem):
    """Stokes flow in a box whose lid moves, its pressure pinned."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    fields = ("u", "v", "p")

    @pk.interior
    def flow(self, u_laplacian, v_laplacian, p_x, p_y, u_x, v_y):
        return {"x": u_laplacian - p_x, "y": v_laplacian - p_y, "mass": u_x + v_y}

    @pk.boundary
    def walls(self, u, v, x, y):
        return {"u": u - 16 * x**2 * (1 - x) ** 2 * y**2, "v": v}

    @pk.at(x=0.0, y=0.0)
    def pin(self, p):
        return p


class Unpinned(Flow):
    pin = None


class Cantilever(pk.Problem):
    """A beam in SI units that is clamped at one end and free at the other."""

    domain = pk.Box(x=(0.0, 2.0))
    fields = ("w",)

    @pk.interior
    def bending(self, w_xxxx):
        return 16800.0 * w_xxxx - 62.0

    @pk.boundary("x-")
    def clamped(self, w, w_x):
        return {"place": w, "slope": w_x}

    @pk.boundary("x+")
    def free(self, w_xx, w_xxx):
        return {"moment": w_xx, "force": w_xxx}


class Hinged(Cantilever):
    """It can turn around its end."""

    @pk.boundary("x-")
    def clamped(self, w):
        return w


class Decay(pk.Problem):
    domain = pk.Box(t=(0.0, 1.0))

    @pk.interior
    def decay(self, u, u_t):
        return u_t + u

    @pk.initial
    def start(self, u):
        return u - 1.0


class WithoutStart(Decay):
    start = None


class Transport(pk.Problem):
    """c_t + v c_x = 0 with what flows in."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def transport(self, c_t, c_x):
        return c_t + 0.5 * c_x

    fields = ("c",)

    @pk.initial
    def start(self, c):
        return c

    @pk.boundary("x-")
    def inflow(self, c, t):
        return c - t**3


class WithoutInflow(Transport):
    inflow = None


class Corner(Square):
    """One side is hot, the others are cold (deepxde#564)."""

    @pk.boundary("x-")
    def hot(self, u):
        return u - 100.0

    @pk.boundary("x+")
    def rim(self, u):
        return u

    @pk.boundary("y")
    def cold(self, u):
        return u


class Ramp(Corner):
    """The same, rising from the corners."""

    @pk.boundary("x-")
    def hot(self, u, y):
        return u - 400.0 * y * (1 - y)


class Spike(Square):
    """A source that is far narrower than the distance of the points."""

    @pk.interior
    def poisson(self, u_laplacian, x, y):
        s = 0.005
        return u_laplacian + jnp.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / (2 * s**2)) / (2 * jnp.pi * s**2)


class Bump(Square):
    @pk.interior
    def poisson(self, u_laplacian, x, y):
        s = 0.1
        return u_laplacian + jnp.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / (2 * s**2)) / (2 * jnp.pi * s**2)


class Bratu(pk.Problem):
    """u'' + lambda e^u = 0 with two solutions, whose largest values are 0.1405 and 4.0911 (lambda = 1)."""

    strength: float = 1.0
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def burning(self, u, u_xx):
        return u_xx + self.strength * jnp.exp(u)

    @pk.boundary
    def ends(self, u):
        return u


class Saturating(Bratu):
    """The same with heat that grows linearly less: one solution."""

    @pk.interior
    def burning(self, u, u_xx):
        return u_xx + jnp.exp(-u)


class Phases(pk.Problem):
    """Steady Allen-Cahn: zero, and patterns of either sign."""

    domain = pk.Box(x=(-1.0, 1.0))

    @pk.interior
    def phase(self, u, u_xx):
        return 0.02 * u_xx + u - u**3

    @pk.boundary
    def ends(self, u):
        return u


class Driven(Phases):
    """So thick an interface that the ends and the inside agree on one solution."""

    @pk.interior
    def phase(self, u, u_xx):
        return 2.0 * u_xx + u - u**3

    @pk.boundary
    def ends(self, u):
        return u - 1.0


class Eigenfunction(pk.Problem):
    """A linear problem that zero solves."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def helmholtz(self, u, u_xx):
        return u_xx + 3.0 * u

    @pk.boundary
    def ends(self, u):
        return u


class RodInField(pk.Problem):
    """A rod of another permittivity in a uniform field (deepxde#480): one potential, and a coefficient that jumps."""

    smooth: float = 0.0
    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0))

    def permittivity(self, x, y):
        r2 = x**2 + y**2
        if self.smooth:
            return 3.5 - 2.5 * jnp.tanh((r2 - 0.16) / self.smooth)
        return jnp.where(r2 < 0.16, 6.0, 1.0)

    @pk.quantity
    def dx(self, u_x, x, y):
        return self.permittivity(x, y) * u_x

    @pk.quantity
    def dy(self, u_y, x, y):
        return self.permittivity(x, y) * u_y

    @pk.interior
    def gauss(self, dx_x, dy_y):
        return dx_x + dy_y

    @pk.boundary
    def rim(self, u, x):
        return u + x


class SmoothRodInField(RodInField):
    smooth: float = 0.1


class Masked(Square):
    """Outside a disk the equation is another one."""

    @pk.interior
    def poisson(self, u, u_laplacian, x, y):
        return jnp.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1, u_laplacian + 1.0, u)


class SwitchedOn(Rod):
    """A coefficient that jumps in time alone: nothing is lost there."""

    @pk.interior
    def heat(self, u_t, u_xx, t):
        return u_t - jnp.where(t < 0.3, 0.1, 0.2) * u_xx


UNSOUND = {
    "a side without condition": (OpenSide, r"Nothing determines u: .* at y = 0 and y = 1: is one missing there\?"),
    "ends without condition, pinned": (Pinned, r"Nothing determines u: .* function of t and x.* at x = 0 and x = 1:"),
    "heat backwards": (Backwards, "Short waves grow without bound"),
    "a source without outlet": (Insulated, "the best one misses 'poisson' by .* contradict each other"),
    "a constant": (BalancedWithoutWord, r'a constant in u: .* up_to_constant = \("u",\)'),
    "a wave without speed": (WithoutSpeed, r"Nothing determines u: .* at t = 0: is one missing"),
    "a pressure without pin": (Unpinned, "Nothing determines a constant in p"),
    "a beam that can turn": (Hinged, r"Nothing determines w: it can change by a function of x"),
    "a jump in a corner": (Corner, "'hot' and 'cold' contradict each other where their sides meet, at x = 0, y = 0:"),
    "no start": (WithoutStart, r"Nothing determines u: .* at t = 0"),
    "a spike": (
        Spike,
        r"source in 'poisson' fills 0\.03\d* % of the domain, near x = 0\.\d+, y = 0\.\d+: of 1000 points 0\.3",
    ),
    "two solutions": (Bratu, r"several solutions: .* the RMS u 0\.0991; u 2\.69"),
    "zero solves it": (Eigenfunction, "u = 0 satisfies every equation and condition"),
    "a coefficient that jumps": (RodInField, r"coefficient of u_xx in 'gauss' jumps, for one near x = "),
    "no inflow": (WithoutInflow, r"Nothing determines c: .* at x = 0: is one missing there\?"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_wrong_is_named(name):
    cls, words = UNSOUND[name]
    judgement = judge(Equations(cls()), 1000)
    assert judgement.complete and len(judgement.warnings) == (2 if cls is Corner else 1)  # both of its corners
    assert re.search(words, judgement.warnings[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls",
    [
        *(Square, Ramp, Rod, AString, Flow, Saturating, SmoothRodInField),
        *(
            pytest.param(cls, marks=pytest.mark.long)
            for cls in (Balanced, Cantilever, Decay, Transport, Bump, Driven, SwitchedOn)
        ),
    ],
    ids=lambda cls: cls.__name__,
)
def test_sound_twins_are_clean(cls):
    assert judge(Equations(cls()), 1000) == Judgement(complete=True)


SHIPPED = ["heat", "burgers", "kovasznay"]
OTHERS = [
    "advection",
    "advection_fast",
    "wave",
    "poisson_2d",
    "helmholtz",
    "allen_cahn",
    "kdv",
    "kuramoto_sivashinsky",
    "lid_driven_cavity",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHIPPED, *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_shipped_problems_are_clean(name):
    run = Run(problem_class(name)())
    judgement = judge(run.equations, 1000, scheduled=run.recipe.schedule is not None)
    assert judgement.complete and judgement.warnings == ()


def test_an_equation_that_is_switched_off_has_no_coefficient_that_jumps():
    assert not any("jumps" in warning for warning in judge(Equations(Masked()), 1000).warnings)


@pytest.mark.slow
def test_patterns_are_listed_beside_zero():
    trivial, several = judge(Equations(Phases()), 1000).warnings
    assert trivial.startswith("u = 0 satisfies") and "RMS u 0; u 0.861; u 0.861" in several


class CooledPlate(pk.Problem):
    """NAFEMS T4: 100 degrees below, air on two sides; at one corner the two ask for different slopes."""

    domain = pk.Box(x=(0.0, 0.6), y=(0.0, 1.0))
    fields = ("T",)

    @pk.interior
    def conduction(self, T_laplacian):
        return 52.0 * T_laplacian

    @pk.boundary("y-")
    def hot(self, T):
        return T - 100.0

    @pk.boundary("x-")
    def insulated(self, T_n):
        return T_n

    @pk.boundary("x+")
    def air_right(self, T, T_n):
        return 52.0 * T_n + 750.0 * T

    @pk.boundary("y+")
    def air_above(self, T, T_n):
        return 52.0 * T_n + 750.0 * T


class ShieldedPlate(CooledPlate):
    """The plate is as cold as the air at that corner, and its temperature has the slope that the air asks for."""

    @pk.boundary("y-")
    def hot(self, T, x):
        return T - 100.0 * jnp.cos(jnp.pi * x / 1.2) ** 2


@pytest.mark.slow
def test_slopes_that_contradict_values_in_a_corner_are_named():
    judgement = judge(Equations(CooledPlate()), 1000)
    (note,) = judgement.notes
    assert judgement.warnings == ()
    assert note.startswith("'hot' and 'air_right' ask for different slopes where their sides meet, at x = 0.6, y = 0:")
    assert judge(Equations(ShieldedPlate()), 1000) == Judgement(complete=True)


class Layer(pk.Problem):
    """-eps u'' + u' = 1, with a layer of the width eps at the right end."""

    eps: float = 1e-3
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def flow(self, u_x, u_xx):
        return -self.eps * u_xx + u_x - 1.0

    @pk.boundary
    def ends(self, u):
        return u


@pytest.mark.slow
def test_layers_are_compared_with_the_points():
    judgement = judge(Equations(Layer()), 1000)
    (note,) = judgement.notes
    # u' = 1 - exp((x - 1) / eps) / eps: (1 + 1)^2 / (1 / (2 eps)) of the axis, but for the slope of 1 beside it.
    assert judgement.warnings == () and re.search(
        r"u changes along x within 0\.[67]\d* % .* near x = 1: of 1000 points [67]", note
    )
    assert judge(Equations(Layer()), 100_000).notes == judge(Equations(Layer(eps=0.1)), 1000).notes == ()


@pytest.mark.slow
def test_many_swings_suggest_windows():
    fast = problem_class("advection")(c=50.0)
    (note,) = judge(Equations(fast), 1000).notes
    assert "u goes up and down about 8 times along t" in note and "--windows 4" in note  # 50 / (2 pi) periods
    assert judge(Equations(fast), 1000, scheduled=True).notes == ()


class Reciprocal(Decay):
    """Its equation has no value at u = 0, where the coarse solution begins."""

    @pk.interior
    def decay(self, u, u_t):
        return u_t + 1.0 / u


def test_others_are_not_judged():
    for problem in (Reciprocal(), problem_class("poisson_10d")(), problem_class("conductivity")()):
        assert judge(Equations(problem), 1000) == Judgement(complete=False)


@pytest.mark.slow
def test_check_says_it():
    checked = pk.check(Pinned())
    assert any("Nothing determines u" in warning for warning in checked.warnings)
    assert any("Nothing determines c" in warning for warning in pk.check(WithoutInflow()).warnings)
    assert not any("No condition on" in warning for warning in pk.check(WithoutInflow()).warnings)
