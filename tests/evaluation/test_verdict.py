"""The words on a solution: solved or not, in parts of each residual's own size, whatever its units."""

import numpy as np
import pytest
from cases import Rod, evaluation_of

import pinnkit as pk
from pinnkit.fields.field_errors import FieldError
from pinnkit.runs.run import Run

TERMS = ("heat", "warm_start", "cold_ends")


class Unknown(Rod):
    exact = None


@pytest.fixture(scope="module")
def run():
    return Run(Unknown(), pk.MLP(width=4, depth=1))


def judged(run, relative, unit=1.0, **values):
    """The evaluation of residuals that are these parts of their size."""
    sizes = {"heat": 4.0 * unit, "warm_start": 1e-4 * unit, "cold_ends": 2.0}
    residuals = {t: sizes[t] * p for t, p in zip(TERMS, relative, strict=True)}
    return evaluation_of(run, residuals=residuals, training_residuals=residuals, sizes=sizes, **values)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_residual_of_its_own_size_is_not_solved_in_any_unit(run, unit):
    e = judged(run, (1e-3, 0.97, 1e-4), unit)
    assert e.unsolved == pytest.approx({"warm_start": 0.97}) and e.exit_status() == 1
    assert "Not solved: 'warm_start' is missed by 97 % of its own size." in e.verdict
    assert "does not begin where it should" in e.verdict
    right = judged(run, (1e-3, 1e-3, 1e-4), unit)
    assert not right.unsolved and right.exit_status() == 0 and "Not solved" not in right.verdict


def test_the_words_follow_what_is_missed(run):
    inside = judged(run, (12.0, 1e-3, 1e-4)).verdict
    assert "'heat' is violated by 12 times its own size" in inside and "begin" not in inside
    sides = judged(run, (1e-3, 1e-3, 0.4)).verdict
    assert "not the one that the conditions ask for" in sides
    worst_first = judged(run, (0.2, 0.9, 0.4)).verdict
    assert worst_first.index("warm_start") < worst_first.index("cold_ends") < worst_first.index("heat")
    assert judged(run, (np.nan, 1e-3, 1e-3)).exit_status() == 1


def test_a_small_measured_error_has_the_last_word(run):
    # A layer that no point resolves leaves a large residual in a small place.
    small = {"u": FieldError(1e-3, 1e-2)}
    e = judged(run, (0.5, 1e-3, 1e-3), errors=small)
    assert not e.unsolved and e.exit_status() == 0


def test_without_scales_nothing_is_said(run):
    residuals = dict.fromkeys(TERMS, 100.0)
    e = evaluation_of(run, residuals=residuals, training_residuals=residuals, sizes={})
    assert not e.unsolved and "Not solved" not in e.verdict


def test_noise_in_measured_values_is_no_failure(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random(20)
    np.savetxt(tmp_path / "rod.csv", np.stack([x, x, x], axis=1), delimiter=",", header="t,x,y", comments="")

    class Measured(Unknown):
        @pk.data(str(tmp_path / "rod.csv"))
        def sensors(self, u, y):
            return u - y

    run = Run(Measured(), pk.MLP(width=4, depth=1))
    sizes = dict.fromkeys((*TERMS, "sensors"), 1.0)
    residuals = dict.fromkeys(TERMS, 1e-3)
    for part, status in ((0.3, 0), (0.9, 1)):
        mean = residuals | {"sensors": part}
        assert evaluation_of(run, residuals=mean, training_residuals=mean, sizes=sizes).exit_status() == status


def test_how_training_ended_is_said_first(run):
    e = evaluation_of(run, ending="Trained to the end.")
    assert e.verdict.startswith("Trained to the end. ")
    trained = Run(
        Unknown(), pk.MLP(width=4, depth=1), pk.Recipe(stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=8))
    )
    *_, report = trained.trainer.run(trained.trainer.start())
    assert trained.evaluate(report.state).verdict.startswith("Trained to the end. ")
    assert trained.evaluate(trained.trainer.start()).verdict.startswith("Not solved")
