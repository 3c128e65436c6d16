"""Sine and cosine together, in arithmetic that compilers vectorise: XLA's float64 ones take a call for each number.

The argument is brought to [-pi/4, pi/4] by a multiple of pi/2 that is subtracted in three parts (Cody and Waite 1980), then two
polynomials: those of fdlibm (Sun Microsystems 1993, k_sin.c and k_cos.c), each within one unit in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
"""The number pi/2 in three parts. The first has 33 bits, so that its multiples up to 2^20 are exact in float64."""
SINE = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
COSINE = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)

Pair: TypeAlias = tuple[Float[Array, "*shape"], Float[Array, "*shape"]]
"""Sine and cosine."""


def sine_and_cosine(x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Compute sin x and cos x in one pass, each to 2.3e-16 for |x| < 1e6; beyond, those of an argument within a rounding of x.

    In precisions other than float64, XLA's own functions are used.
    """
    return _together(x) if jnp.asarray(x).dtype == jnp.float64 else (jnp.sin(x), jnp.cos(x))


# A rule of its own: the derivative of sin is cos to full precision, where that of its polynomial is less accurate and has
# to be computed besides. The rule calls `sine_and_cosine` again, so that derivatives of any order go the same way.
@jax.custom_jvp
def _together(x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    turns = jnp.round(x * (2 / jnp.pi))
    r = x
    # The leading part of x cancels here; since turns * HALF_PI[0] is exact, nothing is lost by that.
    for part in HALF_PI:
        r = r - turns * part
    z = r * r
    s, c = r + r * z * _polynomial(SINE, z), 1.0 - 0.5 * z + z * z * _polynomial(COSINE, z)
    # Selections and signs by arithmetic on floats: branches would not vectorise, integers overflow for large x.
    swapped = _parity(turns) > 0
    sine, cosine = jnp.where(swapped, c, s), jnp.where(swapped, s, c)
    return sine * (1.0 - 2.0 * _parity(jnp.floor(0.5 * turns))), cosine * (
        1.0 - 2.0 * _parity(jnp.floor(0.5 * turns + 0.5))
    )


@_together.defjvp
def _(primals: tuple[Float[Array, "*shape"]], tangents: tuple[Float[Array, "*shape"]]) -> tuple[Pair, Pair]:
    (x,), (dx,) = primals, tangents
    s, c = sine_and_cosine(x)
    return (s, c), (c * dx, -s * dx)


def _parity(n: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Parity of whole numbers: 0 for even ones, 1 for odd ones."""
    return n - 2.0 * jnp.floor(0.5 * n)


def _polynomial(coefficients: Sequence[float], z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Value of the polynomial sum_k c_k z^k, by Horner's scheme."""
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total
