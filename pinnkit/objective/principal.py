"""The principal part of an equation: derivatives that enter linearly, with coefficients that are the same at every point.

In u_t + u u_x - nu u_xx these are u_t and u_xx: the combination u_t - nu u_xx is carried through the network as one
channel, where its parts would be two. Which derivatives these are is read off the user's methods: the slope of a residual with
respect to an argument is traced, and must not depend on any array of values at points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.fields import Catalogue, Partial, Request, evaluate_condition
from pinnkit.fields.channels import Operator
from pinnkit.fields.names import FieldFunction, partials
from pinnkit.fields.user_calls import Residuals
from pinnkit.multi_index import MultiIndex, closure
from pinnkit.problem import Condition, Problem
from pinnkit.problem.terms import method_of

COUNT = 3
"""Number of points of a trace; more than one, to tell the residual of a point from a mean over all."""
Slopes = dict[str, dict[str, Float[Array, " points"]]]
"""{argument: {term: d residual / d argument, (points,)}}, for a change of the argument at all points, or at the first alone"""


Which: TypeAlias = tuple[str, int] | tuple[tuple[MultiIndex, float], ...]
"""What tells operators apart: term and field, or the coefficients where these are numbers."""


@dataclass(frozen=True)
class Use:
    """The contribution of an operator to a term: `scale` (None is 1) times operator number `operator` of a field."""

    term: str
    field: int
    operator: int
    scale: float | None


@dataclass(frozen=True)
class Combination:
    """An operator on a field, as the arguments through which each of its derivatives enters the residual of a term."""

    condition: Condition
    term: str
    parts: Mapping[MultiIndex, tuple[str, ...]]
    divisor: float | None
    """Number by which all coefficients are divided, so that operators that are multiples of each other become one."""


@dataclass(frozen=True)
class PrincipalPart:
    """The derivatives that a group of conditions combines; none where that would save no channel."""

    combined: frozenset[MultiIndex] = frozenset()
    """Multi-indices of the derivatives that are carried in combinations only."""
    combinations: tuple[Combination, ...] = ()
    uses: tuple[Use, ...] = ()

    def operators(self, problem: Problem) -> list[Operator]:
        """The combinations as operators, with coefficients of a problem whose unknown parameters are bound."""
        operators: list[Operator] = []
        for c in self.combinations:
            names = sorted({name for arguments in c.parts.values() for name in arguments})
            # The coefficients depend on nothing but the unknown parameters, so that any point has them.
            slopes = _slopes(problem, c.condition, names, _dummies(c.condition, 1))
            operators.append({
                index: sum(slopes[name][c.term][0] for name in arguments) / (c.divisor or 1.0)
                for index, arguments in c.parts.items()
            })  # fmt: skip
        return operators


def principal_part(
    problem: Problem, catalogue: Catalogue, conditions: Sequence[Condition], requests: Mapping[str, Request]
) -> PrincipalPart:
    """The principal part of conditions that share points.

    Args:
        problem: The problem; its unknown parameters need no values.
        catalogue: Its fields and quantities.
        conditions: The conditions, all of one group.
        requests: What each argument name of the group stands for.
    """
    fields = problem.fields
    candidates = {n: r for n, r in requests.items() if _is_candidate(r, fields)}
    if not candidates or not all(_is_plain_array(r) for r in requests.values()):
        return PrincipalPart()
    coefficients: dict[str, dict[str, float | None]] = {}
    conditions_of: dict[str, list[Condition]] = {}
    varying: set[str] = set()
    for condition in conditions:
        names = [n for n in condition.arguments if n in candidates]
        for name, terms in _coefficients(problem, condition, names).items():
            conditions_of.setdefault(name, []).append(condition)
            if any(c is ... for c in terms.values()):
                varying.add(name)
            coefficients.setdefault(name, {}).update({t: c for t, c in terms.items() if c is not ...})
    linear = {n: partials(r, catalogue.domain) for n, r in candidates.items() if n not in varying}
    carried = closure(i for n, r in requests.items() if n not in linear and isinstance(r, Partial) and r.base in fields
                      for i in partials(r, catalogue.domain))  # fmt: skip
    # Only derivatives that no other channel needs: those below a carried one are there anyway and cost nothing more.
    wanted = {i for parts in linear.values() for i in parts}
    tops = wanted - carried - (closure(wanted) - wanted) - {i for j in wanted for i in closure([j]) if i != j}
    return _worthwhile(_combinations(linear, candidates, coefficients, conditions_of, tops, fields), tops)


def _is_candidate(request: Request, fields: Sequence[str]) -> TypeGuard[Partial]:
    """A derivative of a field, or its Laplacian."""
    return (
        isinstance(request, Partial)
        and request.base in fields
        and (request.operator == "laplacian" or (request.operator == "" and bool(request.index)))
    )


def _is_plain_array(request: Request) -> bool:
    """Whether a method gets one number per point for a request."""
    if isinstance(request, Partial):
        return request.operator in ("", "n", "laplacian")
    return not isinstance(request, FieldFunction)


def _combinations(
    linear: Mapping[str, Collection[MultiIndex]],
    requests: Mapping[str, Partial],
    coefficients: Mapping[str, Mapping[str, float | None]],
    conditions_of: Mapping[str, Sequence[Condition]],
    tops: set[MultiIndex],
    fields: Sequence[str],
) -> Iterator[tuple[Combination, str, int, dict[MultiIndex, float] | None]]:
    """Combinations of derivatives, one per term and field: (combination, term, field, coefficients if they are numbers)."""
    by_term_and_field: dict[tuple[str, int], dict[MultiIndex, list[str]]] = {}
    conditions: dict[str, Condition] = {}
    for name, parts in linear.items():
        for term, coefficient in coefficients[name].items():
            if coefficient == 0:
                continue
            conditions[term] = next(c for c in conditions_of[name] if c.name == method_of(term))
            for index in tops.intersection(parts):
                key = (term, fields.index(requests[name].base))
                by_term_and_field.setdefault(key, {}).setdefault(index, []).append(name)
    for (term, field), by_index in by_term_and_field.items():
        numbers: dict[MultiIndex, float] | None = {}
        for index, names in by_index.items():
            values = [coefficients[n][term] for n in names]
            if numbers is not None and all(v is not None for v in values):
                numbers[index] = float(sum(v for v in values if v is not None))
            else:
                numbers = None
        through = {index: tuple(names) for index, names in sorted(by_index.items())}
        yield Combination(conditions[term], term, through, None), term, field, numbers


def _worthwhile(
    candidates: Iterator[tuple[Combination, str, int, dict[MultiIndex, float] | None]], tops: set[MultiIndex]
) -> PrincipalPart:
    """The principal part with equal operators merged; empty where there are as many operators as derivatives in them."""
    numbers: dict[Which, int] = {}
    combinations: list[Combination] = []
    uses: list[Use] = []
    for combination, term, field, values in candidates:
        divisor = None
        key: Which = (term, field)
        if values is not None:
            # Normalised by the coefficient of the first index: u_t - nu u_xx and 2 u_t - 2 nu u_xx are one operator.
            divisor = values[min(values)]
            if divisor == 0:
                return PrincipalPart()  # two arguments that cancel: leave it to the user's own arithmetic
            key = tuple(sorted((index, value / divisor) for index, value in values.items()))
        if key not in numbers:
            numbers[key] = len(combinations)
            combinations.append(Combination(combination.condition, term, combination.parts, divisor))
        uses.append(Use(term, field, numbers[key], divisor))
    if len(combinations) >= len(tops):
        return PrincipalPart()
    return PrincipalPart(frozenset(tops), tuple(combinations), tuple(uses))


def _dummies(condition: Condition, count: int) -> dict[str, np.ndarray]:
    # Ones, not zeros, by which a slope may divide.
    return {name: np.ones((count,), jnp.result_type(float)) for name in condition.arguments}


def _slopes(
    problem: Problem, condition: Condition, names: Sequence[str], arguments: Mapping[str, Any], *, first: bool = False
) -> Slopes:
    """Slopes d residual / d argument of a method, at every point; `first`: for a change at the first point alone."""
    count = next(iter(arguments.values())).shape[0]
    slopes: Slopes = {}
    for name in names:
        value = arguments[name]

        def residuals(v: Float[Array, " points"], name: str = name) -> Residuals:
            return evaluate_condition(problem, condition, {**arguments, name: v}, count, v.dtype)

        change = (jnp.arange(count) == 0).astype(value.dtype) if first else jnp.ones_like(value)
        slopes[name] = jax.jvp(residuals, (value,), (change,))[1]
    return slopes


def _coefficients(problem: Problem, condition: Condition, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Coefficients {argument: {term: slope}}: a number, None if it depends on an unknown parameter, ... if on the points.

    A residual that couples points, such as a mean of the argument, has no coefficient either, and gets ... too.
    """
    if not names:
        return {}
    dtype = jnp.result_type(float)
    unknowns = {n: np.asarray(u.initial, dtype) for n, u in problem.unknowns().items()}
    arguments = _dummies(condition, COUNT)

    def slopes(
        unknowns: Mapping[str, Float[Array, ""]], arguments: Mapping[str, Float[Array, " points"]], first: bool = False
    ) -> Slopes:
        return _slopes(problem.bound(unknowns), condition, names, arguments, first=first)

    # Read off the trace, not off numbers: a slope that happens to be equal at all points of a test may still vary.
    traced = jax.make_jaxpr(slopes)(unknowns, arguments)
    many = len(jax.tree.leaves(unknowns))
    at_points = _depends(traced.jaxpr, [k >= many for k in range(len(traced.jaxpr.invars))])
    on_unknowns = _depends(traced.jaxpr, [k < many for k in range(len(traced.jaxpr.invars))])
    both = jit_once(lambda u, a: (slopes(u, a), slopes(u, a, first=True)))(unknowns, arguments)
    (values, structure), own = jax.tree.flatten(both[0]), jax.tree.leaves(both[1])
    # `alone`: a change of the first point must change the first residual only, else the method couples points.
    entries = [
        ... if varies or not np.all(value == value[0]) or not np.allclose(alone, value * (np.arange(COUNT) == 0), atol=0)
        else None if unknown else float(value[0])
        for varies, unknown, value, alone in zip(at_points, on_unknowns, map(np.asarray, values), own, strict=True)
    ]  # fmt: skip
    return dict(jax.tree.unflatten(structure, entries))


def _depends(jaxpr: Jaxpr, marked: Sequence[bool]) -> list[bool]:
    """Whether each result of a program depends on the marked arguments; a call counts as a whole."""
    reached = {v for v, m in zip(jaxpr.invars, marked, strict=True) if m}
    for equation in jaxpr.eqns:
        if any(not isinstance(v, Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    return [not isinstance(v, Literal) and v in reached for v in jaxpr.outvars]
