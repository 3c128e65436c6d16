"""Values of a file as functions: against SciPy's splines, with their derivatives, in methods and quantities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from scipy.interpolate import RegularGridInterpolator, make_interp_spline

import pinnkit as pk

X, Y = np.linspace(0.0, 2.0, 9), np.array([0.0, 0.1, 0.3, 0.6, 1.0])


@pytest.fixture
def files(tmp_path):
    """A curve as CSV with semicolons, and a map as npz."""
    rows = "".join(f"{x:.17g};{np.sin(x):.17g}\n" for x in X[::-1])
    (tmp_path / "curve.csv").write_text("x;q\n" + rows)
    np.savez(tmp_path / "map.npz", x=X, y=Y, k=np.sin(X)[:, None] * np.exp(Y)[None])
    return tmp_path


def test_a_curve_is_the_cubic_spline(files):
    q = pk.table(files / "curve.csv", "q", "x")
    spline = make_interp_spline(X, np.sin(X), k=3)
    x = np.random.default_rng(0).uniform(0.0, 2.0, (5, 7))
    np.testing.assert_allclose(q(x), spline(x), atol=1e-14)
    np.testing.assert_allclose(q(X), np.sin(X), atol=1e-14)  # its own values, ends included
    slope = jax.vmap(jax.grad(lambda x: q(x)))(jnp.asarray(x.ravel()))
    np.testing.assert_allclose(slope, spline(x.ravel(), 1), atol=1e-12)
    bend = jax.vmap(jax.grad(jax.grad(lambda x: q(x=x))))(jnp.asarray(x.ravel()))
    np.testing.assert_allclose(bend, spline(x.ravel(), 2), atol=1e-11)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_map_is_that_of_scipy(files, interpolation):
    k = pk.table(files / "map.npz", "k", "x", "y", interpolation=interpolation)
    x, y = np.random.default_rng(1).uniform(0.0, [[2.0], [1.0]], (2, 50))
    values = np.sin(X)[:, None] * np.exp(Y)[None]
    expected = RegularGridInterpolator((X, Y), values, method=interpolation)
    np.testing.assert_allclose(
        k(x, y), expected(np.stack([x, y], axis=1)), atol=1e-4 if interpolation == "cubic" else 1e-14
    )
    grid = k(x=X[:, None], y=Y)
    assert grid.shape == (9, 5)
    np.testing.assert_allclose(grid, values, atol=1e-14)


def test_what_is_beyond_it(files):
    file = files / "curve.csv"
    assert np.isnan(pk.table(file, "q", "x")(2.5))
    np.testing.assert_allclose(
        pk.table(file, "q", "x", outside="nearest")(jnp.array([-1.0, 3.0])), np.sin([0.0, 2.0]), atol=1e-14
    )
    np.testing.assert_array_equal(pk.table(file, "q", "x", outside=7.0)(jnp.array([-1.0, 3.0])), 7.0)


class Rod(pk.Problem):
    """(k u_x)_x = -q with both from files."""

    domain = pk.Box(x=(0.0, 2.0))

    @pk.quantity
    def flux(self, u_x, x):
        return self.k(x) * u_x

    @pk.interior
    def conduction(self, flux_x, x):
        return flux_x + self.q(x)

    @pk.boundary
    def ends(self, u):
        return u


def test_coefficients_and_sources_of_an_equation(files):
    x = np.linspace(0.0, 2.0, 401)
    rows = "".join(
        f"{a:.17g},{2.0 + np.cos(a):.17g},{(2.0 + np.cos(a)) * np.sin(a) + np.sin(a) * np.cos(a):.17g}\n" for a in x
    )
    (files / "rod.csv").write_text("x,k,q\n" + rows)
    tables = {name: pk.table(files / "rod.csv", name, "x") for name in "kq"}
    # u = sin x - x sin(2) / 2: k u_x = (2 + cos x)(cos x - c), so that the source has a further part.
    c = np.sin(2.0) / 2.0
    members = tables | {"conduction": pk.interior(lambda self, flux_x, x: flux_x + self.q(x) - c * jnp.sin(x))}
    solution = pk.solve(type("Own", (Rod,), members)(), accuracy=1e-6)
    np.testing.assert_allclose(solution(x=x)["u"], np.sin(x) - c * x, atol=1e-6)


def test_a_domain_beyond_the_file_is_refused(files):
    wide = {"domain": pk.Box(x=(0.0, 3.0)), "k": pk.table(files / "curve.csv", "q", "x"), "q": lambda self, x: x}
    error = refused(
        lambda: pk.check(type("Wide", (Rod,), wide)()), "known for 0 <= x <= 2", "the domain has 0 to 3", "curve.csv"
    )
    assert 'outside="nearest"' in str(error)


def test_messages(files):
    refused(lambda: pk.table(files / "curve.csv", "p", "x"), "no column 'p'")
    refused(lambda: pk.table(files / "none.csv", "p", "x"), "There is no file 'none.csv'")
    refused(lambda: pk.table(files / "curve.csv", "q"), "0 coordinates")
    refused(lambda: pk.table(files / "curve.csv", "q", "x", interpolation="quintic"), "interpolation='quintic'")
    refused(lambda: pk.table(files / "curve.csv", "q", "x", outside="far"), "outside='far'")
    refused(lambda: pk.table(files / "curve.csv", "q", "x")(1.0, 2.0), "is called with 2 values", "Write q(x)")
    (files / "s.csv").write_text("x,y,k\n" + "".join(f"{a},{a**2},{a}\n" for a in range(6)))
    refused(lambda: pk.table(files / "s.csv", "k", "x", "y"), "form no grid")


def test_the_file_is_kept_with_a_run(files):
    (files / "rod.py").write_text(
        "import pinnkit as pk\n\n\nclass Own(pk.Problem):\n    domain = pk.Box(x=(0.0, 2.0))\n"
        '    q = pk.table("curve.csv", "q", "x")\n\n    @pk.interior\n    def conduction(self, u_xx, x):\n'
        "        return u_xx + self.q(x)\n\n    @pk.boundary\n    def ends(self, u):\n        return u\n"
    )
    from cli import pinnkit

    status, _, err = pinnkit("solve", files / "rod.py", "--out", files / "run", "--accuracy", "1e-3")
    assert status == 0, err
    (files / "curve.csv").unlink()
    c = np.sin(2.0) / 2.0
    np.testing.assert_allclose(pk.load(files / "run")(x=X)["u"], np.sin(X) - c * X, atol=1e-4)
