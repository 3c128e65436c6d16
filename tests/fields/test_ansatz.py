"""Hard conditions: met to rounding by any network, smooth derivatives, and refused where they cannot be met."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import objective, random_parameters, refused, scattered

import pinnkit as pk
from pinnkit.fields import partial_derivatives
from pinnkit.objective import Equations
from pinnkit.objective.collocation import sample_points

LINE = pk.Box(t=(0.5, 1.5), x=(-1.0, 2.0))
SQUARE = pk.Box(x=(0.0, 1.0), y=(-1.0, 1.0))


class Base(pk.Problem):
    domain = LINE

    @pk.interior
    def equation(self, u):
        return u


class BothEnds(Base):
    @pk.boundary("x-", hard=True)
    def left(self, u, t):
        return u - jnp.sin(t)

    @pk.boundary("x+", hard=True)
    def right(self, u, t):
        return 3.0 * u + t**2


class OneEnd(Base):
    @pk.boundary("x+", hard=True)
    def right(self, u, t):
        return u - t


class Moving(Base):
    """Initial value and velocity, and both ends; they agree at the corners."""

    @pk.initial(hard=True)
    def value(self, u, x):
        return u - jnp.cos(x)

    @pk.initial(hard=True)
    def velocity(self, u_t, x):
        return (2.0 + x) * u_t + jnp.sin(x)

    @pk.boundary(hard=True)
    def ends(self, u, t, x):
        return u - jnp.cos(x) + (t - 0.5) * jnp.sin(x) / (2.0 + x)


class Fading(Moving):
    """The same, whose start fades."""

    @pk.initial(hard=True, decay=0.3)
    def value(self, u, x):
        return u - jnp.cos(x)

    @pk.initial(hard=True, decay=0.1)
    def velocity(self, u_t, x):
        return (2.0 + x) * u_t + jnp.sin(x)


class AllFaces(Base):
    domain = SQUARE

    @pk.boundary(hard=True)
    def rim(self, u, x, y):
        return u - jnp.exp(x) * jnp.cos(y)


class ThreeDimensions(Base):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(-1.0, 1.0))

    @pk.initial(hard=True)
    def start(self, u, x, y):
        return u - x * y**2

    @pk.boundary("x", hard=True)
    def x_ends(self, u, x, y, t):
        return u - (x + t) * y**2

    @pk.boundary("y+", hard=True)
    def y_end(self, u, x, t):
        return u - x - t


class Coefficient(Base):
    @pk.initial(hard=True)
    def start(self, u, x):
        return (1.5 + x) * u - jnp.sin(x)


class Coupled(Base):
    """Two fields that follow together from two residuals; each also has an end of its own."""

    fields = ("u", "v")

    @pk.initial(hard=True)
    def start(self, v, u, x):
        return {"sum": u + x * v - 1.0, "difference": 2.0 * v - u}

    @pk.boundary("x-", hard=True)
    def left(self, u):
        return u - 2.0

    @pk.boundary("x+", hard=True)
    def right(self, v):
        return v - 0.25


class OppositeEnds(Base):
    fields = ("u", "v")

    @pk.boundary("x-", hard=True)
    def left(self, u):
        return u - 2.0

    @pk.boundary("x+", hard=True)
    def right(self, v, t):
        return v - t

    @pk.interior
    def equation(self, u, v):
        return u - v


class Crossed(Base):
    """Each residual fixes one field, in the other order."""

    fields = ("u", "v")

    @pk.boundary("x", hard=True)
    def ends(self, u, v, x):
        return {"second": v - x, "first": u + 4.0}


class WithNormal(Base):
    domain = SQUARE

    @pk.boundary("y", hard=True)
    def flow_through(self, u, n_y, x):
        return u * n_y - x


class WithUnknown(Base):
    level: float = pk.unknown(0.5, bounds=(0.0, 1.0))

    @pk.boundary("x", hard=True)
    def ends(self, u):
        return u - self.level


class OnACircle(Base):
    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 2.0))

    @pk.initial(hard=True)
    def start(self, u, x):
        return u - jnp.sin(jnp.pi * x)


MET = [
    BothEnds,
    OneEnd,
    Moving,
    Fading,
    AllFaces,
    ThreeDimensions,
    Coefficient,
    Coupled,
    Crossed,
    WithNormal,
    WithUnknown,
    OnACircle,
]


def trained(problem, seed=1):
    """An objective, random parameters, and the fields they give."""
    made = objective(problem)
    params = random_parameters(made.network, seed)
    return made, params, made.network.fields(params)


@pytest.mark.parametrize("cls", MET)
def test_hard_conditions_are_met_by_random_networks(cls):
    made, params, f = trained(cls())
    bound = made.network.bound(params)
    assert not any(g.kind in ("initial", "boundary") for g in made.equations.groups), "no term of the loss"
    points = [sample_points(jax.random.key(3), group, 40, jnp.float64) for group in made.equations.hard]

    other = made.network.fields(random_parameters(made.network, 2))

    @jax.jit
    def residuals_and_freedom(points, X):
        evaluated = [made.equations.evaluate(bound, f, g, p) for g, p in zip(made.equations.hard, points, strict=True)]
        return evaluated, jnp.max(jnp.abs(f(X) - other(X)), axis=0)

    residuals, freedom = residuals_and_freedom(points, scattered(cls.domain, 50))
    for group, terms in zip(made.equations.hard, residuals, strict=True):
        for term, r in terms.items():
            assert np.abs(r).max() < 1e-12, f"{group.name}: {term}"
    assert freedom.min() > 0.05, "the network is free elsewhere"


def test_an_unknown_moves_the_condition():
    made, params, _ = trained(WithUnknown())
    z = jnp.asarray(1.3)
    f = jax.jit(made.network.fields({**params, "unknowns": {"level": z}}))
    np.testing.assert_allclose(f(jnp.asarray([[0.7, -1.0]])), [[WithUnknown().level.value(z)]], rtol=1e-14)


def test_fields_that_are_hard_on_different_ends_do_not_meet():
    """u is fixed at x = -1 only, v at x = 2 only: at the other end both are free."""
    made, _, f = trained(OppositeEnds())
    other = made.network.fields(random_parameters(made.network, 5))
    difference = jax.jit(lambda X: jnp.abs(f(X) - other(X)))
    left, right = (difference(jnp.asarray([[t, x] for t in np.linspace(0.6, 1.5, 9)])) for x in (-1.0, 2.0))
    assert left[:, 0].max() < 1e-12 and left[:, 1].min() > 1e-3
    assert right[:, 1].max() < 1e-12 and right[:, 0].min() > 1e-3


def test_the_lift_interpolates_between_two_ends():
    """With a network of zero, the ansatz is the straight line between the two prescribed values."""
    made = objective(BothEnds())
    f = jax.jit(made.network.fields(jax.tree.map(jnp.zeros_like, made.network.initial_parameters)))
    X = scattered(LINE)
    t, share = X[:, 0], (X[:, 1] + 1.0) / 3.0
    np.testing.assert_allclose(f(X)[:, 0], (1 - share) * jnp.sin(t) + share * -(t**2) / 3, atol=1e-14)


def test_a_start_that_fades():
    class Alone(Base):
        scales = None

        @pk.initial(hard=True, decay=0.3)
        def value(self, u, x):
            return u - jnp.cos(x)

    class Pushed(Alone):
        @pk.initial(hard=True)
        def velocity(self, u_t, x):
            return u_t - x

    X = scattered(LINE)
    s, x = (X[:, 0] - 0.5) / 0.3, X[:, 1]
    for cls, lift in (
        (Alone, jnp.cos(x) * jnp.exp(-s)),
        (Pushed, jnp.cos(x) * (1 + s) * jnp.exp(-s) + (X[:, 0] - 0.5) * x),
    ):
        made = objective(cls())
        f = jax.jit(made.network.fields(jax.tree.map(jnp.zeros_like, made.network.initial_parameters)))
        np.testing.assert_allclose(f(X)[:, 0], lift, rtol=1e-13)
    refused(lambda: pk.initial(decay=0.3), "has a decay and is not hard", "Remove decay")
    refused(lambda: pk.initial(hard=True, decay=-1.0), "decay of a hard start", "a time")


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Moving, Fading, Coupled])
def test_derivatives_through_the_ansatz(cls):
    _, _, f = trained(cls())
    X, h = scattered(cls.domain), 1e-5
    wanted = {(), (0,), (1,), (0, 1), (0, 0), (1, 1)}
    derivative = jax.jit(lambda X: partial_derivatives(f, X, wanted))
    found = derivative(X)
    for index in wanted - {()}:
        ahead, behind = derivative(X.at[:, index[0]].add(h)), derivative(X.at[:, index[0]].add(-h))
        estimate = (ahead[index[1:]] - behind[index[1:]]) / (2 * h)
        np.testing.assert_allclose(found[index], estimate, rtol=1e-6, atol=1e-6)


def test_float32():
    made = objective(Moving(), dtype=jnp.float32)
    f = made.network.fields(made.network.initial_parameters)
    assert jax.eval_shape(f, jnp.ones((3, 2), jnp.float32)).dtype == jnp.float32


# Refused


def end(method, where="x-", **members):
    members = {"domain": LINE, "condition": pk.boundary(where, hard=True)(method), **members}
    return lambda: Equations(type("P", (Base,), members)())


def start(method, **members):
    return lambda: Equations(type("P", (Base,), {"condition": pk.initial(hard=True)(method), **members})())


TWO = {"fields": ("u", "v")}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (end(lambda self, u: u**2 - 1), ("not affine in u", "a u + b")),
        (start(lambda self, u, x: jnp.sin(u) - x), ("not affine in u",)),
        (end(lambda self, u, v: u * v, **TWO), ("returns 1 residuals for 2 fields (u, v)",)),
        (end(lambda self, u, v: {"a": u * v, "b": u - v}, **TWO), ("not affine in u, v",)),
        (end(lambda self, u_x: u_x), ("asks for 'u_x'", "field values")),
        (end(lambda self, u_n: u_n), ("asks for 'u_n'",)),
        (end(lambda self, u, u_t: u + u_t), ("asks for 'u_t'",)),
        (start(lambda self, u, u_t: u + u_t), ("asks for 'u_t'", "not both")),
        (start(lambda self, u_tt: u_tt), ("asks for 'u_tt'",)),
        (end(lambda self, u_at: u_at(x=0.0)), ("asks for 'u_at'",)),
        (start(lambda self, q: q, q=pk.quantity(lambda self, u: u)), ("asks for 'q'",)),
        (end(lambda self, t: t), ("does not depend on any field", "def condition(self, u, ...)")),
        (end(lambda self, u, t: 0.0 * u + t), ("it does not depend on u at some point of 'boundary x-'",)),
        (start(lambda self, u, x: (x + 1.0) * u), ("at some point of 'initial'",)),
        (start(lambda self, u, x: (x - 0.3) * u), ("at some point of 'initial'", "nowhere zero")),
        (end(lambda self, u, v: {"a": u + v, "b": 2 * u + 2 * v}, **TWO), ("it does not depend on u, v",)),
        (start(lambda self, u: {"a": u, "b": u}), ("returns 2 residuals for 1 fields",)),
        (start(lambda self, u_t: u_t), ("fixes the velocity of 'u'", "hard initial velocity")),
        (end(lambda self, w: w), ("'w', which is unknown",)),
        (end(lambda self, u: None), ("is None",)),
        (end(lambda self, u: 0.0), ("is a float",)),
        (end(lambda self, u: u[:, None]), ("has the shape (points, 1)",)),
        (end(lambda self, u: u + self.missing), ("failed: AttributeError", "test_ansatz.py:")),
        (end(lambda self, u: u, where="y"), ("no boundary 'y'",)),
    ],
)
def test_what_cannot_be_met_exactly(build, words):
    refused(build, *words, "where:")


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_do_not_matter(scale):
    Equations(type("P", (Base,), {"c": pk.initial(hard=True)(lambda self, u, x: scale * (u - jnp.sin(x)))})())


def test_two_conditions_on_one_face():
    class Twice(BothEnds):
        @pk.boundary("x", hard=True)
        def again(self, u):
            return u

    refused(
        lambda: Equations(Twice()),
        "'left' and 'again' both fix 'u' on one face",
        "Make one of them soft",
        "test_ansatz.py:",
    )


def test_soft_conditions_stay_terms():
    class Half(OneEnd):
        @pk.boundary("x-")
        def left(self, u):
            return u

    equations = Equations(Half())
    assert [g.name for g in equations.groups] == ["interior", "boundary x-"]
    assert [g.name for g in equations.hard] == ["boundary x+"]
