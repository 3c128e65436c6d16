"""The tangent stage: what it reaches, what it refuses to make worse, and how it fits into runs, windows and curricula."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, Rod, objective, random_parameters, refused
from jax.flatten_util import ravel_pytree
from resuming import assert_resumes
from solvable import Growth, Layer, Sensed
from tiny import Decay

import pinnkit as pk
from pinnkit.models.linearised import Linearised, linearise, trained_leaves
from pinnkit.objective.collocation import point_sampler
from pinnkit.optim.jacobian import jacobian, rows_of
from pinnkit.optim.tangent import Tangent
from pinnkit.parallel.residual_blocks import map_over_blocks
from pinnkit.runs.run import Run
from pinnkit.training import solve
from pinnkit.training.solve import compile_solves, sampling_of_solve
from pinnkit.training.solve_points import GroupResiduals, SampledGroup, share_points

POINTS = pk.Sampling(interior=64, boundary=1, redraw=50)
RECIPE = pk.Recipe(stages=(pk.SSBroyden(steps=120), pk.Tangent()), sampling=POINTS)


def trained(problem, recipe=RECIPE, seed=0, model=None):
    run = Run(problem, model or pk.MLP(width=8, depth=1), recipe, seed=seed)
    return run, list(run.trainer.run(run.trainer.start()))


def error(run, report):
    return run.accuracy.errors(report.state.params)["u"].relative_l2


def test_one_solve_of_a_linear_equation_reaches_what_training_does_not():
    run, reports = trained(Decay())
    before, after = (error(run, r) for r in (reports[-2], reports[-1]))
    assert before > 1e-8
    assert after < 1e-12
    assert reports[-1].event == "stage 'tangent' ended at step 121: another solve would change no more"


def test_a_quadratic_equation_takes_a_second_solve_for_the_square_of_the_first_error():
    recipe = replace(RECIPE, stages=(pk.SSBroyden(steps=40), pk.Tangent()))
    run, reports = trained(Growth(), recipe)
    start, first, last = (error(run, r) for r in (reports[-3], reports[-2], reports[-1]))
    assert reports[-2].stage == reports[-1].stage == "tangent"
    # The first solve leaves what its linear model neglects, of the order of the square of the start's error.
    assert first < 30 * start**2
    assert last < 1e-3 * first


def test_the_network_itself_stays_where_it_was():
    _, reports = trained(Decay())
    before, after = reports[-2].state.params["network"], reports[-1].state.params["network"]
    assert isinstance(after, Linearised) and any(np.any(leaf) for leaf in jax.tree.leaves(after.along))
    assert jax.tree.all(jax.tree.map(np.array_equal, after.at, before.at))


def test_a_solve_that_does_not_help_is_not_taken():
    # The second stage of solves finds the tangent space exhausted: nothing is left but rounding.
    recipe = replace(RECIPE, stages=(pk.SSBroyden(steps=120), pk.Tangent(), pk.Tangent()))
    run, reports = trained(Decay(), recipe)
    ends = [r for r in reports if r.event and "tangent" in r.event]
    if "stays as it was" in ends[-1].event:
        assert jax.tree.all(
            jax.tree.map(np.array_equal, ends[-1].state.params["network"], ends[0].state.params["network"])
        )
    assert run.trainer.held_out_loss(ends[-1].state.params) <= 1.5 * run.trainer.held_out_loss(ends[0].state.params)


def test_too_few_points_are_noticed_on_the_held_out_ones():
    # With fewer residuals than coefficients the loss on the points of the solve says nothing.
    run, reports = trained(Decay(), replace(RECIPE, stages=(pk.SSBroyden(steps=20), pk.Tangent(rows=1.5))))
    before, after = (run.trainer.held_out_loss(r.state.params) for r in (reports[-2], reports[-1]))
    assert after <= before


def test_an_unknown_parameter_is_solved_for_beside_the_coefficients():
    run, reports = trained(Sensed(), replace(RECIPE, stages=(pk.SSBroyden(steps=200), pk.Tangent())))
    unknown = run.problem.unknowns()["k"]
    before, after = (
        abs(float(unknown.value(r.state.params["unknowns"]["k"])) - 1.7) for r in (reports[-3], reports[-1])
    )
    assert reports[-1].stage == "tangent"
    assert after < 1e-9 < before


@pytest.mark.slow
def test_rows_have_columns_for_the_trained_parameters_alone():
    found = objective(Rod())
    points = point_sampler(found, pk.Sampling(interior=20, initial=6, boundary=6)).init(jax.random.key(0))
    plain = random_parameters(found.network)
    linear = {**plain, "network": linearise(plain["network"])}
    blocks, marks = found.residual_vector(points).blocks, trained_leaves(linear)
    tiles = map_over_blocks(blocks, lambda b, p, t: rows_of(b, p, t, marks), linear, [b.tiles for b in blocks])
    rows = np.concatenate([J.reshape(-1, J.shape[-1]) for J, _ in tiles])
    # Where the coefficients are zero, their columns are those of the network's own parameters.
    expected, _ = jacobian(blocks, plain)
    assert rows.shape == (len(rows), ravel_pytree(plain)[0].size)
    assert np.allclose(rows, expected, rtol=1e-9, atol=1e-12)


def chosen(points, share):
    """The points of all groups in one share: "fit", "reserve" or "held_out"."""
    own = {name: getattr(share_points(len(p.X), group_of(name)), share) for name, p in points.items()}
    return {name: jax.tree.map(lambda a, at=own[name]: a[at], p) for name, p in points.items()}


def group_of(name):
    return next(g for g in objective(Rod()).equations.groups if g.name == name)


@pytest.mark.slow
def test_the_first_step_is_the_minimum_of_the_linear_model():
    # Against a dense least-squares solution by NumPy, for a linear equation.
    found = objective(Rod(), SMALL)
    params = random_parameters(found.network)
    linear = {**params, "network": linearise(params["network"])}
    stage = Tangent(rows=10)
    points = point_sampler(
        found, *sampling_of_solve(found, stage, pk.Sampling(), pk.Sampling().counts(found.equations.groups))
    ).init(jax.random.key(0))
    init, chunk = compile_solves(found, stage)
    result = chunk(linear, init(linear), points, 1)
    fit = chosen(points, "fit")
    J, rho = jacobian(found.residual_vector(fit).blocks, params)
    squares = np.linalg.lstsq(np.asarray(J), -np.asarray(rho), rcond=1e-15)[1]
    loss = float(found.loss(result.params, fit))
    least = float(squares[0]) if squares.size else 0.0
    assert least <= loss * 1.001
    assert loss < 3 * max(least, 1e-25)


@pytest.mark.parametrize("count", [70, 71, 76, 20])
def test_each_point_has_one_share(count):
    shares = share_points(count, group_of("interior"))
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(count))
    assert min(len(share) for share in shares) >= 2


def test_few_points_are_all_solved_for():
    every = np.arange(13)
    fit, reserve, held_out = share_points(13, group_of("interior"))
    assert np.array_equal(fit, every) and np.array_equal(held_out, every) and not len(reserve)


@pytest.mark.parametrize("share", ["fit", "reserve", "held_out"])
def test_each_share_lies_everywhere(share):
    found = objective(Rod())
    points = point_sampler(found, pk.Sampling(interior=700)).init(jax.random.key(0))
    own = np.asarray(chosen(points, share)["interior"].X)
    for column in own.T:  # each eighth of an axis has its part
        counts = np.histogram(column, bins=8, range=(0, 1))[0]
        assert counts.min() > 0.6 * len(own) / 8


@pytest.mark.slow
def test_squares_and_rows_of_any_points_are_those_of_the_loss():
    found = objective(Rod(), SMALL)
    params, other = (random_parameters(found.network, seed) for seed in (0, 1))
    points = point_sampler(found, pk.Sampling(interior=70, initial=21, boundary=28)).init(jax.random.key(0))
    columns = ravel_pytree(params)[0].size
    groups = [SampledGroup(GroupResiduals(found, g), points[g.name], columns) for g in found.equations.groups]
    zero = jax.tree.map(jnp.zeros_like, params)
    loss = sum(np.mean(g.squares(params, zero, g.shares.fit)) for g in groups)
    assert np.isclose(loss, float(found.loss(params, chosen(points, "fit"))), rtol=1e-12)
    rows = [piece for g in groups for piece in g.rows(params, g.shares.fit)]
    J, rho = (np.concatenate([piece[i] for piece in rows]) for i in (0, 1))
    assert np.isclose(np.sum(rho**2), loss, rtol=1e-12)
    # The linear model along a direction, by products with these rows.
    d = ravel_pytree(other)[0]
    model = sum(np.mean(g.squares(params, other, g.shares.fit)) for g in groups)
    assert np.isclose(np.sum((rho + J @ d) ** 2), model, rtol=1e-9)


@pytest.mark.parametrize(("beyond", "added"), [(100.0, True), (2.0, False)])
def test_points_are_added_where_the_linear_model_is_worse_on_others(monkeypatch, beyond, added):
    # The squares that the linear model leaves are given: one at the points of the solve, more at other points near the left end.
    found = objective(Layer(), pk.MLP(width=8, depth=1))
    stage = Tangent(rows=8)
    points = point_sampler(
        found, *sampling_of_solve(found, stage, pk.Sampling(), pk.Sampling().counts(found.equations.groups))
    ).init(jax.random.key(0))
    params = {**found.network.initial_parameters, "network": linearise(found.network.initial_parameters["network"])}
    solver = solve._Solver(found)
    group = SampledGroup(solver._residuals["interior"], points["interior"], found.network.count())
    x = np.asarray(points["interior"].X)[:, 0]

    def squares(self, params, direction, chosen):
        return np.where(np.isin(chosen, group.shares.fit), 1.0, np.where(x[chosen] < 0.2, 5 * beyond, 1e-9))

    chosen = []
    monkeypatch.setattr(SampledGroup, "squares", squares)
    monkeypatch.setattr(solve, "_add_rows", lambda triangle, group, params, at: chosen.extend(at))
    trial = solve._Trial(jnp.zeros(found.network.count()), params, 1e-16, 1.0, 1.0)
    assert solver._add_points(None, [group], params, trial, np.random.default_rng(0)) == added
    if added:
        near = group.shares.reserve[x[group.shares.reserve] < 0.2]
        assert len(chosen) == len(set(chosen)) == group.piece
        assert set(chosen) <= set(group.shares.reserve)
        assert len(set(chosen) & set(near)) == min(len(near), group.piece)


def test_the_number_of_points_follows_from_that_of_the_parameters():
    small, large = (objective(Rod(), pk.MLP(width=w, depth=2)) for w in (5, 20))
    sampling = pk.Sampling(interior=100, initial=50, boundary=500)
    few, many = (
        dict(zip((g.kind for g in groups), counts, strict=True))
        for o in (small, large)
        for groups in [o.equations.groups]
        for _, counts in [sampling_of_solve(o, Tangent(), sampling, sampling.counts(groups))]
    )
    assert few["interior"] == 14 * small.network.count() and many["interior"] == 14 * large.network.count()
    # Two of seven sampled points are those of a solve.
    assert (many["initial"], many["boundary"]) == (-(-many["interior"] // 10), 1750)


def test_tangent_is_the_last_stage():
    refused(lambda: pk.Recipe(stages=(pk.Tangent(), pk.SSBroyden())), "'ssbroyden' follows 'tangent'")


def test_half_precision_is_refused():
    recipe = replace(RECIPE, stages=(pk.Tangent(),), precision="bfloat16")
    refused(lambda: Run(Decay(), pk.MLP(width=8, depth=1), recipe), "tangent")


def test_a_matrix_that_does_not_fit_is_refused_before_training():
    refused(
        lambda: Run(Decay(), pk.MLP(width=1200, depth=2), replace(RECIPE, stages=(pk.Tangent(),))),
        "Least squares in the tangent functions",
        "--tangent.steps 0",
    )


@pytest.mark.slow
def test_it_resumes_to_the_bit(tmp_path):
    def make_run():
        return Run(Growth(), pk.MLP(width=6, depth=1), replace(RECIPE, stages=(pk.SSBroyden(steps=25), pk.Tangent())))

    run = make_run()
    reports = list(run.trainer.run(run.trainer.start()))
    solves = [i for i, r in enumerate(reports) if r.stage == "tangent"]
    # Before the first solve, and between two of them.
    assert len(solves) >= 2
    for place in (solves[0] - 1, solves[0]):
        assert_resumes(make_run, reports, place, tmp_path / str(place))


class Spread(pk.Problem):
    """u_t = a u_xx, periodic."""

    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - 0.05 * u_xx

    @pk.initial(hard=True)
    def bump(self, u, x):
        return u - jnp.cos(2 * jnp.pi * x)

    def exact(self, t, x):
        return jnp.exp(-0.05 * (2 * jnp.pi) ** 2 * t) * jnp.cos(2 * jnp.pi * x)


@pytest.mark.long
@pytest.mark.slow
def test_each_window_of_time_ends_with_it(tmp_path):
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=150), pk.Tangent()), sampling=pk.Sampling(interior=200), schedule=pk.Windows(3)
    )

    def make_run():
        return Run(Spread(), pk.MLP(width=16, depth=2), recipe)

    run = make_run()
    reports = list(run.trainer.run(run.trainer.start()))
    assert error(run, reports[-1]) < 1e-6
    networks = reports[-1].state.params["network"]
    assert len(networks) == 3 and all(isinstance(n, Linearised) for n in networks)
    # Resumed in the second window, whose network is not linearised yet while that of the first one is.
    ends = [i for i, r in enumerate(reports) if r.event]
    place = ends[1] + 1
    assert [isinstance(n, Linearised) for n in reports[place].state.params["network"]] == [True, False]
    assert_resumes(make_run, reports, place, tmp_path)


@pytest.mark.slow
def test_an_easier_phase_of_a_curriculum_ends_without_it():
    recipe = replace(RECIPE, schedule=pk.Curriculum(parameter="k", multiples=(0.5,), steps=50))
    run, reports = trained(Decay(), recipe)
    assert [r.stage for r in reports if r.stage == "tangent"] == ["tangent"]
    assert error(run, reports[-1]) < 1e-12


@pytest.mark.slow
def test_more_steps_of_the_stage_before_free_the_network_again():
    before, after = (replace(RECIPE, stages=(pk.SSBroyden(steps=n), pk.Tangent())) for n in (40, 80))
    _, reports = trained(Decay(), before)
    longer = Run(Decay(), pk.MLP(width=8, depth=1), after)
    state = longer.trainer.adopt(reports[-1].state, before)
    assert not isinstance(state.params["network"], Linearised) and int(state.stage_step) == 40
    stages = [(r.stage, int(r.state.step)) for r in longer.trainer.run(state)]
    assert [name for name, _ in stages][-1] == "tangent"
    assert stages[-1][1] == int(reports[-1].state.step) + 41


@pytest.mark.slow
def test_intervals_of_unknowns_are_those_of_the_tangent_space_of_the_network():
    from pinnkit.objective.jacobians import jacobians

    found = objective(Sensed())
    plain = random_parameters(found.network)
    linear = {**plain, "network": linearise(plain["network"])}
    points = point_sampler(found, pk.Sampling(interior=10, boundary=1)).init(jax.random.key(0))
    for name, rows in jacobians(found).items():
        (r, J), (r_linear, J_linear) = rows(plain, points[name]), rows(linear, points[name])
        for term in J:
            assert np.allclose(J[term], J_linear[term], rtol=1e-9, atol=1e-12)
            assert np.allclose(r[term], r_linear[term])


@pytest.mark.slow
def test_the_network_itself_could_not_take_the_step():
    # The linear model is solved exactly; the network at p + c is far from it, since the map from p to the fields bends.
    run, reports = trained(Growth(), replace(RECIPE, stages=(pk.SSBroyden(steps=40), pk.Tangent())))
    solved = reports[-1].state.params
    network = solved["network"]
    moved = {**solved, "network": jax.tree.map(jnp.add, network.at, network.along)}
    assert run.trainer.held_out_loss(solved) < 1e-6 * run.trainer.held_out_loss(moved)


@pytest.mark.long
@pytest.mark.slow
def test_more_tangent_functions_gain_more_than_longer_training():
    def after(width, steps):
        recipe = replace(RECIPE, stages=(pk.SSBroyden(steps=steps), pk.Tangent()))
        run, reports = trained(Layer(e=0.05), recipe, model=pk.MLP(width=width, depth=2))
        return error(run, reports[-1])

    small, longer, wider = after(4, 100), after(4, 400), after(8, 100)
    assert wider < 0.1 * min(small, longer)
