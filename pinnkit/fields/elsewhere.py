"""Fields at points that a method computes (`u_at(x=0.0)`), and one evaluation of the network for all of them.

Each call would be a copy of the network in the compiled program: twenty in a sum compile for three times as long as one
call with twenty points. So methods are traced first, each call as one named operation; then calls that need no other
call's result are batched: their points are stacked, and the fields are evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.fields.derivatives import BatchFunction
from pinnkit.fields.elementwise import Values, apply_primitive

PREFIX = "_pinnkit_elsewhere_"
"""Prefix of the names of the operations that stand for calls."""
Nodes: TypeAlias = ArrayLike
"""A coordinate of `u_at(x=...)`: a number, or an array that is broadcast against the others."""


class Elsewhere:
    """Some fields as a function of points, (points, dim) -> (points, fields), whose calls can be recognised in a trace."""

    def __init__(self, name: str, f: BatchFunction) -> None:
        def call(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            return f(X)

        self.f, self.name = f, PREFIX + name
        call.__name__ = call.__qualname__ = self.name
        self._call = jax.jit(call)
        self._bodies: set[int] = set()
        """Identities of the traced bodies of all calls; `_references` keeps these objects alive, so that no id is used twice."""
        self._references: list[Jaxpr] = []

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        """The fields at points, (points, fields)."""
        # JAX traces a function once per shape and dtype of its arguments, so this body is the one that the call below has.
        body = jax.make_jaxpr(lambda: self._call(X))().jaxpr.eqns[0].params["jaxpr"]
        if id(body) not in self._bodies:
            self._bodies.add(id(body))
            self._references.append(body)
        return self._call(X)

    def recognises(self, equation: JaxprEqn) -> bool:
        """Whether an operation is a plain call of these fields, not a derivative or a vmapped version of one.

        Derivatives and vmapped versions have the same name, but a body of their own.
        """
        return equation.params.get("name") == self.name and id(equation.params["jaxpr"]) in self._bodies


class FieldAt:
    """One field or quantity as a function of named coordinates, which are broadcast against each other.

    A coordinate that is not named keeps its value at each point: u_at(x=nodes[None, :]) is (points, nodes), and
    u_at(x=nodes[:, None]) is (nodes, points).
    """

    def __init__(
        self, name: str, elsewhere: Elsewhere, column: int, axes: Sequence[str], X: Float[Array, "points dim"]
    ) -> None:
        self.elsewhere, self._name, self._column, self._axes, self._X = elsewhere, name, column, tuple(axes), X

    def __call__(self, **coordinates: Nodes) -> Float[Array, "*shape"]:
        """The values at these coordinates. Raises UsageError for an unknown coordinate or shapes that do not broadcast."""
        for name in coordinates:
            if name not in self._axes:
                raise UsageError(
                    f"'{self._name}_at' is called with '{name}', which is not a coordinate.",
                    expected="coordinates " + ", ".join(self._axes),
                    do="Name coordinates of the domain.",
                )
        dtype = self._X.dtype
        named = {name: jnp.asarray(value, dtype) for name, value in coordinates.items()}
        further = _axes_after_points([v.shape for v in named.values()])
        columns = [
            named[name] if name in named else self._X[:, i].reshape(-1, *further) for i, name in enumerate(self._axes)
        ]
        shape = self._shape(named, columns)
        # Explicit broadcasting: this works under `jax_numpy_rank_promotion = "raise"` too.
        X = jnp.stack([jnp.broadcast_to(c, shape).reshape(-1) for c in columns], axis=1)
        return jax.lax.index_in_dim(self.elsewhere(X), self._column, axis=1, keepdims=False).reshape(shape)

    def _shape(self, named: Mapping[str, Values], columns: Sequence[Values]) -> tuple[int, ...]:
        """The shape of the result. Raises UsageError where the coordinates have shapes that do not fit together."""
        try:
            return jnp.broadcast_shapes(*(c.shape for c in columns))
        except ValueError:
            points = self._X.shape[0]
            sizes = ", ".join(
                f"{n} of the shape ({', '.join('points' if s == points else str(s) for s in v.shape)}{',' * (v.ndim == 1)})"
                for n, v in named.items()
            )
            rest = [a for a in self._axes if a not in named]
            raise UsageError(
                f"'{self._name}_at' is called with {sizes}: that does not fit together"
                + (f" with {', '.join(rest)}, one value per point." if rest else "."),
                expected="numbers, arrays with one value per point, or (1, nodes) and (points, 1) or (points, nodes)",
                do="For nodes at every point: "
                + ", ".join(
                    f"{a}={'nodes' if a in named else a}[{'None, :' if a in named else ':, None'}]" for a in self._axes
                )
                + f"; {self._name}_at(...) @ weights is then (points,)."
                + (f" For one number, name {', '.join(rest)} by a number too." if rest else ""),
            ) from None


def _axes_after_points(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Axes of length 1 that coordinates without a name get after that of the points: as many as rows (1, nodes, ...) have.

    The result is () where no coordinate is such a row, and where one is a column (nodes, 1), whose points come last. The
    number of points decides nothing: it may equal a number of nodes by chance.
    """
    rows = [s for s in shapes if len(s) > 1 and s[0] == 1 and s[-1] != 1]
    columns = [s for s in shapes if len(s) > 1 and s[0] != 1 and s[-1] == 1]
    return (1,) * (max(map(len, rows)) - 1) if rows and not columns else ()


def evaluate_with_batched_calls(
    method: Callable[[], Sequence[Values]], arguments: Mapping[str, Values | FieldAt]
) -> list[Values]:
    """Evaluate a function of arrays and `FieldAt`s, with one evaluation of the fields for as many calls as possible.

    Args:
        method: Returns the arrays; it closes over `arguments`.
        arguments: Arrays and `FieldAt`s by name; only the latter matter here.

    Returns:
        The arrays that `method` returns, in order.
    """
    functions = list({id(a.elsewhere): a.elsewhere for a in arguments.values() if isinstance(a, FieldAt)}.values())
    if not functions:
        return list(method())
    traced = jax.make_jaxpr(lambda: list(method()))()
    env: dict[Var, Values] = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    # Each round evaluates, in the order of the trace, what depends on no pending call, then all pending calls of one
    # function at once. Delays of delays, u_at(t=t - u_at(...)), need one round per level.
    equations = list(traced.jaxpr.eqns)
    while equations:
        calls: dict[int, list[JaxprEqn]] = {}
        blocked: set[Var] = set()
        later: list[JaxprEqn] = []
        for equation in equations:
            variables = [v for v in equation.invars if not isinstance(v, Literal)]
            which = next((k for k, function in enumerate(functions) if function.recognises(equation)), None)
            if blocked.isdisjoint(variables):
                if which is None:
                    results = apply_primitive(equation, [_read(env, v) for v in equation.invars])
                    env |= dict(zip(equation.outvars, results, strict=True))
                    continue
                calls.setdefault(which, []).append(equation)
            else:
                later.append(equation)
            blocked.update(equation.outvars)
        for which, batch in calls.items():
            env |= _evaluate_calls(functions[which].f, batch, env)
        equations = later
    return [_read(env, v) for v in traced.jaxpr.outvars]


def _evaluate_calls(f: BatchFunction, calls: Sequence[JaxprEqn], env: Mapping[Var, Values]) -> dict[Var, Values]:
    """Evaluate calls at once, at the points of all of them; {result variable: array}."""
    points = [_read(env, call.invars[-1]) for call in calls]  # the other operands are what f closes over
    ends = np.cumsum([X.shape[0] for X in points])
    # `split`, not slices: its derivative is one concatenation, theirs a sum of as many padded arrays as there are calls.
    parts = jnp.split(f(jnp.concatenate(points)), ends[:-1]) if len(points) > 1 else [f(points[0])]
    return {call.outvars[0]: part for call, part in zip(calls, parts, strict=True)}


def _read(env: Mapping[Var, Values], variable: Var | Literal) -> Values:
    return variable.val if isinstance(variable, Literal) else env[variable]
