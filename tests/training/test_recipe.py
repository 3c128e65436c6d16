"""The recipe: defaults, the precision, and what it refuses."""

import jax
import jax.numpy as jnp
import optax
import pytest
from cases import refused

import pinnkit as pk
from pinnkit import compilation


def test_the_default_chooses_its_optimisers_and_is_in_float64():
    recipe = pk.Recipe()
    assert [stage.name for stage in recipe.stages] == ["auto"]
    assert recipe.steps == 10000
    assert recipe.dtype == jnp.float64
    assert recipe.accuracy is None


def test_one_stage_needs_no_tuple_and_a_list_will_do():
    assert pk.Recipe(stages=pk.Adam(steps=3)).stages == (pk.Adam(steps=3),)
    assert pk.Recipe(stages=[pk.Adam(steps=3), pk.LBFGS(steps=4)]).steps == 7


def test_float64_is_refused_where_jax_would_silently_give_float32():
    assert pk.Recipe(precision="float32").dtype == jnp.float32
    jax.config.update("jax_enable_x64", False)
    try:
        refused(lambda: pk.Recipe().dtype, "float64", "32 bits", 'jax.config.update("jax_enable_x64", True)')
        assert pk.Recipe(precision="float32").dtype == jnp.float32
    finally:
        jax.config.update("jax_enable_x64", True)


def test_float32_is_refused_where_jax_would_silently_round_its_products(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    refused(lambda: pk.Recipe(precision="float32").dtype, "float32", "3 digits", compilation.SETTING)
    assert pk.Recipe(precision="float64").dtype == jnp.float64
    with jax.default_matmul_precision("tensorfloat32"):  # asked for: kept
        compilation.keep_digits()
        assert pk.Recipe(precision="float32").dtype == jnp.float32
    try:
        compilation.keep_digits()
        assert pk.Recipe(precision="float32").dtype == jnp.float32
    finally:
        jax.config.update(compilation.SETTING, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stages": (optax.adam(1e-3),)}, ("is no stage", "pk.Optax(transform=..., steps=...)")),
        ({"stages": "adam"}, ("'adam' is no stage", "pk.Adam")),
        ({"stages": (pk.Adam,)}, ("is no stage", "pk.Adam(...)")),
        ({"accuracy": -1.0}, ("accuracy is -1.0", "positive")),
        ({"accuracy": float("nan")}, ("accuracy is nan", "positive")),
        ({"accuracy": "1e-4"}, ("accuracy is '1e-4'", "positive")),
        ({"precision": "float8"}, ("precision is 'float8'", "float64, float32")),
        ({"sampling": 2000}, ("sampling is 2000", "pk.Sampling(interior=2000)")),
        ({"weights": 10.0}, ("weights is 10.0", "a dict")),
    ],
)
def test_bad_values_are_refused(values, words):
    refused(lambda: pk.Recipe(**values), *words)
