"""Solutions that scripts and notebooks keep: `out=`, `Solution.save`, and problems that stand in no file."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from tiny import Decay

import pinnkit as pk
from pinnkit.runs.checkpoint import Checkpoints

RECIPE = pk.Recipe(stages=(pk.SSBroyden(steps=30),), sampling=pk.Sampling(interior=16, boundary=1, redraw=10))
X = np.linspace(0.0, 1.0, 7)


@pytest.mark.slow
def test_a_training_with_a_folder_is_that_of_the_command_line(tmp_path):
    solution = pk.train(Decay(k=2.0), recipe=RECIPE, out=tmp_path / "run")
    plain = pk.train(Decay(k=2.0), recipe=RECIPE)
    np.testing.assert_array_equal(solution(x=X)["u"], plain(x=X)["u"])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "metrics.jsonl", "summary.json", "checkpoints", "figures", "problem"} <= names
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == {"solution.png", "losses.png"}
    again = pk.load(tmp_path / "run")
    np.testing.assert_array_equal(again(x=X)["u"], solution(x=X)["u"])
    assert again.verdict == solution.verdict and again.history == json.loads(json.dumps(solution.history))
    refused(lambda: pk.train(Decay(), out=tmp_path / "run"), "is not empty")


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_bit(tmp_path):
    def press(run, report):
        if int(report.state.step) >= 10:
            os.kill(os.getpid(), signal.SIGINT)

    solution = pk.train(Decay(), recipe=RECIPE, out=tmp_path / "run", hooks=[press])
    assert 10 <= solution.evaluation.state.step < 30 and solution.evaluation.interrupted
    status, out, err = pinnkit("resume", str(tmp_path / "run"))
    assert status == 0, out + err
    pk.train(Decay(), recipe=RECIPE, out=tmp_path / "straight")
    ours, theirs = (Checkpoints(tmp_path / name / "checkpoints").read() for name in ("run", "straight"))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours if "seconds" not in name)


@pytest.mark.slow
def test_a_solution_is_saved_afterwards(tmp_path):
    solution = pk.train(Decay(k=2.0), recipe=RECIPE)
    assert solution.save(tmp_path / "kept") == tmp_path / "kept"
    again = pk.load(tmp_path / "kept")
    np.testing.assert_array_equal(again(x=X)["u"], solution(x=X)["u"])
    assert again.verdict == solution.verdict and again.run.problem.k == 2.0
    assert again.save(tmp_path / "copy") and pk.load(tmp_path / "copy").verdict == solution.verdict
    refused(lambda: solution.save(tmp_path / "kept"), "is not empty", "folder that is empty")
    status, out, _ = pinnkit("resume", str(tmp_path / "kept"), "--ssbroyden.steps", "40")
    assert status == 0 and "going on at step 30 of 40" in out


def test_a_class_inside_a_function_is_refused_with_the_reason(tmp_path):
    class Local(Decay):
        pass

    solution = pk.train(Local(), recipe=RECIPE)
    refused(lambda: solution.save(tmp_path / "run"), "Local")
    assert not (tmp_path / "run").exists()


SCRIPT = '''
import sys
from dataclasses import dataclass
from math import pi

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import optax
import pinnkit as pk

RATE = 2.0
unused = open(__file__).read()
shape = (RATE / 2, "unused")
weights = np.array([1.0, 2.0])
factor = np.sqrt(RATE * RATE)


def source(x):
    return helper(x) * RATE * factor


def helper(x):
    return jnp.zeros_like(x) * weights[0]


@dataclass(frozen=True, kw_only=True)
class Plain(pk.Optimiser):
    """Gradient descent."""

    rate: float = 0.05

    def transformation(self, step_scale=1.0):
        return optax.sgd(self.rate * step_scale)


class Base(pk.Problem):
    k: float = RATE
    domain = pk.Box(x=(0.0, 1.0))

    @pk.boundary("x-")
    def start(self, u):
        return u - 1.0


class Fall(Base):
    """u' = -k u."""

    @pk.interior
    def fall(self, u, u_x, x):
        return u_x + self.k * u + source(x)

    def exact(self, x):
        return jnp.exp(-self.k * x)

    model = pk.MLP(width=4, depth=1)


x = np.linspace(0.0, 1.0, 7)
TRAIN
print("done")
'''
RUN = """
recipe = pk.Recipe(stages=(Plain(steps=5), pk.SSBroyden(steps=20)), sampling=pk.Sampling(interior=16, boundary=1))
solution = pk.train(Fall(k=1.5), recipe=recipe, out="run")
solution.save("kept")
np.save("u.npy", solution(x=x)["u"])
"""
LOADED = """
import jax, numpy as np, sys
jax.config.update("jax_enable_x64", True)
import pinnkit as pk
solutions = [pk.load(name) for name in ("run", "kept")]
assert all(np.array_equal(s(x=np.linspace(0.0, 1.0, 7))["u"], np.load("u.npy")) for s in solutions)
assert solutions[0].run.problem.k == 1.5 and solutions[0].run.recipe.stages[0].rate == 0.05
print("loaded", len(solutions[0].history))
"""


def run(code, folder):
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code] if "\n" in code else [sys.executable, code], cwd=folder, env=env,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_script_keeps_its_problem_and_is_not_run_again(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("TRAIN", RUN))
    assert run("script.py", tmp_path).count("done") == 1
    kept = (tmp_path / "run" / "problem" / "fall.py").read_text()
    assert kept.index("import numpy as np") < kept.index("RATE = 2.0") < kept.index("factor = np.sqrt(RATE * RATE)")
    for line in ("import jax.numpy as jnp", "RATE = 2.0", "def helper(x):", "class Base(pk.Problem):", "class Plain("):
        assert kept.count(line) == 1, kept
    assert "pk.train" not in kept and "linspace" not in kept and "open(" not in kept and "shape" not in kept
    assert run(LOADED, tmp_path).startswith("loaded")
    (tmp_path / "script.py").unlink()
    status, out, err = pinnkit("resume", "run", "--ssbroyden.steps", "22", folder=tmp_path)
    assert status == 0 and "has changed since" not in out, out + err


@pytest.mark.slow
@pytest.mark.long
def test_a_notebook_keeps_its_problem(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    text = SCRIPT.replace("unused = open(__file__).read()\n", "").replace('print("done")', "")
    head, _, rest = text.partition("class Base")
    classes = "class Base" + rest.partition("x = np")[0]
    magic = "%config InlineBackend.figure_format = 'png'"
    cells = [head, classes, magic, "x = np.linspace(0.0, 1.0, 7)", RUN]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "kept" / "summary.json").is_file()
    assert run(LOADED, tmp_path).startswith("loaded")


@pytest.mark.slow
def test_what_a_script_cannot_say_again_is_refused(tmp_path):
    text = SCRIPT.replace("TRAIN", 'exec("odd = 3 * weights")\n\n\nclass Odd(Fall):\n    @pk.interior\n'
                          "    def fall(self, u, u_x):\n        return u_x + self.k * u + 0.0 * odd[0]\n\n\n"
                          "try:\n    pk.train(Odd(), out='run')\nexcept pk.UsageError as error:\n    print(error)")  # fmt: skip
    (tmp_path / "script.py").write_text(textwrap.dedent(text))
    out = run("script.py", tmp_path)
    assert "Odd needs 'odd', whose definition cannot be found" in out and not Path(tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_signal_saves_the_state_of_a_script(number, status, tmp_path):
    """After SIGTERM the program ends; after Ctrl-C it goes on with what there is."""
    text = SCRIPT.replace(
        "TRAIN",
        "import os\n\n\ndef hook(run, report):\n    if report.state.step == 10:\n"
        f"        os.kill(os.getpid(), {int(number)})\n\n\n"
        "pk.train(Fall(), recipe=pk.Recipe(stages=pk.SSBroyden(steps=500)), out='run', hooks=[hook])",
    )
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("done" in done.stdout) == (status == 0) and "Traceback" not in done.stderr
    assert int(Checkpoints(tmp_path / "run" / "checkpoints").read()[".step"]) == 10
