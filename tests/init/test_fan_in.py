"""Fan-ins of the kinds of layers: against counting, and by the variance that flax's own layers make with them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pinnkit import init
from pinnkit.errors import UsageError

GAIN2 = 1.7
DRAWS = {  # initialiser, shape of the kernel, variance
    "dense": (init.dense(GAIN2), (128, 320), GAIN2 / 128),
    "pointwise": (init.pointwise(GAIN2), (1, 1, 128, 320), GAIN2 / 128),
    "convolution": (init.convolution(GAIN2), (3, 3, 32, 160), GAIN2 / (9 * 32)),
    "convolution in 1-D": (init.convolution(GAIN2), (5, 64, 160), GAIN2 / (5 * 64)),
    "strided": (init.convolution(GAIN2, strides=2), (3, 3, 32, 160), GAIN2 / (9 * 32)),
    "grouped": (init.convolution(GAIN2, groups=4), (3, 3, 8, 640), GAIN2 / (9 * 8)),
    "depthwise": (init.depthwise(GAIN2), (3, 3, 1, 5120), GAIN2 / 9),
    "transposed, stride 2": (init.transposed(GAIN2, strides=2), (4, 4, 32, 96), GAIN2 / (4 * 32)),
    "transposed, strides 2 and 3": (init.transposed(GAIN2, strides=(2, 3)), (4, 3, 32, 128), GAIN2 / (2 * 32)),
    "transposed, its kernel too": (
        init.transposed(GAIN2, strides=2, transposed_kernel=True),
        (4, 4, 96, 32),
        GAIN2 / (4 * 32),
    ),
    "query": (init.projection(GAIN2), (96, 8, 64), GAIN2 / 96),
    "output": (init.projection(GAIN2, output=True), (8, 16, 384), GAIN2 / 128),
    "masked": (init.masked(GAIN2, keep=0.2), (128, 320), GAIN2 / (0.2 * 128)),
    "masked depthwise": (init.masked(GAIN2, keep=0.5, full=init.Depthwise()), (4, 4, 1, 3000), GAIN2 / 8),
    "backward": (init.dense(GAIN2, backward=True), (128, 320), GAIN2 / 320),
    "convolution, backward": (init.convolution(GAIN2, backward=True), (3, 3, 32, 160), GAIN2 / (9 * 160)),
    "strided, backward": (init.convolution(GAIN2, strides=2, backward=True), (4, 4, 32, 96), GAIN2 / (4 * 96)),
    "grouped, backward": (init.convolution(GAIN2, groups=4, backward=True), (3, 3, 8, 640), GAIN2 / (9 * 160)),
    "transposed, backward": (init.transposed(GAIN2, strides=2, backward=True), (4, 4, 32, 96), GAIN2 / (16 * 96)),
    "lecun": (init.convolution(GAIN2, scheme="lecun"), (3, 3, 32, 160), 1 / (9 * 32)),
    "glorot": (init.convolution(scheme="glorot"), (3, 3, 32, 160), 2 / (9 * 32 + 9 * 160)),
    "orthogonal": (init.convolution(GAIN2, scheme="orthogonal"), (3, 3, 32, 160), GAIN2 / (9 * 160)),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_variance_drawn(kind):
    # 40000 draws or more: the standard error of a variance is 0.7 %, so 3 % is more than 4 of them (99.99 %).
    make, shape, expected = DRAWS[kind]
    weights = np.asarray(make(jax.random.key(1), shape, jnp.float32), np.float64)
    assert weights.shape == shape and weights.size >= 40000
    assert np.mean(weights**2) == pytest.approx(expected, rel=0.03)


def test_fans_of_a_dense_layer():
    assert init.dense_fans((3, 7)) == (3, 7)


# ----------------------------------------------------------------------- what flax's layers make of them
IMAGE = (1, 6, 6)
LAYERS = {  # factory from (initialiser or None for flax's he_normal, rngs), and our initialiser for ReLU
    "dense": (lambda f, r: nnx.Linear(32, 48, kernel_init=f, rngs=r), init.dense()),
    "pointwise": (lambda f, r: conv(32, 48, 1, f, r), init.pointwise()),
    "convolution": (lambda f, r: conv(16, 24, 3, f, r), init.convolution()),
    "dilated": (lambda f, r: conv(16, 24, 3, f, r, kernel_dilation=2), init.convolution()),
    "strided": (lambda f, r: conv(16, 24, 3, f, r, strides=2), init.convolution(strides=2)),
    "grouped": (lambda f, r: conv(32, 48, 3, f, r, feature_group_count=4), init.convolution(groups=4)),
    "depthwise": (lambda f, r: conv(48, 48, 3, f, r, feature_group_count=48), init.depthwise()),
    "transposed 2": (lambda f, r: conv(16, 24, 4, f, r, nnx.ConvTranspose, strides=2), init.transposed(strides=2)),
    "transposed 3": (lambda f, r: conv(16, 24, 3, f, r, nnx.ConvTranspose, strides=3), init.transposed(strides=3)),
    "transposed 2, window 3": (
        lambda f, r: conv(16, 24, 3, f, r, nnx.ConvTranspose, strides=2),
        init.transposed(strides=2),
    ),
    "transposed 2, kernel too": (
        lambda f, r: conv(16, 24, 4, f, r, nnx.ConvTranspose, strides=2, transpose_kernel=True),
        init.transposed(strides=2, transposed_kernel=True),
    ),
}
OFF = {"transposed 2": 4.0, "transposed 3": 9.0, "transposed 2, window 3": 4.0, "transposed 2, kernel too": 6.0}
"""What flax's he_normal is too small by: the strides, and here 24 / 16 where it takes the outputs for the inputs."""


def conv(n_in, n_out, window, kernel_init, rngs, cls=nnx.Conv, **options):
    return cls(n_in, n_out, (window, window), padding="CIRCULAR", kernel_init=kernel_init, rngs=rngs, **options)


def mean_square(make, kernel_init, draws=50):
    """E y^2 over networks and places, by place in the image, for inputs that ReLU makes of standard normal numbers."""

    def one(key):
        layer = make(kernel_init, nnx.Rngs(params=jax.random.fold_in(key, 0)))
        n_in = 32 if isinstance(layer, nnx.Linear) else layer.in_features
        return layer(jax.nn.relu(jax.random.normal(jax.random.fold_in(key, 1), (*IMAGE, n_in)))) ** 2

    return np.mean(each(one, 0, draws), axis=(0, 1, -1))


def each(one, seed, draws=50):
    """One after the other: XLA is very slow at many kernels of a strided convolution at once."""
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(seed), draws)))


@pytest.mark.parametrize("name", LAYERS)
def test_flax_layers_keep_the_signal(name):
    make, ours = LAYERS[name]
    found = mean_square(make, ours)
    assert found.mean() == pytest.approx(1.0, rel=0.03)
    flax = mean_square(make, jax.nn.initializers.he_normal())
    assert found.mean() / flax.mean() == pytest.approx(OFF.get(name, 1.0), rel=0.04)


def test_checkerboard_of_a_window_that_the_stride_does_not_divide():
    """k = 3, s = 2: 4, 2, 2 and 1 taps meet an input on the four phases, 9/4 in the mean."""
    make, ours = LAYERS["transposed 2, window 3"]
    found = mean_square(make, ours)
    phases = sorted(found[i::2, j::2].mean() for i in (0, 1) for j in (0, 1))
    assert phases == pytest.approx([4 / 9, 8 / 9, 8 / 9, 16 / 9], rel=0.05)


BACKWARD = {
    "dense": (LAYERS["dense"][0], init.dense(backward=True)),
    "convolution": (LAYERS["convolution"][0], init.convolution(backward=True)),
    "strided": (LAYERS["strided"][0], init.convolution(strides=2, backward=True)),
    "grouped": (LAYERS["grouped"][0], init.convolution(groups=4, backward=True)),
    "depthwise": (LAYERS["depthwise"][0], init.depthwise(backward=True)),
    "transposed 2": (LAYERS["transposed 2"][0], init.transposed(strides=2, backward=True)),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_flax_layers_keep_gradients(name):
    """Gradients of unit variance times relu'(z), whose mean square is 1/2, come back with unit variance."""
    make, ours = BACKWARD[name]

    def one(key):
        layer = make(ours, nnx.Rngs(params=jax.random.fold_in(key, 0)))
        n_in = 32 if isinstance(layer, nnx.Linear) else layer.in_features
        x = jax.random.normal(jax.random.fold_in(key, 1), (*IMAGE, n_in))
        y, back = jax.vjp(layer, x)
        open_ = jax.random.bernoulli(jax.random.fold_in(key, 2), 0.5, y.shape)
        return jnp.mean(back(open_ * jax.random.normal(jax.random.fold_in(key, 3), y.shape))[0] ** 2)

    assert each(one, 3).mean() == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize(("gain2", "expected"), [(1.0, 1.0), (2.0, 4.0)])
def test_variance_of_the_logits(gain2, expected):
    """(token sigma2)^2 for two independent tokens of unit variance, in flax's attention."""
    token, heads, draws = 64, 4, 400

    def one(key):
        made = nnx.MultiHeadAttention(
            heads, token, kernel_init=init.projection(gain2), decode=False, rngs=nnx.Rngs(params=key)
        )
        x = jax.random.normal(jax.random.fold_in(key, 1), (2, token))
        q, k = made.query(x)[0], made.key(x)[1]
        return jnp.sum(q * k, axis=-1) / math.sqrt(token // heads)

    logits = each(one, 2, draws)
    # A product of many draws has heavier tails than a Gaussian; 1600 logits: 4 standard errors are 20 %.
    assert np.mean(logits**2) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("keep", [0.2, 0.5])
def test_masked_layers_keep_the_signal(keep):
    n, depth = 64, 4

    def one(key):
        h = full = jax.random.normal(key, (4, n))
        for i in range(depth):
            mask = init.mask(jax.random.fold_in(key, 100 + i), (n, n), keep)
            h = jax.nn.relu(h) @ (mask * init.masked(keep=keep)(jax.random.fold_in(key, i), (n, n), jnp.float32))
            full = jax.nn.relu(full) @ (mask * init.dense()(jax.random.fold_in(key, i), (n, n), jnp.float32))
        return jnp.array([jnp.mean(h**2), jnp.mean(full**2), jnp.mean(mask)])

    kept, lost, share = each(one, 0, 300).mean(axis=0)
    # Of one network the mean square varies by sqrt(5 depth / (n keep)), 1.25 at the most: 7 % for 300 of them.
    assert kept == pytest.approx(1.0, rel=0.28)
    assert lost / kept == pytest.approx(keep**depth, rel=1e-3)
    assert share == pytest.approx(keep, rel=0.01)


def test_length_of_weight_norm():
    layer = nnx.WeightNorm(
        nnx.Linear(300, 200, kernel_init=nnx.initializers.normal(7.0), rngs=nnx.Rngs(0)),
        scale_init=init.weight_norm_scale(),
        rngs=nnx.Rngs(1),
    )
    x = jax.nn.relu(jax.random.normal(jax.random.key(0), (500, 300)))
    assert float(jnp.mean(layer(x) ** 2)) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("shape", [(8, 6), (3, 8, 6), (3, 3, 8, 6)])
@pytest.mark.parametrize("kind", ["rwf", "weight_norm"])
def test_factors_are_of_the_outputs(kind, shape):
    made = init.parametrise(kind, "he", shape, GAIN2, kind=init.dense_fans if len(shape) == 2 else init.Convolution())
    stored = made.draw(jax.random.key(0), shape, jnp.float32)
    weights = made.weights(stored)
    assert weights.shape == shape and {a.shape for n, a in stored.items() if n != "kernel"} == {(6,)}
    if kind == "weight_norm":
        norms = jnp.sqrt(jnp.sum(weights**2, axis=tuple(range(len(shape) - 1))))
        assert np.allclose(norms, math.sqrt(GAIN2), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (init.dense_fans, (3, 7, 2), r"dense layer cannot have the shape \(3, 7, 2\)"),
        (init.Convolution(), (3, 7), "expected.*window"),
        (init.Convolution(groups=5), (3, 3, 2, 12), "5 divides"),
        (init.Convolution(strides=(2, 2)), (3, 2, 12), "one for each axis"),
        (init.Depthwise(), (3, 3, 2, 12), r"\(\*window, 1, channels\)"),
        (init.Transposed(strides=0), (3, 3, 2, 12), "strides 0"),
        (init.Projection(), (8,), "projection of attention"),
    ],
)
def test_shapes_that_a_kind_cannot_have(kind, shape, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        kind(shape)


def test_share_that_cannot_be_kept():
    with pytest.raises(UsageError, match=r"share of 1\.5"):
        init.masked(keep=1.5)
