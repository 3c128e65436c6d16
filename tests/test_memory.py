"""What would not fit into memory is refused before it is asked for, with a value that fits."""

import math

import pytest
from cases import refused
from problems_of_tests import Square

import pinnkit as pk
from pinnkit import memory
from pinnkit.objective import Equations
from pinnkit.training.requirements import require_memory_for, require_memory_of_stages

GIB = 2**30
HELMHOLTZ = Equations(Square())


@pytest.fixture
def one_gibibyte(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: float(GIB))


def need(model=None, **recipe):
    recipe.setdefault("sampling", pk.Sampling(interior=100))
    require_memory_for(HELMHOLTZ, model or pk.MLP(width=4, depth=1), pk.Recipe(**recipe))


@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("--sampling.interior", lambda n: {"sampling": pk.Sampling(interior=n)}),
        ("--sampling.interior", lambda n: {"sampling": pk.Sampling(interior=n, method="sobol")}),
        ("--model.width", lambda n: {"model": pk.MLP(width=n, depth=3)}),
        ("--model.fourier_features", lambda n: {"model": pk.MLP(width=8, fourier_features=n)}),
        ("--model.width", lambda n: {"model": pk.PirateNet(width=2 * n)}),
        ("--model.width", lambda n: {"model": pk.Transformer(width=2 * n, heads=2)}),
    ],
)
def test_the_value_that_a_message_names_fits_and_twice_as_much_does_not(option, make, one_gibibyte):
    with pytest.raises(pk.UsageError) as caught:
        need(**make(10**9))
    assert caught.value.where == option and "1.0 GiB are free" in caught.value.what
    fits = int(caught.value.do.split()[-1].rstrip("."))
    assert caught.value.do == f"Use {option} {fits}."
    half = option == "--model.width" and "MLP" not in str(make(2))
    need(**make(fits // 2 if half else fits))
    refused(lambda: need(**make(2 * fits)), "GiB")


def test_optimisers_are_counted(one_gibibyte):
    require_memory_of_stages([pk.SSBroyden(), pk.LBFGS()], 5000, "float64")
    refused(lambda: require_memory_of_stages([pk.SSBroyden()], 10000, "float64"), "1.5 GiB", "--stages adam lbfgs")
    refused(
        lambda: require_memory_of_stages([pk.LBFGS(memory=10**6)], 5000, "float64"),
        "--lbfgs.memory 13000",
        "1000000 pairs",
    )


def test_the_machine_and_the_container_both_count(tmp_path):
    assert 0 < memory.free_memory() < math.inf
    assert memory._of_control_group(tmp_path) == math.inf
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.stat").write_text("anon 4\ninactive_file 3\n")
    assert memory._of_control_group(tmp_path) == math.inf
    (tmp_path / "memory.max").write_text("100\n")
    assert memory._of_control_group(tmp_path) == 98


def test_nothing_is_said_where_all_fits():
    need(pk.MLP(width=40, depth=4), sampling=pk.Sampling(interior=20000))
