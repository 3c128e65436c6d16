"""Hard conditions on the surfaces of shapes: met to rounding by any network, smooth inside, refused where they cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import objective, random_parameters, refused

import pinnkit as pk
from pinnkit.objective import Equations
from pinnkit.problem.shaped_domain import as_domain


class Base(pk.Problem):
    @pk.interior
    def poisson(self, u, u_laplacian):
        return u_laplacian + 0.0 * u


class Ring(Base):
    """Two conditions, on circles that do not touch."""

    domain = pk.Annulus(x=0.0, y=0.0, inner=0.4, outer=1.0)

    @pk.boundary("outer", hard=True)
    def cold(self, u, x):
        return u - x

    @pk.boundary("inner", hard=True)
    def hot(self, u, y):
        return 2.0 * u - 6.0 + y


class Plate(Base):
    """All sides by one condition, in SI units; the hole is soft."""

    domain = pk.Box(x=(0.0, 0.1), y=(0.0, 0.1)) - pk.Disk(x=0.05, y=0.05, radius=0.02, name="hole")

    @pk.boundary("x", "y", hard=True)
    def sides(self, u):
        return u - 400.0

    @pk.boundary("hole")
    def cooled(self, u, u_n):
        return 50.0 * u_n + 1000.0 * (u - 300.0)


class Triangle(Base):
    domain = pk.Polygon(x=[0.0, 2.0, 1.0], y=[0.0, 0.0, 1.0])

    @pk.boundary("edge1", hard=True)
    def below(self, u, x):
        return u - x

    @pk.boundary("edge2", "edge3", hard=True)
    def above(self, u, x, y):
        return u - x - y


class Leaning(Base):
    domain = pk.Ellipse(x=0.5, y=0.0, semi_axes=(2.0, 0.7)).turned(25.0)

    @pk.boundary("rim", hard=True)
    def rim(self, u, x, y):
        return u - jnp.sin(x) * y


class Cavity(Base):
    """Three coordinates: a cube with a ball cut out, and a pipe."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0)) - pk.Ball(x=0.5, y=0.5, z=0.5, radius=0.3, name="hole")

    @pk.boundary("hole", hard=True)
    def inside(self, u, z):
        return u - z

    @pk.boundary("z-", "z+", hard=True)
    def ends(self, u, z):
        return u - z


class Pipe(Base):
    domain = pk.Disk(x=0.0, y=0.0, radius=1.0).extruded(z=(0.0, 2.0))

    @pk.boundary("rim", hard=True)
    def wall(self, u):
        return u

    @pk.boundary("z-", hard=True)
    def inflow(self, u, x, y):
        return u - (1.0 - x**2 - y**2)


class Cooling(Base):
    """With time: start and rim agree where they meet, and the rim's temperature changes."""

    domain = pk.Box(t=(0.0, 2.0)) * pk.Disk(x=0.0, y=0.0, radius=1.0)

    @pk.interior
    def poisson(self, u_t, u_laplacian):
        return u_t - u_laplacian

    @pk.initial(hard=True)
    def start(self, u, x, y):
        return u - 3.0 * (1.0 - x**2 - y**2) - x

    @pk.boundary("rim", hard=True)
    def rim(self, u, t, x):
        return u - x * (1.0 + jnp.sin(t))


class Flow(pk.Problem):
    """Several fields: both velocities are tied by one condition, the pressure is free."""

    fields = ("u", "v", "p")
    domain = pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0)

    @pk.interior
    def stokes(self, u_laplacian, v_laplacian, p_x, p_y):
        return {"x": p_x - u_laplacian, "y": p_y - v_laplacian}

    @pk.interior
    def mass(self, u_x, v_y):
        return u_x + v_y

    @pk.boundary("outer", hard=True)
    def turning(self, u, v, x, y):
        return {"sum": u + v - x + y, "difference": u - v + x + y}

    @pk.boundary("inner", hard=True)
    def still(self, u, v):
        return {"u": u, "v": v}


CASES = [Ring, Plate, Triangle, Leaning, Cavity, Pipe, Cooling, Flow]


def fields_of(cls, seed=0):
    """The fields of a network with random weights, as a function of points."""
    own = objective(cls())
    params = random_parameters(own.network, seed)
    return own, lambda X: own.network.fields(params)(X)


def surface_points(domain, target, count=500):
    region = domain.boundary(target)
    unit = jnp.asarray(np.random.default_rng(0).random((region.size(count), len(region.free))))
    return region.place(unit, count)[0]


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_they_are_met_by_random_networks(cls):
    own, fields = fields_of(cls)
    problem = own.network.problem
    for condition in problem.conditions():
        if not condition.mark.hard:
            continue
        region = (
            problem.domain.initial()
            if condition.mark.kind == "initial"
            else problem.domain.boundary(condition.mark.target)
        )
        unit = jnp.asarray(np.random.default_rng(0).random((region.size(500), len(region.free))))
        X = region.place(unit, 500)[0]
        values = dict(zip(problem.fields, fields(X).T, strict=True)) | dict(zip(problem.domain.names, X.T, strict=True))
        residuals = condition.method(problem, **{name: values[name] for name in condition.arguments})
        size = float(jnp.abs(jnp.stack(list(values.values()))).max())
        for residual in residuals.values() if isinstance(residuals, dict) else [residuals]:
            assert float(jnp.abs(residual).max()) < 1e-12 * size, condition.name
    inside = as_points(problem.domain)
    assert float(jnp.ptp(fields(inside)[:, 0])) > 0.0 and bool(jnp.isfinite(fields(inside)).all())


def as_points(domain, count=300):
    region = domain.interior()
    unit = jnp.asarray(np.random.default_rng(1).random((region.size(count), len(region.free))))
    return region.place(unit, count)[0]


@pytest.mark.parametrize("cls", [Ring, Plate, Leaning, Cooling], ids=lambda cls: cls.__name__)
def test_the_factor_is_smooth_and_of_the_size_of_one(cls):
    ansatz = Equations(cls()).ansatz
    X = as_points(cls.domain if hasattr(cls.domain, "interior") else as_domain(cls.domain))
    factor = jnp.prod(jnp.stack([surface.factor(X) for surface in ansatz.surfaces]), axis=0)
    assert 0.2 < float(jnp.sqrt(jnp.mean(factor**2))) < 5.0 and float(factor.min()) >= 0.0
    assert all(surface.factor(X.astype(jnp.float32)).dtype == jnp.float32 for surface in ansatz.surfaces)
    # Second derivatives are bounded by the size of the shape: no kinks, no singular corners.
    one = lambda x: jnp.prod(jnp.stack([surface.factor(x[None])[0] for surface in ansatz.surfaces]))  # noqa: E731
    bend = jax.vmap(jax.hessian(one))(X)
    space = np.array(cls.domain.space if hasattr(cls.domain, "space") else [0, 1])
    length = max(float(jnp.ptp(X[:, k])) for k in space)
    assert float(jnp.abs(bend[:, space][:, :, space]).max()) < 500.0 / length**2


def test_two_values_are_joined_smoothly():
    lift = Equations(Ring()).ansatz.lift(Ring())
    r = jnp.linspace(0.4, 1.0, 13)
    values = lift(jnp.stack([r, 0.0 * r], axis=1))[:, 0]
    np.testing.assert_allclose(values[jnp.array([0, -1])], [3.0, 1.0], atol=1e-12)
    assert bool(jnp.all(values <= 3.0)) and bool(jnp.isfinite(values).all())


def test_two_pieces_of_one_line_are_one_factor():
    halves = pk.Polygon(x=[0, 1, 1, 0], y=[0, 0, 1, 1]).named("low", where=lambda x, y: (x == 0.0) & (y < 0.5))
    split = type("Split", (Base,), {"domain": halves.named("high", where=lambda x, y: (x == 0.0) & (y >= 0.5))})
    problem = with_boundary(split, ("low", "high"), lambda self, u: u)
    (surface,) = Equations(problem).ansatz.surfaces
    slope = jax.grad(lambda x: surface.factor(jnp.stack([x, jnp.asarray(0.3)])[None])[0])(jnp.asarray(0.0))
    assert abs(float(slope)) > 1.0  # a square would prescribe the slope of the field too


def test_pieces_that_are_cut_away_do_not_count():
    # The line of edge3 (y = 1) lies in the disk; elsewhere it runs through the domain.
    corner = pk.Polygon(x=[0, 1, 1, 3, 3, 0], y=[0, 0, 1, 1, 3, 3]) - pk.Disk(x=3.0, y=1.0, radius=2.0, name="arc")
    problem = type("Corner", (Base,), {"domain": corner.named("floor", where=lambda x, y: y < 1e-6)})
    (surface,) = Equations(with_boundary(problem, "floor", lambda self, u: u)).ansatz.surfaces
    y = jnp.array([0.0, 0.5, 2.0])
    np.testing.assert_allclose(
        surface.factor(jnp.stack([0.0 * y + 0.1, y], axis=1)) / surface.factor(jnp.array([[0.1, 1.0]])), y
    )


def test_a_start_and_a_rim_in_time():
    _, fields = fields_of(Cooling)
    x = jnp.linspace(-0.9, 0.9, 7)
    start = fields(jnp.stack([0.0 * x, x, 0.0 * x], axis=1))[:, 0]
    np.testing.assert_allclose(start, 3.0 * (1.0 - x**2) + x, atol=1e-12)


class Bent(Base):
    domain = pk.Polygon(x=[0.0, 2.0, 2.0, 1.0, 1.0, 0.0], y=[0.0, 0.0, 1.0, 1.0, 2.0, 2.0])


def with_boundary(base, target, method, hard=True):
    """A problem with one more hard condition."""
    targets = (target,) if isinstance(target, str) else target
    return type("Changed", (base,), {"further": pk.boundary(*targets, hard=hard)(method)})()


def test_messages():
    build = lambda problem: Equations(problem).ansatz  # noqa: E731

    def zero():
        return lambda self, u: u

    refused(
        lambda: build(with_boundary(Bent, "edge4", zero())), "the line or surface of 'edge4' runs through the domain"
    )
    assert build(with_boundary(Bent, "edge1", zero())).surfaces
    inlet = type(
        "Inlet", (Base,), {"domain": pk.Polygon(x=[0, 1, 1, 0], y=[0, 0, 1, 1]).named("in", where=lambda x, y: y > 0.5)}
    )
    refused(lambda: build(with_boundary(inlet, "in", zero())), "is that of", "where it does not hold")
    refused(lambda: build(with_boundary(Ring, "outer", zero())), "'cold' and 'further' both fix 'u' on 'outer'")
    refused(lambda: build(with_boundary(Plate, "hole", lambda self, u, n_x: u - n_x)), "asks for a normal")
    refused(lambda: build(with_boundary(Plate, "hole", lambda self, u_n: u_n)), "it asks for 'u_n'")
    refused(lambda: build(with_boundary(Plate, "hole", lambda self, u: u**2)), "is not affine in u")


@pytest.mark.slow
def test_a_disk_is_solved_more_accurately_than_with_a_soft_rim():
    class Disk(pk.Problem):
        domain = pk.Disk(x=0.0, y=0.0, radius=1.0)

        @pk.interior
        def poisson(self, u_laplacian, x):
            return u_laplacian + 8.0 * x

        @pk.boundary("rim", hard=True)
        def rim(self, u, x, y):
            return u - x * y

        def exact(self, x, y):
            return x * y + x * (1.0 - x**2 - y**2)

    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=300), pk.Tangent()))
    solution = pk.train(Disk(), model=pk.MLP(width=16, depth=2), recipe=recipe, verify="no")
    assert solution.errors["u"].relative_l2 < 1e-7
