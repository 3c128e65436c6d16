"""The lid-driven cavity: orders of convergence, balances, Botella and Peyret's values, and the file that ships."""

import importlib.util

import numpy as np
import pytest
from paths import ROOT

from pinnkit.errors import UsageError
from pinnkit.problem import problem_class
from pinnkit.references.cavity import Flow, Line, Mesh, grade_edges, solve


def mesh(degree, elements, halvings=1):
    return Mesh(grade_edges(elements, halvings, "-+"), grade_edges(elements, halvings, "+"), degree)


def test_edges_are_graded_to_the_ends_that_are_asked_for():
    edges = grade_edges(4, 2, "+")
    assert edges[0] == 0 and edges[-1] == 1 and np.all(np.diff(edges) > 0)
    assert edges.size == 5 + 2
    np.testing.assert_allclose(np.diff(edges)[-1], (1 - np.cos(np.pi / 4)) / 2 / 4)


def test_a_line_is_exact_for_polynomials_of_its_degree():
    line = Line(grade_edges(3, 1, "-+"), 4)
    lefts, widths = line.edges[:-1, None], np.diff(line.edges)[:, None]
    nodes = np.append((lefts + widths * (line.local[:-1] + 1) / 2).ravel(), 1.0)
    assert nodes.size == line.size
    x = np.concatenate([[0.0, 1.0], np.random.default_rng(0).uniform(0, 1, 20), line.edges])
    np.testing.assert_allclose(line.at(x) @ nodes**4, x**4, atol=1e-13)
    value, slope = line.basis(np.linspace(-1, 1, 7))
    np.testing.assert_allclose(value @ line.local**4, np.linspace(-1, 1, 7) ** 4, atol=1e-13)
    np.testing.assert_allclose(slope @ line.local**4, 4 * np.linspace(-1, 1, 7) ** 3, atol=1e-12)


@pytest.fixture(scope="module")
def slow_flow():
    return solve(100.0, mesh(4, 6))


def test_mass_is_conserved_and_walls_are_at_rest(slow_flow):
    s = np.linspace(0.01, 0.99, 50)
    for found in (slow_flow.at(0 * s, s), slow_flow.at(0 * s + 1, s), slow_flow.at(s, 0 * s)):
        assert np.abs(found["u"]).max() < 1e-14 and np.abs(found["v"]).max() < 1e-14
    np.testing.assert_allclose(slow_flow.at(s[5:-5], 0 * s[5:-5] + 1)["u"], 1.0, atol=1e-12)
    # What crosses a line from wall to wall adds up to nothing.
    node, weight = np.polynomial.legendre.leggauss(200)
    for place in (0.3, 0.5, 0.8):
        at, along = np.full(200, place), (node + 1) / 2
        assert abs(weight @ slow_flow.at(at, along)["u"]) < 2e-4
        assert abs(weight @ slow_flow.at(along, at)["v"]) < 2e-4


def test_momentum_holds_by_differences(slow_flow):
    """The equations themselves, put together from values at neighbouring points: nothing of the weak form."""
    rng = np.random.default_rng(1)
    # Inside the elements [0.25, 0.5]: their second derivatives jump at the edges.
    x, y, h = *rng.uniform(0.3, 0.45, (2, 40)), 1e-3
    at = {(i, j): slow_flow.at(x + i * h, y + j * h) for i in (-1, 0, 1) for j in (-1, 0, 1)}

    def d(f):
        return (at[1, 0][f] - at[-1, 0][f]) / (2 * h), (at[0, 1][f] - at[0, -1][f]) / (2 * h)

    (u_x, u_y), (p_x, _) = d("u"), d("p")
    laplacian = sum(at[k]["u"] for k in ((1, 0), (-1, 0), (0, 1), (0, -1))) - 4 * at[0, 0]["u"]
    residual = at[0, 0]["u"] * u_x + at[0, 0]["v"] * u_y + p_x - laplacian / h**2 / 100
    assert np.sqrt(np.mean(residual**2)) < 0.1 * np.sqrt(np.mean(p_x**2))


@pytest.mark.slow
def test_the_flow_at_re_100_is_the_one_that_is_known(slow_flow):
    """Ghia, Ghia and Shin (J. Comput. Phys. 48, 1982) on the vertical centre line, to their third digit."""
    y = np.array([0.1719, 0.4531, 0.5, 0.7344, 0.9531])
    known = [-0.10150, -0.21090, -0.20581, 0.00332, 0.68717]
    np.testing.assert_allclose(slow_flow.at(0 * y + 0.5, y)["u"], known, atol=5e-3)
    finer = solve(100.0, mesh(5, 7, 2))
    x, z = np.random.default_rng(2).uniform(0.1, 0.9, (2, 200))
    for field in "uv":
        assert np.abs(slow_flow.at(x, z)[field] - finer.at(x, z)[field]).max() < 6e-3


def test_a_point_outside_is_refused(slow_flow):
    with pytest.raises(UsageError, match="outside the cavity"):
        slow_flow.at([0.5], [1.5])
    assert isinstance(slow_flow, Flow)


@pytest.mark.slow
def test_the_file_that_ships_holds_the_flow_at_re_1000():
    """A coarser mesh than that of the file, and the values of Botella and Peyret."""
    spec = importlib.util.spec_from_file_location("cavity", ROOT / "benchmarks" / "make_cavity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    problem = problem_class("lid_driven_cavity")()
    with np.load(problem.folder / problem.reference) as stored:
        data = dict(stored)
    for found, expected in zip((data["x"], data["y"]), module.points(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-15)
    flow = module.computed(5, 10, 2)
    values = flow.at(data["x"], data["y"])
    for field in "uvp":
        difference = np.linalg.norm(values[field] - data[field]) / np.linalg.norm(data[field])
        assert difference < 1e-2, field
    for name, value in module.extremes(flow).items():
        assert value == pytest.approx(module.BOTELLA[name], abs=1e-3)


def test_the_reference_is_for_one_reynolds_number():
    cavity = problem_class("lid_driven_cavity")
    assert cavity().reference is not None and cavity(Re=400.0).reference is None
