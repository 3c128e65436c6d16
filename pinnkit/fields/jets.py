"""Derivatives carried forward through any function of points, all channels together.

The function is traced once, and each of its primitive operations is applied to a jet: a value with its channels (see
`channels.py`). Where an operation is linear the channels pass through it, in one matrix product for all of them; where
it is not, Faa di Bruno's and Leibniz' rules combine them. What no rule covers (a loop, a custom derivative) raises
`NoRule`, and the caller falls back to nested forward mode.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, Float

from pinnkit.fields.channels import Channels, Monomial, Scalar
from pinnkit.fields.elementwise import (
    UNARY,
    WITHOUT_DERIVATIVE,
    Derivatives,
    Values,
    apply_primitive,
    aval,
    derivatives_of,
    only_elementwise,
    power,
)

Channel: TypeAlias = Values | np.ndarray
"""One channel of a value; a NumPy row where its numbers are known while tracing."""
Product: TypeAlias = Callable[[Channel, Channel], Values]
"""A bilinear operation."""


class NoRule(Exception):
    """The function has an operation through which derivatives cannot be carried here."""


@dataclass(frozen=True)
class Jet:
    """A value and its channels, {number: array of the value's shape}; a channel that is absent is zero.

    A channel whose leading dimension is 1 is the same at every point, as the derivatives of the coordinates are, and
    those of an affine embedding and of the first layer's products.
    """

    value: Values
    channels: Mapping[int, Channel]

    def full(self, number: int) -> Values:
        """A channel, broadcast to the shape of the value."""
        channel = self.channels.get(number)
        return jnp.zeros_like(self.value) if channel is None else _broadcast(channel, self.value)


Operand: TypeAlias = Jet | Values
"""What an operation is applied to: a jet, or an array that does not depend on the points."""


def propagate(
    f: Callable[[Float[Array, "points dim"]], Float[Array, "points fields"]],
    X: Float[Array, "points dim"],
    channels: Channels,
) -> list[Float[Array, "points fields"]]:
    """The value of f and every channel that `channels` asks for, each (points, fields). Raises NoRule.

    f maps points to (points, fields), each row from its own point.
    """
    traced = jax.make_jaxpr(f)(X)
    # NumPy rows where the numbers are known while tracing: `_on_rows` can then see that a row is zero, and drop it.
    seeds: dict[int, Channel] = {}
    for index, number in channels.number.items():
        if len(index) == 1:
            seeds[number] = np.eye(X.shape[1], dtype=X.dtype)[list(index)]
    for number in range(len(channels.number), len(channels.operators)):
        # Of a combination only the parts of first order act on the coordinates; higher derivatives of them are zero.
        first = {i: c for i, c in channels.operators[number].items() if len(i) == 1}
        if first:
            row = sum(c * (jnp.arange(X.shape[1]) == i[0]) for i, c in first.items())
            seeds[number] = jnp.asarray(row, X.dtype)[None, :]
    (result,) = _interpret(traced.jaxpr, traced.consts, [Jet(X, seeds)], channels)
    jet = _jet(result)
    return [jet.value, *(jet.full(number) for number in channels.operator_numbers)]


def _jet(x: Operand) -> Jet:
    return x if isinstance(x, Jet) else Jet(x, {})


def _value(x: Operand) -> Values:
    return x.value if isinstance(x, Jet) else x


def _jet_or_value(value: Values, channels: Mapping[int, Channel | None]) -> Operand:
    """A jet, or the bare value where no channel is left: constants then take the way of plain arrays."""
    nonzero = {k: c for k, c in channels.items() if c is not None}
    return Jet(value, nonzero) if nonzero else value


def _broadcast(channel: Channel, value: Values) -> Values:
    if isinstance(channel, jax.Array) and channel.shape == value.shape:
        return channel
    return jnp.broadcast_to(channel, value.shape)


def _interpret(
    jaxpr: Jaxpr, consts: Sequence[Values], inputs: Sequence[Operand], channels: Channels
) -> Sequence[Operand]:
    """Evaluate a jaxpr on jets and arrays."""
    env: dict[Var, Operand] = dict(zip(jaxpr.constvars, consts, strict=True))
    env |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(variable: Var | Literal) -> Operand:
        return variable.val if isinstance(variable, Literal) else env[variable]

    for equation in jaxpr.eqns:
        operands = [read(v) for v in equation.invars]
        results = _apply(equation, operands, channels)
        env |= dict(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _apply(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Sequence[Operand]:
    """Apply one operation to jets and arrays. Raises NoRule."""
    name = equation.primitive.name
    if not any(isinstance(x, Jet) for x in operands):
        return apply_primitive(equation, [_value(x) for x in operands])
    if name in INLINED:
        return _apply_call(equation, operands, channels)
    # Piecewise constant results, and those that are integers or truth values, have no derivative to carry.
    if name in WITHOUT_DERIVATIVE or not any(jnp.issubdtype(aval(v).dtype, jnp.inexact) for v in equation.outvars):
        return apply_primitive(equation, [_value(x) for x in operands])
    if name in LINEAR:
        return _linear(equation, operands)
    if name in RULES:
        return [RULES[name](equation, operands, channels)]
    if name in UNARY or (name == "custom_jvp_call" and _is_elementwise(equation, operands)):
        ((at, jet),) = [(k, x) for k, x in enumerate(operands) if isinstance(x, Jet)]
        derivatives = derivatives_of(equation, [_value(x) for x in operands], at, channels.order)
        return [_compose(jet, derivatives, channels)]
    raise NoRule(name)


def _apply_call(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Sequence[Operand]:
    """Apply the body of a call: an elementwise function of one array as a whole, any other operation by operation.

    As a whole its derivatives are computed once, in one variable, and only then combined with the channels. An activation
    of ten operations takes Faa di Bruno's rule once instead of ten times.
    """
    body = equation.params["jaxpr"]
    closed = body if isinstance(body, ClosedJaxpr) else ClosedJaxpr(body, ())
    if len(closed.jaxpr.eqns) > 1 and _is_elementwise(equation, operands):
        ((at, argument),) = [(k, x) for k, x in enumerate(operands) if isinstance(x, Jet)]
        # The same interpreter in one variable: channel k is the k-th derivative of the function.
        one = Channels([{(0,) * order: 1.0} for order in range(1, channels.order + 1)])
        z = argument.value
        inner = [Jet(z, {0: jnp.ones_like(z)}) if k == at else x for k, x in enumerate(operands)]
        (result,) = _interpret(closed.jaxpr, closed.consts, inner, one)
        jet = _jet(result)
        higher = [jet.full(k) if k in jet.channels else None for k in one.operator_numbers]
        return [_compose(argument, [jet.value, *higher], channels)]
    return _interpret(closed.jaxpr, closed.consts, operands, channels)


def _is_elementwise(equation: JaxprEqn, operands: Sequence[Operand]) -> bool:
    """Whether a call is an elementwise function of exactly one array that depends on the points."""
    varying = [x for x in operands if isinstance(x, Jet)]
    if len(varying) != 1 or len(equation.outvars) != 1 or aval(equation.outvars[0]).shape != varying[0].value.shape:
        return False
    shape = varying[0].value.shape
    body = equation.params["jaxpr"] if "jaxpr" in equation.params else equation.params["call_jaxpr"]
    return only_elementwise(getattr(body, "jaxpr", body), shape)


def _compose(z: Jet, derivatives: Derivatives, channels: Channels) -> Operand:
    """Jet of g(z) from [g, g', g'', ...] at the value of z, None for a derivative that is zero (Faa di Bruno)."""
    value, *higher = derivatives
    assert value is not None
    composed: dict[int, Channel] = {}
    for number, terms in enumerate(channels.compositions):
        total: Channel | None = None
        if number in z.channels and higher and higher[0] is not None:
            total = higher[0] * z.channels[number]
        for m, monomials in terms:
            g = higher[m - 1] if m <= len(higher) else None
            if g is not None and (factor := _polynomial(monomials, z)) is not None:
                total = _plus(total, g * factor)
        if total is not None:
            composed[number] = total
    return _jet_or_value(value, composed)


def _polynomial(monomials: Sequence[Monomial], z: Jet) -> Channel | None:
    """Sum of monomials in the channels of z, None for zero."""
    total = None
    for monomial in monomials:
        if all(k in z.channels for k in monomial.factors):
            product = math.prod([z.channels[k] for k in monomial.factors[1:]], start=z.channels[monomial.factors[0]])
            total = _plus(total, _times(monomial.coefficient, product))
    return total


# None stands for an exact zero: what is never added does not have to be compiled, differentiated and optimised away.


def _plus(a: Channel | None, b: Channel) -> Channel:
    return b if a is None else a + b


def _times(coefficient: Scalar, x: Channel) -> Channel:
    if isinstance(coefficient, (int, float)):
        return x if coefficient == 1 else coefficient * x
    return jnp.asarray(coefficient, x.dtype) * x  # a float64 coefficient must not promote a float32 network


def _multiply(a: Operand, b: Operand, product: Product, channels: Channels) -> Operand:
    """Apply a bilinear operation to two jets (Leibniz' rule)."""
    a, b = _jet(a), _jet(b)
    products: dict[int, Channel] = {}
    for number, terms in enumerate(channels.products):
        total: Channel | None = None
        if number in b.channels:
            total = product(a.value, b.channels[number])
        if number in a.channels:
            total = _plus(total, product(a.channels[number], b.value))
        for term in terms:
            if term.left in a.channels and term.right in b.channels:
                both = product(a.channels[term.left], b.channels[term.right])
                total = _plus(total, _times(term.coefficient, both))
        if total is not None:
            products[number] = total
    return _jet_or_value(product(a.value, b.value), products)


# One rule per operation: (equation, operands, channels) -> result.


def _linear(equation: JaxprEqn, operands: list[Operand]) -> list[Operand]:
    """Apply an operation that is linear in all operands that depend on the points, taken together."""
    results = apply_primitive(equation, [_value(x) for x in operands])
    numbers = sorted({k for x in operands if isinstance(x, Jet) for k in x.channels})
    result_channels: list[dict[int, Channel]] = [{} for _ in results]
    for number in numbers:
        # What does not depend on the points has the derivative zero; indices and predicates stay as they are.
        parts = [_part(x, number) for x in operands]
        for k, channel in enumerate(apply_primitive(equation, parts)):
            result_channels[k][number] = channel
    return [_jet_or_value(value, channels) for value, channels in zip(results, result_channels, strict=True)]


def _part(x: Operand, number: int) -> Values:
    """A channel of an operand of a linear operation; zero where it does not depend on the points."""
    if isinstance(x, Jet):
        return x.full(number)
    return jnp.zeros_like(x) if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else x


def _rowwise(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply slice, squeeze, concatenate, neg, ... as `_linear` does, but keep channels that are one row for all points."""
    name, parameters = equation.primitive.name, equation.params
    value = apply_primitive(equation, [_value(x) for x in operands])[0]
    jets = [_jet(x) for x in operands]
    result_channels = {}
    for number in sorted({k for jet in jets for k in jet.channels}):
        parts = [jet.channels.get(number) for jet in jets]
        rows = _same_everywhere(parts, jets) and _keeps_rows(name, parameters, jets[0].value.shape)
        if rows:
            row_parts = [jnp.zeros_like(j.value[:1]) if p is None else p for p, j in zip(parts, jets, strict=True)]
            row = _on_rows(equation, row_parts)
            # A row of zeros is dropped here, while tracing: the column of x has no t derivative to carry any further.
            if not isinstance(row, np.ndarray) or row.any():
                result_channels[number] = row
        else:
            result_channels[number] = apply_primitive(equation, [jet.full(number) for jet in jets])[0]
    return _jet_or_value(value, result_channels)


def _same_everywhere(parts: Sequence[Channel | None], jets: Sequence[Jet]) -> bool:
    return all(p is None or p.shape[:1] == (1,) != j.value.shape[:1] for p, j in zip(parts, jets, strict=True))


def _keeps_rows(name: str, parameters: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether an operation leaves the first dimension, that of the points, as it is."""
    match name:
        case "slice":
            strides = parameters["strides"]
            return (
                parameters["start_indices"][0] == 0
                and parameters["limit_indices"][0] == shape[0]
                and (strides is None or strides[0] == 1)
            )
        case "squeeze":
            return 0 not in parameters["dimensions"]
        case "concatenate":
            return bool(parameters["dimension"] != 0)
    return True


def _on_rows(equation: JaxprEqn, parts: Sequence[Channel]) -> Channel:
    """Apply an operation to one row, by NumPy where its numbers are known, so that a row of zeros is recognised."""
    name, is_known = equation.primitive.name, isinstance(parts[0], np.ndarray)
    if name == "slice":
        starts, limits, strides = (equation.params[k] for k in ("start_indices", "limit_indices", "strides"))
        limits = (1, *limits[1:])
        if is_known:
            steps = strides or (1,) * len(limits)
            return parts[0][tuple(slice(*cut) for cut in zip(starts, limits, steps, strict=True))]
        return jax.lax.slice(parts[0], starts, limits, strides)
    if name == "squeeze" and is_known:
        return np.squeeze(parts[0], equation.params["dimensions"])
    return apply_primitive(equation, parts)[0]


def _sum(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply add or sub; where one operand lacks a channel, that of the other passes unchanged."""
    a, b = (_jet(x) for x in operands)
    value = apply_primitive(equation, [a.value, b.value])[0]
    minus = equation.primitive.name == "sub"
    sums = {}
    for number in sorted({*a.channels, *b.channels}):
        left, right = a.channels.get(number), b.channels.get(number)
        if right is None:
            sums[number] = left
        elif left is None:
            sums[number] = -right if minus else right
        else:
            sums[number] = left - right if minus else left + right
    return _jet_or_value(value, sums)


def _mul(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    return _multiply(operands[0], operands[1], operator.mul, channels)


def _div(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply div, by the power rule for 1 / b and Leibniz' rule for a (1 / b)."""
    a, b = operands
    if not isinstance(b, Jet):
        a = _jet(a)
        return _jet_or_value(a.value / b, {k: c / b for k, c in a.channels.items()})
    reciprocal = _compose(b, power(b.value, 1.0 / b.value, -1, channels.order), channels)
    quotient = _jet(_multiply(a, reciprocal, operator.mul, channels))
    # The value by one division, as the user wrote it: a * (1 / b) is rounded twice.
    return _jet_or_value(_value(a) / b.value, quotient.channels)


def _dot(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply a matrix product, in which one operand or both depend on the points."""
    a, b = operands
    if not isinstance(b, Jet):
        return _dot_with(equation, _jet(a), b, left=True)
    if not isinstance(a, Jet):
        return _dot_with(equation, b, a, left=False)
    return _multiply(
        Jet(a.value, {k: a.full(k) for k in a.channels}),
        Jet(b.value, {k: b.full(k) for k in b.channels}),
        lambda x, y: apply_primitive(equation, [x, y])[0],
        channels,
    )


def _dot_with(equation: JaxprEqn, jet: Jet, other: Values, *, left: bool) -> Operand:
    """Multiply a jet by an array: one product for value and channels, joined along a dimension that is not summed over."""
    (contract_a, contract_b), (batch_a, batch_b) = equation.params["dimension_numbers"]
    contracted, batch = (contract_a, batch_a) if left else (contract_b, batch_b)
    free = [d for d in range(jet.value.ndim) if d not in contracted and d not in batch]

    def product(x: Channel) -> Values:
        return apply_primitive(equation, [x, other] if left else [other, x])[0]

    # A row that is the same at every point stays one row, where the points stay the first dimension of the result.
    points = left and not batch and free[:1] == [0]
    rows = {k: c for k, c in jet.channels.items() if points and c.shape[0] == 1 != jet.value.shape[0]}
    row_products = {k: product(row) for k, row in rows.items()}
    numbers = [k for k in jet.channels if k not in rows]
    arrays = [jet.value, *(jet.full(k) for k in numbers)]
    if not free or not numbers:
        parts = [product(x) for x in arrays]
    else:
        # One tall matrix product is faster than a small one per channel.
        # In the result the batch dimensions come first, then the free ones of the left operand, then of the right.
        axis = len(batch) + (0 if left else other.ndim - len(contract_a) - len(batch))
        # concatenate and split, whose gradients are each other: that of indexing would be a sum of arrays padded with zeros.
        joined = product(jax.lax.concatenate(arrays, free[0]))
        parts = list(jax.lax.split(joined, [jet.value.shape[free[0]]] * len(arrays), axis))
    return _jet_or_value(parts[0], row_products | dict(zip(numbers, parts[1:], strict=True)))


def _extremum(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply max or min: the derivatives are those of the operand that is chosen, half of each where they tie, as in JAX."""
    a, b = (_jet(x) for x in operands)
    value = apply_primitive(equation, [a.value, b.value])[0]
    # Share of a: 1 where it alone is the extremum, 1/2 in a tie, else 0.
    share = (jnp.asarray(a.value == value, value.dtype) + jnp.asarray(b.value != value, value.dtype)) / 2
    extremum_channels = {}
    for number in sorted({*a.channels, *b.channels}):
        left, right = a.channels.get(number), b.channels.get(number)
        total = None if left is None else share * left
        extremum_channels[number] = total if right is None else _plus(total, (1 - share) * right)
    return _jet_or_value(value, extremum_channels)


def _pow(equation: JaxprEqn, operands: list[Operand], channels: Channels) -> Operand:
    """Apply a power whose exponent does not depend on the points. Raises NoRule for any other."""
    base, exponent = operands
    if isinstance(exponent, Jet):
        raise NoRule("pow with an exponent that depends on the points")
    jet = _jet(base)
    return _compose(jet, power(jet.value, jet.value**exponent, exponent, channels.order), channels)


RULES: dict[str, Callable[[JaxprEqn, list[Operand], Channels], Operand]] = {
    "add": _sum,
    "add_any": _sum,
    "sub": _sum,
    "mul": _mul,
    "div": _div,
    "dot_general": _dot,
    "max": _extremum,
    "min": _extremum,
    "pow": _pow,
    "neg": _rowwise,
    "slice": _rowwise,
    "squeeze": _rowwise,
    "concatenate": _rowwise,
    "copy": _rowwise,
    "convert_element_type": _rowwise,
}
"""Operations that have a rule of their own."""

LINEAR = frozenset({
    "broadcast_in_dim", "cumsum", "dynamic_slice", "dynamic_update_slice", "gather", "optimization_barrier", "pad",
    "reduce_sum", "reshape", "rev", "scatter", "scatter-add", "scatter_add", "select_n", "split", "stack", "tile",
    "transpose", "unstack",
})  # fmt: skip
"""Operations that are linear in all operands that are numbers (not indices or predicates), taken together."""

INLINED = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "checkpoint"})
"""Calls whose body is in the parameter `jaxpr`."""
