"""Problems with known solutions, verified: own errors that are no smaller than the true ones, and no claim without a ground."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod

import pinnkit as pk
from pinnkit.errors import UsageError
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.fields.field_errors import field_errors
from pinnkit.objective.residuals import Equations
from pinnkit.verification.discretisation import Discretisation, Piece, Slab
from pinnkit.verification.march import CollocationSolution, solution_to
from pinnkit.verification.verification import Verification


class Steel(pk.Problem):
    """A rod of steel in SI units whose ends are kept at two temperatures, with a hard start."""

    domain = pk.Box(t=(0.0, 2000.0), x=(0.0, 0.3))
    fields = ("T",)
    k: float = 1.2e-5

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - self.k * T_xx

    @pk.initial(hard=True)
    def start(self, T, x):
        return T - 293.0 - 200.0 * x / 0.3 - 50.0 * jnp.sin(2 * jnp.pi * x / 0.3)

    @pk.boundary("x-")
    def cold(self, T):
        return T - 293.0

    @pk.boundary("x+")
    def hot(self, T):
        return T - 493.0

    def exact(self, t, x):
        decay = jnp.exp(-self.k * (2 * jnp.pi / 0.3) ** 2 * t)
        return 293.0 + 200.0 * x / 0.3 + 50.0 * decay * jnp.sin(2 * jnp.pi * x / 0.3)


class Logistic(pk.Problem):
    """u' = 10 u (1 - u): nonlinear, with a steep part in the middle."""

    domain = pk.Box(t=(0.0, 2.0))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - 10.0 * u * (1.0 - u)

    @pk.initial
    def start(self, u):
        return u - 1e-3

    def exact(self, t):
        return 1.0 / (1.0 + 999.0 * jnp.exp(-10.0 * t))


class String(pk.Problem):
    """u_tt = u_xx: two initial values, several slabs of time."""

    domain = pk.Box(t=(0.0, 4.0), x=(0.0, 1.0))

    @pk.interior
    def wave(self, u_tt, u_xx):
        return u_tt - u_xx

    @pk.initial
    def start(self, u, u_t, x):
        return {"value": u - jnp.sin(2 * jnp.pi * x), "velocity": u_t}

    @pk.boundary
    def ends(self, u):
        return u

    def exact(self, t, x):
        return jnp.cos(2 * jnp.pi * t) * jnp.sin(2 * jnp.pi * x)


class Stokes(pk.Problem):
    """Flow between rotating walls with a pressure that is known up to a constant; three fields, a quantity, a periodic axis."""

    domain = pk.Box(x=pk.Periodic(0.0, 2 * np.pi), y=(-1.0, 1.0))
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    @pk.quantity
    def divergence(self, u_x, v_y):
        return u_x + v_y

    @pk.interior
    def flow(self, u_laplacian, v_laplacian, p_x, p_y, divergence, x, y):
        return {
            "x": u_laplacian - p_x + jnp.sin(x) * y,
            "y": v_laplacian - p_y + jnp.cos(x) * (4 - y**2),
            "mass": divergence,
        }

    @pk.boundary("y")
    def walls(self, u, v, x, y):
        return {"u": u - jnp.sin(x) * 2 * y, "v": v}

    def exact(self, x, y):
        return {"u": jnp.sin(x) * 2 * y, "v": jnp.cos(x) * (1 - y**2), "p": jnp.cos(x) * y}


class Density(pk.Problem):
    """-u'' + x u' + u = 0 in a large interval, with a given integral: the normal density."""

    domain = pk.Box(x=(-4.0, 4.0))

    @pk.interior
    def stationary(self, u, u_x, u_xx, x):
        return u_xx + x * u_x + u

    @pk.at(x=0.0)
    def normalised(self, u_at):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        return 4.0 * jnp.sum(jnp.asarray(weights) * u_at(x=jnp.asarray(4.0 * nodes))) - 1.0

    @pk.boundary
    def nothing_leaves(self, u, u_x, x):
        return u_x + x * u

    def exact(self, x):
        return jnp.exp(-(x**2) / 2) / jnp.sqrt(2 * jnp.pi) / 0.999936657516334  # the share within four deviations


class ThinLayer(pk.Problem):
    """-e u_xx + u_x = 0 with a layer of width 1e-3: a residual that stays large, until there are enough functions."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def flow(self, u_x, u_xx):
        return u_x - 1e-3 * u_xx

    @pk.boundary("x")
    def ends(self, u, x):
        return u - x

    def exact(self, x):
        return jnp.exp((x - 1.0) / 1e-3)


class Membrane(pk.Problem):
    """-laplace u = 1 in a disk of 1 m."""

    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0)) & pk.Disk(x=0.0, y=0.0, radius=1.0)

    @pk.interior
    def membrane(self, u_laplacian):
        return u_laplacian + 1.0

    @pk.boundary("rim")
    def rim(self, u):
        return u

    def exact(self, x, y):
        return (1.0 - x**2 - y**2) / 4


class Ring(pk.Problem):
    """A pipe of steel in SI units: 500 K inside, cooled by air outside."""

    domain = pk.Box(x=(-0.03, 0.03), y=(-0.03, 0.03)) & pk.Disk(x=0.0, y=0.0, radius=0.03, name="outside")
    domain -= pk.Disk(x=0.0, y=0.0, radius=0.01, name="inside")
    fields = ("T",)
    k: float = 50.0
    h: float = 2000.0

    @pk.interior
    def conduction(self, T_laplacian):
        return self.k * T_laplacian

    @pk.boundary("inside")
    def hot(self, T):
        return T - 500.0

    @pk.boundary("outside")
    def cooled(self, T, T_n):
        return self.k * T_n + self.h * (T - 293.0)

    def exact(self, x, y):
        slope = self.h * (293.0 - 500.0) / (self.k / 0.03 + self.h * jnp.log(3.0))
        return 500.0 + slope * jnp.log(jnp.sqrt(x**2 + y**2) / 0.01)


class Cooling(pk.Problem):
    """A ring whose temperature falls: nonlinear, time and two coordinates, made by an exact solution."""

    domain = pk.Box(t=(0.0, 0.25), x=(-1.0, 1.0), y=(-1.0, 1.0)) & pk.Disk(x=0.0, y=0.0, radius=1.0, name="outside")
    domain -= pk.Disk(x=0.0, y=0.0, radius=0.4, name="inside")

    @pk.interior
    def heat(self, u, u_t, u_laplacian, t, x, y):
        wave = jnp.exp(-t) * jnp.cos(x + y)
        return u_t - u_laplacian + u**2 - (wave + wave**2)

    @pk.initial
    def start(self, u, x, y):
        return u - jnp.cos(x + y)

    @pk.boundary("outside")
    def walls(self, u, t, x, y):
        return u - jnp.exp(-t) * jnp.cos(x + y)

    @pk.boundary("inside")
    def flux(self, u_n, n_x, n_y, t, x, y):
        return u_n + jnp.exp(-t) * jnp.sin(x + y) * (n_x + n_y)

    def exact(self, t, x, y):
        return jnp.exp(-t) * jnp.cos(x + y)


class CreepingFlow(pk.Problem):
    """Stokes flow around a cylinder between moving walls, made by an exact solution: the pressure is known up to a constant."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.2, name="cylinder")
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    @pk.interior
    def flow(self, u_laplacian, v_laplacian, p_x, p_y, u_x, v_y, x, y):
        return {
            "x": -u_laplacian + p_x - (2 * jnp.sin(x) * jnp.sin(y) + jnp.exp(x) * jnp.cos(y)),
            "y": -v_laplacian + p_y - (2 * jnp.cos(x) * jnp.cos(y) - jnp.exp(x) * jnp.sin(y)),
            "mass": u_x + v_y,
        }

    @pk.boundary
    def walls(self, u, v, x, y):
        return {"u": u - jnp.sin(x) * jnp.sin(y), "v": v - jnp.cos(x) * jnp.cos(y)}

    def exact(self, x, y):
        return {"u": jnp.sin(x) * jnp.sin(y), "v": jnp.cos(x) * jnp.cos(y), "p": jnp.exp(x) * jnp.cos(y)}


class ClampedPlate(pk.Problem):
    """A round plate under a pressure, clamped: fourth order, two conditions on the rim, made by an exact solution."""

    domain = pk.Box(x=(-0.5, 0.5), y=(-0.5, 0.5)) & pk.Disk(x=0.0, y=0.0, radius=0.5)
    fields = ("w",)

    @pk.quantity
    def moment(self, w_laplacian):
        return w_laplacian

    @pk.interior
    def bending(self, moment_laplacian, x, y):
        inner, square = 0.25 - x**2 - y**2, x**2 + y**2
        once = 16 * square - 2.0 - 8 * x * inner + inner**2
        twice = 64 + 64 * x + 16 * square - 2.0 + 2 * (32 * x - 8 * inner + 16 * x**2 - 4 * x * inner) + once
        return moment_laplacian - jnp.exp(x) * twice

    @pk.boundary("rim")
    def clamped(self, w, w_n):
        return {"place": w, "slope": w_n}

    def exact(self, x, y):
        return (0.25 - x**2 - y**2) ** 2 * jnp.exp(x)


class Fronts(pk.Problem):
    """Burgers' equation with a steep front that moves, by the Cole-Hopf formula of one front: pieces of an axis."""

    domain = pk.Box(t=(0.0, 0.5), x=(-1.0, 1.0))
    nu: float = 0.005

    @pk.interior
    def burgers(self, u, u_t, u_x, u_xx):
        return u_t + u * u_x - self.nu * u_xx

    @pk.initial
    def start(self, u, x):
        return u - self.exact(0.0, x)

    @pk.boundary
    def ends(self, u, t, x):
        return u - self.exact(t, x)

    def exact(self, t, x):
        return 0.5 - 0.5 * jnp.tanh((x + 0.3 - 0.5 * t) / (4 * self.nu))


class Beam(pk.Problem):
    """A cantilever of steel under its weight, in SI units: fourth order, none of the first four polynomials bends enough."""

    domain = pk.Box(x=(0.0, 2.0))
    fields = ("w",)

    @pk.interior
    def bending(self, w_xxxx, x):
        return 2.1e11 * 8e-8 * w_xxxx - 62.0 * jnp.exp(x)

    @pk.boundary("x-")
    def clamped(self, w, w_x):
        return {"place": w, "slope": w_x}

    @pk.boundary("x+")
    def free(self, w_xx, w_xxx):
        return {"moment": w_xx, "force": w_xxx}

    def exact(self, x):
        end = jnp.exp(2.0)
        return 62.0 / 16800.0 * (jnp.exp(x) - 1 - x - end * (x**2 / 2 + (x**3 / 6 - x**2)))


SOLVED = {
    "an integral": Density,
    "rod": Rod,
    "SI units, hard start": Steel,
    "nonlinear": Logistic,
    "second order in time": String,
    "system": Stokes,
    "a thin layer": ThinLayer,
    "beam in SI units": Beam,
}
LARGER = {
    "a front that moves": (Fronts, 1e-2),
    "membrane": (Membrane, 1e-8),
    "pipe in SI units": (Ring, 1e-4),
    "flow": (CreepingFlow, 1e-4),
    "plate, fourth order": (ClampedPlate, 1e-5),
}


@pytest.mark.parametrize("name", SOLVED)
def test_the_own_error_is_no_smaller_than_the_true_one(name):
    problem = SOLVED[name]()
    accuracy = 1e-6 if problem.domain.names == ("t", "x") else 1e-9  # larger systems take longer
    verification = pk.verify(problem, accuracy=accuracy)
    true = true_error(verification)
    assert verification.resolved and verification.reason in ("", "rounding limits it")
    assert true <= 3 * verification.own_error <= 3 * accuracy  # near rounding both are random
    if name in ("nonlinear", "second order in time"):
        assert len(verification.solution.pieces) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.long) if n in ("membrane", "flow", "plate, fourth order") else n
        for n in LARGER
    ],
)
def test_the_same_of_larger_ones(name):
    cls, accuracy = LARGER[name]
    verification = pk.verify(cls(), accuracy=accuracy, seconds=120.0)
    true = true_error(verification)
    assert verification.resolved and verification.reason == ""
    assert true <= 3 * verification.own_error <= 3 * accuracy


@pytest.mark.slow
def test_a_shape_with_time():
    """One solution alone: two that agree take a minute."""
    discretisation = Discretisation(Equations(Cooling()))
    solution = solution_to(1e-2, discretisation)
    assert len(solution.pieces) > 5 and solution.modes[1] > 500
    assert true_error(Verification(discretisation.problem, solution)) < 1e-5


def test_time_need_not_be_the_first_coordinate():
    """Three coordinates, of which the first two are those of a shape."""

    class Late(Cooling):
        domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0), t=(0.0, 0.25)) & pk.Disk(x=0.0, y=0.0, radius=1.0, name="outside")
        domain -= pk.Disk(x=0.0, y=0.0, radius=0.4, name="inside")

    discretisation = Discretisation(Equations(Late()))
    bases = discretisation.bases([150, 4])
    pieces = [
        Piece(slab, series, np.ones((series.size, 1)))
        for slab in (Slab(0.0, 0.1), Slab(0.1, 0.25))
        for series in [discretisation.series(slab, bases)]
    ]
    solution = CollocationSolution(tuple(pieces), discretisation.time, 0.0, {}, {})
    assert solution.modes == (bases[0].modes, 8)


def true_error(verification):
    problem = verification.problem
    X = evaluation_points(problem)
    truth = problem.exact(**dict(zip(problem.domain.names, X.T, strict=True)))
    expected = np.stack([truth[f] for f in problem.fields] if isinstance(truth, dict) else [truth], axis=1)
    return max(e.relative_l2 for e in field_errors(problem, verification.values(X), expected).values())


@pytest.fixture(scope="module")
def steel():
    return pk.verify(Steel())


def test_it_is_called_by_the_names_of_the_coordinates(steel):
    t, x = np.array([[0.0], [2000.0]]), np.linspace(0.0, 0.3, 4)
    T = steel(t=t, x=x)["T"]
    assert T.shape == (2, 4)
    np.testing.assert_allclose(T, Steel().exact(t, x[None, :]), rtol=1e-9)
    with pytest.raises(UsageError, match="called with t") as raised:
        steel(t=0.0)
    assert "t, x" in raised.value.expected


def test_it_can_be_kept(steel, tmp_path):
    (tmp_path / "kept").write_bytes(steel.as_bytes())
    again = Verification.load(tmp_path / "kept", Equations(Steel()))
    X = evaluation_points(Steel())
    np.testing.assert_array_equal(again.values(X), steel.values(X))
    assert (str(again), again.own_errors, again.reason) == (str(steel), steel.own_errors, steel.reason)
    assert re.fullmatch(r"An independent collocation solution \(.* modes.*, own error \S+\)\.", str(steel))


@pytest.mark.slow
def test_nodes_and_pieces_can_be_kept(tmp_path):
    """What a file needs besides numbers of functions: the nodes in a shape, the ends of pieces of an axis."""
    for cls, name in ((Membrane, "Scattered"), (Fronts, "Spliced")):
        equations = Equations(cls())
        solution = solution_to(1e-2, Discretisation(equations))
        assert name in [type(basis).__name__ for basis in solution.pieces[-1].series.bases]
        (tmp_path / "solution").write_bytes(Verification(equations.problem, solution).as_bytes())
        again = Verification.load(tmp_path / "solution", equations)
        X = evaluation_points(equations.problem)
        np.testing.assert_array_equal(again.values(X), solution.values(X))


class NoCondition(pk.Problem):
    """u_xx = 1 with one end only."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def bent(self, u_xx):
        return u_xx - 1.0

    @pk.boundary("x-")
    def left(self, u):
        return u


class Jump(Rod):
    """A hot rod whose ends are cold from the first moment on: no series converges in the corners."""

    exact = None

    @pk.initial
    def warm_start(self, u):
        return u - 1.0


class Contradiction(pk.Problem):
    """u_xx = 1 between two ends at which nothing flows: nothing satisfies all of it."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def bent(self, u, u_xx):
        return u_xx - 1.0

    @pk.boundary
    def insulated(self, u_n):
        return u_n

    @pk.at(x=0.0)
    def pinned(self, u):
        return u


class Reflected(Membrane):
    @pk.interior
    def mirror(self, u, u_at, x, y):
        return u - u_at(x=-x, y=y)


class Divided(Membrane):
    @pk.at(x=0.0)
    def middle(self, u, y):
        return u - (1.0 - y**2) / 4


class Fitted(Rod):
    alpha: float = pk.unknown(0.2)
    exact = None


NOT = {
    "a condition is missing": (NoCondition, "nothing determines 1 of its 16 coefficients", True),
    "a jump": (Jump, "functions along x do not resolve it|changes too fast at t = 0|its time was over", True),
    "a contradiction": (Contradiction, "'bent' stays missed by .* % of its size: .* contradict each other", True),
    "fields elsewhere in a shape": (
        Reflected,
        "'mirror' needs fields at other points, and the domain is a shape",
        False,
    ),
    "a line in a shape": (Divided, "'at x=0' is a part of a shape that is not on its surface", False),
    "an unknown": (Fitted, "of 'alpha' it has no interval: nothing determines it", True),
}


@pytest.mark.parametrize("name", NOT)
def test_nothing_is_claimed_without_a_ground(name):
    cls, words, supported = NOT[name]
    verification = pk.verify(cls(), seconds=5)
    assert not verification.resolved and verification.truth is None and verification.supported is supported
    assert re.search(words, str(verification))
    if verification.solution is None:
        with pytest.raises(UsageError, match="There is no collocation solution"):
            verification.values(evaluation_points(cls()))


def test_memory_that_is_not_there(monkeypatch):
    monkeypatch.setattr("pinnkit.verification.march.free_memory", lambda: 1e5)
    verification = pk.verify(Steel())
    assert not verification.resolved
    assert re.search(r"its next system would take \S+ GiB, more than half of the memory", str(verification))


def test_time_that_is_over():
    verification = pk.verify(Steel(), seconds=1e-3)
    assert not verification.resolved and "its time was over" in str(verification)
