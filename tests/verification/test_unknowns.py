"""Unknown parameters by collocation, against least squares on solutions in closed form."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import curve_fit, minimize

import pinnkit as pk
from pinnkit.evaluation.evaluation import Verified
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.fields.field_errors import FieldError
from pinnkit.objective.residuals import Equations
from pinnkit.runs.kinds import equations_of
from pinnkit.verification.discretisation import Discretisation
from pinnkit.verification.march import Budget, solution_to
from pinnkit.verification.unknowns import _At
from pinnkit.verification.verification import Verification


def table(folder, **columns):
    """A file of measured values."""
    file = folder / "measured.csv"
    np.savetxt(file, np.stack([*columns.values()], axis=1), delimiter=",", header=",".join(columns), comments="")
    return str(file)


class Cooling(pk.Problem):
    """A body that cools in air, kelvin and hours; the rate and the temperature of the air are unknown."""

    rate: float = pk.unknown(1.0, bounds=(0.01, 20.0))
    air: float = pk.unknown(300.0)

    fields = ("T",)
    domain = pk.Box(t=(0.0, 6.0))

    @pk.interior
    def newton(self, T, T_t):
        return T_t + self.rate * (T - self.air)

    @pk.initial
    def hot(self, T):
        return T - 400.0


class Rod(pk.Problem):
    """A rod of steel in SI units, whose diffusivity is unknown: time is solved slab by slab."""

    k: float = pk.unknown(5e-5, bounds=(1e-6, 1e-3))
    """diffusivity [m^2/s]"""

    fields = ("T",)
    domain = pk.Box(t=(0.0, 1000.0), x=(0.0, 0.3))

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - self.k * T_xx

    @pk.initial
    def start(self, T, x):
        return T - 100.0 * jnp.sin(jnp.pi * x / 0.3)

    @pk.boundary("x", hard=True)
    def ends(self, T):
        return T


class Disk(pk.Problem):
    """A heated disk whose conductivity is unknown: a shape, so that nodes are scattered."""

    k: float = pk.unknown(1.0, bounds=(0.1, 10.0))

    domain = pk.Disk(x=0.0, y=0.0, radius=1.0)

    @pk.interior
    def conduction(self, u_laplacian):
        return self.k * u_laplacian + 1.0

    @pk.boundary
    def cold(self, u):
        return u


def measured(base, file, **terms):
    """A problem with measured values: for each term, its residual as a function of self, u and y."""
    methods = {name: pk.data(file)(method) for name, method in terms.items()}
    return type("Measured", (base,), methods)()


def agrees(verification, names, best, covariance):
    """Whether values and standard deviations are those of another computation."""
    for name, value, deviation in zip(names, best, np.sqrt(np.diag(covariance)), strict=True):
        estimate = verification.unknowns[name]
        assert abs(estimate.value - value) < 2e-3 * deviation
        np.testing.assert_allclose(estimate.deviation, deviation, rtol=2e-3)
        assert estimate.lower < value < estimate.upper


def test_several_parameters_of_an_ordinary_differential_equation(tmp_path):
    rng, t = np.random.default_rng(0), np.linspace(0.1, 6.0, 30)
    exact = lambda t, rate, air: air + (400.0 - air) * np.exp(-rate * t)  # noqa: E731
    y = exact(t, 0.7, 290.0) + 0.5 * rng.standard_normal(30)
    problem = measured(Cooling, table(tmp_path, t=t, y=y), probe=lambda self, T, y: T - y)
    verification = pk.verify(problem)
    assert verification.resolved
    agrees(verification, ("rate", "air"), *curve_fit(exact, t, y, (1.0, 300.0)))
    missed, _ = verification.missed["probe"]
    best = exact(t, *(verification.unknowns[name].value for name in ("rate", "air")))
    np.testing.assert_allclose(missed, np.sqrt(np.mean((best - y) ** 2)), rtol=1e-6)


def test_slab_by_slab_with_a_derivative_that_is_measured(tmp_path):
    rng, n = np.random.default_rng(1), 40
    t, x = rng.uniform(0.0, 1000.0, n), rng.uniform(0.0, 0.3, n)

    def flux(X, k):
        return 100.0 * np.pi / 0.3 * np.cos(np.pi * X[1] / 0.3) * np.exp(-k * (np.pi / 0.3) ** 2 * X[0])

    y = flux((t, x), 1.2e-5) + 5.0 * rng.standard_normal(n)
    problem = measured(Rod, table(tmp_path, t=t, x=x, y=y), gradient=lambda self, T_x, y: T_x - y)
    verification = pk.verify(problem)
    assert verification.resolved
    agrees(verification, ("k",), *curve_fit(flux, (t, x), y, (1e-5,)))


@pytest.mark.slow
def test_in_a_shape(tmp_path):
    rng, n = np.random.default_rng(2), 25
    x, y = rng.uniform(-0.6, 0.6, (2, n))
    exact = lambda X, k: (1.0 - X[0] ** 2 - X[1] ** 2) / (4.0 * k)  # noqa: E731
    w = exact((x, y), 2.0) + 0.005 * rng.standard_normal(n)
    problem = measured(Disk, table(tmp_path, x=x, y=y, w=w), probe=lambda self, u, w: u - w)
    verification = pk.verify(problem)
    assert verification.resolved
    agrees(verification, ("k",), *curve_fit(exact, (x, y), w, (1.0,)))


def test_terms_with_noise_of_different_size_count_by_their_noise(tmp_path):
    rng, t = np.random.default_rng(3), np.linspace(0.1, 6.0, 40)
    exact = lambda rate: 300.0 + 100.0 * np.exp(-rate * t)  # noqa: E731
    good, bad = exact(0.7) + 0.1 * rng.standard_normal(40), exact(0.7) + 10.0 * rng.standard_normal(40)

    class Known(Cooling):
        air: float = 300.0

    terms = {"good": lambda self, T, y: T - y, "bad": lambda self, T, z: T - z}
    verification = pk.verify(measured(Known, table(tmp_path, t=t, y=good, z=bad), **terms))

    def phi(rate):  # the likelihood with two unknown sizes of the noise
        return sum(20 * np.log(np.sum((exact(rate[0]) - y) ** 2)) for y in (good, bad))

    best = minimize(phi, [0.7], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10}).x[0]
    np.testing.assert_allclose(verification.unknowns["rate"].value, best, rtol=1e-6)


def test_an_eigenvalue_without_measured_values():
    class Oscillator(pk.Problem):
        E: float = pk.unknown(0.7, bounds=(0.1, 2.5))
        domain = pk.Box(x=(-7.0, 7.0))

        @pk.interior
        def schroedinger(self, u, u_xx, x):
            return -u_xx + x**2 * u - self.E * u

        @pk.boundary("x")
        def ends(self, u):
            return u

        @pk.at(x=0.0)
        def size(self, u):
            return u - 1.0

        def exact(self, x):
            return jnp.exp(-(x**2) / 2)

    verification = pk.verify(Oscillator())
    assert verification.resolved and abs(verification.unknowns["E"].value - 1.0) < 1e-9
    x = np.linspace(-7.0, 7.0, 50)
    np.testing.assert_allclose(verification(x=x)["u"], np.exp(-(x**2) / 2), atol=1e-8)


@pytest.mark.parametrize("base", [Cooling, Rod])
def test_derivatives_by_the_parameters_are_those_of_finite_differences(base, tmp_path):
    problem = Discretisation(Equations(base()))
    z = 0.1 + 0.1 * np.arange(len(problem.unknowns))
    X = np.random.default_rng(4).uniform(
        *np.array([(a.lower, a.upper) for a in problem.domain.axes]).T, (30, problem.domain.dim)
    )

    def solution(z):
        return solution_to(1e-9, _At(problem, z).problem, None, Budget())

    moved, _ = _At(problem, z)._followed(solution(z))
    assert len(solution(z).pieces) > 1
    for k, own in enumerate(moved):
        h = 1e-4 * np.eye(len(z))[k]
        expected = (solution(z + h).values(X) - solution(z - h).values(X)) / 2e-4
        np.testing.assert_allclose(own.values(X), expected, atol=1e-5 * np.abs(expected).max())


class Unseen(Cooling):
    """A parameter that is in no equation that matters: the air is as warm as the body."""

    @pk.interior
    def newton(self, T, T_t):
        return T_t + self.rate * (T - 400.0) + 0.0 * self.air


class Fast(Cooling):
    """A rate that has to be larger than its bound."""

    rate: float = pk.unknown(0.02, bounds=(0.01, 0.03))
    air: float = 290.0


class Free(pk.Problem):
    """A field that measured values alone determine."""

    fields = ("T", "k")
    domain = pk.Box(t=(0.0, 1.0))

    @pk.interior
    def law(self, T_t, k):
        return T_t - k

    @pk.initial
    def start(self, T):
        return T


NOT = {
    "nothing determines it": (Unseen, "of '(rate|air)' it has no interval: nothing determines it", True),
    "at its bound": (Fast, "of 'rate' it has no interval: it ran to its upper bound", True),
    "a free field": (Free, "only measured values determine .* of its .* coefficients", False),
}


@pytest.mark.parametrize("name", NOT)
def test_nothing_is_claimed_without_a_ground(name, tmp_path):
    base, words, supported = NOT[name]
    t = np.linspace(0.1, 1.0, 20)
    y = 290.0 + 110.0 * np.exp(-0.7 * t) + 0.1 * np.random.default_rng(5).standard_normal(20)
    verification = pk.verify(measured(base, table(tmp_path, t=t, y=y), probe=lambda self, T, y: T - y))
    assert not verification.resolved and verification.truth is None and verification.supported is supported
    assert re.search(words, str(verification))


def test_measured_values_without_an_unknown_change_nothing_and_are_compared(tmp_path):
    class Known(Cooling):
        rate: float = 0.7
        air: float = 290.0

    t = np.linspace(0.1, 6.0, 20)
    y = 290.0 + 110.0 * np.exp(-0.7 * t) + 3.0
    verification = pk.verify(measured(Known, table(tmp_path, t=t, y=y), probe=lambda self, T, y: T - y))
    assert verification.resolved and verification.own_error < 1e-9
    np.testing.assert_allclose(verification.missed["probe"][0], 3.0, rtol=1e-6)


def test_it_is_kept_and_quantities_take_the_estimates(tmp_path):
    class Loss(Cooling):
        air: float = 290.0

        @pk.quantity
        def loss(self, T):
            return self.rate * (T - self.air)

    t = np.linspace(0.1, 6.0, 30)
    y = 290.0 + 110.0 * np.exp(-0.7 * t) + 0.1 * np.random.default_rng(6).standard_normal(30)
    problem = measured(Loss, table(tmp_path, t=t, y=y), probe=lambda self, T, y: T - y)
    verification = pk.verify(problem)
    (tmp_path / "kept.npz").write_bytes(verification.as_bytes())
    kept = Verification.load(tmp_path / "kept.npz", equations_of(problem))
    assert kept.unknowns == verification.unknowns and kept.missed == verification.missed and kept.resolved
    solution = pk.solve(problem)
    rate = solution.unknowns["rate"].value
    assert abs(rate - 0.7) < 0.01 and f"rate = {rate:.6g}" in solution.verdict
    np.testing.assert_allclose(solution.at("loss", t=t)["loss"], rate * (solution(t=t)["T"] - 290.0), rtol=1e-12)


def test_a_program_in_float32_is_verified_in_float64(tmp_path):
    t = np.linspace(0.1, 6.0, 30)
    file = table(tmp_path, t=t, y=290.0 + 110.0 * np.exp(-0.7 * t))
    with jax.enable_x64(False):
        verification = pk.verify(measured(Cooling, file, probe=lambda self, T, y: T - y))
    assert verification.own_error < 1e-8 and abs(verification.unknowns["rate"].value - 0.7) < 1e-9


def test_a_trained_value_far_from_the_fit_contradicts_it():
    near = {"u": FieldError(1e-4, 1e-3)}
    fit = Estimate(2.0, 0.1, 1.8, 2.2)
    assert not Verified(near, 1e-9, "", 1.0, {"k": (2.25, fit)}).contradicted  # 2.5 deviations
    assert not Verified(
        near, 1e-9, "", 1.0, {"k": (2.05, dataclasses.replace(fit, deviation=1e-6))}
    ).contradicted  # 2.5 %
    assert Verified(near, 1e-9, "", 1.0, {"k": (2.5, fit)}).contradicted
    assert Verified(near, 1e-9, "", 1.0, {"k": (np.nan, fit)}).contradicted
