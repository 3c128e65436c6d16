"""Each network trains, and depth costs nothing where blocks are switched off at the start."""

import pytest

import pinnkit as pk
from pinnkit.problem import problem_class

SMALL = {
    "mlp": pk.MLP(width=12, depth=2),
    "modified_mlp": pk.ModifiedMLP(width=12, depth=2),
    "piratenet": pk.PirateNet(width=12, depth=1),
    "resnet": pk.ResNet(width=12, depth=1),
    "rwf": pk.MLP(width=12, depth=2, parametrisation="rwf"),
    "weight_norm": pk.MLP(width=12, depth=2, parametrisation="weight_norm"),
}


def error(model, *stages, interior, precision="float64"):
    recipe = pk.Recipe(stages=stages, sampling=pk.Sampling(interior=interior), precision=precision)
    return pk.train(problem_class("heat")(), model=model, recipe=recipe, progress=False).errors["u"].relative_l2


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_each_network_solves_the_heat_equation(name):
    """In 200 steps, a few seconds after compilation."""
    assert error(SMALL[name], pk.SSBroyden(steps=200), interior=400) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The start is unfit")
def test_thirty_hidden_layers_train_where_blocks_are_switched_off():
    """Adam, 1000 steps: 31 hidden layers of ResNet reach 1e-2; 30 of a plain tanh network with the same start do not."""
    adam = pk.Adam(steps=1000, learning_rate=1e-3)
    deep, plain = (
        error(model, adam, interior=256, precision="float32")
        for model in (pk.ResNet(width=16, depth=15), pk.MLP(width=16, depth=30))
    )
    assert deep < 1e-2 < 0.1 < plain
