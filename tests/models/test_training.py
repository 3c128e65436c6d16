"""Each network trains."""

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


def error(model, *stages, interior):
    recipe = pk.Recipe(stages=stages, sampling=pk.Sampling(interior=interior))
    return pk.train(problem_class("heat")(), model=model, recipe=recipe, progress=False).errors["u"].relative_l2


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_each_network_solves_the_heat_equation(name):
    """In 200 steps, a few seconds after compilation."""
    assert error(SMALL[name], pk.SSBroyden(steps=200), interior=400) < 1e-4
