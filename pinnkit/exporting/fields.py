"""What exporters of fields have in common: where the fields are written, and which quantities beside them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pinnkit.exporting.exporter import Exported, Exporter
from pinnkit.exporting.places import axes_from_text, points_from_file
from pinnkit.exporting.sampled import Sampled, sampled

if TYPE_CHECKING:
    from pinnkit.runs.solution import Solution


@dataclass(frozen=True)
class FieldExporter(Exporter):
    """Writes the fields at places. Abstract."""

    grid: str = ""
    """Values along axes, FIRST:LAST:COUNT or one VALUE: t=0:1:50,x=0.5. Axes that are not named are filled."""
    points: Path | None = None
    """CSV file with columns named as coordinates: the fields are written there."""
    mesh: Path | None = None
    """Mesh of space in a file that meshio reads: the fields are written at its nodes."""
    quantities: tuple[str, ...] = ()
    """Derivatives and quantities beside the fields, as signatures name them: flux T_x."""

    triangulated: ClassVar[bool] = False
    """Whether shapes are filled with triangles, not covered by a grid."""

    @abstractmethod
    def write(self, fields: Sampled) -> Exported:
        """The files of fields at places."""

    def convert(self, solution: Solution) -> Exported:
        """The files of a solution."""
        domain = solution.answer.problem.domain
        return self.write(
            sampled(
                solution,
                quantities=self.quantities,
                axes=axes_from_text(self.grid),
                points=None if self.points is None else points_from_file(domain, self.points),
                mesh=self.mesh,
                triangulated=self.triangulated,
            )
        )
