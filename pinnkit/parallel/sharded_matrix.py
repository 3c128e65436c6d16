"""A large square matrix sharded by rows over the cores: memory is what limits a quasi-Newton step.

A matrix of size n is stored as (rows, n) with rows >= n, so that the number of cores divides the rows; those below row n
are zero. The number of rows depends on n alone, so that a run can be resumed on another machine.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.parallel import devices
from pinnkit.parallel.devices import DEVICES, ROWS, SHARED, WHOLE, device_mesh, shard

SMALL = 10 * ROWS
"""Smallest number of rows of a sharded matrix: for fewer, communication takes longer than the work."""

Matrix: TypeAlias = Float[Array, "rows size"]
Vector: TypeAlias = Float[Array, " size"]


def matrix_rows(size: int) -> int:
    """Number of rows with which a matrix of a size is stored."""
    return size if size < SMALL else ROWS * -(-size // ROWS)


def identity(size: int, dtype: DTypeLike) -> Matrix:
    """The identity matrix, stored as (rows, size)."""
    eye = jnp.eye(matrix_rows(size), size, dtype=dtype)
    return eye if _mesh(eye) is None else shard(eye, SHARED)


def product(matrix: Matrix, vector: Vector) -> Vector:
    """The product of a matrix and a vector, (size,)."""
    mesh = _mesh(matrix)
    if mesh is None:
        return (matrix @ vector)[: vector.size]

    # Each core multiplies its rows; only the result travels between the cores, n numbers and not n^2.
    def part(rows: Matrix, v: Vector) -> Float[Array, " all"]:
        return jax.lax.all_gather(rows @ v, DEVICES, tiled=True, to="invarying")

    whole = jax.shard_map(part, mesh=mesh, in_specs=(SHARED, WHOLE), out_specs=WHOLE, check_vma=devices.CHECK)
    return whole(matrix, vector)[: vector.size]


def scale_and_add_squares(
    matrix: Matrix, scale: Float[Array, ""], signs: Float[Array, " terms"], vectors: Float[Array, "terms size"]
) -> Matrix:
    """Compute scale M + sum_k sign_k w_k w_k^T, which is symmetric to the last bit if M is.

    It takes one pass over M, done in place by XLA where the caller's buffer is free (a loop's carry, a donated argument).
    """
    # The rows that pad the matrix get zeros here, and so stay zero.
    left = jnp.pad(vectors, ((0, 0), (0, matrix.shape[0] - matrix.shape[1])))

    def part(
        rows: Matrix,
        left: Float[Array, "terms rows"],
        scale: Float[Array, ""],
        signs: Float[Array, " terms"],
        vectors: Float[Array, "terms size"],
    ) -> Matrix:
        updated = scale * rows
        # Outer products one by one, not as a matrix product: w_i w_j and w_j w_i are then rounded alike, and XLA fuses all
        # of them into the one pass.
        for k in range(vectors.shape[0]):
            updated += signs[k] * (left[k][:, None] * vectors[k][None, :])
        return updated

    mesh = _mesh(matrix)
    if mesh is not None:
        columns = jax.sharding.PartitionSpec(None, DEVICES)
        specs = (SHARED, columns, WHOLE, WHOLE, WHOLE)
        part = jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=SHARED, check_vma=devices.CHECK)
    return part(matrix, left, scale, signs, vectors)


def _mesh(matrix: Matrix) -> Mesh | None:
    """The mesh over which a matrix is sharded; None for a small one, one device, or a number that does not divide the rows."""
    mesh = device_mesh()
    return mesh if mesh and matrix.shape[0] >= SMALL and matrix.shape[0] % mesh.size == 0 else None
