"""The parts of a shape's surface: sizes against closed forms, places, conditions; and what the command prints."""

import io
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

import pinnkit as pk
from pinnkit.checking.boundaries import boundaries
from pinnkit.figures.terminal import print_boundaries
from pinnkit.problem.units import units_of
from pinnkit.runs.run import Run


class Plate(pk.Problem):
    """u_xx + u_yy = 0 in SI units, with no condition at the upper and the lower side."""

    units: ClassVar = {"x": "m", "y": "m"}
    domain = pk.Box(x=(0.0, 0.2), y=(0.0, 0.1)) - pk.Disk(x=0.2, y=0.0, radius=0.05, name="notch")

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary("x-", hard=True)
    def left(self, u):
        return u

    @pk.boundary("x+", "notch")
    def others(self, u):
        return u - 1.0


class Cube(Plate):
    units: ClassVar = {}
    domain = pk.Box(x=(0.0, 0.2), y=(0.0, 0.1), z=(0.0, 0.3)) - pk.Ball(x=0.0, y=0.0, z=0.0, radius=0.05, name="notch")


class Square(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    laplace = Plate.laplace


def equations(problem):
    return Run(problem, pk.MLP(width=4, depth=1), pk.Recipe(sampling=pk.Sampling(interior=8))).equations


def test_sizes_places_and_conditions():
    parts = {part.name: part for part in boundaries(equations(Plate()))}
    assert set(parts) == {"x-", "x+", "y-", "y+", "notch"}
    expected = {"x-": 0.1, "x+": 0.05, "y-": 0.15, "y+": 0.2, "notch": np.pi / 2 * 0.05}
    for name, length in expected.items():
        assert parts[name].measure == pytest.approx(length, rel=0.03)
    assert parts["notch"].ends["x"] == pytest.approx((0.15, 0.2), abs=1e-3)
    assert parts["notch"].ends["y"] == pytest.approx((0.0, 0.05), abs=1e-3)
    conditions = {name: part.conditions for name, part in parts.items()}
    assert conditions == {"x-": ("left",), "x+": ("others",), "notch": ("others",), "y-": (), "y+": ()}


def test_what_is_printed():
    own = equations(Plate())
    stream = io.StringIO()
    print_boundaries(Console(file=stream, width=100, markup=False), boundaries(own), units_of(own.problem))
    text = stream.getvalue()
    assert "length [m]" in text and "x [m]" in text
    assert "notch: others" in text and "y+: no condition" in text
    row = next(line for line in text.splitlines() if line.strip().startswith("x- "))
    assert row.split() == ["x-", "0.1", "0", "0", "to", "0.1"]


def test_areas_and_boxes():
    parts = {part.name: part for part in boundaries(equations(Cube()))}
    assert parts["notch"].measure == pytest.approx(np.pi / 2 * 0.05**2, rel=0.1)
    assert boundaries(equations(Square())) == []
    print_boundaries(Console(file=io.StringIO()), [], {})
