"""How the points of each stage are sampled, and how many of each group: at first, after growth, and in a stage of solves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pinnkit.objective import AnyObjective, PointSets
from pinnkit.objective.collocation import Sampler, Sampling, point_sampler
from pinnkit.objective.point_counts import Counts, counts_of, grown
from pinnkit.optim import Stage, Tangent
from pinnkit.training.more_points import explain_growth, groups_in_need
from pinnkit.training.solve import sampling_of_solve

Plan: TypeAlias = tuple[Sampling, Counts]
"""How points are sampled, and how many of each group."""


class PointPlans:
    """The plans of a training, with their compiled samplers.

    Args:
        objective: The objective.
        sampling: The sampling of the recipe.
    """

    def __init__(self, objective: AnyObjective, sampling: Sampling) -> None:
        self._objective, self._sampling, self._groups = objective, sampling, objective.equations.groups
        self._samplers: dict[Plan, Sampler] = {}
        self.first: Plan = sampling, sampling.counts(self._groups)
        """The plan with which optimisers begin."""

    def of_stage(self, stage: Stage, counts: Counts | None = None) -> Plan:
        """Return the plan of a stage, where optimisers have so many points; as many as they begin with unless given."""
        counts = self.first[1] if counts is None else counts
        if isinstance(stage, Tangent):
            return sampling_of_solve(self._objective, stage, self._sampling, counts)
        return self._sampling, counts

    def of_points(self, stage: Stage, points: PointSets) -> Plan:
        """Return the plan by which a stage has these points."""
        return self.of_stage(stage)[0], self.counts(points)

    def counts(self, points: PointSets) -> Counts:
        """Return the number of points of each group."""
        return counts_of(points, self._groups)

    def of_numbers(self, stage: Stage, numbers: Mapping[str, int]) -> Plan:
        """Return the plan by which a stage has so many points of each group, by the group's name; its own where none is named."""
        sampling, counts = self.of_stage(stage)
        return sampling, tuple(numbers.get(g.name, n) for g, n in zip(self._groups, counts, strict=True))

    def following(self, stage: Stage, present: Stage, points: PointSets) -> Plan:
        """Return the plan of a stage that follows the present one: optimisers keep the points that were added."""
        counts = None if isinstance(present, Tangent) else self.counts(points)
        return self.of_stage(stage, counts)

    def may_grow(self, stage: Stage, plan: Plan) -> bool:
        """Return whether a stage with this plan could be given more points."""
        sampling, counts = plan
        return not isinstance(stage, Tangent) and grown(counts, self._groups, self._growing(sampling)) != counts

    def grow(self, plan: Plan, trained: Mapping[str, float], fresh: Mapping[str, float]) -> tuple[Plan, str]:
        """Return the plan with more points where they are needed, and a remark; the same plan and "" where they are not.

        Args:
            plan: The present plan.
            trained: Mean squared relative residual of each term on the present points.
            fresh: The same on points that no step has used.
        """
        sampling, counts = plan
        needs = groups_in_need(self._objective, trained, fresh)
        more = grown(counts, self._groups, [name for name in self._growing(sampling) if name in needs])
        return (sampling, more), explain_growth(self._groups, counts, more, needs)

    def sampler(self, plan: Plan) -> Sampler:
        """Return the compiled sampler of a plan."""
        if plan not in self._samplers:
            self._samplers[plan] = point_sampler(self._objective, *plan)
        return self._samplers[plan]

    def _growing(self, sampling: Sampling) -> list[str]:
        return [group.name for group in self._groups if sampling.may_grow(group)]
