"""The principal part of an equation: derivatives that enter it linearly, with coefficients that are the same at every point.

In u_t + u u_x - nu u_xx these are u_t and u_xx: the combination u_t - nu u_xx is carried through the network as one
channel, where its parts would be two. Which ones they are is read off the user's methods: the slope of a residual with
respect to an argument is traced, and must not depend on any array of values at points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal

from pinnkit.compilation import jit_once
from pinnkit.fields import Catalogue, Partial, Request, evaluate_condition
from pinnkit.fields.channels import Operator
from pinnkit.fields.names import FieldFunction, partials
from pinnkit.multi_index import MultiIndex, closure
from pinnkit.problem import Condition, Problem

COUNT = 3
"""Points of a trace; any number does."""
Slopes = dict[str, dict[str, Any]]
"""{argument: {term: d residual / d argument, (points,)}}, for a change of the argument at all points, or at the first alone"""


@dataclass(frozen=True)
class Use:
    """The residual of a term has `scale` times operator number `operator` of a field in it; a scale of None is 1."""

    term: str
    field: int
    operator: int
    scale: float | None


@dataclass(frozen=True)
class Combination:
    """One operator: for each multi-index the arguments through which it enters the residual of a term."""

    condition: Condition
    term: str
    parts: Mapping[MultiIndex, tuple[str, ...]]
    divisor: float | None
    """What all coefficients are divided by, so that equal operators of several terms are one."""


@dataclass(frozen=True)
class PrincipalPart:
    """What is combined in a group of conditions; nothing, where that would save no channel."""

    combined: frozenset[MultiIndex] = frozenset()
    """The derivatives that are carried in combinations only."""
    combinations: tuple[Combination, ...] = ()
    uses: tuple[Use, ...] = ()

    def operators(self, problem: Problem) -> list[Operator]:
        """The combinations with their coefficients, for a problem whose unknown parameters are bound."""
        found: list[Operator] = []
        for c in self.combinations:
            names = sorted({name for arguments in c.parts.values() for name in arguments})
            slopes = _slopes(problem, c.condition, names, _dummies(c.condition, 1))
            found.append({
                index: sum(slopes[name][c.term][0] for name in arguments) / (c.divisor or 1.0)
                for index, arguments in c.parts.items()
            })  # fmt: skip
        return found


def principal_part(
    problem: Problem, catalogue: Catalogue, conditions: Sequence[Condition], requests: Mapping[str, Request]
) -> PrincipalPart:
    """The principal part of conditions that share points."""
    fields = problem.fields
    candidates = {n: r for n, r in requests.items() if _is_candidate(r, fields)}
    if not candidates or not all(_is_plain_array(r) for r in requests.values()):
        return PrincipalPart()
    known: dict[str, dict[str, float | None]] = {}
    where: dict[str, list[Condition]] = {}
    varying: set[str] = set()
    for condition in conditions:
        names = [n for n in condition.arguments if n in candidates]
        for name, terms in _coefficients(problem, condition, names).items():
            where.setdefault(name, []).append(condition)
            if any(c is ... for c in terms.values()):
                varying.add(name)
            known.setdefault(name, {}).update({t: c for t, c in terms.items() if c is not ...})
    linear = {n: partials(r, catalogue.domain) for n, r in candidates.items() if n not in varying}
    carried = closure(i for n, r in requests.items() if n not in linear and isinstance(r, Partial) and r.base in fields
                      for i in partials(r, catalogue.domain))  # fmt: skip
    wanted = {i for parts in linear.values() for i in parts}
    tops = wanted - carried - (closure(wanted) - wanted) - {i for j in wanted for i in closure([j]) if i != j}
    return _worthwhile(_combinations(linear, candidates, known, where, tops, fields), tops)


def _is_candidate(request: Request, fields: Sequence[str]) -> TypeGuard[Partial]:
    """A derivative of a field, or its Laplacian."""
    return (
        isinstance(request, Partial)
        and request.base in fields
        and (request.operator == "laplacian" or (request.operator == "" and bool(request.index)))
    )


def _is_plain_array(request: Request) -> bool:
    """Whether a method gets one number a point for it."""
    if isinstance(request, Partial):
        return request.operator in ("", "n", "laplacian")
    return not isinstance(request, FieldFunction)


def _combinations(
    linear: Mapping[str, Collection[MultiIndex]],
    requests: Mapping[str, Any],
    known: Mapping[str, Mapping[str, float | None]],
    where: Mapping[str, Sequence[Condition]],
    tops: set[MultiIndex],
    fields: Sequence[str],
) -> Iterator[tuple[Combination, str, int, dict[MultiIndex, float] | None]]:
    """Each term's combination of each field's derivatives: (combination, term, field, its numbers if they are known)."""
    found: dict[tuple[str, int], dict[MultiIndex, list[str]]] = {}
    conditions: dict[str, Condition] = {}
    for name, parts in linear.items():
        for term, coefficient in known[name].items():
            if coefficient == 0:
                continue
            conditions[term] = next(c for c in where[name] if c.name == term.partition(".")[0])
            for index in tops.intersection(parts):
                key = (term, fields.index(requests[name].base))
                found.setdefault(key, {}).setdefault(index, []).append(name)
    for (term, field), by_index in found.items():
        numbers: dict[MultiIndex, float] | None = {}
        for index, names in by_index.items():
            values = [known[n][term] for n in names]
            if numbers is not None and all(v is not None for v in values):
                numbers[index] = float(sum(v for v in values if v is not None))
            else:
                numbers = None
        through = {index: tuple(names) for index, names in sorted(by_index.items())}
        yield Combination(conditions[term], term, through, None), term, field, numbers


def _worthwhile(
    found: Iterator[tuple[Combination, str, int, dict[MultiIndex, float] | None]], tops: set[MultiIndex]
) -> PrincipalPart:
    """Equal operators joined; nothing where there are as many operators as derivatives in them."""
    numbers: dict[Any, int] = {}
    combinations: list[Combination] = []
    uses: list[Use] = []
    for combination, term, field, values in found:
        divisor = None
        key: Any = (term, field)
        if values is not None:
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


def _dummies(condition: Condition, count: int) -> dict[str, Any]:
    return {name: np.ones((count,), jnp.result_type(float)) for name in condition.arguments}


def _slopes(
    problem: Problem, condition: Condition, names: Sequence[str], arguments: Mapping[str, Any], *, first: bool = False
) -> Slopes:
    """d residual / d argument for some arguments of a method, at every point; first: for a change at the first point alone."""
    count = next(iter(arguments.values())).shape[0]
    found: Slopes = {}
    for name in names:
        value = arguments[name]

        def residuals(v: Any, name: str = name) -> dict[str, Any]:
            return evaluate_condition(problem, condition, {**arguments, name: v}, count, v.dtype)

        change = (jnp.arange(count) == 0).astype(value.dtype) if first else jnp.ones_like(value)
        found[name] = jax.jvp(residuals, (value,), (change,))[1]
    return found


def _coefficients(problem: Problem, condition: Condition, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{argument: {term: slope}}: a number; None where it depends on an unknown parameter; ... where on the points.

    A residual that ties points together, such as a mean of the argument, has no coefficient either: that is ... too.
    """
    if not names:
        return {}
    dtype = jnp.result_type(float)
    unknowns = {n: np.asarray(u.initial, dtype) for n, u in problem.unknowns().items()}
    arguments = _dummies(condition, COUNT)

    def slopes(unknowns: Any, arguments: Any, first: bool = False) -> Slopes:
        return _slopes(problem.bound(unknowns), condition, names, arguments, first=first)

    traced = jax.make_jaxpr(slopes)(unknowns, arguments)
    many = len(jax.tree.leaves(unknowns))
    at_points = _depends(traced.jaxpr, [k >= many for k in range(len(traced.jaxpr.invars))])
    on_unknowns = _depends(traced.jaxpr, [k < many for k in range(len(traced.jaxpr.invars))])
    both = jit_once(lambda u, a: (slopes(u, a), slopes(u, a, first=True)))(unknowns, arguments)
    (values, structure), own = jax.tree.flatten(both[0]), jax.tree.leaves(both[1])
    entries = [
        ... if varies or not np.all(value == value[0]) or not np.allclose(alone, value * (np.arange(COUNT) == 0), atol=0)
        else None if unknown else float(value[0])
        for varies, unknown, value, alone in zip(at_points, on_unknowns, map(np.asarray, values), own, strict=True)
    ]  # fmt: skip
    return dict(jax.tree.unflatten(structure, entries))


def _depends(jaxpr: Jaxpr, marked: Sequence[bool]) -> list[bool]:
    """Which results of a program depend on the marked arguments; a call counts as a whole."""
    reached = {v for v, m in zip(jaxpr.invars, marked, strict=True) if m}
    for equation in jaxpr.eqns:
        if any(not isinstance(v, Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    return [not isinstance(v, Literal) and v in reached for v in jaxpr.outvars]
