"""Hints on probable oversights in a problem, which may be intended and are never refused.

A warning says that training would probably end with a wrong solution; all other hints are notes.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Sequence

from pinnkit.checking.fixed_domains import domain_notes, domain_warnings
from pinnkit.checking.initial_conditions import initial_condition_counts
from pinnkit.errors import UsageError
from pinnkit.fields import Partial
from pinnkit.fields.names import FieldFunction
from pinnkit.fields.user_calls import ONE_NUMBER
from pinnkit.objective import Equations, Group
from pinnkit.problem import Problem
from pinnkit.problem.conditions import MARK, method_arguments


def warnings(equations: Equations, *, conditions: bool = True) -> tuple[str, ...]:
    """Warnings of what is probably missing in a problem, one sentence each; `conditions`: missing conditions among them."""
    return (
        *_misspelt(equations.problem),
        *_methods_without_decorator(equations),
        *_axes_without_derivative(equations),
        *(_missing_conditions(equations) if conditions else ()),
        *_means_over_points(equations),
        *domain_warnings(equations.problem),
    )


def notes(equations: Equations) -> tuple[str, ...]:
    """Notes on what could be improved in a problem, one sentence each."""
    return (*_constants(equations.problem), *domain_notes(equations.problem))


def _misspelt(problem: Problem) -> Iterator[str]:
    """Warnings of members whose name is almost that of an attribute of problems, such as `field`, `exakt` or `recipes`."""
    meant = (
        "domain",
        "fields",
        "up_to_constant",
        "model",
        "recipe",
        "exact",
        "reference",
        "reference_fields",
        "reference_error",
        "time_zero",
    )
    for name, member in _own(problem).items():
        # A helper method may well be called `scale` or `unit`.
        values = () if inspect.isfunction(member) else ("scales", "units")
        close = difflib.get_close_matches(name, (*meant, *values), n=1, cutoff=0.8)
        if close and not hasattr(member, MARK) and name not in problem.parameters():
            yield f"'{name}' has no meaning in a problem: did you mean '{close[0]}'?"


def _constants(problem: Problem) -> Iterator[str]:
    """Notes on numbers of the class without a type, which are constants and no parameters."""
    for name, value in _own(problem).items():
        if isinstance(value, (int, float)) and name not in problem.parameters():
            yield f"{name} = {value} is a constant; `{name}: float = {value}` makes it a parameter that can be set."


def _methods_without_decorator(equations: Equations) -> Iterator[str]:
    """Warnings of methods that ask for fields as equations do, but have no decorator and are called by no other method."""
    methods = {n: m for n, m in _own(equations.problem).items() if inspect.isfunction(m)}
    used = {name for m in methods.values() for name in _names_in(m.__code__)}
    for name, method in methods.items():
        if hasattr(method, MARK) or name in used or hasattr(Problem, name):
            continue
        try:
            requests = [equations.catalogue.names.resolve(a, has_normal=True) for a in method_arguments(method)]
        except UsageError:
            continue
        if any(isinstance(r, Partial) for r in requests):
            yield f"The method '{name}' asks for fields but has no decorator, so it is no equation."


def _axes_without_derivative(equations: Equations) -> Iterator[str]:
    """Warnings of coordinates along which no equation has a derivative."""
    requests = list(equations.interior.requests.values())
    if any(isinstance(r, FieldFunction) for r in requests):
        return
    differentiated = {axis for index in equations.catalogue.highest_orders(requests) for axis in index}
    domain = equations.problem.domain
    for i, (name, axis) in enumerate(zip(domain.names, domain.axes, strict=True)):
        if i not in differentiated and axis.kind != "parameter":
            yield f"No equation has a derivative with respect to {name}; `{name}=pk.ParameterAxis(...)` if that is meant."


def _missing_conditions(equations: Equations) -> Iterator[str]:
    """Warnings of fields with too few initial conditions, or without a condition at either end of an axis."""
    groups, domain = (*equations.groups, *equations.hard), equations.problem.domain
    if any(g.kind in ("at", "data") for g in groups):
        return
    inside = list(equations.interior.requests.values())
    orders = {name: _orders_of(equations, name, inside) for name in equations.problem.fields}
    if domain.time is not None and domain.axes[domain.time].kind == "interval":
        in_time = {name: order[domain.time] for name, order in orders.items() if order[domain.time]}
        yield from _missing_at_start(equations, [g for g in groups if _fixes(g, domain.time)], in_time)
    missing: list[str] = []
    for axis in range(domain.dim):
        if axis == domain.time or domain.axes[axis].kind != "interval":
            continue
        place = "on the surface of the shape" if axis in domain.shaped else f"at the ends of {domain.names[axis]}"
        fields_at_ends = [
            equations.catalogue.fields_behind([g.requests[a] for a in c.arguments])
            for g in groups
            if _fixes(g, axis)
            for c in g.conditions
        ]
        for name, order in orders.items():
            prescribed = any(name in fields for fields in fields_at_ends)
            # A field of first order, such as a pressure, may follow from the others.
            if order[axis] and not prescribed and (order[axis] > 1 or not fields_at_ends):
                missing.append(
                    f"No condition on {name} holds {place}: "
                    "the solution is probably not unique, and training would settle on any."
                )
    yield from dict.fromkeys(missing)  # a surface is that of several axes


def _missing_at_start(equations: Equations, groups: Sequence[Group], orders: dict[str, int]) -> Iterator[str]:
    """Warnings of fields with fewer initial conditions than the order of their time derivatives."""
    domain = equations.problem.domain
    assert domain.time is not None
    t = domain.names[domain.time]
    requests = [[g.requests[a] for a in c.arguments] for g in groups for c in g.conditions]
    static_requests = [
        r for r in requests if not any(domain.time in index for index in equations.catalogue.highest_orders(r))
    ]
    # Where one condition is needed and a method asks for values alone, nothing has to be computed.
    valued = {name for name in orders if any(name in equations.catalogue.fields_behind(r) for r in static_requests)}
    undecided = {name: order for name, order in orders.items() if order > 1 or name not in valued}
    for name, conditions in initial_condition_counts(equations, groups, undecided).items():
        order, count = orders[name], conditions.count
        if count < order:
            joint = "" if len(t) == 1 else "_"
            absent = [name + ("_" + joint.join([t] * k) if k else "") for k in conditions.absent_orders]
            yield (
                f"{name} has derivatives of order {order} in {t} and {count or 'no'} initial condition{'s' * (count != 1)}: "
                "the solution is not unique, and training would settle on any. "
                + (
                    f"No initial condition says what {' or '.join(absent)} is."
                    if absent
                    else "The conditions are not independent, or one ties the derivatives together."
                )
            )


def _means_over_points(equations: Equations) -> Iterator[str]:
    """Warnings of residuals that are one number computed from the values at all collocation points."""
    elsewhere = f"{equations.problem.fields[0]}_at({equations.problem.domain.names[-1]}=nodes)"
    for group in equations.groups:
        for term in equations.means_over_points(group) if group.kind in ONE_NUMBER else ():
            yield (
                f"'{term}' is one number made of the values at the collocation points, such as their mean: training makes "
                "that number zero, not the residual of each point. Return an elementwise expression, if that was meant; an "
                f"integral needs nodes of its own: {elsewhere}."
            )


def _fixes(group: Group, axis: int) -> bool:
    """Whether a group's region fixes a coordinate; the surface of a shape, which has no faces, fixes each of space somewhere."""
    region = group.region
    if region is None:
        return False
    return any(axis in dict(face) for face in region.faces) or (not region.faces and axis in region.domain.space)


def _orders_of(equations: Equations, name: str, requests: Sequence[object]) -> list[int]:
    """Highest order of the derivatives of a field that requests need along each axis, directly or through quantities."""
    field_requests = [r for r in requests if isinstance(r, Partial) and name in equations.catalogue.fields_behind([r])]
    indices = equations.catalogue.highest_orders(field_requests)
    return [max((index.count(axis) for index in indices), default=0) for axis in range(equations.problem.domain.dim)]


def _own(problem: Problem) -> dict[str, object]:
    """Members that the problem's class and its base classes below `Problem` define."""
    classes = [c for c in reversed(type(problem).__mro__) if issubclass(c, Problem) and c is not Problem]
    return {n: m for c in classes for n, m in vars(c).items() if not n.startswith("_") and not hasattr(Problem, n)}


def _names_in(code: object) -> set[str]:
    """Attribute and global names that a function and the functions inside it use."""
    names = set(getattr(code, "co_names", ()))
    return names.union(*(_names_in(c) for c in getattr(code, "co_consts", ()) if inspect.iscode(c)))
