import importlib.util
import itertools
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sparse
from numpy.polynomial import legendre
from paths import ROOT
from scipy.integrate import solve_ivp
from scipy.special import ive, roots_jacobi

from pinnkit import cache
from pinnkit.errors import UsageError
from pinnkit.references import allen_cahn, spectral
from pinnkit.references.cole_hopf import burgers
from pinnkit.references.periodic import from_arrays, to_arrays
from pinnkit.references.spectral import refine_periodic, solve_periodic
from pinnkit.references.tables import GridTable, ScatteredTable, from_file, read_columns

NU = 0.01 / np.pi


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PINNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        allen_cahn.converged.cache_clear()
        yield
        allen_cahn.converged.cache_clear()


def points(t, x):
    return tuple(a.ravel() for a in np.meshgrid(t, x, indexing="ij"))


def says(error, *words):
    for word in words:
        assert word in str(error.value), str(error.value)
    assert error.value.where and error.value.expected and error.value.do


# ---------------------------------------------------------------------------------------------------- Cole-Hopf
def theta_series(t, x, nu, terms=200):
    """u = -2 nu theta_x / theta and the Fourier series of theta: exact too, good for nu that are not small."""
    k = np.arange(1, terms)
    a = 1 / (2 * np.pi * nu)
    wave = (-1.0) ** k * ive(k, a) * np.exp(-((k * np.pi) ** 2) * nu * t[:, None])
    theta = ive(0, a) + 2 * (wave * np.cos(k * np.pi * x[:, None])).sum(1)
    return 4 * nu * (wave * k * np.pi * np.sin(k * np.pi * x[:, None])).sum(1) / theta


def awkward_points(count=400):
    """Any t, t near 0, x in the shock, x at the ends."""
    rng = np.random.default_rng(0)
    t = np.concatenate([rng.uniform(0, 1, count), 10 ** rng.uniform(-12, 0, count), [0, 1, 1, 1]])
    x = np.concatenate([rng.uniform(-1, 1, count), rng.uniform(-0.02, 0.02, count), [1, -1, 0, 1]])
    return t, x


def test_cole_hopf_agrees_with_extended_precision_everywhere():
    t, x = awkward_points()
    long = np.longdouble
    pi = long("3.14159265358979323846264338327950288")
    s = np.linspace(-13, 13, 701, dtype=long)
    angle = pi * (x[:, None].astype(long) - np.sqrt(4 * long(NU) * t.astype(long))[:, None] * s)
    exponent = -np.cos(angle) / (2 * pi * long(NU)) - s * s
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    expected = -(weight * np.sin(angle)).sum(axis=1) / weight.sum(axis=1)
    assert np.abs(burgers(t, x, NU) - expected).max() < 2e-14


@pytest.mark.parametrize("nu", [1e-3, NU, 0.05, 1.0, 10.0])
def test_cole_hopf_does_not_change_with_more_nodes(nu):
    t, x = awkward_points(150)
    assert np.abs(burgers(t, x, nu) - burgers(t, x, nu, nodes=1501)).max() < 2e-14


def test_cole_hopf_agrees_with_the_bessel_series():
    t, x = awkward_points()
    assert np.abs(burgers(t, x, 0.05) - theta_series(t, x, 0.05)).max() < 2e-13


def test_cole_hopf_satisfies_the_equation_by_central_differences():
    rng = np.random.default_rng(1)
    t, x = rng.uniform(0.2, 0.9, 100), rng.uniform(-1, 1, 100)
    offsets = np.arange(-4, 5)
    first = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
    second = np.array([-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560])
    nu, h = 0.03, 4e-3
    along_t = np.array([burgers(t + h * j, x, nu) for j in offsets])
    along_x = np.array([burgers(t, x + h * j, nu) for j in offsets])
    residual = first @ along_t / h + along_x[4] * (first @ along_x) / h - nu * (second @ along_x) / h**2
    assert np.abs(residual).max() < 1e-7


def test_cole_hopf_limits_and_symmetry():
    x = np.linspace(-1, 1, 41)
    t = np.full_like(x, 0.7)
    assert np.allclose(burgers(0 * t, x, NU), -np.sin(np.pi * x), rtol=0, atol=1e-15)
    assert np.allclose(burgers(t, x, NU), -burgers(t, -x, NU), rtol=0, atol=1e-13)
    assert np.allclose(burgers(t, x + 2, NU), burgers(t, x, NU), rtol=0, atol=1e-12)
    for end in (-1.0, 0.0, 1.0):
        assert np.abs(burgers(t, np.full_like(t, end), NU)).max() < 1e-13
    # In the shock: the slope at x = 0, t = 1.6037/pi that Basdevant et al. give as -152.00516 (its largest size).
    slope = burgers(np.array([1.6037 / np.pi]), np.array([1e-6]), NU)[0] / 1e-6
    assert slope == pytest.approx(-152.00516, abs=1e-3)


def test_cole_hopf_agrees_with_a_fourier_method_and_an_adaptive_integrator():
    nu, n = 0.05, 128
    x = -1 + 2 * np.arange(n) / n
    k = 1j * np.pi * np.fft.rfftfreq(n, 1 / n)
    keep = np.abs(k) < np.pi * n / 3

    def rate(t, u):
        c = np.fft.rfft(u)
        return np.fft.irfft(nu * k**2 * c - 0.5 * k * keep * np.fft.rfft(u * u), n)

    solved = solve_ivp(rate, (0, 1), -np.sin(np.pi * x), "DOP853", t_eval=[0.3, 0.6, 1.0], rtol=1e-11, atol=1e-12)
    for t, u in zip(solved.t, solved.y.T, strict=True):
        assert np.abs(burgers(np.full(n, t), x, nu) - u).max() < 1e-9


def test_cole_hopf_is_fast_enough():
    t, x = points(np.linspace(0, 1, 200), np.linspace(-1, 1, 200))
    begin = time.perf_counter()
    assert burgers(t, x, NU).shape == (40_000,)
    assert time.perf_counter() - begin < 4.0  # 0.3 s on one idle core


def test_cole_hopf_refuses_what_has_no_solution():
    one = np.ones(3)
    with pytest.raises(UsageError) as error:
        burgers(np.ones((3, 1)), one, NU)
    says(error, "(3, 1)", "(3,)", "meshgrid")
    for bad in (-one, one * np.nan):
        with pytest.raises(UsageError) as error:
            burgers(bad, one, NU)
        says(error, "t >= 0", "NaN")
    with pytest.raises(UsageError) as error:
        burgers(one, one, -1.0)
    says(error, "nu = -1.0", "> 0")
    with pytest.raises(UsageError) as error:
        burgers(one, one, np.array([NU, 0.0, NU]))
    says(error, "nu = 0.0", "> 0")
    with pytest.raises(UsageError) as error:
        burgers(one, one, np.array([NU, NU]))
    says(error, "(2,)", "(3,)", "one per point")
    with pytest.raises(UsageError) as error:
        burgers(one, one, NU, nodes=1)
    says(error, "nodes = 1", "3 or more")


# ------------------------------------------------------------------------------------- Fourier and ETDRK4
BURGERS = {
    "initial": lambda x: -np.sin(np.pi * x),
    "linear_symbol": lambda k: -0.05 * k * k,
    "nonlinear": lambda u: u * u,
    "outer_symbol": lambda k: -0.5j * k,
    "degree": 2,
    "length": 2.0,
    "x0": -1.0,
    "t_end": 1.0,
}


def scattered(count=300, seed=3):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, count), rng.uniform(-1, 1, count)


def test_a_linear_equation_is_exact():
    """Advection, diffusion and dispersion at once: the symbol is complex. The only error is that of times between."""
    k = 2 * np.pi / 3.0 * 2
    symbol = lambda q: -2j * q - 0.01 * q**2 - 0.003j * q**3  # noqa: E731
    start = lambda x: 1 + np.cos(k * (x - 0.5))  # noqa: E731
    t, x = scattered()
    for steps, times in ((20, np.ones_like(t)), (800, t)):
        solution = solve_periodic(start, symbol, np.zeros_like, length=3.0, x0=0.5, t_end=1.0, modes=8, steps=steps)
        expected = 1 + (np.exp(symbol(k) * times) * np.exp(1j * k * (x - 0.5))).real
        assert np.abs(solution.at(times, x) - expected).max() < 1e-12


def test_etdrk4_is_of_order_four():
    t, x = np.ones(64), np.linspace(-1, 1, 64)
    errors = [
        np.abs(solve_periodic(**BURGERS, modes=64, steps=n).at(t, x) - burgers(t, x, 0.05)).max()
        for n in (50, 100, 200)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 4.0) < 0.25), (errors, orders)


def test_fourier_and_cole_hopf_agree_at_scattered_points_and_times():
    """Two methods that share nothing; also the interpolation in time, the points being at no stored time."""
    solution = refine_periodic(**BURGERS, tolerance=1e-10)
    t, x = scattered()
    assert np.abs(solution.at(t, x) - burgers(t, x, 0.05)).max() < 1e-9
    assert 0 < solution.estimated_error.relative_l2 <= 1e-10
    assert np.abs(solution.at(t, x + 6.0) - solution.at(t, x)).max() < 1e-12


def test_a_soliton_moves_through_its_period_as_it_should():
    """KdV, u_t + 6 u u_x + u_xxx = 0: an imaginary symbol, and u = c/2 sech^2(sqrt(c)/2 (x - c t))."""
    c, length = 16.0, 20.0
    exact = lambda t, x: c / 2 / np.cosh(np.sqrt(c) / 2 * (np.mod(x - c * t + 10, length) - 10)) ** 2  # noqa: E731
    solution = solve_periodic(
        lambda x: exact(0.0, x),
        lambda k: 1j * k**3,
        lambda u: u * u,
        outer_symbol=lambda k: -3j * k,
        degree=2,
        length=length,
        x0=-10.0,
        t_end=0.5,
        modes=128,
        steps=4000,
    )
    t, x = points(np.linspace(0, 0.5, 7), np.linspace(-10, 10, 101))
    assert np.abs(solution.at(t, x) - exact(t, x)).max() < 3e-7  # of 8; 16 times less with twice the steps


def test_a_kink_needs_its_projection_and_early_modes():
    """The heat equation from |x|: exact by its cosine series; sampled on few points, an error of 1/N^2 would stay."""
    nu = 0.01
    solution = solve_periodic(
        np.abs, lambda k: -nu * k * k, np.zeros_like, length=2.0, x0=-1.0, t_end=1.0, modes=32, early_modes=1024
    )
    odd = np.arange(1, 4001, 2) * np.pi
    for t in (1e-3, 0.05, 0.77):
        x = np.linspace(-1, 1, 33)
        expected = 0.5 - (4 / odd**2 * np.exp(-nu * odd**2 * t) * np.cos(odd * x[:, None])).sum(1)
        assert np.abs(solution.at(np.full(33, t), x) - expected).max() < 2e-9  # all of it from interpolation in time
    x = np.linspace(-1, 1, 33)
    assert np.array_equal(solution.at(0 * x, x)[:-1], np.abs(x)[:-1])


def test_a_grid_and_scattered_points_give_the_same():
    solution = solve_periodic(**BURGERS, modes=64, steps=100)
    t, x = points(np.linspace(0, 1, 11), np.linspace(-1, 1, 13))
    whole = solution.at(t, x)
    some = np.arange(0, t.size, 13) + np.arange(11)
    assert np.abs(solution.at(t[some], x[some]) - whole[some]).max() < 1e-13
    again = from_arrays(to_arrays(solution), BURGERS["initial"])
    assert np.array_equal(again.at(t, x), whole)
    assert again.estimated_error is None


def test_what_the_solver_refuses():
    solution = solve_periodic(**BURGERS, modes=16, steps=20)
    with pytest.raises(UsageError) as error:
        solution.at(np.array([0.5, 1.5]), np.zeros(2))
    says(error, "t = 1.5", "from 0 to 1", "t_end")
    with pytest.raises(UsageError) as error:
        solution.at(np.zeros(3), np.zeros(2))
    says(error, "(3,)", "(2,)")
    with pytest.raises(UsageError) as error:
        solve_periodic(**{**BURGERS, "linear_symbol": lambda k: +0.05 * k * k}, modes=64, steps=20)
    says(error, "blows up", "more steps", "sign")
    with pytest.raises(UsageError) as error:
        refine_periodic(**BURGERS, tolerance=1e-14, modes=8, steps=10, refinements=1)
    says(error, "agree to 1e-14", "differ by", "1 doublings", "more modes")
    with pytest.raises(UsageError) as error, np.errstate(divide="ignore"):
        solve_periodic(**{**BURGERS, "initial": lambda x: 1 / (x + 1)})
    says(error, "initial value", "finite")
    for bad in ({"modes": 0}, {"steps": 0}, {"modes": 64, "early_modes": 32}):
        with pytest.raises(UsageError) as error:
            solve_periodic(**BURGERS, **bad)
        says(error, "early_modes >= modes")
    with pytest.raises(UsageError) as error:
        solve_periodic(**{**BURGERS, "length": -1.0})
    says(error, "length = -1.0")


# ------------------------------------------------------------------------------------------------ Allen-Cahn
def spectral_elements(elements, degree):
    """Nodes, lumped masses and stiffness matrix on [0, 1], natural (u_x = 0) ends, graded towards the kink at x = 1."""
    edges = np.linspace(0, 1, elements + 1)
    edges = np.unique(np.concatenate([edges, 1 - 2.0 ** -np.arange(1, 8) / elements]))
    series = np.eye(degree + 1)[degree]
    node = np.concatenate([[-1], roots_jacobi(degree - 1, 1, 1)[0], [1]])  # Gauss-Lobatto
    values = legendre.legval(node, series)
    weight = 2 / (degree * (degree + 1) * values**2)
    gap = node[:, None] - node + np.eye(degree + 1)
    slope = values[:, None] / values / gap * (1 - np.eye(degree + 1))
    slope[0, 0], slope[-1, -1] = -degree * (degree + 1) / 4, degree * (degree + 1) / 4
    size = (len(edges) - 1) * degree + 1
    x, mass, stiffness = np.zeros(size), np.zeros(size), sparse.lil_matrix((size, size))
    for e, (left, right) in enumerate(itertools.pairwise(edges)):
        part, half = slice(e * degree, (e + 1) * degree + 1), (right - left) / 2
        x[part] = (left + right) / 2 + half * node
        mass[part] += weight * half
        stiffness[part, part] += slope.T @ np.diag(weight) @ slope / half
    return x, mass, stiffness.tocsc()


@pytest.mark.slow
def test_allen_cahn_agrees_with_spectral_elements_and_radau():
    """u is even about x = 0 and x = 1: [0, 1] with u_x = 0 at both ends is the same problem, with no Fourier series."""
    x, mass, stiffness = spectral_elements(64, 12)
    operator = sparse.diags(-1e-4 / mass) @ stiffness
    solved = solve_ivp(
        lambda t, u: operator @ u + 5 * (u - u**3),
        (0, 1),
        x**2 * np.cos(np.pi * x),
        "Radau",
        t_eval=np.linspace(0, 1, 51),
        rtol=1e-10,
        atol=1e-11,
        jac=lambda t, u: (operator + sparse.diags(5 - 15 * u * u)).tocsc(),
    )
    t, places = points(solved.t, x)
    difference = solved.y.T - allen_cahn.solution(t, places).reshape(51, -1)
    relative = np.sqrt((difference**2 @ mass).sum() / (solved.y.T**2 @ mass).sum())
    assert relative < 1e-10, relative
    assert np.abs(difference).max() < 3e-9
    assert np.allclose(allen_cahn.solution(t, -places), allen_cahn.solution(t, places), rtol=0, atol=1e-12)


def test_allen_cahn_carries_its_error_and_is_computed_once(monkeypatch):
    error = allen_cahn.converged().estimated_error
    assert error.relative_l2 < 1e-8 and error.max_abs < 1e-4
    before = allen_cahn.solution(np.array([0.3, 1.0]), np.array([0.1, -0.5]))
    allen_cahn.converged.cache_clear()
    monkeypatch.setattr(spectral, "refine_periodic", None)
    after = allen_cahn.solution(np.array([0.3, 1.0]), np.array([0.1, -0.5]))
    assert np.array_equal(before, after)
    assert allen_cahn.converged().estimated_error == error


# ----------------------------------------------------------------------------------------------------- cache
def counting():
    calls = []

    def compute():
        calls.append(1)
        return {"a": np.arange(3.0), "b": np.array([1 + 2j])}

    return calls, compute


def test_cache_computes_once_and_keys_on_every_input(tmp_path, monkeypatch):
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "new" / "folder"))
    calls, compute = counting()
    for _ in range(2):
        arrays = cache.load_or_compute("heat", {"nu": 0.1, "n": np.int64(3), "grid": np.arange(4)}, compute)
    assert len(calls) == 1 and np.array_equal(arrays["a"], np.arange(3.0)) and arrays["b"].dtype == complex
    cache.load_or_compute("heat", {"nu": 0.2, "n": 3, "grid": np.arange(4)}, compute)
    cache.load_or_compute("heat", {"nu": 0.1, "n": 3, "grid": np.arange(5)}, compute)
    cache.load_or_compute("wave", {"nu": 0.1, "n": 3, "grid": np.arange(4)}, compute)
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    cache.load_or_compute("heat", {"nu": 0.1, "n": 3, "grid": np.arange(4)}, compute)
    assert len(calls) == 5
    assert {file.suffix for file in (tmp_path / "new" / "folder").iterdir()} == {".npz"}
    with pytest.raises(TypeError, match="number, a text or an array, not function"):
        cache.load_or_compute("heat", {"f": lambda: 0}, compute)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "bare"])
def test_cache_replaces_a_damaged_file(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path))
    calls, compute = counting()
    cache.load_or_compute("heat", {}, compute)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    if damage == "bare":
        with file.open("wb") as handle:
            np.save(handle, np.zeros(3))
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not an archive"}[damage])
    for _ in range(2):
        assert np.array_equal(cache.load_or_compute("heat", {}, compute)["a"], np.arange(3.0))
    assert len(calls) == 2


def test_cache_works_without_a_folder_that_can_be_written_and_warns_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "file"))
    calls, compute = counting()
    with pytest.warns(UserWarning, match="PINNKIT_CACHE"):
        cache.load_or_compute("heat", {}, compute)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.load_or_compute("heat", {}, compute)["a"].shape == (3,)
    assert len(calls) == 2


def test_cache_leaves_nothing_behind_when_the_disk_is_full(tmp_path, monkeypatch):
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="No space left"):
        cache.load_or_compute("heat", {}, counting()[1])
    assert list(tmp_path.iterdir()) == []


def test_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("PINNKIT_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    monkeypatch.setenv("HOME", "/three")
    assert cache.folder() == Path("/one")
    monkeypatch.setenv("PINNKIT_CACHE", "")
    assert cache.folder() == Path("/two/pinnkit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path("/three/.cache/pinnkit")


# ---------------------------------------------------------------------------------------------------- tables
def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_are_read_by_name(tmp_path):
    for text in ("t,x,u\n0,1,2\n\n3.5, -4e-3 ,5\n", "\ufeff# t,x,u\r\n0,1,2\r\n3.5,-4e-3,5\r\n"):
        table = read_columns(write(tmp_path / "d.csv", text))
        assert list(table) == ["t", "x", "u"]
        assert np.array_equal(table["x"], [1.0, -4e-3])


@pytest.mark.parametrize(
    "text",
    [
        "t;x;u\n0;1;2\n3,5;-4e-3;5\n",  # as spreadsheets of many countries write it
        "# Messung, Montag\nt;x;u\n0,0;1,0;2\n3,5;-0,004;5,0\n",
        "# a, b\n# t;x;u\n0;1;2\n3.5;-4e-3;5\n",
        "t\tx\tu\n0\t1\t2\n3,5\t-,4e-2\t5\n",
        '"t";"x";"u"\r\n"0";"1";"2"\r\n"3,5";"-0,004";"5"\r\n',
    ],
)
def test_semicolons_tabs_and_decimal_commas(tmp_path, text):
    table = read_columns(write(tmp_path / "d.csv", text))
    assert {name: values.tolist() for name, values in table.items()} == {
        "t": [0.0, 3.5],
        "x": [1.0, -0.004],
        "u": [2.0, 5.0],
    }


def test_a_comma_between_columns_is_never_one_of_a_decimal(tmp_path):
    table = read_columns(write(tmp_path / "d.csv", '# t; in seconds\nt,"x;y",u\n1,5,2\n'))
    assert {name: values.tolist() for name, values in table.items()} == {"t": [1.0], "x;y": [5.0], "u": [2.0]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty", "header"]),
        ("t,x,u\n", ["header but no rows"]),
        ("0,1,2\n3,4,5\n", ["no header", "d.csv:1", "into a first line"]),
        ("t,x,x\n0,1,2\n", ["Two columns are called 'x'", "d.csv:1"]),
        ("t,,u\n0,1,2\n", ["Column 2 has no name"]),
        ("t x u\n0 1 2\n", ["Separate the columns by commas"]),
        ("t;x\n0;1.000,5\n", ["'1.000,5' is not a number"]),
        ("t,x,u\n0,1,2\n0,1\n", ["Line 3 has 2 entries, the header has 3", "d.csv:3"]),
        ("t,x,u\n0,1,2,9\n", ["Line 2 has 4 entries", "d.csv:2"]),
        ("t,x,u\n\n0,1,hot\n", ["Line 3, column 'u': 'hot' is not a number", "d.csv:3"]),
        ("t,x,u\n0,,1\n", ["Line 2, column 'x': '' is not a number"]),
        ("t,x,u\n0,1,2\n0,nan,2\n", ["Line 3, column 'x': 'nan' is not a finite number"]),
        ("t,x,u\n0,1,-inf\n", ["Line 2, column 'u': '-inf' is not a finite number"]),
        (b"t,x,u\n0,1,\xff\xfe\n", ["cannot be read as text", "UTF-8"]),
    ],
)
def test_what_is_wrong_with_a_csv_file(tmp_path, text, words):
    with pytest.raises(UsageError) as error:
        read_columns(write(tmp_path / "d.csv", text))
    says(error, *words)


@pytest.mark.parametrize(
    "text",
    [
        "# made by me\nt,x\n1,2\n3,4\n",
        "# made by me\n\n# t,x\n1,2\n3,4\n",
        "t,x\n# lunch\n1,2\n\n# dinner\n3,4\n",
        "t,x,name\n1,2,lab\n3,4,\n",
        "t,x,gap\n1,2,nan\n3,4,5\n",
        't,x\n"1",2\n3,4\n',
        "t,x\n 1 , 2\n3,4",
    ],
)
def test_comments_and_columns_that_nobody_asks_for_are_passed_over(tmp_path, text):
    table = read_columns(write(tmp_path / "d.csv", text), ["t", "x"])
    assert list(table)[:2] == ["t", "x"] and "name" not in table and "gap" not in table
    assert table["t"].tolist() == [1, 3] and table["x"].tolist() == [2, 4]


def test_a_column_that_is_asked_for_must_hold_numbers(tmp_path):
    file = write(tmp_path / "d.csv", "t,x,name\n1,2,lab\n")
    for asked in (None, ["t", "name"]):
        with pytest.raises(UsageError) as error:
            read_columns(file, asked)
        says(error, "Line 2, column 'name': 'lab' is not a number", "d.csv:2")


def test_a_hundred_thousand_rows_take_a_moment(tmp_path):
    rows = np.random.default_rng(0).random((100_000, 3))
    np.savetxt(tmp_path / "d.csv", rows, delimiter=",", header="t,x,u", comments="", fmt="%.17g")
    began = time.process_time()
    table = read_columns(tmp_path / "d.csv")
    assert time.process_time() - began < 2.0
    assert np.array_equal(np.stack([table[n] for n in "txu"], axis=1), rows)


def test_a_folder_is_told_from_a_missing_file(tmp_path):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UsageError) as error:
        read_columns(tmp_path / "d.csv")
    says(error, "'d.csv' is a folder", "expected", "a file")


def test_a_missing_file_is_suggested(tmp_path):
    write(tmp_path / "burgers_sensors.csv", "t\n0\n")
    with pytest.raises(UsageError) as error:
        read_columns(tmp_path / "burger_sensor.csv")
    says(error, "no file 'burger_sensor.csv'", "did you mean 'burgers_sensors.csv'?")
    with pytest.raises(UsageError) as error:
        from_file(tmp_path / "nowhere" / "d.npz", ["t"], ["u"])
    says(error, "no folder", "nowhere")


def smooth(t, x):
    return np.sin(3 * t) * np.cos(4 * x)


def grid_file(path, t, x, form):
    T, X = np.meshgrid(t, x, indexing="ij")
    if form == "axes":
        np.savez(path, t=t, x=x, u=smooth(T, X), v=T + X)
    elif form == "axes, falling":
        np.savez(path, t=t[::-1], x=x, u=smooth(T, X)[::-1], v=(T + X)[::-1])
    elif form == "meshgrid":
        np.savez(path, t=T, x=X, u=smooth(T, X), v=T + X)
    else:
        order = np.random.default_rng(0).permutation(T.size)
        rows = np.stack([T, X, smooth(T, X), T + X], axis=-1).reshape(-1, 4)[order]
        path = path.with_suffix(".csv")
        np.savetxt(path, rows, delimiter=",", header="t,x,u,v", fmt="%.17g")
    return path


@pytest.mark.parametrize("shape", [(31, 41), (31, 31)])  # a square one would not notice axes that are swapped
@pytest.mark.parametrize("form", ["axes", "axes, falling", "meshgrid", "flat"])
def test_a_grid_is_interpolated_in_every_form(tmp_path, form, shape):
    t, x = np.linspace(0, 1, shape[0]), np.linspace(-1, 1, shape[1])
    table = from_file(grid_file(tmp_path / "d.npz", t, x, form), ["t", "x"], ["u", "v"])
    assert isinstance(table, GridTable) and table.points is None
    at = points(t, x)
    assert np.abs(table(*at)["u"] - smooth(*at)).max() < 1e-14
    t, x = scattered()
    assert np.abs(table(t=t, x=x)["u"] - smooth(t, x)).max() < 2e-4
    assert np.abs(table(x=x, t=t)["v"] - (t + x)).max() < 1e-13


def test_interpolation_is_of_order_four(tmp_path):
    t, x = scattered(2000)
    errors = []
    for n in (21, 41, 81):
        file = grid_file(tmp_path / "d.npz", np.linspace(0, 1, n), np.linspace(-1, 1, n), "axes")
        errors.append(np.abs(from_file(file, ["t", "x"], ["u"])(t, x)["u"] - smooth(t, x)).max())
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 3.7), errors


def test_scattered_points_are_known_nowhere_else(tmp_path):
    t, x = scattered(50)
    np.savez(tmp_path / "d.npz", t=t, x=x, u=smooth(t, x))
    table = from_file(tmp_path / "d.npz", ["x", "t"], ["u"])
    assert isinstance(table, ScatteredTable) and np.array_equal(table.points, np.stack([x, t], axis=1))
    assert np.array_equal(table(t=t[::-1], x=x[::-1])["u"], smooth(t, x)[::-1])
    assert np.array_equal(table(t=t.astype(np.float32), x=x.astype(np.float32))["u"], smooth(t, x))
    with pytest.raises(UsageError) as error:
        table(t=np.array([0.5]), x=np.array([2.0]))
    says(error, "x = 2, t = 0.5", "points of the file", "grid")


def test_one_coordinate(tmp_path):
    x = np.linspace(0, 1, 21)
    file = write(tmp_path / "d.csv", "x,u\n" + "".join(f"{a},{a**3}\n" for a in x))
    assert from_file(file, ["x"], ["u"])(np.array([0.123]))["u"] == pytest.approx([0.123**3], abs=1e-14)


def test_the_edge_of_the_grid_survives_float32(tmp_path):
    file = grid_file(tmp_path / "d.npz", np.linspace(0, 0.1, 9), np.linspace(-0.7, 0.7, 9), "axes")
    table = from_file(file, ["t", "x"], ["u"])
    edge = table(np.float32([0.1]), np.float32([-0.7]))["u"]
    assert edge == pytest.approx([smooth(0.1, -0.7)], abs=1e-6)
    with pytest.raises(UsageError) as error:
        table(np.array([0.05]), np.array([0.71]))
    says(error, "x = 0.71", "-0.7 <= x <= 0.7", "covers the domain")
    with pytest.raises(UsageError) as error:
        table(np.array([np.nan]), np.array([0.0]))
    says(error, "t = nan")
    with pytest.raises(UsageError) as error:
        table(t=np.zeros(1), y=np.zeros(1))
    says(error, "t, y", "table(t=t, x=x)")


def complex_but_unused(folder, t, x, u):
    np.savez(folder / "unused.npz", t=t, x=x, u=u, psi=u + 1j, names=np.array(["a"]))
    return folder / "unused.npz"


def test_what_is_wrong_with_a_reference_file(tmp_path):
    t, x = np.linspace(0, 1, 5), np.linspace(-1, 1, 7)
    u = np.zeros((5, 7))

    def refused(*words, **arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        with pytest.raises(UsageError) as error:
            from_file(tmp_path / "d.npz", ["t", "x"], ["u"])
        says(error, "d.npz", *words)

    refused("no array 'u'", "did you mean 'uu'?", t=t, x=x, uu=u)
    refused("do not fit", "u (7, 5)", "(5, 7)", "Transpose", t=t, x=x, u=u.T)
    refused("'u' holds NaN", "flat columns", t=t, x=x, u=u * np.nan)
    refused("'t' has 5 values, 4 of them different", t=t[[0, 1, 2, 3, 3]], x=x, u=u)
    refused("'u' holds values of the type <U1", "real numbers", t=t, x=x, u=np.array(["a"]))
    refused("'u' holds complex numbers", "real and the imaginary part", t=t, x=x, u=u + 1j)
    from_file(complex_but_unused(tmp_path, t, x, u), ["t", "x"], ["u"])
    refused("arrays of numbers", "Python objects", t=t, x=x, u=np.array([None, 1]))
    write(tmp_path / "e.npz", "text")
    with pytest.raises(UsageError) as error:
        from_file(tmp_path / "e.npz", ["t"], ["u"])
    says(error, "numpy.savez", "no archive of arrays")
    assert "pickle" not in str(error.value)
    with pytest.raises(UsageError) as error:
        from_file(tmp_path / "e.mat", ["t"], ["u"])
    says(error, "'e.mat'", ".csv, .npz or .nc")
    write(tmp_path / "f.csv", "time,x,u\n0,1,2\n")
    with pytest.raises(UsageError) as error:
        from_file(tmp_path / "f.csv", ["t", "x"], ["u"])
    says(error, "no column 't'", "time")


# ---------------------------------------------------------------------------------------------- sensor data
def assert_generated(file, generator):
    spec = importlib.util.spec_from_file_location(generator, ROOT / "benchmarks" / f"{generator}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert file.read_text() == module.text()


def test_the_sensor_file_is_what_its_generator_writes():
    file = ROOT / "problems" / "burgers_sensors.csv"
    assert_generated(file, "make_burgers_sensors")
    table = read_columns(file)
    assert list(table) == ["t", "x", "u_measured"] and table["t"].shape == (200,)
    assert table["t"].min() > 0 and table["t"].max() <= 1 and np.abs(table["x"]).max() <= 1
    noise = table["u_measured"] - burgers(table["t"], table["x"], NU)
    # 200 draws: the sample deviation is within 15% of 0.01 and the mean within 0.0021 of 0 with 99.7% confidence.
    assert 0.0085 < noise.std() < 0.0115 and abs(noise.mean()) < 0.0021


def test_the_thermometers_are_what_their_generator_writes():
    file = ROOT / "problems" / "thermometers.csv"
    assert_generated(file, "make_thermometers")
    table = read_columns(file)
    # k T' = q (L - x) by quadrature, with the k of the problem.
    x = np.linspace(0.0, 0.1, 20001)
    slope = 2e5 * (0.1 - x) / (15.0 * (1.0 + x / 0.1))
    T = 300.0 + np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(x))])
    noise = table["T_measured"] - np.interp(table["x"], x, T)
    assert len(noise) == 100 and 0.24 < noise.std() < 0.36 and abs(noise.mean()) < 0.09


def test_references_need_neither_jax_nor_the_layers_above():
    for file in (ROOT / "pinnkit" / "references").glob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                module = line.split()[1]
                assert "jax" not in module
                allowed = (
                    "pinnkit.cache",
                    "pinnkit.csv_columns",
                    "pinnkit.dates",
                    "pinnkit.errors",
                    "pinnkit.references",
                    "pinnkit.value_files",
                )
                assert not module.startswith("pinnkit") or module.startswith(allowed)
    assert os.environ["PINNKIT_CACHE"]
