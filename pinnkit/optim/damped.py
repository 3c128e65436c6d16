"""Damped linear least squares: p that minimises ||rho + J p||^2 + mu ||p||^2, in the form that suits the size of J.

    normal   (J^T J + mu I) p = -J^T rho            Cholesky of (P, P); J is never whole in memory
    sample   p = -J^T (J J^T + mu I)^-1 rho         Cholesky of (N, N) (Woodbury); J is whole in memory
    cg       conjugate gradients on the normal equations, by products with J and J^T only
    sketch   J J^T of some of the rows only (subsampled), which precondition a few conjugate gradient steps

with N residuals and P parameters. Source: Nocedal, Wright, Numerical Optimization, 2nd edition (2006), eq. 10.34; the
sketch as a preconditioner: Martinsson, Tropp, Acta Numerica 29, 403 (2020), section 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.optim.jacobian import Products, Rows, Vector, gram_matrix, jacobian, rows_of
from pinnkit.parallel.residual_blocks import Block, Blocks

Scalar = Float[Array, ""]
Form = Literal["auto", "normal", "sample", "cg", "sketch"]
MEMORY = 2 * 1024**3
"""Bytes that the matrices of a form may take."""
DENSE = 4000
"""Size of the largest Cholesky factorisation that is chosen by itself: it takes a second on two cores."""


Solver = Callable[[list[Any]], Vector]
"""u -> (J^T J + mu I)^-1 J^T u, for a vector of residuals as `Products` has them: one (tiles, rows, terms) a block."""


class Linear(NamedTuple):
    """The damped problem at fixed parameters.

    solver: for a mu; what it takes to solve (a factorisation) is done once for all u. least: a smaller mu would be lost in
    the rounding of the matrix.
    """

    solver: Callable[[Scalar], Solver]
    least: Scalar


def residuals_in(blocks: Blocks, params: Any) -> int:
    """N, the filling of the last tiles not counted."""
    shapes = [jax.eval_shape(b.residuals, params, jax.tree.map(lambda a: a[0], b.tiles)) for b in blocks]
    return sum(b.count * s.shape[1] for b, s in zip(blocks, shapes, strict=True))


def choose_form(form: Form, residuals: int, parameters: int, itemsize: int) -> Form:
    """The form itself, or for "auto" the one that suits N and P. Raises UsageError where its matrices do not fit."""
    needed = {
        "normal": parameters**2 * itemsize,
        "sample": residuals * (residuals + parameters) * itemsize,
    }
    if form == "auto":
        small = "normal" if parameters <= residuals else "sample"
        fits = min(parameters, residuals) <= DENSE and needed[small] <= MEMORY
        return small if fits else "cg"  # type: ignore[return-value]
    if needed.get(form, 0) > MEMORY:
        raise UsageError(
            f"The matrices of the form '{form}' take {needed[form] / 2**30:.1f} GiB.",
            where="form of the stage 'lm'",
            expected=f"at most {MEMORY / 2**30:.0f} GiB; there are {residuals} residuals and {parameters} parameters",
            do="Use form='cg', fewer points or a smaller network.",
        )
    return form


def normal(products: Products) -> Linear:
    """By the Gram matrix J^T J."""
    lower = gram_matrix(products.blocks, products.params)
    diagonal = jnp.diagonal(lower)

    def solver(mu: Scalar) -> Solver:
        factor = cho_factor(_with_diagonal(lower, diagonal + mu), lower=True)
        return lambda u: cho_solve(factor, products.transpose_times(u))

    return Linear(solver, _rounding(diagonal))


def sample(products: Products) -> Linear:
    """By J J^T."""
    J, _ = jacobian(products.blocks, products.params)
    K = J @ J.T

    def solver(mu: Scalar) -> Solver:
        factor = cho_factor(_with_diagonal(K, jnp.diagonal(K) + mu), lower=True)
        return lambda u: cho_solve(factor, jnp.concatenate([r.reshape(-1) for r in u])) @ J

    return Linear(solver, _rounding(jnp.diagonal(K)))


def conjugate_gradients(products: Products, *, iterations: int, tolerance: float, sketch: Rows | None = None) -> Linear:
    """By products with J and J^T, stopped where the residual is `tolerance` times ||J^T u||; or after some iterations.

    From zero every iterate is a descent direction (Steihaug 1983), so that stopping early is safe. `sketch`: rows S J
    whose damped inverse is the preconditioner.
    """
    K = None if sketch is None else sketch @ sketch.T

    def solver(mu: Scalar) -> Solver:
        def damped(p: Vector) -> Vector:
            return products.gram(p)[0] + mu * p

        precondition = (lambda r: r) if sketch is None else _sketch_inverse(sketch, K, mu)
        return lambda u: _cg(damped, precondition, products.transpose_times(u), iterations, tolerance)

    return Linear(solver, jnp.zeros((), ravel_pytree(products.params)[0].dtype))


def sketch_rows_of(blocks: Blocks, params: Any, key: Any, count: int) -> Rows:
    """About `count` rows of J, drawn without replacement from each block in proportion, scaled so that S^T S is J^T J
    in the mean."""
    total = sum(b.count for b in blocks)
    parts = []
    for k, block in enumerate(blocks):
        share = max(1, min(block.count, round(count * block.count / total)))
        parts.append(_some_rows(block, params, jax.random.fold_in(key, k), share))
    return jnp.concatenate(parts)


def _some_rows(block: Block, params: Any, key: Any, count: int) -> Rows:
    picked = jax.random.permutation(key, block.count)[:count]
    scale = (block.count / count) ** 0.5
    if not block.pointwise:  # the rows cannot be had one by one
        J, _ = rows_of(block, params, jax.tree.map(lambda a: a[0], block.tiles))
        return scale * J.reshape(block.count, -1, J.shape[1])[picked].reshape(-1, J.shape[1])
    some = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[picked], block.tiles)
    return scale * rows_of(block, params, some)[0]


def _sketch_inverse(S: Rows, K: Any, mu: Scalar) -> Callable[[Vector], Vector]:
    """v -> (S^T S + mu I)^-1 v by Woodbury's formula; K = S S^T."""
    factor = cho_factor(_with_diagonal(K, jnp.diagonal(K) + mu), lower=True)
    return lambda v: (v - cho_solve(factor, S @ v) @ S) / mu


def _rounding(diagonal: Vector) -> Scalar:
    return jnp.finfo(diagonal.dtype).eps * jnp.max(diagonal)


def _with_diagonal(matrix: Any, diagonal: Vector) -> Any:
    return jnp.fill_diagonal(matrix, diagonal, inplace=False)


def _cg(
    A: Callable[[Vector], Vector], M: Callable[[Vector], Vector], b: Vector, iterations: int, tolerance: float
) -> Vector:
    """Preconditioned conjugate gradients from zero (Nocedal, Wright 2006, algorithm 5.3)."""
    bound = tolerance * jnp.linalg.norm(b)

    def goes_on(carry: Any) -> Any:
        k, _, r, _, rz = carry
        return (k < iterations) & (jnp.linalg.norm(r) > bound) & (rz > 0)

    def step(carry: Any) -> Any:
        k, x, r, d, rz = carry
        Ad = A(d)
        alpha = rz / jnp.dot(d, Ad)
        x, r = x + alpha * d, r - alpha * Ad
        z = M(r)
        new = jnp.dot(r, z)
        return k + 1, x, r, z + new / rz * d, new

    z = M(b)
    return lax.while_loop(goes_on, step, (jnp.asarray(0), jnp.zeros_like(b), b, z, jnp.dot(b, z)))[1]


def linear_problem(form: Form, products: Products, key: Any, *, iterations: int, tolerance: float, rows: int) -> Linear:
    """The damped problem in a form; `key` draws the rows of a sketch."""
    blocks, params = products
    flat = ravel_pytree(params)[0]
    form = choose_form(form, residuals_in(blocks, params), flat.size, flat.dtype.itemsize)
    if form == "normal":
        return normal(products)
    if form == "sample":
        return sample(products)
    sketch = sketch_rows_of(blocks, params, key, rows) if form == "sketch" else None
    return conjugate_gradients(products, iterations=iterations, tolerance=tolerance, sketch=sketch)
