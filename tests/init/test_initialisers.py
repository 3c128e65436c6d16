"""The variance that each scheme promises, and the one that it draws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinnkit.errors import UsageError
from pinnkit.init import PARAMETRISATIONS, SCHEMES, initialiser, parametrise, weight_variance

GAIN2 = 2.5
EXPECTED = {
    "he": lambda n_in, n_out: GAIN2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
    "glorot": lambda n_in, n_out: 2 / (n_in + n_out),
    "constant": lambda n_in, n_out: 1 / 16,
    "orthogonal": lambda n_in, n_out: GAIN2 / max(n_in, n_out),
}


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def drawn(parametrisation, scheme, shape, key=0, dtype=jnp.float32):
    """The weights that the forward pass really uses."""
    made = parametrise(parametrisation, scheme, shape, GAIN2)
    return made.weights(made.draw(jax.random.key(key), shape, dtype))


def test_every_scheme_has_an_expectation():
    assert set(EXPECTED) == set(SCHEMES)


@pytest.mark.parametrize("shape", [(256, 160), (160, 256)])
@pytest.mark.parametrize("scheme", sorted(EXPECTED))
@pytest.mark.parametrize("parametrisation", sorted(PARAMETRISATIONS))
def test_variance_drawn_is_the_variance_promised(parametrisation, scheme, shape):
    # 40960 draws: the standard error of a variance is sqrt(2 / n) = 0.7 %, so 3 % is more than 4 (99.99 %).
    promised = EXPECTED[scheme](*shape)
    assert weight_variance(scheme, shape, GAIN2) == pytest.approx(promised, rel=1e-14)
    weights = np.asarray(drawn(parametrisation, scheme, shape), dtype=np.float64)
    assert np.mean(weights**2) == pytest.approx(promised, rel=0.03)
    # The mean is zero within four standard errors (99.99 %).
    assert abs(np.mean(weights)) < 4 * math.sqrt(promised / weights.size)


@pytest.mark.parametrize("parametrisation", sorted(PARAMETRISATIONS))
def test_a_factor_multiplies_the_weights(parametrisation):
    made = parametrise(parametrisation, "he", (6, 4), GAIN2, factor=3.0)
    weights = made.weights(made.draw(jax.random.key(0), (6, 4), jnp.float32))
    np.testing.assert_allclose(weights, 3.0 * drawn(parametrisation, "he", (6, 4)), rtol=1e-6)


def test_variance_of_a_first_layer():
    # Two coordinates in, 32 units out, 2000 layers: 128000 draws.
    shape = (2, 32)
    init = initialiser("he", GAIN2)
    weights = jax.vmap(lambda key: init(key, shape, jnp.float32))(jax.random.split(jax.random.key(1), 2000))
    assert np.mean(np.asarray(weights, np.float64) ** 2) == pytest.approx(GAIN2 / 2, rel=0.03)


@pytest.mark.parametrize("scheme", ["he", "orthogonal"])
def test_three_parametrisations_give_the_same_weights_from_one_key(scheme, x64):
    standard, ntk, rwf = (drawn(p, scheme, (25, 10), dtype=jnp.float64) for p in ("standard", "ntk", "rwf"))
    np.testing.assert_allclose(ntk, standard, rtol=1e-15)
    np.testing.assert_allclose(rwf, standard, rtol=1e-14)


def test_what_is_stored(x64):
    shape, key = (256, 160), jax.random.key(3)
    stored = {p: parametrise(p, "he", shape, GAIN2).draw(key, shape, jnp.float64) for p in PARAMETRISATIONS}
    assert {p: set(s) for p, s in stored.items()} == {
        "standard": {"kernel"}, "ntk": {"kernel"}, "rwf": {"kernel", "log_factor"}, "weight_norm": {"kernel", "length"},
    }  # fmt: skip
    # 40960 draws: standard error of the variance 0.7 %.
    assert np.mean(np.asarray(stored["ntk"]["kernel"]) ** 2) == pytest.approx(1.0, rel=0.03)
    # 160 draws: standard errors 0.008 of the mean and 6 % of the deviation.
    s = np.asarray(stored["rwf"]["log_factor"])
    assert s.mean() == pytest.approx(1.0, abs=0.03) and s.std() == pytest.approx(0.1, rel=0.25)
    np.testing.assert_allclose(stored["rwf"]["kernel"] * np.exp(s)[None, :], stored["standard"]["kernel"], rtol=1e-14)


@pytest.mark.parametrize("n_in", [3, 30, 300])
def test_weight_normalisation_knows_no_fan_in(n_in, x64):
    made = parametrise("weight_norm", "he", (n_in, 50), GAIN2)
    stored = made.draw(jax.random.key(0), (n_in, 50), jnp.float64)
    np.testing.assert_allclose(stored["length"], math.sqrt(GAIN2), rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(made.weights(stored), axis=0), math.sqrt(GAIN2), rtol=1e-13)


@pytest.mark.parametrize("shape", [(25, 10), (10, 25)])
def test_orthogonal_has_orthogonal_rows_or_columns(shape, x64):
    weights = np.asarray(drawn("standard", "orthogonal", shape, dtype=jnp.float64))
    gram = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(gram, GAIN2 * np.eye(min(shape)), atol=1e-13)


@pytest.mark.parametrize(("scheme", "dtype"), [("he", jnp.float64), ("orthogonal", jnp.bfloat16)])
@pytest.mark.parametrize("parametrisation", sorted(PARAMETRISATIONS))
def test_the_dtype_is_the_one_asked_for(parametrisation, scheme, dtype, x64):
    weights = drawn(parametrisation, scheme, (25, 10), dtype=dtype)
    assert weights.dtype == dtype and bool(jnp.all(jnp.isfinite(weights)))


def test_messages():
    with pytest.raises(UsageError, match="no initialisation called 'glorrot'") as caught:
        initialiser("glorrot", 2.0)
    assert "did you mean 'glorot'?" in str(caught.value)
    with pytest.raises(UsageError, match="no parametrisation called 'mup'"):
        parametrise("mup", "he", (3, 4), 2.0)
    with jax.enable_x64(False), pytest.raises(UsageError, match="float64, but JAX is in 32-bit mode"):
        initialiser("he", 2.0)(jax.random.key(0), (3, 4), jnp.float64)
    with pytest.raises(UsageError, match="cannot have the type int32"):
        initialiser("he", 2.0)(jax.random.key(0), (3, 4), jnp.int32)
