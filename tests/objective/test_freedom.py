"""How many directions of the fields measured values decide, and which of their rows are held out."""

import jax.numpy as jnp
import numpy as np
import pytest
from open_fields import slope_problem
from scipy import linalg
from tiny import Decay

import pinnkit as pk
from pinnkit.objective import Equations
from pinnkit.objective.collocation import Sampling
from pinnkit.objective.freedom import FEWEST, open_directions, share_held_out
from pinnkit.objective.measured_values import measured_values, values_held_out

ROWS = 60


def measured_decay(folder, base=Decay):
    """Return a decay whose field is measured as well."""
    x = np.linspace(0, 1, ROWS)
    file = folder / "decay.csv"
    np.savetxt(file, np.column_stack([x, np.exp(-x)]), delimiter=",", header="x,m", comments="")

    class Measured(base):
        scales = "auto"

        @pk.data(str(file))
        def sensor(self, u, m):
            return u - m

    return Measured()


class Unknown(Decay):
    k: float = pk.unknown(0.5, bounds=(0.1, 3.0))


class Unstarted(Decay):
    """Nothing says where the decay begins: one direction is open."""

    start = None


def test_values_decide_nothing_where_conditions_determine_the_field(tmp_path):
    assert abs(open_directions(Equations(measured_decay(tmp_path)))) < 0.05


def test_an_unknown_parameter_is_no_field(tmp_path):
    assert abs(open_directions(Equations(measured_decay(tmp_path, Unknown)))) < 0.05


def test_a_missing_condition_leaves_one_direction(tmp_path):
    assert open_directions(Equations(measured_decay(tmp_path, Unstarted))) == pytest.approx(1.0, abs=0.05)


def test_a_field_without_an_equation_is_open(tmp_path):
    # Splines through as many values with as much freedom have several directions; all of them would be as many as rows.
    assert 3.0 < open_directions(Equations(slope_problem(tmp_path))) < 50.0


def test_residuals_that_are_not_finite_leave_it_to_the_check(tmp_path):
    class Broken(Decay):
        @pk.interior
        def decay(self, u, u_x):
            return u_x + jnp.sqrt(u - 1e3)

    assert open_directions(Equations(measured_decay(tmp_path, Broken))) == 0.0


def test_a_fifth_is_held_out_only_where_fields_are_open(tmp_path):
    assert share_held_out(Equations(measured_decay(tmp_path))) == 0.0
    assert share_held_out(Equations(Decay())) is None
    assert share_held_out(Equations(slope_problem(tmp_path, rows=FEWEST))) == 0.2
    assert share_held_out(Equations(slope_problem(tmp_path, rows=FEWEST - 1))) is None


def test_rows_are_shared_out_once_and_for_all(tmp_path):
    equations = Equations(slope_problem(tmp_path))
    group = next(g for g in equations.groups if g.data is not None)
    assert Sampling().count(group) == 100 and Sampling(held_out=0.25).count(group) == 75
    assert Sampling(held_out=0.999).count(group) == 1  # something is trained on
    trained, held_out = (f(group, 75, jnp.float64) for f in (measured_values, values_held_out))
    for name in ("X", "measured"):
        parts = [np.asarray(p.X[:, 0] if name == "X" else p.columns[name]) for p in (trained, held_out)]
        file = group.data.X[:, 0] if name == "X" else group.data.columns[name]
        assert [len(p) for p in parts] == [75, 25]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(np.asarray(file)))
    # A value stays with its place, and all rows are in the order of the file.
    pairs = dict(zip(np.asarray(group.data.X[:, 0]), np.asarray(group.data.columns["measured"]), strict=True))
    assert all(pairs[float(x)] == float(m) for x, m in zip(held_out.X[:, 0], held_out.columns["measured"], strict=True))
    np.testing.assert_array_equal(measured_values(group, 100, jnp.float64).X, group.data.X)
    assert values_held_out(group, 100, jnp.float64) is None
    assert values_held_out(equations.interior, 5, jnp.float64) is None


def test_it_is_the_freedom_of_the_generalised_eigenvalues():
    """tr (G + D)^-1 D is the sum of mu / (1 + mu) over the eigenvalues of D v = mu G v: each is a direction, or part of one."""
    rng = np.random.default_rng(0)
    known, measured = ((A := rng.normal(size=(8, 5))).T @ A for _ in range(2))
    mu = linalg.eigh(measured, known, eigvals_only=True)
    assert np.trace(np.linalg.solve(known + measured, measured)) == pytest.approx(np.sum(mu / (1 + mu)))


@pytest.mark.parametrize("share", [-0.1, 1.0, "a fifth", True])
def test_a_share_is_below_one(share):
    with pytest.raises(pk.UsageError, match=r"sampling\.held_out"):
        pk.Sampling(held_out=share)
