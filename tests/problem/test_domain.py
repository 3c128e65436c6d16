"""Boxes and their regions: where points are put, which way normals point, and every message."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused

import pinnkit as pk
from pinnkit.objective.sobol import sobol

PLANE = pk.Box(t=(0.0, 2.0), x=(-1.0, 3.0), y=(5.0, 6.0))


def placed(region, count):
    unit = sobol(jax.random.key(0), region.size(count), len(region.free), jnp.float64)
    return tuple(np.asarray(a) for a in region.place(unit, count))


def test_axes_in_the_order_given():
    box = pk.Box(t=(0, 1), x=pk.Periodic(0, 2 * jnp.pi, modes=3), nu=pk.ParameterAxis(0.1, 1))
    assert box.names == ("t", "x", "nu") and box.dim == 3 and box.time == 0
    assert box.space == (1,)
    assert box.axes[1].modes == 3 and box.axes[1].length == pytest.approx(2 * np.pi)
    assert repr(box) == "Box(t=(0, 1), x=Periodic(0, 6.28319), nu=ParameterAxis(0.1, 1))"
    assert pk.Box(x=(0, 1)).time is None


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((1.0, 0.0), ("axis 'x'", "reversed")),
        ((1.0, 1.0), ("axis 'x'", "empty")),
        ((0.0, float("inf")), ("axis 'x'", "not finite")),
        ((0.0, float("nan")), ("axis 'x'", "not finite")),
        ((0.0, 1.0, 2.0), ("Axis 'x' is (0.0, 1.0, 2.0)", "a pair")),
        (1.0, ("Axis 'x' is 1.0", "a pair")),
        (("a", "b"), ("Axis 'x'", "a pair")),
        (pk.Periodic(1.0, 0.0), ("axis 'x'", "reversed")),
        (pk.ParameterAxis(1.0, 1.0), ("axis 'x'", "empty")),
    ],
)
def test_intervals_that_are_none(interval, words):
    refused(lambda: pk.Box(x=interval), *words)


@pytest.mark.parametrize("name", ["lambda", "self", "x_1", "_x", "n", "at", "grad", "laplacian", "hessian", "xy"])
def test_names_that_no_coordinate_can_have(name):
    refused(lambda: pk.Box(x=(0, 1), y=(0, 1), **{name: (0, 1)}), f"'{name}' cannot name a coordinate", "Rename")


@pytest.mark.parametrize("modes", [0, -1, 1.5])
def test_periodic_axes_need_a_harmonic(modes):
    refused(lambda: pk.Periodic(0, 1, modes=modes), "modes of pk.Periodic")


def test_no_axes():
    refused(pk.Box, "no axes")


def test_interior():
    X, normals = placed(PLANE.interior(), 256)
    assert X.shape == (256, 3) and not normals.any()
    np.testing.assert_allclose(X.mean(axis=0), [1.0, 1.0, 5.5], atol=0.02)
    assert (X.min(axis=0) > [0, -1, 5]).all() and (X.max(axis=0) < [2, 3, 6]).all()


def test_start_of_time():
    X, normals = placed(pk.Box(x=(0, 1), t=(3.0, 4.0)).initial(), 16)
    assert (X[:, 1] == 3.0).all() and len(np.unique(X[:, 0])) == 16 and not normals.any()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("x-", [(1, -1.0, -1.0)]),
        ("x+", [(1, 3.0, 1.0)]),
        ("y", [(2, 5.0, -1.0), (2, 6.0, 1.0)]),
        ("", [(1, -1.0, -1.0), (1, 3.0, 1.0), (2, 5.0, -1.0), (2, 6.0, 1.0)]),
    ],
)
def test_faces_and_outward_normals(target, expected):
    count = 12
    X, normals = placed(PLANE.boundary(target), count)
    assert len(X) == count
    centre = np.array([1.0, 1.0, 5.5])
    for part, (axis, value, sign) in zip(np.split(np.arange(count), len(expected)), expected, strict=True):
        assert (X[part, axis] == value).all()
        assert (normals[part] == sign * np.eye(3)[axis]).all()
        assert ((X[part] - centre) * normals[part]).sum(axis=1).min() > 0, "outward"
        for free in {0, 1, 2} - {axis}:
            assert len(np.unique(X[part, free])) == len(part)


def test_counts_are_shared_as_equally_as_possible():
    region = PLANE.boundary()
    assert region.split(10) == [3, 3, 2, 2]
    assert region.split(1) == [1, 1, 1, 1], "no face is left out"
    assert len(placed(region, 1)[0]) == 4


def test_ends_of_a_steady_problem_in_one_dimension_are_two_points():
    X, normals = placed(pk.Box(x=(-2.0, 1.0)).boundary("x"), 100)
    assert X.tolist() == [[-2.0], [1.0]] and normals.tolist() == [[-1.0], [1.0]]


def test_an_ordinary_differential_equation_starts_at_a_point():
    X, _ = placed(pk.Box(t=(0.5, 1.0)).initial(), 100)
    assert X.tolist() == [[0.5]]


def test_three_dimensions_have_six_faces():
    box = pk.Box(x=(0, 1), y=(0, 2), z=(0, 3))
    X, normals = placed(box.boundary(), 60)
    assert len(X) == 60 and len(np.unique(normals, axis=0)) == 6
    assert (normals.sum(axis=0) == 0).all()


def test_at_fixes_the_named_coordinates():
    X, normals = placed(PLANE.at({"y": 5.25, "t": 1.0}), 8)
    assert (X[:, 0] == 1.0).all() and (X[:, 2] == 5.25).all() and len(np.unique(X[:, 1])) == 8
    assert not normals.any()
    assert placed(PLANE.at({"t": 1, "x": 0, "y": 5}), 8)[0].tolist() == [[1.0, 0.0, 5.0]]


def test_different_places_have_different_names():
    near = [PLANE.at({"x": 0.12345678}).name, PLANE.at({"x": 0.1234567}).name, PLANE.at({"x": 0.5}).name]
    assert len(set(near)) == 3 and near[2] == "at x=0.5"


def test_float32_points_and_normals():
    X, normals = PLANE.boundary().place(jnp.full((8, 3), 0.5, jnp.float32), 8)
    assert X.dtype == normals.dtype == jnp.float32


CIRCLE = pk.Box(t=(0, 1), theta=pk.Periodic(0, 1), nu=pk.ParameterAxis(0, 1), x=(0, 1))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("z", ("no boundary 'z'", "'x'", "'x+'", "'x-'")),
        ("X", ("no boundary 'X'",)),
        ("t", ("no boundary 't'", "use @pk.initial", "rename it in the domain", "tau=(start, end)")),
        ("t-", ("no boundary 't-'", "use @pk.initial")),
        ("theta", ("no boundary 'theta'", "a periodic axis has none")),
        ("nu+", ("no boundary 'nu+'", "a parameter axis has none")),
        ("x--", ("no boundary 'x--'.", "did you mean")),
    ],
)
def test_boundaries_that_are_none(target, words):
    message = str(refused(lambda: CIRCLE.boundary(target, "file.py:3"), "file.py:3")).lower()
    assert all(w.lower() in message for w in words), message


def test_a_domain_without_any_boundary():
    refused(lambda: pk.Box(t=(0, 1), x=pk.Periodic(0, 1)).boundary(), "no boundary.", "a periodic axis needs none")


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_at_outside_the_domain(value):
    refused(lambda: CIRCLE.at({"x": value}, "f.py:1"), f"x = {value:g} lies outside", "0 <= x <= 1", "f.py:1")


def test_at_an_unknown_coordinate():
    refused(lambda: CIRCLE.at({"thet": 0.5}), "no coordinate 'thet'", "Did you mean 'theta'")


@pytest.mark.parametrize("time", [None, pk.Periodic(0, 1), pk.ParameterAxis(0, 1)])
def test_initial_needs_a_time_that_starts(time):
    box = pk.Box(x=(0, 1)) if time is None else pk.Box(x=(0, 1), t=time)
    refused(lambda: box.initial("f.py:9"), "t=(start, end)", "f.py:9")
