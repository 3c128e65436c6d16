"""Residuals by term, which every loss, check and diagnostic is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.csv_columns import line_of
from pinnkit.errors import UsageError, display_path, location
from pinnkit.fields import Ansatz, BatchFunction, Catalogue, Partial, Points, Request, evaluate_condition
from pinnkit.fields.elsewhere import evaluate_with_batched_calls
from pinnkit.fields.names import FieldFunction
from pinnkit.fields.user_calls import Residuals
from pinnkit.models import Model
from pinnkit.multi_index import MultiIndex, closure
from pinnkit.objective.find_scales import find_scales
from pinnkit.objective.group import Group
from pinnkit.objective.network import FieldNetwork
from pinnkit.objective.principal import PrincipalPart, principal_part
from pinnkit.problem import Condition, Problem, Region, validate
from pinnkit.problem.lines import line_of as line_of_member
from pinnkit.problem.problem import dates_of
from pinnkit.problem.scales import Scales, scales_of
from pinnkit.value_files import FileValues, is_text, read_rows

HIGHEST_ORDER = 12
"""Highest order of derivatives that is accepted: compile time multiplies with each order."""


class Equations:
    """All equations and conditions of a problem, which can be evaluated on any fields.

    Attributes:
        groups: Groups of conditions that are terms of the loss.
        hard: Groups of conditions that the ansatz meets exactly.
        file_notes: What is worth to know about how files of measurements were read, one sentence each.

    Raises:
        UsageError: The problem has a mistake that shows without an evaluation of its methods.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = validate(problem)
        self.catalogue = Catalogue(problem)
        self.file_notes: list[str] = []
        conditions = problem.conditions()
        hard = [(c, self._region(c)) for c in conditions if c.mark.hard]
        self._unscaled_ansatz = Ansatz(problem, self.catalogue, hard)
        self._halves: dict[str, tuple[Residuals, Residuals]] = {}
        self.groups = self._groups_of([c for c in conditions if not c.mark.hard])
        self.hard = self._groups_of([c for c, _ in hard])
        self._refuse_idle_fields()
        self._refuse_high_orders()
        self._principal: dict[str, PrincipalPart] = {}

    @cached_property
    def scales(self) -> Scales:
        """The scales of the fields and residuals: those that the problem sets, and found ones for the others.

        Raises UsageError for a scale of an unknown name, or one that is no size.
        """
        asked, fields = self.problem.scales, self.problem.fields
        terms = [t for g in self.groups for t in self.terms(g)]
        if asked is None:
            return Scales()
        given = scales_of(asked, fields, terms, line_of_member(type(self.problem), "scales"))
        if {*fields, *terms} <= {*given.fields, *given.terms}:
            return given
        return find_scales(self.problem, (*self.groups, *self.hard), self._evaluate_at_guess, given)

    @cached_property
    def ansatz(self) -> Ansatz:
        """The trial solution, which meets the hard conditions, in the scales of the fields."""
        return self._unscaled_ansatz.scaled(self.scales.fields)

    def _evaluate_at_guess(self, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """Residuals for the first guesses of unknown parameters."""
        return self.evaluate(self.problem.at_first_guesses(), f, group, points)

    def network(self, model: Model, **options: Any) -> FieldNetwork:
        """The network of a model for this problem, with further options of `FieldNetwork`."""
        return FieldNetwork(self.problem, model, self.ansatz, **options)

    @property
    def interior(self) -> Group:
        """The group of the equations inside the domain."""
        return next(g for g in self.groups if g.kind == "interior")

    def evaluate(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """Residuals of a group's conditions, {term: (points,)}, in the units of the equations.

        Args:
            problem: Problem whose unknown parameters are bound to values.
            f: The fields, a function (points, dim) -> (points, fields).
            group: The conditions.
            points: Where they are evaluated.
        """
        principal = self.principal_part(group)
        arrays, combined = self.catalogue.compute_with(
            problem, f, points, group.requests, operators=principal.operators(problem), combined=principal.combined
        )
        # The methods got zeros for the combined derivatives, in which they are linear: what is missing is added here.
        residuals = self._evaluate_conditions(problem, group, arrays, points)
        for use in principal.uses:
            value = combined[use.operator][:, use.field]
            residuals[use.term] = residuals[use.term] + (value if use.scale is None else use.scale * value)
        return residuals

    def residuals_of(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """Residuals as `evaluate` returns them, without combined derivatives: the trace shows the methods as written."""
        return self._evaluate_conditions(
            problem, group, self.catalogue.compute(problem, f, points, group.requests), points
        )

    def _evaluate_conditions(
        self, problem: Problem, group: Group, arrays: Mapping[str, Any], points: Points
    ) -> Residuals:
        """Call the methods of a group on arrays by argument name."""
        residuals: Residuals = {}

        # Traced first where a method asks for a field as a function: names are collected on the side, since a trace
        # returns arrays alone. The entries of `residuals` may be tracers, and are replaced below.
        def values() -> list[Any]:
            for condition in group.conditions:
                arguments = {name: arrays[name] for name in condition.arguments}
                residuals.update(evaluate_condition(problem, condition, arguments, points.X.shape[0], points.X.dtype))
            return list(residuals.values())

        arrays_by_term = evaluate_with_batched_calls(values, arrays)
        return dict(zip(residuals, arrays_by_term, strict=True))

    def principal_part(self, group: Group) -> PrincipalPart:
        """The derivatives of a group that are carried through the network in combinations."""
        if group.name not in self._principal:
            with jax.ensure_compile_time_eval():  # the first caller may be inside a traced function
                part = principal_part(self.problem, self.catalogue, group.conditions, group.requests)
            self._principal[group.name] = part
        return self._principal[group.name]

    @property
    def highest_order(self) -> int:
        """Highest order of the derivatives that conditions need."""
        groups = (*self.groups, *self.hard)
        return max((len(i) for g in groups for i in self.catalogue.highest_orders(g.requests.values())), default=0)

    def _refuse_high_orders(self) -> None:
        """Raise UsageError for derivatives that would take hours to compile."""
        for group in (*self.groups, *self.hard):
            for index, base in self.catalogue.highest_orders(group.requests.values()).items():
                if len(index) > HIGHEST_ORDER:
                    asking = [
                        c
                        for c in group.conditions
                        for a in c.arguments
                        if _order(self, group.requests[a]) == len(index)
                    ]
                    names, own = [self.problem.domain.names[axis] for axis in index[:4]], self.problem.fields
                    lower = f"{base}_" + ("" if all(len(n) == 1 for n in names) else "_").join(names)
                    raise UsageError(
                        f"'{asking[0].name}' needs a derivative of '{base}' of order {len(index)}.",
                        where=asking[0].where,
                        expected=f"derivatives of order {HIGHEST_ORDER} or less",
                        do=f"Make a field of a derivative, fields = {(*own, 'w')!r}, with w - {lower} as an equation of its own.",
                    )

    def terms(self, group: Group) -> tuple[str, ...]:
        """Names of a group's residuals, in the order of the file. Raises UsageError for a residual of the wrong shape."""
        count = 7  # a number of points that no array of the user's own has by chance
        region = group.region
        names: list[str] = []

        def shapes(values: Float[Array, " fields"]) -> Residuals:
            X = jnp.tile(jnp.asarray([[a.lower for a in self.problem.domain.axes]]), (count, 1))
            columns = {k: v[:1].repeat(count) for k, v in (group.data.columns or {}).items()} if group.data else None
            points = Points(X, jnp.ones_like(X) if region else None, columns)
            bound = self.problem.bound({n: jnp.asarray(u.initial) for n, u in self.problem.unknowns().items()})
            f = lambda Y: Y.sum(axis=1)[:, None] * values[None, :]  # noqa: E731
            residuals = self._evaluate_conditions(
                bound, group, self.catalogue.compute(bound, f, points, group.requests), points
            )
            names.extend(residuals)  # in the order of the file; the dict that comes out of JAX is sorted
            return residuals

        # Shapes only: nothing is computed or compiled, though every method is called once.
        jax.eval_shape(shapes, jnp.ones(len(self.problem.fields)))
        return tuple(names)

    def derivatives(self, group: Group) -> set[MultiIndex] | None:
        """Derivatives that a group's methods need, those below them included; None where they ask for fields at other points."""
        if any(isinstance(r, FieldFunction) for r in group.requests.values()):
            return None
        return {(), *closure(self.catalogue.highest_orders(group.requests.values()))}

    def channels(self, group: Group) -> int:
        """Number of derivatives that are carried through the network for a group, without the value."""
        principal = self.principal_part(group)
        needed = closure(self.catalogue.highest_orders(group.requests.values()))
        return len(needed - principal.combined) + len(principal.combinations)

    def pointwise(self, group: Group) -> bool:
        """Whether each residual depends on its own point alone, which a mean over the points does not."""
        # Loose, since rounding depends on the number of points; a mean over half of them differs by order one.
        whole, joined = self._residuals_on_halves(group)
        return all(np.allclose(whole[t], joined[t], rtol=1e-3, equal_nan=True) for t in whole)

    def means_over_points(self, group: Group) -> tuple[str, ...]:
        """Terms that are one number computed from the values at all points of the group, such as their mean."""
        whole, joined = self._residuals_on_halves(group)
        return tuple(t for t in whole if np.ptp(whole[t]) == 0 and not np.allclose(whole[t], joined[t], rtol=1e-3))

    def _residuals_on_halves(self, group: Group) -> tuple[Residuals, Residuals]:
        """Residuals of a few points, and those of their two halves, each evaluated by itself, concatenated."""
        if group.name not in self._halves:  # once: compiled programs ask for it too
            self._halves[group.name] = self._evaluate_halves(group)
        return self._halves[group.name]

    def _evaluate_halves(self, group: Group) -> tuple[Residuals, Residuals]:
        """Compute the result of `_residuals_on_halves`."""
        rng = np.random.default_rng(0)
        count, domain = 6, self.problem.domain
        # About a period along each axis: of a field that hardly varies, means and values could not be told apart.
        lengths = np.array([a.length for a in domain.axes])
        wave = jnp.asarray(rng.uniform(4.0, 8.0, size=(domain.dim, len(self.problem.fields))) / lengths[:, None])
        X = jnp.asarray([a.lower + a.length * rng.random(count) for a in domain.axes]).T
        normals = jnp.ones_like(X) if group.region else None
        columns = {k: jnp.asarray(rng.random(count)) for k in group.data.columns or {}} if group.data else None
        bound = self.problem.bound({n: jnp.asarray(u.initial) for n, u in self.problem.unknowns().items()})

        def residuals(rows: slice) -> Residuals:
            points = jax.tree.map(lambda a: a[rows], Points(X, normals, columns))
            return self.evaluate(bound, lambda Y: jnp.sin(Y @ wave), group, points)

        def parts() -> tuple[Residuals, Residuals]:
            halves = [residuals(slice(0, count // 2)), residuals(slice(count // 2, count))]
            return residuals(slice(0, count)), {t: jnp.concatenate([h[t] for h in halves]) for t in halves[0]}

        return jit_once(parts)()

    def _refuse_idle_fields(self) -> None:
        """Raise UsageError for a field that no equation depends on."""
        requests = [r for g in (*self.groups, *self.hard) for r in g.requests.values()]
        for name in self.problem.fields:
            if name not in self.catalogue.fields_behind(requests):
                raise UsageError(
                    f"No equation asks for the field '{name}': nothing would determine it.",
                    where=location(type(self.problem)),
                    expected="every name of `fields` in the signature of an equation or condition",
                    do="Use the field, or remove it from `fields`.",
                )

    def _region(self, condition: Condition) -> Region:
        """The region in which a condition holds."""
        mark, domain = condition.mark, self.problem.domain
        match mark.kind:
            case "interior":
                return domain.interior()
            case "initial":
                return domain.initial(condition.where)
            case "boundary":
                return domain.boundary(mark.target, condition.where)
            case _:
                return domain.at(dict(mark.fixed), condition.where)

    def _groups_of(self, conditions: list[Condition]) -> tuple[Group, ...]:
        """The groups of some conditions, in the order of their first conditions."""
        # Conditions of one region share their points, and with them one evaluation of the network and its derivatives.
        groups: dict[str, Group] = {}
        for condition in conditions:
            is_data = condition.mark.kind == "data"
            region = None if is_data else self._region(condition)
            key = f"data {condition.mark.target}" if region is None else region.name
            old = groups.get(key)
            data = (old.data if old else self._rows(condition)) if is_data else None
            requests = {**(old.requests if old else {}), **self._requests(condition, region, data)}
            groups[key] = Group(key, region, data, (*(old.conditions if old else ()), condition), requests)
        return tuple(groups.values())

    def _requests(self, condition: Condition, region: Region | None, data: Points | None) -> dict[str, Request]:
        """What each argument of a condition stands for. Raises UsageError where none depends on a field."""
        columns = tuple(data.columns or ()) if data else ()
        requests = {
            argument: self.catalogue.names.resolve(
                argument,
                columns=columns,
                has_normal=condition.mark.kind == "boundary",
                method=condition.name,
                where=condition.where,
            )
            for argument in condition.arguments
        }
        if not any(isinstance(r, (Partial, FieldFunction)) for r in requests.values()):
            raise UsageError(
                f"'{condition.name}' does not depend on any field: training cannot change it.",
                where=condition.where,
                expected="at least one of " + ", ".join(self.problem.fields) + " or their derivatives in the signature",
                do="Ask for the field by name: `def " + condition.name + f"(self, {self.problem.fields[0]}, ...)`.",
            )
        return requests

    def _rows(self, condition: Condition) -> Points:
        """The rows of a data file as points. Raises UsageError where a coordinate has no column or a point lies outside."""
        path = Path(condition.mark.target)
        path = path if path.is_absolute() else self.problem.folder / path
        names = self.problem.domain.names
        try:
            conditions = [c for c in self.problem.conditions() if c.mark == condition.mark]
            columns = dict.fromkeys(a for c in conditions for a in c.arguments if a not in names)
            source = read_rows(path, names, list(columns), dates_of(self.problem))
        except UsageError as error:
            error.do += f" (asked for by '{condition.name}', {condition.where})"
            raise
        table = source.arrays
        missing = [name for name in names if name not in table]
        if missing:
            csv, there = is_text(path), ", ".join(table)
            raise UsageError(
                f"The data file has no {'column' if csv else 'values'} for the coordinate '{missing[0]}'.",
                where=display_path(path) + (":1" if csv else ""),
                expected=f"{'a header with ' if csv else ''}{', '.join(names)} and the measured values; it has {there}",
                do=f"Name the {'columns' if csv else 'variables'} after the coordinates of the domain.",
            )
        source.require_units(self.problem.units, line_of_member(type(self.problem), "units"))
        X = np.stack([table[name] for name in names], axis=1)
        self._refuse_outside(X, source)
        self.file_notes += source.notes
        return Points(X, None, {k: v for k, v in table.items() if k not in names})

    def _refuse_outside(self, X: np.ndarray, source: FileValues) -> None:
        """Raise UsageError for a row of data that lies outside the domain; on a periodic axis none does."""
        for i, (name, axis) in enumerate(zip(self.problem.domain.names, self.problem.domain.axes, strict=True)):
            slack = 1e-9 * axis.length  # decimal digits of a file are rounded
            outside = (X[:, i] < axis.lower - slack) | (X[:, i] > axis.upper + slack)
            if axis.kind != "periodic" and outside.any():
                row, path = int(np.argmax(outside)), source.file
                line = f":{line_of(path, row)}" if is_text(path) else ""
                raise UsageError(
                    f"The data file has a point outside the domain: {name} = {X[row, i]:g}.",
                    where=display_path(path) + line,
                    expected=f"{axis.lower:g} <= {name} <= {axis.upper:g}",
                    do="Check the units of the file, or make the domain larger.",
                )


def _order(equations: Equations, request: Request) -> int:
    """Highest order of the derivatives of the fields that a request needs."""
    return max(map(len, equations.catalogue.highest_orders([request])), default=0)
