"""Damped linear least squares: the p that minimises ||rho + J p||^2 + mu ||p||^2, by the solver that suits the size of J.

    normal   (J^T J + mu I) p = -J^T rho            Cholesky of (P, P); J is never stored as a whole
    sample   p = -J^T (J J^T + mu I)^-1 rho         Cholesky of (N, N) (Woodbury); J is stored as a whole
    cg       conjugate gradients on the normal equations, with products by J and J^T only
    sketch   conjugate gradients, preconditioned by the damped Gram matrix of subsampled rows of J

with N residuals and P parameters. Source: Nocedal, Wright, Numerical Optimization, 2nd edition (2006), eq. 10.34; the
sketch as a preconditioner: Martinsson, Tropp, Acta Numerica 29, 403 (2020), section 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from pinnkit.errors import UsageError
from pinnkit.optim.jacobian import Products, Rows, TileRows, Vector, gram_matrix, jacobian, rows_of
from pinnkit.parallel.residual_blocks import Block, Blocks

Scalar = Float[Array, ""]
Form = Literal["auto", "normal", "sample", "cg", "sketch"]
MEMORY = 2 * 1024**3
"""Largest memory [bytes] of the matrices of a form."""
DENSE = 4000
"""Size of the largest Cholesky factorisation that "auto" chooses: it takes one second on two cores."""


Solver = Callable[[list[TileRows]], Vector]
"""The map u -> (J^T J + mu I)^-1 J^T u, for residuals in the layout of `Products`: one (tiles, rows, terms) per block."""


class Linear(NamedTuple):
    """The damped problem at fixed parameters."""

    solver: Callable[[Scalar], Solver]
    """Returns the solver for a mu; it factorises once and serves any number of right-hand sides."""
    least: Scalar
    """Smallest mu that survives the rounding of the matrix."""


def residuals_in(blocks: Blocks, params: PyTree) -> int:
    """Return N, the number of residuals without the padding of the last tiles."""
    shapes = [jax.eval_shape(b.residuals, params, jax.tree.map(lambda a: a[0], b.tiles)) for b in blocks]
    return sum(b.count * s.shape[1] for b, s in zip(blocks, shapes, strict=True))


def choose_form(form: Form, residuals: int, parameters: int, itemsize: int) -> Form:
    """Return the form itself, or for "auto" the one that suits N residuals and P parameters.

    Raises:
        UsageError: The matrices of the form take more than `MEMORY`.
    """
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
    """Return the solver that factorises the Gram matrix J^T J.

    Squaring the condition number does no harm here: the damping that the curvature of the residuals asks for, about
    1e-13 ||J||^2, lies above the rounding of J^T J, and a QR factorisation of J gained nothing.
    """
    # cho_factor reads the lower half only, so the upper half is never filled in.
    lower = gram_matrix(products.blocks, products.params)
    diagonal = jnp.diagonal(lower)

    def solver(mu: Scalar) -> Solver:
        # A factorisation per damping: for 941 parameters it takes 23 ms, and one eigendecomposition for all of them 300.
        factor = cho_factor(_with_diagonal(lower, diagonal + mu), lower=True)
        return lambda u: cho_solve(factor, products.transpose_times(u))

    return Linear(solver, _rounding(diagonal))


def sample(products: Products) -> Linear:
    """Return the solver that factorises J J^T, for fewer residuals than parameters."""
    J, _ = jacobian(products.blocks, products.params)
    K = J @ J.T

    def solver(mu: Scalar) -> Solver:
        factor = cho_factor(_with_diagonal(K, jnp.diagonal(K) + mu), lower=True)
        # A row vector times J is J^T times the vector, without a transposed copy of J.
        return lambda u: cho_solve(factor, jnp.concatenate([r.reshape(-1) for r in u])) @ J

    return Linear(solver, _rounding(jnp.diagonal(K)))


def conjugate_gradients(products: Products, *, iterations: int, tolerance: float, sketch: Rows | None = None) -> Linear:
    """Return the solver by conjugate gradients, which needs products with J and J^T only.

    Started from zero, every iterate is a descent direction (Steihaug 1983), so stopping early is safe.

    Args:
        products: The products with J and J^T.
        iterations: Maximum number of iterations.
        tolerance: Residual of the normal equations at which iterations stop, relative to ||J^T u||.
        sketch: Rows S J, (rows, parameters), whose damped inverse is the preconditioner; None for no preconditioner.
    """
    K = None if sketch is None else sketch @ sketch.T

    def solver(mu: Scalar) -> Solver:
        def normal_operator(p: Vector) -> Vector:
            return products.gram(p)[0] + mu * p

        precondition = (lambda r: r) if sketch is None or K is None else _sketch_inverse(sketch, K, mu)
        return lambda u: _cg(normal_operator, precondition, products.transpose_times(u), iterations, tolerance)

    # No matrix is formed whose diagonal could swallow a small mu, so that there is no least one.
    return Linear(solver, jnp.zeros((), ravel_pytree(products.params)[0].dtype))


def sample_sketch(blocks: Blocks, params: PyTree, key: Key[Array, ""], count: int) -> Rows:
    """Return about `count` rows of J, sampled without replacement from each block in proportion to its size.

    The rows S are scaled so that the expectation of S^T S is J^T J.
    """
    total = sum(b.count for b in blocks)
    parts = []
    for k, block in enumerate(blocks):
        share = max(1, min(block.count, round(count * block.count / total)))
        parts.append(_sample_rows(block, params, jax.random.fold_in(key, k), share))
    return jnp.concatenate(parts)


def _sample_rows(block: Block, params: PyTree, key: Key[Array, ""], count: int) -> Rows:
    picked = jax.random.permutation(key, block.count)[:count]
    scale = (block.count / count) ** 0.5
    # A residual that depends on all points has no row of its own that could be differentiated alone.
    if not block.pointwise:
        J, _ = rows_of(block, params, jax.tree.map(lambda a: a[0], block.tiles))
        return scale * J.reshape(block.count, -1, J.shape[1])[picked].reshape(-1, J.shape[1])
    points = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[picked], block.tiles)
    return scale * rows_of(block, params, points)[0]


def _sketch_inverse(S: Rows, K: Float[Array, "rows rows"], mu: Scalar) -> Callable[[Vector], Vector]:
    """Return v -> (S^T S + mu I)^-1 v by Woodbury's formula, given K = S S^T."""
    factor = cho_factor(_with_diagonal(K, jnp.diagonal(K) + mu), lower=True)
    return lambda v: (v - cho_solve(factor, S @ v) @ S) / mu


def _rounding(diagonal: Vector) -> Scalar:
    # A mu below this is absorbed when it is added to the diagonal, and Cholesky meets a singular matrix: NaN.
    return jnp.finfo(diagonal.dtype).eps * jnp.max(diagonal)


def _with_diagonal(matrix: Float[Array, "size size"], diagonal: Float[Array, " size"]) -> Float[Array, "size size"]:
    return jnp.fill_diagonal(matrix, diagonal, inplace=False)


Carry: TypeAlias = tuple[Int[Array, ""], Vector, Vector, Vector, Scalar]
"""Conjugate gradients: the number of the iteration, x, the residual r, the direction d, and r.M r."""


def _cg(
    A: Callable[[Vector], Vector], M: Callable[[Vector], Vector], b: Vector, iterations: int, tolerance: float
) -> Vector:
    """Solve A x = b by preconditioned conjugate gradients from zero (Nocedal, Wright 2006, algorithm 5.3)."""
    bound = tolerance * jnp.linalg.norm(b)

    def keep_going(carry: Carry) -> Bool[Array, ""]:
        k, _, r, _, rz = carry
        # r.M r is 0 for b = 0, and not positive once rounding has cost the preconditioner its definiteness:
        # the next division would give NaN, while the iterate before it is still a descent direction.
        return (k < iterations) & (jnp.linalg.norm(r) > bound) & (rz > 0)

    def step(carry: Carry) -> Carry:
        k, x, r, d, rz = carry
        Ad = A(d)
        alpha = rz / jnp.dot(d, Ad)
        x, r = x + alpha * d, r - alpha * Ad
        z = M(r)
        new = jnp.dot(r, z)
        return k + 1, x, r, z + new / rz * d, new

    z = M(b)
    return lax.while_loop(keep_going, step, (jnp.asarray(0), jnp.zeros_like(b), b, z, jnp.dot(b, z)))[1]


def linear_problem(
    form: Form, products: Products, key: Key[Array, ""], *, iterations: int, tolerance: float, rows: int
) -> Linear:
    """Return the damped problem in a form; `key` samples the rows of a sketch."""
    blocks, params = products
    flat = ravel_pytree(params)[0]
    form = choose_form(form, residuals_in(blocks, params), flat.size, flat.dtype.itemsize)
    if form == "normal":
        return normal(products)
    if form == "sample":
        return sample(products)
    sketch = sample_sketch(blocks, params, key, rows) if form == "sketch" else None
    return conjugate_gradients(products, iterations=iterations, tolerance=tolerance, sketch=sketch)
