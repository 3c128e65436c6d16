"""Elementwise functions g of one array with their derivatives [g, g', g'', ...], in closed form where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.typing import ArrayLike
from jaxtyping import Array

from pinnkit.fields.circular import sine_and_cosine

if TYPE_CHECKING:
    Values: TypeAlias = Array
    """What an operation of a trace takes and gives: an array."""
else:
    # Constants in a trace are not JAX's arrays, but NumPy's, numbers, or of a class of JAX without a public name. They have
    # all that is asked of arrays here.
    Values = ArrayLike
Derivatives: TypeAlias = Sequence[Values | None]
"""[g, g', g'', ...] at the values of the argument, each of its shape; None for a derivative that is zero."""


def only_elementwise(jaxpr: Jaxpr, shape: tuple[int, ...]) -> bool:
    """Whether a program maps arrays of one shape, and numbers, element by element to another."""
    if any(aval(v).shape not in ((), shape) for v in jaxpr.invars):
        return False
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if inner is not None:
            if not only_elementwise(getattr(inner, "jaxpr", inner), shape):
                return False
        elif name == "broadcast_in_dim":
            if aval(equation.invars[0]).shape != ():
                return False
        elif name not in ELEMENTWISE:
            return False
    return True


def apply_primitive(equation: JaxprEqn, operands: Sequence[ArrayLike]) -> list[Values]:
    """Apply the primitive operation of a jaxpr's equation to arrays; the results, always as a list."""
    bind_params = equation.primitive.get_bind_params(equation.params)
    functions, parameters = bind_params if isinstance(bind_params, tuple) else ((), bind_params)  # since jax 0.10
    results = equation.primitive.bind(*functions, *operands, **parameters)
    return list(results) if equation.primitive.multiple_results else [results]


def aval(variable: Var | Literal) -> ShapedArray:
    """Shape and dtype of a variable of a jaxpr."""
    return cast(ShapedArray, variable.aval)


def derivatives_of(equation: JaxprEqn, values: Sequence[Values], at: int, order: int) -> Derivatives:
    """Value and derivatives [g, g', ...] of an elementwise operation with respect to the operand number `at`.

    They are in closed form where there is one, else by nested forward mode.
    """
    z, name = values[at], equation.primitive.name
    if name in CLOSED:
        return CLOSED[name](z, apply_primitive(equation, [z])[0], equation.params, order)
    # Each nested jvp repeats the work inside it: the cost doubles per order, which is why activations have closed forms.
    others = [None if k == at else x for k, x in enumerate(values)]
    functions: list[Callable[[Values], Values]] = [
        lambda x: apply_primitive(equation, [x if o is None else o for o in others])[0]
    ]
    for _ in range(order):
        functions.append(_slope(functions[-1]))
    return [g(z) for g in functions]


def _slope(g: Callable[[Values], Values]) -> Callable[[Values], Values]:
    """The derivative of an elementwise function, as a function."""
    return lambda x: jax.jvp(g, (x,), (jnp.ones_like(x),))[1]


def power(z: Values, y: Values, exponent: Values | float, order: int) -> Derivatives:
    """Value y of z^p and its derivatives p z^(p-1), p (p-1) z^(p-2), ...; None for those that are zero."""
    powers, p = [y], exponent
    factor: Values | float = 1.0
    for _ in range(order):
        if isinstance(p, int) and p == 0:
            break  # further derivatives of a polynomial are zero
        factor, p = factor * p, p - 1
        # integer_pow is repeated multiplication; z**p with a float p would be NaN for negative z.
        powers.append(factor * (jax.lax.integer_pow(z, p) if isinstance(p, int) else z**p))
    return powers + [None] * (order + 1 - len(powers))


def _by_polynomials(y: Values, slope: Values, rule: Callable[[list[float]], list[float]], order: int) -> Derivatives:
    """Value y and derivatives g^(k) = slope Q_k(y) of g, where Q_1 = 1 and `rule` turns the coefficients of Q_k into the next."""
    # All orders come from the one transcendental value y; the polynomials themselves are built while tracing.
    values, coefficients = [y], [1.0]
    for _ in range(order):
        values.append(slope if len(coefficients) == 1 else slope * _horner(coefficients, y))
        coefficients = rule(coefficients)
    return values


def _horner(coefficients: Sequence[float], y: Values) -> Values:
    """Value of the polynomial sum_k c_k y^k; every second coefficient of tanh's is zero, and is not added."""
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * y if c == 0 else total * y + c
    return total


def _tanh(z: Values, y: Values, parameters: Mapping[str, Any], order: int) -> Derivatives:
    """Derivatives of y = tanh z as polynomials in y, since y' = 1 - y^2."""

    # d/dz [(1 - y^2) Q] = (1 - y^2) [(1 - y^2) Q' - 2 y Q]
    def following(q: list[float]) -> list[float]:
        new = [0.0] * (len(q) + 1)
        for k, c in enumerate(q):
            new[k + 1] -= (2 + k) * c
            if k:
                new[k - 1] += k * c
        return new

    return _by_polynomials(y, 1.0 - y * y, following, order)


def _logistic(z: Values, y: Values, parameters: Mapping[str, Any], order: int) -> Derivatives:
    """Derivatives of the logistic function y as polynomials in y, since y' = y - y^2."""

    # d/dz [(y - y^2) Q] = (y - y^2) [(1 - 2 y) Q + (y - y^2) Q']
    def following(q: list[float]) -> list[float]:
        new = [0.0] * (len(q) + 1)
        for k, c in enumerate(q):
            new[k] += (1 + k) * c
            new[k + 1] -= (2 + k) * c
        return new

    return _by_polynomials(y, y * (1.0 - y), following, order)


def _circular(z: Values, shift: int, order: int) -> Derivatives:
    """The sequence sin z, cos z, -sin z, -cos z, ... from its term number `shift` on."""
    sine, cosine = sine_and_cosine(z)
    cycle = [sine, cosine, -sine, -cosine]
    return [cycle[(k + shift) % 4] for k in range(order + 1)]


CLOSED: dict[str, Callable[[Values, Values, Mapping[str, Any], int], Derivatives]] = {
    "tanh": _tanh,
    "logistic": _logistic,
    "exp": lambda z, y, parameters, order: [y] * (order + 1),
    "sin": lambda z, y, parameters, order: _circular(z, 0, order),
    "cos": lambda z, y, parameters, order: _circular(z, 1, order),
    "square": lambda z, y, parameters, order: [y, 2 * z, jnp.full_like(z, 2), *[None] * order][: order + 1],
    "integer_pow": lambda z, y, parameters, order: power(z, y, parameters["y"], order),
    "log": lambda z, y, parameters, order: [y, *power(z, 1 / z, -1, order - 1)],
    "sqrt": lambda z, y, parameters, order: power(z, y, 0.5, order),
    "rsqrt": lambda z, y, parameters, order: power(z, y, -0.5, order),
    "abs": lambda z, y, parameters, order: [y, jnp.sign(z), *[None] * order][: order + 1],
}
"""Elementwise functions with derivatives in closed form: (z, g(z), parameters, order) -> [g, g', ...]."""

UNARY = frozenset(CLOSED) | {
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cosh", "digamma", "erf", "erf_inv", "erfc", "exp2",
    "expm1", "lgamma", "log1p", "sinh", "tan", "bessel_i0e", "bessel_i1e",
}  # fmt: skip
"""Elementwise functions of one array."""

WITHOUT_DERIVATIVE = frozenset({"stop_gradient", "sign", "floor", "ceil", "round"})

ELEMENTWISE = (UNARY | WITHOUT_DERIVATIVE | {"select_n", "add", "sub", "mul", "div", "max", "min", "pow", "neg", "copy",
    "convert_element_type", "gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not", "is_finite"})  # fmt: skip
