"""Bad input: exit status 2, one message with the words that a user needs, no traceback, nothing written."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from cli import everything_in, pinnkit
from paths import TINY

HEAD = "import jax.numpy as jnp\nimport pinnkit as pk\n\n\nclass Rod(pk.Problem):\n"
BOX = "    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))\n"
HEAT = "    @pk.interior\n    def heat(self, u_t, u_xx):\n        return u_t - u_xx\n"
DATA = (
    HEAD
    + BOX
    + HEAT
    + '    @pk.data("data.csv")\n    def sensors(self, u, u_measured):\n        return u - u_measured\n'
)


def rod(text="", box=BOX, heat=HEAT):
    return HEAD + box + heat + text


BAR = rod().partition("\n\n\n")[2].replace("Rod", "Bar")
FILES = {  # what is wrong: the file, and the words that its message must have, the line of the file among them
    "syntax error": (rod("    def ends(self, u)\n        return u\n"), ("syntax error", "rod.py:10", "Mend the line")),
    "import error": ("1 / 0\n", ("ZeroDivisionError", "rod.py:1")),
    "no problem": ("import pinnkit as pk\n", ("defines no problem", "class Name(pk.Problem)")),
    "two problems": (rod() + BAR, ("defines 2 problems", "Name one: rod.py:Rod")),
    "no domain": (rod(box=""), ("Rod has no domain", "domain = pk.Box(", "rod.py:5")),
    "no equations": (rod(heat=""), ("Rod has no equations", "@pk.interior", "rod.py:5")),
    "empty interval": (
        rod(box="    domain = pk.Box(t=(0.0, 1.0), x=(1.0, 1.0))\n"),
        ("axis 'x', (1, 1), is empty", "rod.py:6"),
    ),
    "reversed interval": (
        rod(box="    domain = pk.Box(t=(0.0, 1.0), x=(1.0, -1.0))\n"),
        ("(1, -1), is reversed", "rod.py:6"),
    ),
    "unknown field": (
        rod(heat=HEAT.replace("u_t, u_xx", "w_t, u_xx")),
        ("'heat' asks for 'w_t', which is unknown", "rod.py:7"),
    ),
    "unknown derivative": (rod(heat=HEAT.replace("u_t, u_xx", "u_t, u_xz")), ("asks for 'u_xz'", "u_x", "rod.py:7")),
    "unknown coordinate": (
        rod(heat=HEAT.replace("u_t, u_xx", "u_t, y")),
        ("asks for 'y', which is unknown", "rod.py:7"),
    ),
    "parameter as argument": (
        rod("    k: float = 1.0\n", heat=HEAT.replace("u_t, u_xx", "u_t, k")),
        ("'k'", "self.k", "rod.py:7"),
    ),
    "unknown boundary": (
        rod('    @pk.boundary("y")\n    def ends(self, u):\n        return u\n'),
        ("no boundary 'y'", "'x-'", "rod.py:10"),
    ),
    "boundary of time": (
        rod('    @pk.boundary("t")\n    def ends(self, u):\n        return u\n'),
        ("use @pk.initial", "rod.py:10"),
    ),
    "initial without time": (
        rod(
            "    @pk.initial\n    def start(self, u):\n        return u\n",
            "    domain = pk.Box(x=(0.0, 1.0))\n",
            HEAT.replace("u_t", "u_x"),
        ),
        ("needs a time axis", "rod.py:10"),
    ),
    "no such decorator": (rod("    @pk.boundry\n    def ends(self, u):\n        return u\n"), ("boundry", "rod.py:10")),
    "residual of the wrong shape": (
        rod(heat=HEAT.replace("u_t - u_xx", "(u_t - u_xx)[:3]")),
        ("'heat'", "shape (3,)", "rod.py:7"),
    ),
    "mistake in a method": (rod(heat=HEAT.replace("u_t - u_xx", "u_t - self.kappa * u_xx")), ("kappa", "rod.py:9")),
    "misspelt parameter": (
        rod("    alpha: float = 1.0\n", heat=HEAT.replace("u_t - u_xx", "u_t - self.aplha * u_xx")),
        ("'heat' failed", "self.aplha: did you mean 'alpha'?", "rod.py:9"),
    ),
    "name out of nowhere": (
        rod(heat=HEAT.replace("u_t - u_xx", "u_t - u_xx + x")),
        ("Add 'x' to the signature", "rod.py:9"),
    ),
    "np on an array": (
        rod(heat=HEAT.replace("u_t - u_xx", "u_t - __import__('numpy').sin(u_xx)")),
        ("jnp.sin(x)", "rod.py:9"),
    ),
    "if on an array": (
        rod(heat=HEAT.replace("u_t - u_xx", "u_t if u_t > 0 else u_xx")),
        ("jnp.where(condition, a, b)", "rod.py:9"),
    ),
    "a field that is called": (
        rod("    @pk.initial\n    def start(self, u):\n        return u(x=0.0) - 1.0\n"),
        ("ask for `u_at` to evaluate u elsewhere", "rod.py:12"),
    ),
    "true or false": (
        rod("    @pk.initial\n    def start(self, u):\n        return u == 1.0\n"),
        ("'start' is true or false", "u - 1.0, not u == 1.0", "rod.py:10"),
    ),
    "forgotten quantity": (
        rod(
            "    def flux(self, u_x):\n        return u_x\n",
            heat=HEAT.replace("u_t, u_xx", "u_t, flux_x").replace("- u_xx", "- flux_x"),
        ),
        ("'heat' asks for 'flux_x'", "Put @pk.quantity above `def flux`", "rod.py:7"),
    ),
    "a parameter with a coordinate's name": (
        rod("    x: float = 1.0\n"),
        ("The name 'x' stands for two things", "rod.py:5"),
    ),
    "an unknown that optax would take for its own": (
        rod("    value: float = pk.unknown(1.0)\n"),
        ("unknown parameter cannot be called 'value'", "rod.py:5"),
    ),
    "misspelt decorator": (
        rod("    @pk.inital\n    def ends(self, u):\n        return u\n"),
        ("pinnkit.inital: did you mean 'initial'", "rod.py:10"),
    ),
    "a module that is not installed": ("import nonsense\n", ("Install 'nonsense'", "rod.py:1")),
    "residual without a field": (
        rod(heat=HEAT.replace("u_t, u_xx", "t, x").replace("u_t - u_xx", "t - x")),
        ("'heat' does not depend on any field", "rod.py:7"),
    ),
    "hard but not affine": (
        rod('    @pk.boundary("x", hard=True)\n    def ends(self, u):\n        return u**2\n'),
        ("'ends' cannot be met exactly", "affine", "hard=True", "rod.py:10"),
    ),
    "relu": (rod('    model = pk.MLP(activation="relu")\n'), ("relu", "u_xx", "--model.activation tanh", "rod.py:7")),
    "data file missing": (DATA, ("no file 'data.csv'", "no such file in that folder", "rod.py:10")),
    "data outside": (DATA, ("outside the domain", "data.csv:2", "x = 7")),
    "data without a column": (DATA, ("'u_measured'", "u_seen", "rod.py:10")),
    "data without a coordinate": (DATA, ("no column for the coordinate 't'", "data.csv:1")),
    "data with NaN": (DATA, ("column 'u_measured'", "nan", "data.csv:3")),
    "weights of no term": (
        rod('    recipe = pk.Recipe(weights={"haet": 2.0})\n'),
        ("no term 'haet'", "Did you mean 'heat'"),
    ),
    "reference missing": (rod('    reference = "table.csv"\n'), ("no file 'table.csv'",)),
    "parameter without value": (rod("    k: float\n"), ("'k' of Rod has no value", "k: float = 1.0", "rod.py:5")),
}
TABLES = {
    "data outside": "t,x,u_measured\n0.1,7,0.3\n",
    "data without a column": "t,x,u_seen\n0.1,0.2,0.3\n",
    "data without a coordinate": "x,u_measured\n0.2,0.3\n",
    "data with NaN": "t,x,u_measured\n0.1,0.2,0.3\n0.1,0.3,nan\n",
}
FOUND_BY_CHECK = {  # these need the network, so that each takes a second or two
    "wrong exact": (
        rod("    def exact(self, t, x):\n        return jnp.sin(x) * jnp.exp(-2 * t)\n"),
        ("exact solution does not satisfy 'heat'", "its residual is", " at t=", "rod.py:7"),
    ),
    "not finite": (rod(heat=HEAT.replace("u_t, u_xx", "u_t, x").replace("u_t - u_xx", "u_t - jnp.log(x - 0.5)")), ("'heat' is not finite", "rod.py:7")),
    "field asked for, not used": (rod(heat=HEAT.replace("u_t - u_xx", "0 * u_t + 1.0")), ("'heat' does not depend on any field", "rod.py:7")),
}  # fmt: skip
OPTIONS = {
    "unknown option": (["--model.widht", "3"], ("--model.widht", "--model.width")),
    "unknown parameter": (["--problem.kk", "3"], ("--problem.kk", "--problem.k")),
    "option of a stage that is not used": (
        ["--lbfgs.steps", "3"],
        ("'--lbfgs.steps' sets an optimiser that is not used", "--stages adam lbfgs"),
    ),
    "no number": (["--seed", "one"], ("--seed", "'one'")),
    "value missing": (["--seed"], ("--seed",)),
    "unknown network": (["--model", "piratnet"], ("no model called 'piratnet'", "did you mean 'piratenet'", "--model")),
    "no network": (["--model"], ("--model names no network", "mlp, modified_mlp, piratenet, resnet")),
    "no network, but an option": (["--model", "--seed", "1"], ("--model names no network",)),
    "option of another network": (
        ["--model", "piratenet", "--model.fourier_features", "3"],
        ("--model.fourier_features",),
    ),
    "odd width": (["--model=piratenet", "--model.width", "7"], ("PirateNet.width is 7", "even", "Use 8")),
    "value out of range": (["--model.width", "0"], ("MLP.width is 0", "1 or more")),
    "negative steps": (["--adam.steps", "-1"], ("adam.steps is -1", "0 or more")),
    "negative accuracy": (["--accuracy", "-1"], ("accuracy is -1.0", "positive")),
    "unknown choice": (["--precision", "float8"], ("--precision", "float8", "float64")),
    "unknown activation": (["--model.activation", "tahn"], ("'tahn'", "'tanh'")),
    "unknown stage": (["--stages", "adm"], ("no optimiser 'adm'", "Did you mean 'adam'")),
    "unknown weighting": (["--weighting", "nkt"], ("no weighting 'nkt'", "Did you mean 'ntk'")),
    "weighting that is not used": (
        ["--ntk.every", "5"],
        ("'--ntk.every' sets a weighting that is not used", "--weighting ntk"),
    ),
    "none beside others": (["--weighting", "none", "ntk"], ("'none' beside others",)),
    "causality without time": (["--weighting", "causality"], ("no axis 't'", "Remove causality")),
    "unknown method": (["--sampling.method", "rar"], ("rar", "sobol")),
    "no stage": (["--stages"], ("names no optimiser", "auto, adam, soap, muon, lbfgs, ssbroyden, lm, spring")),
    "share above one": (["--sampling.adaptive", "2"], ("sampling.adaptive is 2.0", "from 0 to 1")),
    "bad weight": (["--weights.start", "-1"], ("weight of 'start' is -1.0", "positive")),
    "matrix too large": (
        ["--stages", "ssbroyden", "--model.width", "200", "--model.depth", "3"],
        ("GiB", "--stages adam lbfgs"),
    ),
    "output taken": (["--out", "taken"], ("'taken' is not empty", "nothing is written over")),
}
COMMANDS = {
    "unknown command": (["trian", "heat"], ("no command 'trian'", "Did you mean 'train'")),
    "no problem": (["train"], ("needs a problem", "advection")),
    "options before the problem": (["train", "--seed", "1", "advection"], ("needs a problem first",)),
    "misspelt problem": (["train", "advecton"], ("no problem named 'advecton'", "Did you mean 'advection'")),
    "missing file": (["train", "nowhere/rod.py"], ("no problem file 'nowhere/rod.py'",)),
    "a folder": (["train", "nowhere/"], ("no problem",)),
    "missing run": (["resume", "runs/rod"], ("no run folder 'runs/rod'", "Train first")),
    "missing run to show": (["show", "rod"], ("no run folder 'rod'",)),
    "no run": (["show"], ("takes one RUN", "pinnkit show RUN")),
    "too many runs": (["resume", "a", "b"], ("takes one RUN",)),
    "word too many": (["list", "runs"], ("one word too many",)),
    "no name": (["new"], ("takes one NAME",)),
    "name with a blank": (["new", "my rod"], ("'my rod' cannot name a problem", "letters, digits and _")),
    "name that would be hidden": (["new", "_rod"], ("'_rod' cannot name a problem",)),
}


def assert_refused(answer, words):
    status, out, err = answer
    assert status == 2
    text = re.sub(r"[│|\s]+", " ", err)
    for word in words:
        assert word in text, f"{word!r} is not in:\n{err}"
    assert "Traceback" not in err + out
    assert err.startswith("error: ") or "─" in err or "--" in err  # a message of ours, or the frame of tyro's


@pytest.mark.parametrize("case", FILES | FOUND_BY_CHECK)
def test_mistakes_in_a_problem_file(case, tmp_path):
    text, words = (FILES | FOUND_BY_CHECK)[case]
    (tmp_path / "rod.py").write_text(text)
    if case in TABLES:
        (tmp_path / "data.csv").write_text(TABLES[case])
    before = everything_in(tmp_path)
    assert_refused(pinnkit("train", "rod.py", folder=tmp_path), words)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options(case, tmp_path):
    given, words = OPTIONS[case]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("precious")
    assert_refused(pinnkit("train", TINY, *given, folder=tmp_path), words)
    assert everything_in(tmp_path) == {"taken", "taken/thesis.tex"}


@pytest.mark.parametrize("case", COMMANDS)
def test_bad_commands(case, tmp_path):
    given, words = COMMANDS[case]
    assert_refused(pinnkit(*given, folder=tmp_path), words)
    assert everything_in(tmp_path) == set()


def test_a_template_is_not_written_over(tmp_path):
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "rod.py").write_text("precious")
    assert_refused(pinnkit("new", "rod", folder=tmp_path), ("'problems/rod.py' exists", "nothing is written over"))
    assert (tmp_path / "problems" / "rod.py").read_text() == "precious"


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "problems").write_text("a file, not a folder")
    assert_refused(pinnkit("new", "rod", folder=tmp_path), ("'problems/rod.py' cannot be written",))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = tmp_path_factory.mktemp("finished")
    assert pinnkit("train", TINY, "--adam.steps", "2", "--out", "run", folder=place)[0] == 0
    return place / "run"


def without(file):
    file.unlink()


def cut(file):
    file.write_text(file.read_text()[: file.stat().st_size // 2])


def changed(**values):
    def change(file):
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change


@pytest.mark.parametrize(
    ("command", "file", "damage", "words"),
    [
        ("resume", "checkpoints", shutil.rmtree, ("has no checkpoint", "trained to step", "pinnkit train")),
        ("resume", "run.json", without, ("run folder is damaged", "run.json", "missing")),
        ("show", "run.json", cut, ("run folder is damaged", "run.json")),
        ("resume", "run.json", changed(model={"name": "KAN"}), ("run.json does not describe a run", "KAN")),
        ("resume", "run.json", changed(parameters={"q": 1.0}), ("run.json does not describe a run", "q")),
        ("resume", "run.json", changed(recipe=3), ("run.json does not describe a run",)),
        ("show", "run.json", changed(recipe=3), ("run folder is damaged", "run.json or summary.json")),
        ("show", "summary.json", cut, ("run folder is damaged", "summary.json")),
        ("show", "summary.json", changed(residuals=None), ("run folder is damaged", "summary.json")),
        ("resume", "problem/tiny.py", without, ("tiny.py",)),
        ("resume", "problem/tiny.py", cut, ("tiny.py",)),
    ],
)
def test_a_damaged_run_folder(command, file, damage, words, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    damage(tmp_path / "run" / file)
    assert_refused(pinnkit(command, "run", folder=tmp_path), words)


def test_a_list_shows_damaged_runs_as_such(finished, tmp_path):
    for name, damage in (("one", cut), ("two", changed(errors=3)), ("three", without)):
        shutil.copytree(finished, tmp_path / "runs" / "tiny" / name)
        damage(tmp_path / "runs" / "tiny" / name / "summary.json")
    status, out, _ = pinnkit("list", folder=tmp_path)
    assert status == 0
    said = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in out.splitlines() if "runs/tiny/" in line}
    assert said == {"runs/tiny/one": "damaged", "runs/tiny/two": "damaged", "runs/tiny/three": "not ended"}


HOPELESS = """import jax.numpy as jnp
from paths import TINY
import pinnkit as pk


class Hopeless(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def fence(self, u, u_x):
        return u_x + u + 0.0 * jnp.sqrt(9.0 - u**2)

    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(stages=(pk.Adam(steps=300, learning_rate=1e6),), sampling=pk.Sampling(interior=16))
"""


@pytest.mark.slow
def test_a_run_that_diverges_exits_with_3_and_leaves_its_folder_intact(tmp_path):
    (tmp_path / "hopeless.py").write_text(HOPELESS)
    status, out, err = pinnkit("train", "hopeless.py", "--out", "run", folder=tmp_path)
    assert (status, err) == (3, "")
    assert "NaN or Inf at step 2 in term 'fence'" in out
    assert "diverged and could not be rescued; this is the last good state." in " ".join(out.split())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["diverged"], summary["exit_status"], summary["rescues"], summary["steps"]) == (True, 3, 3, 0)
    assert len(summary["events"]) == 4
    assert json.loads((tmp_path / "run" / "run.json").read_text())["problem"]["class"] == "Hopeless"
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count("NaN or Inf") == 4
    assert {p.name for p in (tmp_path / "run" / "figures").iterdir()} == {"solution.png", "losses.png"}
    assert pinnkit("show", "run", folder=tmp_path)[0] == 3
    status, out, _ = pinnkit("resume", "run", folder=tmp_path)  # from the last good state, and lost again
    assert status == 3
    assert "going on at step 0 of 300" in out


@pytest.mark.slow
def test_a_mistake_shows_no_traceback_in_a_process_of_its_own(tmp_path):
    (tmp_path / "rod.py").write_text(FILES["unknown field"][0])
    path = os.pathsep.join([str(TINY.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pinnkit", "train", "rod.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: 'heat' asks for 'w_t'")
    assert "Traceback" not in done.stderr
