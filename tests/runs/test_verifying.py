"""Verification of runs: from the command line, from Python, kept in the folder, and in the verdict."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cli import pinnkit
from paths import TINY
from tiny import Decay

import pinnkit as pk
from pinnkit.errors import UsageError
from pinnkit.runs.run import Run
from pinnkit.runs.verifying import FILE, seconds_for


class Blind(Decay):
    """The decay without its exact solution; a few steps of a second-order method solve it."""

    exact = None
    model = pk.MLP(width=6, depth=1)
    recipe = pk.Recipe(
        stages=(pk.LevenbergMarquardt(steps=40),), sampling=pk.Sampling(interior=32, boundary=1, redraw=0)
    )


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """A run of a problem without a truth, in a folder."""
    folder = tmp_path_factory.mktemp("blind") / "run"
    return folder, pk.train(Blind(), out=folder, verify="no")


def one_line(text):
    return " ".join(text.split())


def test_a_run_is_verified_afterwards(blind):
    folder, solution = blind
    assert "The error is not verified" in solution.verdict and solution.errors is None
    status, out, _ = pinnkit("verify", folder, "--accuracy", "1e-10")
    said = re.search(
        r"Verified: an independent collocation solution \((\d+) modes, own error (\S+)\) differs by (\S+)\.",
        one_line(out),
    )
    assert said and status == 0 and float(said[2]) <= 1e-10
    x = np.linspace(0.0, 1.0, 101)
    true = np.linalg.norm(solution(x=x)["u"] - np.exp(-x)) / np.linalg.norm(np.exp(-x))
    assert true < 1e-3 and float(said[3]) == pytest.approx(true, rel=0.1)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] in one_line(out)
    assert summary["verified"]["own_error"] <= 1e-10
    assert summary["errors"]["u"]["relative_l2"] == pytest.approx(true, rel=0.1)
    # What is loaded, or shown, says the same, and nothing is solved again.
    loaded = pk.load(folder)
    assert loaded.verdict == summary["verdict"]
    assert loaded.run.verification.seconds == summary["verified"]["seconds"]
    assert summary["verdict"] in one_line(pinnkit("show", folder)[1])
    status, out, _ = pinnkit("resume", folder, "--lm.steps", "42")
    assert status == 0 and "Verified: an independent" in out


@pytest.mark.filterwarnings("ignore:Blind has neither")
def test_an_accuracy_can_be_asked_for_without_a_truth():
    """The independent solution comes first, so that training ends where the accuracy is reached."""
    for wanted, met, status in ((1e-2, "is met", 0), (1e-15, "is NOT met", 1)):
        stages, sampling = (pk.LevenbergMarquardt(steps=300),), replace(Blind.recipe.sampling, redraw=500)
        recipe = replace(Blind.recipe, stages=stages, sampling=sampling, accuracy=wanted)
        solution = pk.train(Blind(), recipe=recipe)
        assert f"the requested {wanted:.1e} {met}" in solution.verdict
        assert solution.evaluation.exit_status() == status
        assert (solution.history[-1]["step"] < 300) == (status == 0)
    assert pk.train(Blind(), recipe=replace(Blind.recipe, accuracy=1e-2), verify="no").evaluation.exit_status() == 1


def test_a_wrong_answer_is_contradicted():
    few = replace(Blind.recipe, stages=(pk.Adam(steps=1),))
    solution = pk.train(Blind(), recipe=few, verify="no")
    assert solution.evaluation.exit_status() == 0  # without scales nothing says that it is wrong
    verification = pk.verify(solution)
    assert solution.run.verification is verification
    assert "Contradicted: an independent collocation solution" in solution.verdict
    assert solution.evaluation.exit_status() == 1


def test_beside_an_exact_solution():
    solution = pk.train(Decay(), verify="yes")
    assert "against the exact solution" in solution.verdict and "independent collocation solution" in solution.verdict
    exact, other = solution.errors["u"].relative_l2, solution.evaluation.verified.difference
    assert other == pytest.approx(exact, rel=1e-6)


def test_why_there_is_none_is_said_beside_an_exact_solution():
    solution = pk.train(Decay(), verify="no")
    assert "collocation" not in solution.verdict
    pk.verify(solution, seconds=1e-9)
    assert "against the exact solution" in solution.verdict
    assert "There is no independent collocation solution: its time was over." in solution.verdict


class Fitted(pk.Problem):
    """A rate that 20 noisy values determine."""

    rate: float = pk.unknown(0.5, bounds=(0.1, 10.0))
    domain = pk.Box(t=(0.0, 2.0))

    @pk.interior
    def decay(self, u, u_t):
        return u_t + self.rate * u

    @pk.initial
    def start(self, u):
        return u - 1.0

    model = pk.MLP(width=10, depth=1)
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=400),), sampling=pk.Sampling(interior=200))


@pytest.mark.slow
def test_two_fits_of_an_unknown_parameter(tmp_path):
    t = np.linspace(0.1, 2.0, 20)
    values = np.exp(-t) + 0.01 * np.random.default_rng(0).standard_normal(20)
    np.savetxt(tmp_path / "u.csv", np.stack([t, values], axis=1), delimiter=",", header="t,y", comments="")

    class Measured(Fitted):
        @pk.data(str(tmp_path / "u.csv"))
        def probe(self, u, y):
            return u - y

    solution = pk.train(Measured(), verify="yes")
    fit, trained = solution.run.verification.unknowns["rate"], solution.unknowns["rate"]
    assert abs(fit.value - trained.value) < 0.1 * trained.deviation
    np.testing.assert_allclose(fit.deviation, trained.deviation, rtol=0.1)
    assert f"Its own fit gives rate = {fit.value:.6g} (0.0 standard deviations away)." in solution.verdict


def test_from_the_command_line(tmp_path):
    status, out, _ = pinnkit("train", TINY, "--verify", "yes", "--out", tmp_path / "run")
    assert status in (0, 1) and "solving the problem by collocation" in out and (tmp_path / "run" / FILE).is_file()
    status, out, err = pinnkit("verify", tmp_path / "run", "--seconds", "0")
    assert status == 2 and "--seconds" in err
    (tmp_path / "run" / FILE).write_bytes(b"damaged")
    status, out, err = pinnkit("resume", tmp_path / "run")
    assert status == 2 and FILE in err and "pinnkit verify" in err
    assert pinnkit("verify", tmp_path / "run")[0] in (0, 1)
    assert "independent collocation solution" in pk.load(tmp_path / "run").verdict


def test_how_long_it_may_take(tmp_path):
    def seconds(problem, policy, spent):
        return seconds_for(Run(problem), SimpleNamespace(seconds=spent, compile_seconds=spent), policy)

    class Plane(Blind):
        domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    assert seconds(Plane(), "auto", 25.0) == 10.0
    assert seconds(Plane(), "auto", 2.0) == 0.0  # less than it takes to begin
    assert seconds(Plane(), "auto", 1e4) == 60.0
    assert seconds(Plane(), "yes", 1.0) == 60.0 and seconds(Plane(), "no", 1e4) == 0.0
    assert seconds(Blind(), "auto", 0.1) == 10.0  # an ordinary differential equation
    assert seconds(Decay(), "auto", 1e4) == 0.0  # there is a truth

    rows = [f"{x},{y},1.0" for x in (0.0, 0.1, 0.2, 0.3) for y in (0.0, 0.3, 0.6, 1.0)]
    (tmp_path / "part.csv").write_text("\n".join(["x,y,u", *rows]) + "\n")

    class OnAPart(Plane):
        reference = str(tmp_path / "part.csv")

    assert seconds(OnAPart(), "auto", 25.0) == 10.0  # there is one, but not everywhere


def test_what_cannot_be_asked_for():
    with pytest.raises(UsageError, match="verify is 'maybe'"):
        pk.train(Blind(), verify="maybe")
    with pytest.raises(UsageError, match=r"seconds of pk\.verify"):
        pk.verify(Blind(), seconds=-1.0)
