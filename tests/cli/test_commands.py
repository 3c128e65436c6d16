"""The command line as a user meets it: training, options, help, lists, a template."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli import everything_in, pinnkit
from paths import TESTS, TINY

import pinnkit as pk
from pinnkit.cli.program import warn_in_words
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.restore import restore_run

SHORT = ("--adam.steps", "12", "--sampling.redraw", "0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run of a problem file whose path has spaces, from an empty folder: where, and what was said."""
    home = tmp_path_factory.mktemp("home of a user")
    problem = home / "my problem.py"
    shutil.copy(TINY, problem)
    place = home / "empty"
    place.mkdir()
    status, out, err = pinnkit(
        "train", problem, *SHORT, "--weights.start", "7", "--problem.k", "2", "--accuracy", "1e-9", folder=place
    )
    (folder,) = (place / "runs" / "my problem").iterdir()
    return {"place": place, "folder": folder, "status": status, "out": out, "err": err}


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_train_says_what_it_checked_what_it_did_and_how_good_it_is(trained):
    out = trained["out"]
    assert trained["status"] == 1  # 12 steps do not reach 1e-9
    assert trained["err"] == ""
    for words in (
        "equation or condition",
        "residual of the exact solution",
        "decay",
        "start",
        "training 13 parameters in float64 at 33 points",
    ):
        assert words in out
    assert re.search(r"step 12/12 adam  loss \S+  error \S+ .* left 0:00  decay \S+  start \S+", out)
    assert re.search(
        r"Relative L2 error \S+ against the exact solution: the requested 1.0e-09 is NOT met.", " ".join(out.split())
    )
    assert f"run folder: {trained['folder'].relative_to(trained['place'])}" in out
    assert "\x1b" not in out  # plain lines where there is no terminal


def test_the_run_folder_holds_everything(trained):
    folder = trained["folder"]
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {"run.json", "metrics.jsonl", "summary.json", "problem/my problem.py"} <= found
    assert {"figures/solution.png", "figures/losses.png"} <= found
    assert any(name.startswith("checkpoints/") for name in found)


def test_the_configuration_is_what_was_asked_for(trained):
    config = read(trained["folder"], "run.json")
    assert config["parameters"] == {"k": 2.0}
    assert config["recipe"]["weights"] == {"start": 7.0}
    assert config["recipe"]["stages"][0]["steps"] == 12
    assert config["recipe"]["sampling"]["redraw"] == 0
    assert (config["recipe"]["precision"], config["recipe"]["accuracy"], config["seed"]) == ("float64", 1e-9, 0)
    assert config["model"] == read(trained["folder"], "run.json")["model"] | {"name": "MLP", "width": 4, "depth": 1}
    assert {"python", "jax", "flax", "optax"} <= set(config["versions"])
    assert config["command"][0] == "train"
    assert "cpu" in config["device"].lower()


def test_the_summary_and_the_metrics_hold_the_numbers(trained):
    summary = read(trained["folder"], "summary.json")
    assert summary["problem"] == "my problem"
    assert set(summary["errors"]["u"]) == {"relative_l2", "max_abs", "absolute"}
    assert set(summary["residuals"]) == {"decay", "start"}
    assert (summary["steps"], summary["parameters"], summary["exit_status"]) == (12, 13, 1)
    assert summary["wall_seconds"] > 0 and summary["compile_seconds"] > 0
    lines = [json.loads(line) for line in (trained["folder"] / "metrics.jsonl").read_text().splitlines()]
    last = lines[-1]
    assert last["step"] == 12
    assert last["loss"] == pytest.approx(last["terms"]["decay"] + 7 * last["terms"]["start"])
    assert last["errors"]["u"] == pytest.approx(summary["errors"]["u"]["relative_l2"])


def test_show_prints_it_again(trained):
    status, out, _ = pinnkit("show", "runs/my problem", folder=trained["place"])
    assert status == 1
    summary = read(trained["folder"], "summary.json")
    for words in (
        summary["verdict"],
        "k=2.0",
        "width=4",
        "stage 'adam' ended at step 12",
        "solution.png",
        "13 parameters",
    ):
        assert words in " ".join(out.split())


@pytest.mark.slow
def test_a_network_by_name(tmp_path):
    """Trained, written down, and restored from its folder, to the bit."""
    asked = ("--model", "ResNet", "--model.width", "6", "--model.depth", "2", "--model.parametrisation", "rwf")
    status, out, err = pinnkit("train", TINY, *SHORT, *asked, "--out", "run", folder=tmp_path)
    assert (status, err) == (0, "")
    network = pk.ResNet(width=6, depth=2, parametrisation="rwf")
    assert f"training {network.parameters(1, 1)} parameters" in out
    described = read(tmp_path / "run", "run.json")["model"]
    assert (described.pop("name"), pk.ResNet(**described)) == ("ResNet", network)
    solution = pk.load(tmp_path / "run")
    assert solution.run.model == network
    assert solution.errors["u"].relative_l2 == read(tmp_path / "run", "summary.json")["errors"]["u"]["relative_l2"]
    assert pinnkit("resume", "run", folder=tmp_path)[1].startswith("the run is over")


def test_the_help_shows_the_options_of_the_network_that_was_asked_for(tmp_path):
    plain, pirate = (
        " ".join(pinnkit("train", TINY, *asked, "--help")[1].replace("│", " ").split())
        for asked in ((), ("--model", "piratenet"))
    )
    assert "--model STR network, one of mlp, modified_mlp, piratenet, resnet" in plain
    assert "(default: mlp)" in plain and "--model.fourier-features" not in plain
    assert "--model.fourier_features" in plain and "residual blocks" not in plain
    assert "(default: piratenet)" in pirate and "residual blocks, each of three hidden layers" in pirate
    assert "--model.fourier_features" not in pirate


def test_list_shows_problems_and_runs(trained):
    (trained["place"] / "problems").mkdir(exist_ok=True)
    shutil.copy(TINY, trained["place"] / "problems" / "mine.py")
    status, out, _ = pinnkit("list", folder=trained["place"])
    assert status == 0
    for words in ("advection", "u_t + c u_x = 0", "kovasznay", "mine", "runs/my problem/"):
        assert words in " ".join(out.split())  # wrapped where a line is long
    error = read(trained["folder"], "summary.json")["errors"]["u"]["relative_l2"]
    (row,) = [line.split() for line in out.splitlines() if "runs/my problem" in line]
    assert row[-3:] == ["12", f"{error:.2e}", "ended"]
    assert max(map(len, out.splitlines())) <= 80


def test_the_help_of_a_problem_shows_its_own_defaults(tmp_path):
    status, out, _ = pinnkit("train", TINY, "--help", folder=tmp_path)
    assert status == 0
    text = re.sub(r"[│|\s]+", " ", out)
    for words in (
        "--problem.k FLOAT rate [1 / length] (default: 1.0)",
        "--model.width INT Number of units in each hidden layer. (default: 4)",
        "--adam.learning_rate FLOAT Peak learning rate. (default: 0.01)",
        "--weights.start FLOAT factor of mean(start^2) in the loss (default: 1.0)",
        "--stages",
        "(default: adam)",
        "--accuracy",
        "--out",
    ):
        assert words in text
    assert "--ssbroyden.steps" not in text
    text = re.sub(
        r"[│\s]+", " ", pinnkit("train", "kovasznay", "--stages", "adam", "adam", "--help", folder=tmp_path)[1]
    )
    for words in (
        "--problem.Re FLOAT Reynolds number [1] (default: 40.0)",
        "--adam.learning_rate",
        "--adam2.steps",
        "--weights.flow.continuity",
    ):
        assert words in text
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize("given", [["--stages", "adam", "lbfgs"], ["--stages=adam,lbfgs"], ["--stages", "adam,lbfgs"]])
def test_stages_can_be_chosen_and_each_has_its_options(given, tmp_path):
    from pinnkit.cli.options import read as options_of
    from pinnkit.problem import problem_class

    cls = problem_class(str(TINY))
    recipe = options_of(cls, [*given, "--lbfgs.steps", "4", "--seed", "7"], "pinnkit train tiny").recipe
    assert [(s.name, s.steps) for s in recipe.stages] == [("adam", 30), ("lbfgs", 4)]  # adam as the problem has it
    assert recipe.stages[0].learning_rate == 1e-2


def test_two_stages_of_one_optimiser_have_options_of_their_own():
    from pinnkit.cli.options import read as options_of
    from pinnkit.problem import problem_class

    given = ["--stages", "adam", "adam", "--adam.steps", "5", "--adam2.steps", "6", "--adam2.learning-rate", "0.5"]
    stages = options_of(problem_class(str(TINY)), given, "pinnkit train tiny").recipe.stages
    assert [(s.steps, s.learning_rate) for s in stages] == [(5, 1e-2), (6, 0.5)]


@pytest.mark.slow
def test_the_template_trains_as_it_is(tmp_path):
    status, out, _ = pinnkit("new", "hot-rod", folder=tmp_path)
    assert status == 0
    assert "wrote problems/hot_rod.py" in out and "pinnkit train hot_rod" in out
    short = (
        "--stages",
        "adam",
        "--adam.steps",
        "3",
        "--sampling.interior",
        "50",
        "--model.width",
        "4",
        "--model.depth",
        "1",
    )
    status, out, err = pinnkit("train", "hot_rod", *short, folder=tmp_path)
    assert (status, err) == (1, "")  # three steps solve nothing, and it says so
    assert "Not solved" in out and "against the exact solution" in out
    assert "note:" not in out and "warning:" not in out  # nothing in it looks like an oversight
    (folder,) = (tmp_path / "runs" / "hot_rod").iterdir()
    assert read(folder, "run.json")["parameters"] == {"alpha": 0.1}


def test_a_problem_in_the_current_folder_comes_before_one_that_ships(tmp_path):
    _, out, _ = pinnkit("new", "heat", folder=tmp_path)
    assert "hides the 'heat' that ships with pinnkit" in out
    own = tmp_path / "problems" / "heat.py"
    own.write_text(own.read_text().replace("alpha", "nu"))
    _, out, _ = pinnkit("train", "heat", "--help", folder=tmp_path)
    assert "--problem.nu" in out
    assert "--problem.alpha" not in out


def test_a_problem_with_all_kinds_of_terms_has_its_options(tmp_path):
    (tmp_path / "odd.py").write_text(
        "import optax\nimport pinnkit as pk\n"
        "class Odd(pk.Problem):\n"
        "    domain = pk.Box(x=(0, 1))\n"
        "    @pk.interior\n"
        "    def two(self, u, u_x):\n"
        '        return {"mass flux": u_x, "lambda": u, "plain": u - 1}\n'
        "    recipe = pk.Recipe(stages=(pk.Optax(transform=optax.sgd(1e-3), steps=9),))\n"
    )
    status, out, _ = pinnkit("train", "odd.py", "--help", folder=tmp_path)
    assert status == 0
    assert "--weights.two.plain" in out and "--optax.steps" in out
    assert "lambda" not in out and "mass flux" not in out  # no option can be called that


def test_weightings_can_be_chosen_and_each_has_its_options():
    from pinnkit.cli.options import read as options_of
    from pinnkit.problem import problem_class

    def recipe(name, *arguments):
        return options_of(problem_class(name), arguments, "pinnkit train").recipe

    found = recipe("heat", "--weighting", "gradient_norm", "causality", "--causality.slices", "8",
                   "--gradient_norm.every", "50", "--sampling.method", "r3")  # fmt: skip
    assert found.weighting == (pk.Causality(slices=8), pk.GradientNorm(every=50))
    assert found.sampling.method == "r3"
    plain = recipe("heat")
    assert plain.weighting == () and plain.sampling.method == "rad"
    assert recipe("heat", "--weighting=none").weighting == ()


@pytest.mark.slow
def test_a_run_folder_knows_its_weightings(tmp_path):
    options = ["--weighting", "causality", "residual_attention", "--residual_attention.every", "3"]
    short = [
        "--stages",
        "adam",
        "--adam.steps",
        "8",
        "--model.width",
        "4",
        "--model.depth",
        "1",
        "--sampling.interior",
        "32",
    ]
    status, _, _ = pinnkit("train", "heat", *short, *options, "--out", "run", folder=tmp_path)
    assert status == 1  # eight steps solve nothing
    recipe = read(tmp_path / "run", "run.json")["recipe"]
    assert [weighting["name"] for weighting in recipe["weighting"]] == ["causality", "residual_attention"]
    assert recipe["weighting"][0]["slices"] == 16 and recipe["weighting"][1]["every"] == 3
    again = restore_run(RunFolder.open(str(tmp_path / "run"))).recipe
    assert again.weighting == (pk.Causality(), pk.ResidualAttention(every=3))


def test_without_a_command_it_says_what_there_is():
    status, out, _ = pinnkit()
    assert status == 2
    assert pinnkit("--help")[0] == 0
    for command in ("train PROBLEM", "check PROBLEM", "resume RUN", "show RUN", "list", "new NAME", "Exit status"):
        assert command in out
    status, out, _ = pinnkit("--version")
    assert status == 0 and out.startswith("pinnkit ")


def test_check_trains_nothing_and_writes_nothing(tmp_path):
    status, out, _ = pinnkit("check", TINY, folder=tmp_path)
    assert status == 0
    assert "decay: order 1" in out and "Names, shapes and orders are consistent; the exact solution satisfies" in out
    assert "A coarse solution leaves nothing open" in out and "u=" in out
    assert everything_in(tmp_path) == set()


def shell(folder, *arguments, **how):
    path = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"PYTHONPATH": path, "TERM": "xterm"}
    return subprocess.Popen([sys.executable, "-m", "pinnkit", *arguments], cwd=folder, env=environment, **how)


@pytest.mark.slow
def test_on_a_terminal_there_is_a_live_line(tmp_path):
    leader, follower = pty.openpty()
    process = shell(tmp_path, "train", str(TINY), *SHORT, stdout=follower, stderr=follower, stdin=follower)
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "\x1b[?25l" in text  # the cursor is hidden while the line lives
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert re.search(r"step \d+/12 adam  loss \S+  error \S+", plain)
    assert "Relative L2 error" in plain


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    process = shell(tmp_path, "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr.read() == b""


def test_parameters_and_seed_make_the_numbers_they_should(trained):
    """k = 2 was asked for: the error in the summary is against exp(-2 x)."""
    from pinnkit.runs.checkpoint import Checkpoints
    from pinnkit.runs.folder import RunFolder
    from pinnkit.runs.restore import restore_run

    folder = RunFolder(trained["folder"])
    run = restore_run(folder)
    state = Checkpoints(folder.path / "checkpoints").restore(run.trainer).state
    x = np.linspace(0, 1, 2001)
    u, exact = run.accuracy.fields(state.params, x[:, None])[:, 0], np.exp(-2 * x)
    measured = np.linalg.norm(u - exact) / np.linalg.norm(exact)
    assert read(folder.path, "summary.json")["errors"]["u"]["relative_l2"] == pytest.approx(measured, rel=1e-12)


@pytest.mark.parametrize(("inside", "place"), [(True, ""), (False, "rod.py:7")])
def test_a_warning_of_a_command_has_a_place_if_that_is_the_users(inside, place, capsys):
    file = pk.__file__ if inside else "rod.py"
    warn_in_words(UserWarning("the cache is not used"), UserWarning, file, 7)
    assert capsys.readouterr().err == "warning: the cache is not used" + (f" ({place})" if place else "") + "\n"
