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


SOLVED = {
    "an integral": Density,
    "rod": Rod,
    "SI units, hard start": Steel,
    "nonlinear": Logistic,
    "second order in time": String,
    "system": Stokes,
    "a thin layer": ThinLayer,
}


@pytest.mark.parametrize("name", SOLVED)
def test_the_own_error_is_no_smaller_than_the_true_one(name):
    problem = SOLVED[name]()
    accuracy = 1e-6 if problem.domain.names == ("t", "x") else 1e-9  # larger systems take longer
    verification = pk.verify(problem, accuracy=accuracy)
    X = evaluation_points(problem)
    truth = problem.exact(**dict(zip(problem.domain.names, X.T, strict=True)))
    expected = np.stack([truth[f] for f in problem.fields] if isinstance(truth, dict) else [truth], axis=1)
    true = max(e.relative_l2 for e in field_errors(problem, verification.values(X), expected).values())
    assert verification.resolved and verification.reason in ("", "rounding limits it")
    assert true <= 3 * verification.own_error <= 3 * accuracy  # near rounding both are random
    if name in ("nonlinear", "second order in time"):
        assert len(verification.solution.pieces) > 1


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


class Ball(pk.Problem):
    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0)) & pk.Disk(x=0.0, y=0.0, radius=1.0)

    @pk.interior
    def membrane(self, u_laplacian):
        return u_laplacian + 1.0

    @pk.boundary("rim")
    def rim(self, u):
        return u


class Fitted(Rod):
    alpha: float = pk.unknown(0.2)
    exact = None


NOT = {
    "a condition is missing": (NoCondition, "nothing determines 1 of its 16 coefficients", True),
    "a jump": (Jump, "functions along x do not resolve it|changes too fast at t = 0|its time was over", True),
    "a contradiction": (Contradiction, "'bent' stays missed by .* % of its size: .* contradict each other", True),
    "a shape": (Ball, "the domain is a shape in a box", False),
    "an unknown": (Fitted, "there are measured values or unknown parameters", False),
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
