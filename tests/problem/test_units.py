"""Units are texts beside numbers: where they are written, and where they are shown."""

import numpy as np
import pytest
from cases import evaluation_of, refused

import pinnkit as pk
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.figures import solution
from pinnkit.problem import validate
from pinnkit.problem.units import units_of
from pinnkit.runs.run import Run


class Rod(pk.Problem):
    a: float = 0.5  # diffusivity [m^2/s]
    """Says more than the comment [mm^2/s]."""
    b: float = 2.0  # a length [m], and more words behind the brackets
    c: float = pk.unknown(1.0, bounds=(0.0, 5.0))  # heat transfer coefficient [W/m^2/K]
    d: float = 4.0  # "not a unit"
    e: float = 5.0
    """Rate [1 / s]."""
    units = {"T": "K", "x": "m", "t": "s", "d": "kg"}  # noqa: RUF012

    fields = ("T",)
    domain = pk.Box(t=(0.0, 10.0), x=(0.0, 0.1))

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - 1e-4 * self.c * T_xx

    @pk.initial
    def start(self, T):
        return T - 300.0

    @pk.boundary("x")
    def ends(self, T, x):
        return T - 300.0 - 1000.0 * x


def test_where_units_are_written():
    assert units_of(Rod()) == {
        "T": "K", "x": "m", "t": "s", "a": "mm^2/s", "c": "W/m^2/K", "d": "kg", "e": "1 / s"
    }  # fmt: skip


def test_a_class_without_a_source_has_those_of_its_dict():
    made = type("Made", (pk.Problem,), {"units": {"u": "V"}, "__annotations__": {"k": float}, "k": 1.0})
    assert units_of(made) == {"u": "V"}


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"temperature": "K"}, ["units names 'temperature'", "T, t, x"]),
        ({"T": 1.0}, ["no texts by name", '{"T": "K"']),
        ("K", ["no texts by name"]),
    ],
)
def test_mistakes(units, words):
    refused(lambda: validate(type("Wrong", (Rod,), {"units": units})()), *words)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ({"flux": ("T",)}, ["'flux' has the components ('T',)", "x, y"]),
        ({"flux": "Ty"}, ["'flux' has the components 'Ty'"]),
        ({"flux": ("T", "q")}, ["'q', which is no field and no quantity", "one of T"]),
    ],
)
def test_mistakes_in_vectors(vectors, words):
    plate = {"domain": pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0)), "vectors": vectors, "units": {}}
    refused(lambda: validate(type("Wrong", (Rod,), plate)()), *words)


def test_where_units_are_shown():
    run = Run(Rod(), pk.MLP(width=4, depth=1), pk.Recipe(sampling=pk.Sampling(interior=8)))
    e = evaluation_of(run, unknowns={"c": Estimate(2.0, 0.1, 1.8, 2.2)})
    assert "c = 2 W/m^2/K, 95% interval [1.8, 2.2]." in e.verdict
    (figure,) = solution.fields(e).values()
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("t [s]", "x [m]") and bar.get_title() == "T [K]"
    (panel,) = solution.slices(e).axes
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("x [m]", "T [K]")
    assert "t = 2.5 s" in [line.get_label() for line in panel.get_lines()]
    checked = run.check()
    assert checked.units["T"] == "K" and checked.scales.of_field("T").offset > 0
    assert np.isfinite(checked.initial_rms["heat"])
