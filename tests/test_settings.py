"""Optimisers, weightings and networks that a problem file defines are trained, resumed, loaded and exported like others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli import pinnkit

import pinnkit as pk
from pinnkit.models import Model
from pinnkit.problem.find import problem_class
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.kinds import network_classes
from pinnkit.runs.restore import restore_run
from pinnkit.runs.run import Run
from pinnkit.settings import from_plain, to_plain
from pinnkit.training.recipe import Recipe

EQUATIONS = """class Decay(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0))
    scales = None  # no verdict on a few steps

    @pk.interior
    def decay(self, u, u_x):
        return u_x + u

    @pk.boundary("x-")
    def start(self, u):
        return u - 1.0

    def reference(self, x):  # with a truth no other method is asked
        return 1.0 - 0.6321205588285577 * x

"""
FILE = (
    '''"""Decay, with an optimiser, a weighting and a network of its own."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import pinnkit as pk
from pinnkit.models import MLP
from pinnkit.optim import Optimiser
from pinnkit.weighting import Weighting


@dataclass(frozen=True, kw_only=True)
class SignDescent(Optimiser):
    """Steps of one length along the sign of the gradient."""

    rate: float = 1e-3
    """Length of a step."""

    def transformation(self, step_scale=1.0):
        return optax.chain(optax.scale_by_sign() if hasattr(optax, "scale_by_sign") else optax.stateless(
            lambda g, p: jax.tree.map(jnp.sign, g)), optax.scale(-self.rate * step_scale))


@dataclass(frozen=True, kw_only=True)
class LateTimes(Weighting):
    """Weights that grow along the axis."""

    name = "late"
    power: float = 1.0
    """Power of the coordinate."""

    def init(self, objective, params, points):
        return jnp.asarray(self.power)

    def update(self, objective, state, params, points):
        return state

    def factors(self, objective, state, points):
        return {"decay": 1.0 + points["interior"].X[:, 0] ** state}


class Sine(nnx.Module):
    def __init__(self, features, outputs, width, rngs, dtype):
        self.hidden = nnx.Linear(features, width, rngs=rngs, param_dtype=dtype)
        self.readout = nnx.Linear(width, outputs, rngs=rngs, param_dtype=dtype)

    def __call__(self, X):
        return self.readout(jnp.sin(self.hidden(X)))


@dataclass(frozen=True, kw_only=True)
class SineNetwork:
    """One hidden layer of sines."""

    width: int = 4
    """Units of the hidden layer."""
    scales: tuple[float, ...] = (1.0, 2.0)
    """Numbers that are not used, in a tuple."""
    activation = "sin"

    def build(self, features, outputs, *, rngs, dtype):
        return Sine(features, outputs, self.width, rngs, dtype)

    def parameters(self, features, outputs):
        return (features + 1) * self.width + (self.width + 1) * outputs


'''
    + EQUATIONS
    + """    model = SineNetwork(width=5)
    recipe = pk.Recipe(
        stages=(SignDescent(steps=4, rate=2e-3), pk.Optax(transform=optax.sgd(1e-3), steps=3)),
        weighting=(LateTimes(power=2.0),),
        sampling=pk.Sampling(interior=8, boundary=1),
    )
"""
)
AUTO = (
    '''"""Decay, with an automatic stage that stands for two, before an optax transformation."""

import optax
import pinnkit as pk


'''
    + EQUATIONS
    + """    model = pk.MLP(width=90, depth=2)
    recipe = pk.Recipe(
        stages=(pk.Auto(steps=8), pk.Optax(transform=optax.sgd(1e-3), steps=3)),
        sampling=pk.Sampling(interior=8, boundary=1),
    )
"""
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_settings_of_a_problem_file_survive_every_command():
    Path("decay.py").write_text(FILE)
    status, out, err = pinnkit("train", "decay.py", "--signdescent.rate", "3e-3", "--late.power", "3", "--out", "run")
    assert status == 0, out + err
    config = json.loads(Path("run/run.json").read_text())
    assert config["recipe"]["stages"][0] == {
        "name": "signdescent", "steps": 4, "loss_below": 0.0, "patience": 20, "rate": 3e-3,
    }  # fmt: skip
    assert config["recipe"]["weighting"] == [{"name": "late", "every": 100, "power": 3.0}]
    assert config["model"] == {"name": "SineNetwork", "width": 5, "scales": [1.0, 2.0]}
    Path("decay.py").unlink()
    run = restore_run(RunFolder(Path("run")))
    first, second = run.recipe.stages
    assert (first.rate, second.steps, run.recipe.weighting[0].power, run.model.scales) == (3e-3, 3, 3.0, (1.0, 2.0))
    again = pk.load("run")
    assert again(x=0.5)["u"].shape == ()
    status, out, err = pinnkit("export", "run")
    assert status == 0, out + err
    status, out, err = pinnkit("resume", "run", "--optax.steps", "9")
    assert status == 0 and "going on at step 7 of 13" in out, out + err


@pytest.mark.slow
def test_a_choice_of_a_problem_file_is_made_by_its_name():
    Path("decay.py").write_text(FILE)
    options = ("--stages", "adam", "signdescent", "--adam.steps", "2", "--model", "sinenetwork", "--weighting", "late")
    status, out, err = pinnkit("train", "decay.py", *options, "--model.width", "3", "--out", "run")
    assert status == 0, out + err
    run = restore_run(RunFolder(Path("run")))
    assert [s.name for s in run.recipe.stages] == ["adam", "signdescent"] and run.model.width == 3
    assert run.recipe.stages[1].rate == 2e-3, "the problem's own setting"
    status, out, err = pinnkit("train", "decay.py", "--stages", "signdesc")
    assert status == 2 and "Did you mean 'signdescent'?" in err, err


@pytest.mark.slow
def test_an_optax_stage_behind_an_automatic_one_that_stands_for_two(monkeypatch):
    monkeypatch.setattr("pinnkit.optim.auto.QUICK", 1024)
    Path("decay.py").write_text(AUTO)
    status, out, err = pinnkit("train", "decay.py", "--out", "run")
    assert status == 0, out + err
    run = restore_run(RunFolder(Path("run")))
    assert [s.name for s in run.recipe.stages] == ["soap", "lbfgs", "optax"]
    assert isinstance(run.recipe.stages[2].transform, tuple)
    status, out, err = pinnkit("resume", "run", "--optax.steps", "5")
    assert status == 0, out + err
    shutil.rmtree("run")


@pytest.mark.slow
def test_an_option_that_is_a_function_comes_from_the_problem_file():
    text = FILE.replace("    rate: float = 1e-3\n", "    rate: float = 1e-3\n    ramp: object = jnp.tanh\n")
    Path("decay.py").write_text(text.replace("rate=2e-3)", "rate=2e-3, ramp=lambda s: s)"))
    status, out, err = pinnkit("train", "decay.py", "--out", "run")
    assert status == 0, out + err
    assert restore_run(RunFolder(Path("run"))).recipe.stages[0].ramp(7) == 7


def test_what_cannot_be_kept_is_refused_before_training():
    grows = "    def __post_init__(self):\n        object.__setattr__(self, 'rate', 2 * self.rate)\n\n    def transformation"
    Path("decay.py").write_text(FILE.replace("    def transformation", grows, 1))
    status, out, err = pinnkit("train", "decay.py", "--out", "run")
    assert status == 2 and "The recipe cannot be kept" in err and not Path("run").exists(), out + err


RECIPE = pk.Recipe(
    stages=(pk.Adam(steps=7, learning_rate=3e-3), pk.LevenbergMarquardt(steps=2)),
    sampling=pk.Sampling(interior=9, method="r3"),
    weights={"decay": 2.0},
    weighting=(pk.GradientNorm(every=5), pk.NTK(every=0), pk.Causality(slices=4)),
    schedule=pk.Curriculum(parameter="k", multiples=(0.1, 0.5)),
    accuracy=1e-4,
    gradients=3,
)


def test_a_recipe_is_its_own_image_in_json():
    text = json.dumps(to_plain(RECIPE))
    again = from_plain(json.loads(text), Recipe)
    assert again == RECIPE and type(again.schedule.multiples) is tuple
    assert json.dumps(to_plain(again)) == text


@pytest.mark.parametrize("model", [pk.MLP(width=7, init="he"), pk.PirateNet(), pk.ResNet(), pk.Transformer(), pk.Autoencoder(),
                                   pk.DenseED()], ids=lambda m: type(m).__name__)  # fmt: skip
def test_a_network_is_its_own_image_in_json(model):
    classes = {cls.__name__: cls for cls in network_classes().values()}
    described = json.loads(json.dumps(to_plain(model, Model)))
    assert described["name"] == type(model).__name__
    assert from_plain(described, Model, classes=classes) == model


def test_infinite_numbers_and_arrays_survive():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Own:
        limit: float = 1.0
        values: tuple[float, ...] = ()

    described = json.loads(json.dumps(to_plain(Own(float("inf"), (1.0, -float("inf"))))))
    assert from_plain(described, Own) == Own(float("inf"), (1.0, -float("inf")))
    assert np.isinf(from_plain(described, Own).limit)


def test_a_problem_of_a_file_names_its_own_settings():
    Path("decay.py").write_text(FILE)
    problem = problem_class("decay.py")()
    run = Run(problem)
    assert to_plain(run.recipe)["stages"][0]["name"] == "signdescent"
