"""The references of KdV and Kuramoto-Sivashinsky: conserved quantities, resolutions, and methods that share nothing."""

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, solve_ivp

from pinnkit.problem import problem_class
from pinnkit.references import kdv
from pinnkit.references import kuramoto_sivashinsky as ks
from pinnkit.references.cole_hopf import burgers
from pinnkit.references.periodic import difference
from pinnkit.references.spectral import refine_periodic, solve_periodic

D = 0.022
KDV = {
    "initial": lambda x: np.cos(np.pi * x),
    "linear_symbol": lambda k: 1j * D**2 * k**3,
    "nonlinear": lambda u: u * u,
    "outer_symbol": lambda k: -0.5j * k,
    "degree": 2,
    "length": 2.0,
    "x0": -1.0,
    "t_end": 1.0,
}
KS = {
    **KDV,
    "initial": lambda x: np.cos(x) * (1 + np.sin(x)),
    "linear_symbol": lambda k: ks.GROWTH * k**2 - ks.DAMPING * k**4,
    "outer_symbol": lambda k: -0.5j * ks.ADVECTION * k,
    "length": 2 * np.pi,
    "x0": 0.0,
}


def moments(solution, t, points=1024):
    """Means over a period of u, u^2, u^3, u_x^2, u_xx^2 at one time; the points are enough for all of them to be exact."""
    c = solution.coefficients(t)
    k = 2 * np.pi / solution.length * np.arange(c.size)
    u, u_x, u_xx = (np.fft.irfft(factor * c, points, norm="forward") for factor in (1.0, 1j * k, -(k**2)))
    return np.array([np.mean(v) for v in (u, u**2, u**3, u_x**2, u_xx**2)])


@pytest.mark.slow
def test_kdv_keeps_mass_momentum_and_energy():
    found = np.array([moments(kdv.converged(), t) for t in np.linspace(0, 1, 21)])
    mass, momentum = found[:, 0], found[:, 1]
    energy = found[:, 2] / 6 - D**2 / 2 * found[:, 3]
    assert np.abs(mass).max() < 1e-14
    np.testing.assert_allclose(momentum, 0.5, rtol=1e-8)
    np.testing.assert_allclose(energy, -((D * np.pi) ** 2) / 4, rtol=1e-6)  # the mean of cos^3 is 0


@pytest.mark.slow
def test_kuramoto_sivashinsky_keeps_its_mean_and_balances_its_energy():
    """d/dt mean(u^2) / 2 = b mean(u_x^2) - g mean(u_xx^2): the nonlinear term moves energy between waves only."""
    t = np.linspace(0, 1, 4001)
    found = np.array([moments(ks.converged(), s) for s in t])
    assert np.abs(found[:, 0]).max() < 1e-12
    gain = cumulative_simpson(ks.GROWTH * found[:, 3] - ks.DAMPING * found[:, 4], x=t, initial=0)
    np.testing.assert_allclose((found[:, 1] - found[0, 1]) / 2, gain, rtol=0, atol=1e-7)
    assert found[-1, 1] > 2 * found[0, 1]  # cells have grown


@pytest.mark.slow
@pytest.mark.parametrize(("module", "equation", "steps"), [(kdv, KDV, 12000), (ks, KS, 24000)])
def test_the_error_that_is_stated_is_a_cautious_one(module, equation, steps):
    """Against a third resolution, 1.5 times as fine: what is left is 4 or 5 times less than what is stated."""
    stated = module.converged().estimated_error
    left = difference(module.converged(), solve_periodic(**equation, modes=384, steps=steps))
    assert 0 < stated.relative_l2 <= module.TOLERANCE
    assert left.relative_l2 < stated.relative_l2 / 4 and left.max_abs < stated.max_abs / 4


def test_the_initial_value_is_exact():
    for module, ends in ((kdv, (-1, 1)), (ks, (0, 2 * np.pi))):
        x = np.linspace(*ends, 41)
        np.testing.assert_allclose(module.solution(0 * x, x), module.initial(x), rtol=0, atol=1e-14)


@pytest.mark.slow
def test_kdv_agrees_with_an_adaptive_integrator():
    """The waves' own rotation taken out exactly, and DOP853 for the rest; products freed of aliasing by cutting."""
    n = 384
    x, k = -1 + 2 * np.arange(n) / n, np.pi * np.arange(n // 2 + 1)
    keep = np.arange(n // 2 + 1) < n / 3

    def rate(t, c):
        turn = np.exp(1j * D**2 * k**3 * t)
        return -0.5j * k * keep * np.fft.rfft(np.fft.irfft(c * turn, n) ** 2) / turn

    solved = solve_ivp(rate, (0, 1), np.fft.rfft(np.cos(np.pi * x)), "DOP853", t_eval=[0.4, 1.0], rtol=1e-8, atol=1e-8)
    for t, c in zip(solved.t, solved.y.T, strict=True):
        u = np.fft.irfft(c * np.exp(1j * D**2 * k**3 * t), n)
        assert np.abs(kdv.solution(np.full(n, t), x) - u).max() < 1e-7


@pytest.mark.slow
def test_kuramoto_sivashinsky_agrees_with_collocation_and_radau():
    """Another form (u u_x, no dealiasing) and an implicit method: rates by dense matrices on 200 points."""
    n = 200
    x, k = 2 * np.pi * np.arange(n) / n, np.fft.fftfreq(n, 1 / n)
    waves = np.fft.fft(np.eye(n), axis=0)
    slope = np.fft.ifft((1j * np.where(k == -n / 2, 0, k))[:, None] * waves, axis=0).real
    linear = np.fft.ifft((ks.GROWTH * k**2 - ks.DAMPING * k**4)[:, None] * waves, axis=0).real
    solved = solve_ivp(
        lambda t, u: linear @ u - ks.ADVECTION * u * (slope @ u),
        (0, 1),
        ks.initial(x),
        "Radau",
        t_eval=[0.4, 1.0],
        rtol=1e-6,
        atol=1e-7,
        jac=lambda t, u: linear - ks.ADVECTION * (u[:, None] * slope + np.diag(slope @ u)),
    )
    for t, u in zip(solved.t, solved.y.T, strict=True):
        expected = ks.solution(np.full(n, t), x)
        assert np.linalg.norm(u - expected) < 3e-5 * np.linalg.norm(expected)


def test_burgers_at_the_other_viscosity_that_is_used_in_benchmarks():
    """`pinnkit train burgers --problem.nu 0.01`: Cole-Hopf against Fourier and ETDRK4."""
    problem = problem_class("burgers")(nu=0.01)
    rng = np.random.default_rng(0)
    t, x = rng.uniform(0, 1, 500), np.concatenate([rng.uniform(-1, 1, 250), rng.uniform(-0.03, 0.03, 250)])
    equation = KDV | {"initial": lambda x: -np.sin(np.pi * x), "linear_symbol": lambda k: -0.01 * k * k}
    fourier = refine_periodic(**equation, modes=128, steps=500, tolerance=1e-9)
    np.testing.assert_allclose(problem.reference(t, x), fourier.at(t, x), rtol=0, atol=1e-8)
    assert np.abs(burgers(t, x, 0.01) - burgers(t, x, 0.01, nodes=1501)).max() < 2e-14
