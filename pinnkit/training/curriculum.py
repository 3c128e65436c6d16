"""A curriculum: the network is trained with easier values of a parameter first, and goes on from what it has learned.

Without it a network can come to rest at a wrong answer with a small loss: flows at a large Reynolds number, fast advection.

Source: Krishnapriyan et al., NeurIPS 2021, section 4 (curriculum PINN regularisation).
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnkit.errors import UsageError, advice, location
from pinnkit.problem import Problem, Unknown
from pinnkit.validation import is_number, refuse_value, require_number

PLACE = "curriculum of the recipe"


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Trainings with other values of a parameter, before the one with its own."""

    parameter: str
    """Name of a parameter of the problem."""
    multiples: tuple[float, ...]
    """Its values, as multiples of the one that it has, in the order in which they are taken."""
    steps: int = 1000
    """Steps of each stage of the recipe with each of these values, at the most."""

    def __post_init__(self) -> None:
        multiples = tuple(self.multiples) if isinstance(self.multiples, (tuple, list)) else ()
        object.__setattr__(self, "multiples", multiples)
        if not multiples or not all(is_number(m) and m for m in multiples):
            self._refuse("multiples", "numbers other than 0, (0.1, 0.4) say")
        require_number(self.steps, "curriculum.steps", where=PLACE, whole=True, least=1)

    def values(self, problem: Problem) -> tuple[float, ...]:
        """The values of the parameter. Raises UsageError where the problem has no such number."""
        own, where = problem.parameters(), location(type(problem))
        if self.parameter not in own:
            raise UsageError(
                f"The curriculum changes '{self.parameter}', which is no parameter of {type(problem).__name__}.",
                where=where,
                expected="one of " + (", ".join(own) or "none: it has no parameters"),
                do=advice(self.parameter, own),
            )
        value = own[self.parameter]
        if isinstance(value, Unknown) or not is_number(value):
            raise UsageError(
                f"The curriculum changes '{self.parameter}', which is no given number.",
                where=where,
                expected="a parameter with a value: an unknown one is found in training",
                do="Name another parameter, or remove the curriculum.",
            )
        return tuple(m * value for m in self.multiples)

    def _refuse(self, option: str, expected: str) -> None:
        refuse_value(getattr(self, option), f"curriculum.{option}", where=PLACE, expected=expected)
