"""The diagnosis: it agrees with theory, says yes to sound starts and no to each bad one, and false alarms are rare."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, refused
from cli import pinnkit
from paths import TINY

import pinnkit as pk
from pinnkit.checking.check import check
from pinnkit.checking.recommendation import recommendation
from pinnkit.checking.start_signal import initial_rms_and_warnings
from pinnkit.diagnostics.finding import Settings, bootstrap, interval
from pinnkit.diagnostics.first_step import first_step
from pinnkit.diagnostics.kernel import balance, kernel_weights, spectrum
from pinnkit.diagnostics.random_matrices import measure, random_matrices
from pinnkit.diagnostics.registry import DIAGNOSTICS, FURTHER, diagnose
from pinnkit.diagnostics.signal import signal
from pinnkit.diagnostics.width_study import gradient_squares, width_study
from pinnkit.fields import Points
from pinnkit.figures.diagnosis import diagnosis_figures
from pinnkit.objective.group import points_of
from pinnkit.objective.jacobians import points_at
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import RandomNetwork
from pinnkit.problem import package_problems_folder, problem_class
from pinnkit.runs.run import Run, build_objective

QUICK = Settings(widths=(16, 64), draws=24, points=4, rows=12)
SMALL = pk.MLP(width=16, depth=2)


class Advection(pk.Problem):
    c: float = 1.0

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def advection(self, u_t, u_x):
        return u_t + self.c * u_x

    @pk.initial
    def start(self, u, x):
        return u - jnp.sin(x)


def verdicts(report):
    return {(f.parametrisation, f.subject): f.verdict for f in report.findings}


# The width study


@pytest.mark.slow
def test_gradients_are_those_of_each_network_by_itself():
    """Against the gradient of one residual at one point, network by network; and ntk = sigma^2 times standard."""
    made = objective(Advection(), SMALL)
    group = made.equations.interior
    points = points_of(group, 2)
    found = gradient_squares(made, SMALL, group, points, 3, seed=0)["advection"]
    assert found.shape == (3, 3)
    for draw, key in enumerate(jax.random.split(jax.random.key(0), 3)):
        for kind in ("standard", "ntk"):
            drawn = RandomNetwork(made, replace(SMALL, parametrisation=kind), key, jnp.float32)
            params = jax.tree.map(lambda a: a.astype(jnp.float64), drawn.params)

            def residual(params, x, drawn=drawn):
                u = lambda t, x: drawn.fields(params)(jnp.stack([t, x])[None, :])[0, 0]  # noqa: E731
                return jax.grad(u, 0)(*x) + jax.grad(u, 1)(*x)

            slopes = [jax.grad(residual)(params, jnp.asarray(x))["layers"] for x in np.asarray(points.X)]
            squares = np.mean([[float(jnp.sum(layer["kernel"] ** 2)) for layer in s] for s in slopes], axis=0)
            factor = SMALL.variances(2, 1) if kind == "ntk" else 1.0
            np.testing.assert_allclose(squares, found[draw] * factor, rtol=1e-3)  # measured in float32


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_sound_start_has_the_exponents_of_the_theory(activation):
    made = objective(Advection(), replace(SMALL, activation=activation))
    report = width_study(made, QUICK, 0)
    assert set(verdicts(report).values()) == {"fit"}
    by = {(f.parametrisation, f.subject): f for f in report.findings}
    assert [s for p, s in by if p == "ntk"] == ["first layer", "layer 2", "readout", "all layers"]
    for (parametrisation, layer), f in by.items():
        expected = 0.0 if parametrisation == "ntk" or layer == "first layer" else 1.0
        assert f.exponent == pytest.approx(expected, abs=0.35)
        assert f.measured == pytest.approx(f.predicted, rel=0.35)
        assert f.interval[0] < f.measured < f.interval[1]
        assert f.exponent_interval[0] < f.exponent < f.exponent_interval[1]
    if (
        activation == "relu"
    ):  # closed form: (L + 1)(1 + c^2) |v|^2 s^2 in coordinates scaled by sqrt(12), s the field's size
        size = made.equations.scales.fields["u"].size
        assert by["ntk", "all layers"].predicted == pytest.approx(3 * 2 * 12 * size**2, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["constant", "glorot"])
def test_variances_that_are_not_scaled_by_fan_in_are_unfit(init):
    problem = Rod() if init == "glorot" else Advection()  # Glorot fails where second derivatives are asked for
    report = width_study(objective(problem, replace(SMALL, init=init)), QUICK, 0)
    assert "unfit" in verdicts(report).values()
    worst = next(f for f in report.findings if f.verdict == "unfit")
    assert "too large by a factor of" in worst.message or "too small by a factor of" in worst.message


def test_nonlinear_equations_are_measured_only():
    class Burgers(Advection):
        @pk.interior
        def advection(self, u, u_t, u_x):
            return u_t + u * u_x

    report = width_study(objective(Burgers(), SMALL), QUICK, 0)
    assert all(f.predicted is None and f.exponent is not None for f in report.findings)
    assert "theory" not in report.findings[0].message


def test_zero_weights_cannot_learn():
    report = width_study(objective(Advection(), replace(SMALL, init_scale=0.0)), QUICK, 0)
    assert set(verdicts(report).values()) == {"unfit"}
    assert "cannot learn" in report.findings[0].message


# Signal and derivatives

CONTROLS = {
    "1/n_in": (Advection, {"activation": "relu", "depth": 20, "init": "lecun"}, "u", "dies"),
    "4/n_in": (Advection, {"activation": "relu", "depth": 20, "init_scale": 2**0.5}, "u", "grows"),
    "constant": (Advection, {"init": "constant", "width": 256, "depth": 4, "activation": "relu"}, "u", "grows"),
    "glorot": (Rod, {"init": "glorot", "width": 256}, "u_xx", "dies"),
    "zero": (Rod, {"init_scale": 0.0}, "u", "dies"),
    "saturated": (Rod, {"init_scale": 10.0}, "u", "grows"),
}


LONG = ("1/n_in", "4/n_in", "constant", "zero")


@pytest.mark.parametrize("control", [pytest.param(c, marks=pytest.mark.slow) if c in LONG else c for c in CONTROLS])
def test_each_bad_start_is_named(control):
    problem, options, channel, how = CONTROLS[control]
    made = objective(problem(), replace(SMALL, **options))
    report = signal(made, QUICK, 0)
    found = {f.subject: f for f in report.findings}
    assert found[channel].verdict == "unfit"
    assert how in found[channel].message and ("layer" in found[channel].message or "readout" in found[channel].message)
    assert "Of he and lecun, --model.init" in report.advice
    (told,) = initial_rms_and_warnings(made)[1]
    assert "The start is unfit" in told and how in told
    assert told in check(made).warnings


@pytest.mark.slow
def test_the_layer_where_a_signal_is_lost():
    """ReLU with 1/n_in halves the variance a layer: below 1/100 of it after the seventh to tenth."""
    made = objective(Advection(), pk.MLP(width=64, depth=20, activation="relu", init="lecun"))
    message = next(f.message for f in signal(made, QUICK, 0).findings if f.subject == "u")
    layer = int(message.split("at the layer ")[1].split(",")[0])
    assert 6 <= layer <= 11


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "sin", "silu"])
def test_channels_agree_with_theory_at_every_layer(activation):
    made = objective(Rod(), pk.MLP(width=256, depth=3, activation=activation))
    curves = signal(made, replace(QUICK, draws=60), 0).curves
    measured, lower, upper, theory = (np.array(curves[k])[:, :3] for k in ("measured", "lower", "upper", "predicted"))
    assert curves["channels"] == ["u", "u_t", "u_x", "u_xx", "gradient coming back"]
    np.testing.assert_allclose(measured, theory, rtol=0.25, atol=1e-9)
    assert np.mean((lower <= theory + 1e-12) & (theory <= upper + 1e-12)) > 0.6


@pytest.mark.slow
def test_a_sound_deep_network_is_fit():
    made = objective(Advection(), pk.MLP(width=64, depth=20, activation="relu"))
    assert set(verdicts(signal(made, QUICK, 0)).values()) == {"fit"}
    assert initial_rms_and_warnings(made)[1] == ()


@pytest.mark.slow
def test_the_recommendation_and_auto():
    class Beam(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def bending(self, u_xxxx):
            return u_xxxx - 1.0

    big = pk.MLP(width=32, depth=4)
    assert recommendation(objective(Beam(), big))[0] == "lecun"
    assert recommendation(objective(Advection(), big))[0] == "he"
    run = Run(Beam(), replace(big, init="auto"))
    assert (run.model.init, run.model.width) == ("lecun", 32)


# The tangent kernel


@pytest.mark.slow
def test_traces_and_eigenvalues_are_those_of_the_kernel():
    made = objective(Rod(), SMALL)
    points, params = points_at(made, 12, 3), made.network.initial_parameters
    report, told = spectrum(made, QUICK, 3), balance(made, QUICK, 3)
    for group in made.equations.groups:
        for term in made.equations.terms(group):
            rows = []
            for x, n in zip(points[group.name].X, _normals(points[group.name]), strict=True):
                one = {group.name: Points(x[None], None if n is None else n[None])}

                def residual(p, one=one, term=term, group=group):
                    problem, f = made.network.bound(p), made.network.fields(p)
                    residual = made.equations.evaluate(problem, f, group, one[group.name])[term][0]
                    return residual / made.sizes[term]

                rows.append(np.concatenate([np.ravel(g) for g in jax.tree.leaves(jax.grad(residual)(params))]))
            K = np.array(rows) @ np.array(rows).T / len(rows)
            assert told.curves["traces"][term] == pytest.approx(np.trace(K), rel=1e-9)
            found = report.curves["eigenvalues"][term]
            np.testing.assert_allclose(found, np.linalg.eigvalsh(K)[::-1].clip(0), atol=1e-12 * K.max(), rtol=1e-6)


def _normals(points):
    return [None] * len(points.X) if points.normals is None else points.normals


@pytest.mark.slow
def test_one_term_needs_no_balance_and_a_sound_start_no_advice():
    alone = type("P", (Advection,), {"start": pk.initial(hard=True)(lambda self, u, x: u - jnp.sin(x))})
    made = objective(alone(), SMALL)
    report = balance(made, QUICK, 0)
    assert report.advice == "" and report.panels == () and "fall" not in report.findings[0].message
    assert signal(made, QUICK, 0).advice == ""
    assert (
        'To balance the terms: pk.Recipe(weights={"advection"'
        in balance(objective(Advection(), SMALL), QUICK, 0).advice
    )


def test_outputs_at_the_start_have_the_names_of_the_fields():
    """Each field by itself, with the derivatives that are asked of it, of the very network that will be trained."""

    class Heated(pk.Problem):
        fields = ("T", "flow")
        domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))
        heat = pk.interior(lambda self, T_t, T_xx: T_t - T_xx)
        transport = pk.interior(lambda self, flow_x, T: flow_x - T)

    made = objective(Heated(), SMALL)
    sizes, _ = initial_rms_and_warnings(made)
    assert list(sizes) == ["T", "T_t", "T_x", "T_xx", "flow", "flow_x"]
    X = interior_points(made, 128).X
    values = made.network.values(made.network.initial_parameters, X)
    for k, name in enumerate(("T", "flow")):
        assert sizes[name] == pytest.approx(float(np.sqrt(np.mean(values[:, k] ** 2))), rel=1e-6)


def test_kernel_weights_make_all_terms_fall_alike():
    traces = {"a": 4.0, "b": 1.0, "none": 0.0}
    weights = kernel_weights(traces)
    assert weights["a"] * 4.0 == pytest.approx(weights["b"] * 1.0)
    assert weights["none"] == 1.0


def test_weights_that_are_computed_are_a_weighting():
    refused(lambda: pk.Recipe(weights="ntk"), "weights is 'ntk'", "weighting=pk.NTK(every=0)")


# Networks with gates

GATED = {"modified_mlp": pk.ModifiedMLP, "piratenet": pk.PirateNet, "resnet": pk.ResNet}
ROWS = {
    "modified_mlp": ["encoder U", "encoder V", "first layer", "readout", "all layers"],
    "piratenet": ["closed layers", "readout", "gates", "all layers"],
    "resnet": ["closed layers", "first layer", "readout", "gates", "all layers"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GATED)
def test_networks_without_a_theory_are_measured_and_say_so(name):
    made = objective(Advection(), GATED[name](width=16, depth=1))
    report, heard = width_study(made, QUICK, 0), signal(made, QUICK, 0)
    by = {(f.parametrisation, f.subject): f for f in report.findings}
    assert [s for p, s in by if p == "ntk"] == ROWS[name]
    assert {f.verdict for f in (*report.findings, *heard.findings)} <= {"fit", "measured only"}
    assert all(f.predicted is None for f in (*report.findings, *heard.findings))
    assert by["ntk", "readout"].exponent == pytest.approx(0.0, abs=0.35)
    assert by["standard", "readout"].exponent == pytest.approx(1.0, abs=0.35)
    for found in (report, heard):
        assert "known for an MLP only" in found.note and GATED[name].__name__ in found.note
    if GATED[name].gated:
        assert by["ntk", "gates"].measured > 0 and by["ntk", "closed layers"].verdict == "measured only"
        assert "until the gates open" in by["ntk", "closed layers"].message
    assert initial_rms_and_warnings(made)[1] == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", GATED)
def test_bad_starts_of_networks_with_gates(name):
    made = objective(Advection(), GATED[name](width=16, depth=1, init="constant"))
    assert "unfit" in verdicts(width_study(made, QUICK, 0)).values()
    dead = objective(Advection(), GATED[name](width=16, depth=1, init_scale=0.0))
    assert "unfit" in verdicts(signal(dead, QUICK, 0)).values()
    assert "dies" in initial_rms_and_warnings(dead)[1][0]


@pytest.mark.slow
def test_the_whole_diagnosis_of_a_network_with_gates():
    found = diagnose(objective(Advection(), pk.ResNet(width=8, depth=1)), replace(QUICK, draws=8), 0)
    assert set(found.reports) == set(DIAGNOSTICS)
    assert set(found.plain()["notes"]) == {"width study", "signal"}
    assert set(diagnosis_figures(found)) == {"width_study", "signal", "balance", "spectrum"}


def test_a_model_of_the_users_own_is_refused_in_words():
    class Own:
        """A model that is no network of dense layers."""

        activation = "tanh"

        def build(self, features, outputs, *, rngs, dtype):
            return SMALL.build(features, outputs, rngs=rngs, dtype=dtype)

        def parameters(self, features, outputs):
            return SMALL.parameters(features, outputs)

    made = objective(Advection(), Own())
    assert initial_rms_and_warnings(made) == ({}, ())
    refused(lambda: diagnose(made, QUICK, 0), "does not know the layers of a Own", "pk.ResNet(...)", "--model mlp")


# Adam's first step


@pytest.mark.parametrize("model", [SMALL, pk.ResNet(width=16, depth=1)], ids=["mlp", "resnet"])
def test_the_first_step_is_as_long_as_the_rate_whatever_the_gradient(model):
    made = objective(Rod(), model)
    report = first_step(made, QUICK, 0)
    points, layers = points_at(made, QUICK.rows, 0), {}
    slopes = jax.jit(jax.grad(made.loss))(made.network.initial_parameters, points)["network"]
    for f in report.findings:
        assert f.measured == pytest.approx(f.predicted, rel=1e-5) and f.verdict == "fit"
        layers.setdefault(f.equation, []).append(f.subject)
    names = ["first layer", "layer 2", "readout"] if model is SMALL else ["first layer", "readout", "gates"]
    assert list(layers.values()) == [names] * 2
    # Two of them by Kingma and Ba's formula, from gradients by themselves.
    found = {(f.equation, f.subject): f.measured for f in report.findings}
    g = np.concatenate([np.ravel(a) for a in jax.tree.leaves(slopes["layers"][0])])
    m, v = 0.1 * g, 0.001 * g**2
    plain = np.mean(np.abs(m) / (np.sqrt(v) + 1e-8))
    corrected = np.mean(np.abs(m / 0.1) / (np.sqrt(v / 0.001) + 1e-8))
    assert found["without bias correction", "first layer"] == pytest.approx(plain, rel=1e-5)
    assert found["with bias correction", "first layer"] == pytest.approx(corrected, rel=1e-5)
    assert plain == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-3)


def test_weights_of_zero_have_no_first_step():
    report = first_step(objective(Rod(), replace(SMALL, init_scale=0.0)), QUICK, 0)
    unfit = {f.subject for f in report.findings if f.verdict == "unfit"}
    assert {"first layer", "layer 2"} <= unfit
    assert "Adam hardly moves them" in report.note


def test_larger_weights_have_larger_gradients_and_steps_of_the_same_length():
    notes = [first_step(objective(Rod(), replace(SMALL, init_scale=s)), QUICK, 0) for s in (1.0, 2.0)]
    sizes = [np.mean([float(f.message.split("E g^2 ")[1].split(",")[0]) for f in n.findings]) for n in notes]
    assert sizes[1] > 4 * sizes[0]
    for a, b in zip(notes[0].findings, notes[1].findings, strict=True):
        assert a.measured == pytest.approx(b.measured, rel=1e-2)


# Random matrices


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
def test_spectral_radii_are_those_of_the_circular_law(activation):
    n, depth, draws = 128, 3, 8
    model = pk.MLP(width=n, depth=depth, activation=activation)
    report = random_matrices(objective(Advection(), model), replace(QUICK, draws=draws), 0)
    assert [f.subject for f in report.findings] == ["layer 2", "layer 3"]
    for f in report.findings:
        assert f.measured == pytest.approx(f.predicted, rel=1.5 * n**-0.5) and f.verdict == "fit"
        if activation == "relu":  # phi'^2 is 1/2 whatever z is
            assert f.predicted == pytest.approx(1.0, rel=1e-6)
    assert "Singular values of the outputs" in report.note


def test_a_radius_by_power_iteration():
    """The largest singular value bounds it, and J^k grows like it: an independent computation for one network."""
    model = pk.MLP(width=40, depth=2)
    made = objective(Advection(), model)
    radii, sizes, chain = measure(made, model, [1], 4, seed=0)
    assert radii.shape == (4, 1) and chain.shape == (4, 1) and sizes[0] > 0
    key = jax.random.split(jax.random.key(0), 4)[2]
    drawn = RandomNetwork(made, model, key, jnp.float32)
    x = jnp.asarray(points_of(made.equations.interior, 4).X, jnp.float32)[2]
    z = np.asarray(drawn.preactivations(x[None, :])[1][0], np.float64)
    J = (1 - np.tanh(z) ** 2)[:, None] * np.asarray(drawn.params["layers"][1]["kernel"], np.float64).T
    grown = np.linalg.norm(np.linalg.matrix_power(J, 256), 2) ** (1 / 256)
    assert radii[2, 0] == pytest.approx(grown, rel=0.02)
    gradient = jax.grad(lambda e: drawn.outputs(e[None, :])[0, 0])(made.network.embedding(x[None, :])[0])
    assert chain[2, 0] == pytest.approx(float(jnp.linalg.norm(gradient)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "fit"), [(1.0, True), (2**0.5, False), (0.5**0.5, False)])
def test_twice_and_half_the_variance_are_unfit_in_depth(scale, fit):
    model = pk.MLP(width=64, depth=16, activation="relu", init_scale=scale)
    report = random_matrices(objective(Advection(), model), replace(QUICK, draws=12), 0)
    assert {f.verdict for f in report.findings} == {"fit" if fit else "unfit"}
    for f in report.findings:
        assert f.predicted == pytest.approx(scale, rel=1e-6)


# All of it


@pytest.mark.slow
def test_a_report_from_every_diagnostic_and_a_figure():
    found = diagnose(objective(Rod(), SMALL), QUICK, 0)
    assert set(found.reports) == set(DIAGNOSTICS) and found.verdict == "fit"
    keys = {
        "diagnostic", "subject", "message", "verdict", "parametrisation", "equation",
        "predicted", "measured", "interval", "exponent", "exponent_interval",
    }  # fmt: skip
    assert all(set(f.plain()) == keys for f in found.findings)
    assert set(diagnosis_figures(found)) == {"width_study", "signal", "balance", "spectrum"}


@pytest.mark.long
@pytest.mark.slow
def test_all_is_more():
    found = diagnose(objective(Rod(), SMALL), replace(QUICK, all=True), 0)
    assert set(found.reports) == {*DIAGNOSTICS, *FURTHER} and found.verdict == "fit"
    assert set(diagnosis_figures(found)) >= {"width_study", "first_step"}


def test_settings_that_make_no_sense_are_refused():
    refused(lambda: Settings(draws=1), "draws is 1", "4 or more")
    refused(lambda: Settings(widths=(8, 8)), "two or more different widths")


def test_bootstrap_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = [low <= 1.0 <= high for low, high in (interval(bootstrap(rng.exponential(size=40), i)) for i in range(300))]
    assert 0.88 <= np.mean(hits) <= 0.99


QUICKLY = ("--widths", "8", "32", "--draws", "12", "--points", "2", "--rows", "8")


@pytest.mark.slow
def test_the_command(tmp_path):
    status, out, err = pinnkit("diagnose", TINY, *QUICKLY, "--out", "found", folder=tmp_path)
    assert status == 0, err
    assert "OK: no problem found with this initialization" in out and "decay in ntk" in out
    assert all(f"s: {name} ..." in out for name in DIAGNOSTICS) and "per point" in out
    assert "of he and lecun" not in out.lower()  # nothing is wrong, so nothing is advised
    folder = tmp_path / "found"
    written = json.loads((folder / "diagnose.json").read_text())
    assert written["verdict"] == "fit" and written["findings"][0]["diagnostic"] == "width study"
    assert {p.name for p in folder.glob("*.png")} == {"balance.png", "signal.png", "spectrum.png", "width_study.png"}
    status, out, err = pinnkit("diagnose", TINY, *QUICKLY, "--model.init_scale", "0", folder=tmp_path)
    assert status == 1 and "NOT OK: " in out and "problem: " in out
    status, out, err = pinnkit("diagnose", TINY, "--draws", "1", folder=tmp_path)
    assert status == 2 and "draws is 1" in err


@pytest.mark.slow
def test_gradients_in_the_metrics(tmp_path):
    given = ("train", TINY, "--adam.steps", "200", "--gradients", "50", "--out", "run")
    assert pinnkit(*given, folder=tmp_path)[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    told = [r for r in rows if "gradients" in r]
    assert 2 <= len(told) <= 4
    assert set(told[0]["gradients"]) == {"decay", "start"} and set(told[0]["gradients"]["decay"]) == {
        "layer 1",
        "layer 2",
    }
    (tmp_path / "run" / "figures" / "gradients.png").unlink()
    status, _, _ = pinnkit("show", "run", "--gradients", folder=tmp_path)
    assert status == 0 and (tmp_path / "run" / "figures" / "gradients.png").is_file()
    # The last of them, against the finished network.
    solution = pk.load(tmp_path / "run")
    run, state = solution.run, solution.evaluation.state
    slope = jax.grad(lambda p: run.objective.mean_squares(p, state.points)["decay"])(state.params)
    layer = slope["network"]["layers"][0]
    expected = float(jnp.sqrt(jnp.sum(layer["kernel"] ** 2) + jnp.sum(layer["bias"] ** 2)))
    if told[-1]["step"] == 200:
        assert told[-1]["gradients"]["decay"]["layer 1"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_a_run_without_gradients_says_so(tmp_path):
    assert pinnkit("train", TINY, "--adam.steps", "2", "--out", "run", folder=tmp_path)[0] == 0
    status, _, err = pinnkit("show", "run", "--gradients", folder=tmp_path)
    assert status == 2 and "no measurements of gradients" in err


@pytest.mark.long
@pytest.mark.slow
def test_false_alarms_are_rare():
    """The stated rate is 5% at the most: of 40 seeds of a sound network at most 2 are called unfit."""
    made = objective(Advection(), pk.MLP(width=32, depth=2))
    settings = Settings(widths=(32, 96), draws=16, points=2)
    alarms = 0
    for seed in range(40):
        reports = (width_study(made, settings, seed), signal(made, settings, seed))
        alarms += any(f.verdict == "unfit" for report in reports for f in report.findings)
    assert alarms <= 2


UNFIT = {"kuramoto_sivashinsky"}
"""Not solved yet, as its file says: no initialisation was found that keeps u_xxxx and the gradients of all layers."""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in package_problems_folder().glob("*.py")))
def test_every_shipped_problem_starts_fit(name):
    problem = problem_class(name)()
    made, _ = build_objective(problem, problem.model, problem.recipe, 0)
    settings = Settings(widths=(32, 128), draws=12, points=2)
    unfit = [
        f.message for run in (width_study, signal) for f in run(made, settings, 0).findings if f.verdict == "unfit"
    ]
    fit = unfit == [] and initial_rms_and_warnings(made)[1] == ()
    assert fit is (name not in UNFIT), unfit
