"""Solutions without a network: `pinnkit solve`, `pk.solve`, their folders, and what needs a network."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.truth import Truth
from pinnkit.fields.field_errors import FieldError
from pinnkit.objective.residuals import Equations
from pinnkit.verification.collocated import collocated
from pinnkit.verification.verification import Verification

RODS = '''
import jax.numpy as jnp
import pinnkit as pk

class Rod(pk.Problem):
    """A steel rod, heated in the middle, that loses heat at its end."""

    k: float = 45.0
    """conductivity [W / (m K)]"""
    domain = pk.Box(x=(0.0, 0.2))
    fields = ("T",)
    units = {"T": "K", "x": "m"}

    @pk.quantity
    def flux(self, T_x):
        return -self.k * T_x

    @pk.interior
    def balance(self, flux_x, x):
        return flux_x - 1e6 * jnp.exp(-((x - 0.1) / 0.03) ** 2)

    @pk.boundary("x-")
    def held(self, T):
        return T - 293.0

    @pk.boundary("x+")
    def air(self, flux, T):
        return flux - 200.0 * (T - 293.0)
'''


@pytest.fixture(scope="module")
def rod(tmp_path_factory):
    """The folder of a rod in SI units, without an exact solution, solved by the command, with what it said."""
    folder = tmp_path_factory.mktemp("rod")
    (folder / "rod.py").write_text(RODS)
    status, out, err = pinnkit("solve", folder / "rod.py", "--problem.k", "20", "--out", folder / "run")
    assert (status, err) == (0, ""), out + err
    return folder / "run", " ".join(out.split())


def test_a_problem_is_solved_without_a_network(rod):
    folder, out = rod
    assert "Solved by collocation, without a network" in out and "own error" in out and "run folder:" in out
    names = {path.name for path in folder.iterdir()}
    assert {"run.json", "summary.json", "verification.npz", "problem", "figures"} <= names
    assert "checkpoints" not in names and "metrics.jsonl" not in names
    assert [path.name for path in (folder / "figures").iterdir()] == ["solution.png"]
    assert json.loads((folder / "run.json").read_text())["parameters"] == {"k": 20.0}


def test_its_folder_is_loaded_and_called_as_a_trained_one(rod):
    solution = pk.load(rod[0])
    assert isinstance(solution, pk.CollocatedSolution) and solution.own_error < 1e-9
    # Independently: the flux is what is heated up to there, T the integral of it, on a fine grid.
    x = np.linspace(0.0, 0.2, 200_001)
    heated = np.concatenate([[0.0], np.cumsum(_mean(1e6 * np.exp(-(((x - 0.1) / 0.03) ** 2))) * np.diff(x))])
    # T = 293 + (-F0 x - integral of heated) / k; at the end F0 + heated = 200 (T - 293).
    inner = np.concatenate([[0.0], np.cumsum(_mean(heated) * np.diff(x))])
    start = (-200.0 * inner[-1] / 20.0 - heated[-1]) / (1.0 + 200.0 * 0.2 / 20.0)
    T = 293.0 - (start * x + inner) / 20.0
    places = slice(0, None, 10_000)
    np.testing.assert_allclose(solution(x=x[places])["T"], T[places], rtol=1e-8)
    derived = solution.at("T_x", "flux", "flux_x", x=x[places])
    np.testing.assert_allclose(derived["flux"], (start + heated)[places], rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(derived["T_x"], -(start + heated)[places] / 20.0, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(
        derived["flux_x"], 1e6 * np.exp(-(((x[places] - 0.1) / 0.03) ** 2)), rtol=1e-6, atol=1e-2
    )
    assert solution.errors is None and solution.history == [] and solution.unknowns == {}
    assert set(solution.residuals) == {"balance", "held", "air"} and solution.residuals["balance"] < 1e-6 * 1e6
    assert "residual (RMS)" in repr(solution) and solution.verdict in repr(solution)
    refused(lambda: solution.intervals(x=0.1), "no intervals")
    refused(lambda: solution.at("T_y", x=0.1), "T_y")
    with pytest.warns(UserWarning, match="outside the domain"):
        solution(x=0.3)


def _mean(values):
    return (values[1:] + values[:-1]) / 2


def test_commands_say_what_it_is(rod, tmp_path):
    folder = rod[0]
    status, out, _ = pinnkit("show", folder)
    assert status == 0 and "solved by collocation, without a network" in out and "Solved by collocation" in out
    for command in (("resume", folder), ("verify", folder), ("prune", folder, "--out", tmp_path / "p")):
        status, _, err = pinnkit(*command)
        assert status == 2 and "has no network" in err, command
    status, _, err = pinnkit("export", folder, "--out", tmp_path / "e")
    assert status == 2 and "no network" in err and not (tmp_path / "e").exists()
    (folder / "verification.npz").rename(tmp_path / "away")
    try:
        assert refused(lambda: pk.load(folder), "collocation solution of the run cannot be read")
    finally:
        (tmp_path / "away").rename(folder / "verification.npz")


def test_saved_from_a_script(tmp_path, monkeypatch):
    solution = pk.solve(Decay(k=2.0), accuracy=1e-8)
    assert solution.verdict.endswith("The requested accuracy of 1.0e-08 is met.")
    assert solution.errors["u"].relative_l2 < 1e-8 and "against the exact solution" in solution.verdict
    assert list(solution.plot()) == ["solution"]
    monkeypatch.chdir(tmp_path)
    again = pk.load(solution.save(tmp_path / "runs" / "decay" / "one"))
    x = np.linspace(0.0, 1.0, 9)
    np.testing.assert_array_equal(again(x=x)["u"], solution(x=x)["u"])
    assert again.verdict == solution.verdict and again.residuals == solution.residuals
    _, out, _ = pinnkit("list")
    assert re.search(r"runs/decay/one\s+\d\.\d\de-\d\d\s+solved", out), out


class TwoTimes(pk.Problem):
    """Waves with slabs of time, and derivatives across them."""

    domain = pk.Box(t=(0.0, 40.0), x=pk.Periodic(0.0, 2.0 * jnp.pi))

    @pk.interior
    def carried(self, u_t, u_x):
        return u_t + u_x

    @pk.initial
    def start(self, u, x):
        return u - jnp.sin(x)


def test_derivatives_in_slabs_of_time():
    solution = pk.solve(TwoTimes(), accuracy=1e-7)
    assert "slabs of time" in solution.verdict
    t, x = np.linspace(0.0, 40.0, 41)[:, None], np.linspace(0.0, 6.0, 7)
    np.testing.assert_allclose(solution.at("u_t", t=t, x=x)["u_t"], -np.cos(x - t), atol=1e-5)


def test_what_cannot_be_solved_says_why():
    class Unknown(Decay):
        k: float = pk.unknown(1.0)
        exact = None

    assert "of 'k' it has no interval: nothing determines it" in pk.solve(Unknown()).verdict
    refused(lambda: pk.solve(Decay), "is not a problem")
    refused(lambda: pk.solve(Decay(), seconds=0.0), "seconds of pk.solve")
    refused(lambda: pk.solve(Decay(), seconds=1e-9), "its time was over")
    status, _, err = pinnkit("solve", "advection", "--accuracy", "-1")
    assert status == 2 and "--accuracy" in err
    status, _, err = pinnkit("solve", "advection", "--model.width", "3")
    assert status == 2 and "--model.width" in err


def test_the_verdict_of_what_is_not_good_enough():
    """Own errors and truths of every kind; the solution itself is that of a problem that is easy."""
    equations = Equations(Decay())
    solved = pk.verify(Decay())

    def answer(own, *, truth=None, requested=None):
        verification = Verification(solved.problem, solved.solution, {"u": FieldError(own, own)}, "its time was over")
        return collocated(equations, verification, truth, requested)

    exact = Truth("exact", lambda X: np.exp(-X))
    wrong = Truth("exact", lambda X: 2.0 * np.exp(-X))
    rough = Truth("reference", lambda X: np.exp(-X), error=1e-3)
    for own, truth, requested, status, said in (
        (1e-6, None, None, 0, "Solved"),
        (0.3, None, None, 1, "Not solved: its time was over"),
        (0.3, exact, None, 0, "its own error does not show"),
        (0.3, wrong, None, 1, "Not solved"),
        (1e-6, None, 1e-5, 0, "is met"),
        (1e-6, None, 1e-7, 1, "is NOT met"),
        (1e-6, exact, 1e-7, 0, "is met"),
        (1e-6, rough, 1e-4, 1, "is NOT met"),
    ):
        one = answer(own, truth=truth, requested=requested)
        assert one.exit_status() == status and said in one.verdict, (own, said, one.verdict)
