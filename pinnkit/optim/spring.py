"""SPRING: natural gradient steps from few residuals at a time, with the previous step as a prior.

    phi_k = argmin ||rho_B + J_B phi||^2 + mu ||phi - m phi_(k-1)||^2,    x <- x + eta phi_k
          = m phi_(k-1) - J_B^T (J_B J_B^T + mu I)^-1 (rho_B + m J_B phi_(k-1))

rho_B are the residuals at a random subset B of the points, sampled anew in each step, J_B is their Jacobian. For N residuals
and P parameters a step takes about 2 N^2 P operations and N P numbers, so that it suits networks for which no P x P matrix
fits into memory. What earlier subsets determined stays in phi: only the part that B sees is replaced.

mu = damping ||rho_B||^2, as in `levenberg_marquardt`: no absolute damping suits both the start and the end of a training.
eta is the first of 1, 1/2, 1/4, ... from which halving gives no smaller ||rho_B||^2 any more.

Source: Goldshlager, Abrahamsen, Lin, J. Comput. Phys. 516, 113351 (2024), arXiv 2401.10190; for PINNs, with a line search:
Guzman-Cordero, Dangel, Goldshlager, Zeinhofer, arXiv 2505.12149 (2025). mu in proportion to ||rho||^2: Yamashita, Fukushima,
Computing Suppl. 15, 239 (2001).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from pinnkit.optim.arguments import bind_extra, require_parameters, require_residuals
from pinnkit.optim.damped import residuals_in, sample
from pinnkit.optim.jacobian import Products, TileRows, Vector, sum_of_squares
from pinnkit.parallel.devices import device_mesh
from pinnkit.parallel.residual_blocks import Block, Blocks, ResidualVector, blocks_of

Scalar = Float[Array, ""]


class SpringState(NamedTuple):
    """The state between steps.

    direction: phi of the last step, before its multiplication by eta. step_length: eta of the last step; 0 where no length
    gave a smaller sum of squares, so that the parameters did not change.
    """

    count: Int[Array, ""]  # type: ignore[assignment]  # the name that optax gives it, and tuple has a method so named
    direction: optax.Updates
    step_length: Scalar


def spring(
    rows: int = 400, *, damping: float = 1e-2, momentum: float = 0.9, max_trials: int = 12
) -> optax.GradientTransformationExtraArgs:
    """Minimise a sum of squares ||rho(x)||^2 with few residuals per step, for many parameters.

    Args:
        rows: Number of residuals per step, sampled at random points. Residuals that depend on all points, and those of a
            plain function, are all used in each step: sample the minibatch of a plain function yourself.
        damping: mu over ||rho_B||^2.
        momentum: Factor m of the previous step, 0 <= m < 1.
        max_trials: Maximum number of step lengths tried.

    Returns:
        A transformation with `init(params)` and `update(grad, state, params, residual_fn=, **extra)`. residual_fn maps
        parameters to one array of residuals, or is a `ResidualVector`. It also receives those extra arguments that it names.
        The gradient is ignored. In `optax.chain` the transformation comes last.

    Raises:
        UsageError: Parameters that are not real or have fewer than 32 bits; a missing argument of update; residuals that are
            no real array.

    Example:
        import jax
        import jax.numpy as jnp
        import optax

        from pinnkit.optim import spring


        def residuals(params, x):
            hidden = jnp.tanh(x[:, None] * params["a"][None, :] + params["b"][None, :])
            return (hidden @ params["c"] - jnp.sin(3.0 * x)) / len(x) ** 0.5


        optimiser = spring()


        @jax.jit
        def step(params, state, x):
            updates, state = optimiser.update(None, state, params, residual_fn=residuals, x=x)
            return optax.apply_updates(params, updates), state


        keys = jax.random.split(jax.random.key(0), 3)
        params = {name: jax.random.normal(key, (100,)) for name, key in zip("abc", keys)}
        params["c"] = 0.1 * params["c"]
        state = optimiser.init(params)
        for key in jax.random.split(jax.random.key(1), 100):
            params, state = step(params, state, jax.random.uniform(key, (30,), minval=-1.0))
        print(state.step_length, jnp.sum(residuals(params, jnp.linspace(-1.0, 1.0, 200)) ** 2))
    """

    def init(params: optax.Params) -> SpringState:
        require_parameters(params, "spring")
        dtype = ravel_pytree(params)[0].dtype
        return SpringState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), dtype))

    def update(
        updates: optax.Updates,
        state: SpringState,
        params: optax.Params | None = None,
        *,
        residual_fn: Any = None,
        **extra: Any,
    ) -> tuple[optax.Updates, SpringState]:
        del updates
        require_residuals("spring", params, residual_fn)
        if not isinstance(residual_fn, ResidualVector):
            residual_fn = bind_extra(residual_fn, extra)
        # The subset follows from the number of the step, so that a resumed run repeats it to the bit.
        key = jax.random.fold_in(jax.random.key(0), state.count)
        products = Products(sample_blocks(blocks_of(residual_fn, params), params, key, rows), params)
        rho = products.residuals(params)
        x, unravel = ravel_pytree(params)
        direction = _direction(products, rho, momentum * ravel_pytree(state.direction)[0], damping)

        def squares(length: Scalar) -> Scalar:
            return sum_of_squares(products.residuals(unravel(x + length * direction)))

        length = _step_length(squares, sum_of_squares(rho), x.dtype, max_trials)
        # Where no length helps, the old direction misleads: the next step starts without it.
        kept = jnp.where(length > 0, direction, 0.0)
        return unravel(length * kept), SpringState(optax.safe_increment(state.count), unravel(kept), length)

    return optax.GradientTransformationExtraArgs(init, update)


def sample_blocks(blocks: Blocks, params: PyTree, key: Key[Array, ""], rows: int) -> Blocks:
    """Return blocks of about `rows` residuals, at points that are sampled without replacement from each block.

    Blocks share the rows in proportion to their numbers of points. The residuals are scaled so that the expectation of the
    sum of their squares is that over all points.

    Args:
        blocks: The residuals at all points.
        params: Parameters, for the shapes alone.
        key: Random key.
        rows: Number of residuals of the result.
    """
    share = rows / residuals_in(blocks, params)
    keys = jax.random.split(key, len(blocks))
    return tuple(_sample_block(b, k, round(share * b.count)) for b, k in zip(blocks, keys, strict=True))


def _sample_block(block: Block, key: Key[Array, ""], count: int) -> Block:
    # Residuals that depend on all points exist only together.
    if not block.pointwise or count >= block.count:
        return block
    count = max(1, count)
    # Tiles no larger than those of the block, which fit into the cache, as many for each core. Equal ones: rows that fill up
    # the last tile count nothing, but J has them.
    mesh = device_mesh()
    shards = mesh.size if mesh else 1
    tiles = shards * -(-count // (shards * block.shape[1]))
    width = -(-count // tiles)
    picked = jax.random.permutation(key, block.count)[:count]
    picked = jnp.pad(picked, (0, tiles * width - count)).reshape(tiles, width)
    arrays = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[picked], block.tiles)
    counts = (jnp.arange(tiles * width) < count).reshape(tiles, width)
    scale = (block.count / count) ** 0.5

    def residuals(params: PyTree, tile: tuple[PyTree, Bool[Array, " rows"]]) -> Float[Array, "rows terms"]:
        own, counted = tile
        return jnp.where(counted[:, None], scale * block.residuals(params, own), 0.0)

    return Block(residuals, (arrays, counts), count, pointwise=True)


def _direction(products: Products, rho: list[TileRows], prior: Vector, damping: float) -> Vector:
    """Return the phi that minimises ||rho + J phi||^2 + mu ||phi - prior||^2."""
    linear = sample(products)
    mu = jnp.maximum(damping * sum_of_squares(rho), linear.least)
    return prior - linear.solver(mu)(jax.tree.map(jnp.add, rho, products.times(prior)))


class _Lengths(NamedTuple):
    """State of the loop over step lengths: their number, the best one with its value, and whether halving still helps."""

    number: Int[Array, ""]
    length: Scalar
    value: Scalar
    improves: Bool[Array, ""]


def _step_length(squares: Callable[[Scalar], Scalar], start: Scalar, dtype: Any, max_trials: int) -> Scalar:
    """Return the first of 1, 1/2, 1/4, ... below `start` from which halving gives no smaller value; 0 without such a one."""

    def halve(lengths: _Lengths) -> _Lengths:
        length = jnp.asarray(0.5, dtype) ** lengths.number
        value = squares(length)
        # `<` is False for NaN, so that a length with such a value is never accepted.
        better = value < lengths.value
        accepted = lengths.length > 0
        return _Lengths(
            lengths.number + 1,
            jnp.where(better, length, lengths.length),
            jnp.where(better, value, lengths.value),
            better | ~accepted,
        )

    first = _Lengths(jnp.asarray(0, jnp.int32), jnp.zeros((), dtype), start, jnp.asarray(True))
    return lax.while_loop(lambda t: t.improves & (t.number < max_trials), halve, first).length
