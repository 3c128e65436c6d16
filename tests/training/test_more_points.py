"""Points that are added in training where held-out residuals ask for them; a resumed run has the same ones."""

import jax.numpy as jnp
import numpy as np
import pytest
from resuming import assert_resumes, chunks_of

import pinnkit as pk
from pinnkit.objective import point_counts
from pinnkit.runs.run import Run


class Wiggle(pk.Problem):
    """u'' = -(9 pi)^2 sin(9 pi x): few points can be met by a network that is wrong between them."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def bent(self, u_xx, x):
        return u_xx + (9 * jnp.pi) ** 2 * jnp.sin(9 * jnp.pi * x)

    @pk.boundary
    def ends(self, u):
        return u

    def exact(self, x):
        return jnp.sin(9 * jnp.pi * x)


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setitem(point_counts.INTERIOR, 1, 8)


def run(**sampling):
    stages = (pk.SSBroyden(steps=120, patience=0),)
    recipe = pk.Recipe(stages=stages, sampling=pk.Sampling(redraw=40, method="sobol", **sampling))
    return Run(Wiggle(), pk.MLP(width=20, depth=2, activation="sin"), recipe)


def numbers(reports):
    return [len(r.state.points["interior"].X) for r in reports]


@pytest.mark.slow
def test_points_are_added_where_they_are_too_few(tmp_path):
    with chunks_of(20):
        made = run()
        reports = list(made.trainer.run(made.trainer.start()))
        sizes = numbers(reports)
        assert sizes[0] == 8 and sizes[-1] == 4 * 8 and sorted(sizes) == sizes
        told = [r.event for r in reports if "more points" in r.event]
        assert told[0].startswith("more points (interior 8 to 16): the residual of 'bent' is ")
        # The snapshot to go back to has as many; a resumed run goes on with them, to the bit.
        for report in reports:
            assert len(report.state.good.points["interior"].X) == len(report.state.points["interior"].X)
        grown = next(i for i, n in enumerate(sizes) if n == 16)
        assert_resumes(run, reports, grown, tmp_path / "just_grown")
        assert_resumes(run, reports, grown + 1, tmp_path / "later")


@pytest.mark.slow
def test_a_number_that_is_given_stays():
    with chunks_of(20):
        made = run(interior=8)
        reports = list(made.trainer.run(made.trainer.start()))
    assert set(numbers(reports)) == {8} and not any("more points" in r.event for r in reports)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rad", "r3"])
def test_every_method_adds_them(method):
    stages = (pk.SSBroyden(steps=80, patience=0), pk.Adam(steps=5))
    recipe = pk.Recipe(stages=stages, sampling=pk.Sampling(redraw=40, method=method))
    made = Run(Wiggle(), pk.MLP(width=20, depth=2, activation="sin"), recipe)
    reports = list(made.trainer.run(made.trainer.start()))
    sizes = numbers(reports)
    assert sizes[-1] > 8
    assert len(np.unique(np.asarray(reports[-1].state.points["interior"].X), axis=0)) == sizes[-1]
