"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

A weight matrix W (m x n) with gradient G has running means L of G G^T and R of G^T G. Their eigenvectors, updated by one
step of orthogonal iteration every few steps, rotate G; Adam's second moment is that of the rotated gradient, and the step
is rotated back. Vectors use plain Adam. The first gradient of a matrix determines its basis and makes no step: in that basis
it is diagonal, and Adam would enlarge the rounding errors off the diagonal to full steps.

Source: Vyas et al., arXiv 2409.11321 (2024), algorithm 3; for PINNs Wang et al., arXiv 2502.00604 (2025).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int


class Basis(NamedTuple):
    """One side of a weight matrix: the running mean of G G^T (or G^T G) and its eigenvectors, as columns."""

    moment: Float[Array, "side side"]
    vectors: Float[Array, "side side"]


class Rotated(NamedTuple):
    """Adam's moments of one parameter: the first in the original basis, the second in the eigenbasis."""

    first: Float[Array, "*shape"]
    second: Float[Array, "*shape"]
    sides: tuple[Basis, ...]
    """Left and right basis of a matrix; empty for a vector."""


class SoapState(NamedTuple):
    """Number of steps so far, and one `Rotated` per parameter, in the order of the leaves."""

    count: Int[Array, ""]  # type: ignore[assignment]  # the name that optax gives it, and tuple has a method so named
    leaves: tuple[Rotated, ...]


def scale_by_soap(
    b1: float = 0.95, b2: float = 0.95, eps: float = 1e-8, *, every: int = 10
) -> optax.GradientTransformation:
    """Rescale gradients to steps of about unit size, by Adam in the eigenbasis of Shampoo's preconditioner.

    The transformation is used as `optax.scale_by_adam` is: a learning rate follows it. Leaves that are no matrices use Adam.

    Args:
        b1: Decay of the first moment.
        b2: Decay of the second moment and of the preconditioner.
        eps: Number added to the square root of the second moment.
        every: Number of steps between two updates of the eigenvectors.

    Returns:
        A transformation with `init(params)` and `update(grad, state, params)`. Its state holds two square matrices per side
        of every weight matrix. For 16-bit parameters, moments and eigenvectors are in float32.

    Example:
        import jax
        import jax.numpy as jnp
        import optax

        from pinnkit.optim import scale_by_soap

        x = jax.random.normal(jax.random.key(0), (200, 6))
        y = x @ jnp.diag(10.0 ** -jnp.arange(6)) @ jnp.ones((6, 3))


        def loss(params):
            return jnp.mean((x @ params["W"] + params["b"] - y) ** 2)


        optimiser = optax.chain(scale_by_soap(), optax.scale_by_learning_rate(optax.cosine_decay_schedule(0.03, 300)))


        @jax.jit
        def step(params, state):
            updates, state = optimiser.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state


        params = {"W": jnp.zeros((6, 3)), "b": jnp.zeros(3)}
        state = optimiser.init(params)
        for _ in range(300):
            params, state = step(params, state)
        print(loss(params))
    """

    def init(params: optax.Params) -> SoapState:
        return SoapState(jnp.zeros((), jnp.int32), tuple(_start(leaf) for leaf in jax.tree.leaves(params)))

    def update(
        updates: optax.Updates, state: SoapState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SoapState]:
        del params
        gradients, structure = jax.tree.flatten(updates)
        count = optax.safe_increment(state.count)
        leaves = [_leaf(g, leaf, count, b1, b2, eps, every) for g, leaf in zip(gradients, state.leaves, strict=True)]
        return jax.tree.unflatten(structure, [u for u, _ in leaves]), SoapState(
            count, tuple(leaf for _, leaf in leaves)
        )

    return optax.GradientTransformation(init, update)


def _start(parameter: ArrayLike) -> Rotated:
    shape, dtype = jnp.shape(parameter), _working(parameter)
    sides = tuple(Basis(jnp.zeros((n, n), dtype), jnp.eye(n, dtype=dtype)) for n in (shape if len(shape) == 2 else ()))
    return Rotated(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), sides)


def _working(array: ArrayLike) -> jnp.dtype:
    """Return the dtype to compute in: eigenvectors need more than 16 bits, and LAPACK has no routine for those."""
    return jnp.promote_types(jnp.result_type(array), jnp.float32)


def _leaf(g: Array, leaf: Rotated, count: Array, b1: float, b2: float, eps: float, every: int) -> tuple[Array, Rotated]:
    """Return the update of one parameter, and its new moments."""
    dtype, g = jnp.result_type(g), jnp.asarray(g, _working(g))
    outer = (g @ g.T, g.T @ g) if leaf.sides else ()
    sides = tuple(_update_basis(side, new, count, b2, every) for side, new in zip(leaf.sides, outer, strict=True))
    # The first gradient of a matrix only makes the basis: it is missing from the moments and from their bias correction.
    seen = count - (1 if sides else 0)
    weight = jnp.where(seen > 0, 1.0, 0.0).astype(g.dtype)
    # The first moment is rotated anew in each step, so that a change of the basis leaves it exact. The second is not:
    # squares cannot be rotated, and between two updates the basis turns little (Vyas et al., algorithm 3).
    first = b1 * leaf.first + (1 - b1) * weight * g
    second = b2 * leaf.second + (1 - b2) * weight * _into(sides, g) ** 2
    one, two = (1 - b ** jnp.maximum(seen, 1).astype(g.dtype) for b in (b1, b2))
    step = (_into(sides, first) / one) / (jnp.sqrt(second / two) + eps)
    return _out_of(sides, step).astype(dtype), Rotated(first, second, sides)


def _update_basis(side: Basis, new: Array, count: Array, decay: float, every: int) -> Basis:
    """Return the basis after a new gradient: exact eigenvectors at first, one step of orthogonal iteration later."""
    first = count == 1
    # The mean starts from the first moment itself instead of zero, so that it needs no bias correction.
    moment = jnp.where(first, new, decay * side.moment + (1 - decay) * new)
    case = jnp.where(first, 0, jnp.where(count % every == 0, 1, 2))
    # A switch runs one branch only: an eigendecomposition in each step would cost more than the gradient. QR keeps the
    # order of the columns, so that the entries of the second moment stay with their directions; eigh would sort them.
    vectors = lax.switch(
        case,
        [
            lambda m, _: jnp.linalg.eigh(m)[1],
            lambda m, q: jnp.linalg.qr(m @ q)[0],
            lambda _, q: q,
        ],
        moment,
        side.vectors,
    )
    return Basis(moment, vectors)


def _into(sides: tuple[Basis, ...], g: Array) -> Array:
    return sides[0].vectors.T @ g @ sides[1].vectors if sides else g


def _out_of(sides: tuple[Basis, ...], g: Array) -> Array:
    return sides[0].vectors @ g @ sides[1].vectors.T if sides else g
