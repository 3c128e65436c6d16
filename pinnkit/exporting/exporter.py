"""What an exporter is: it converts a trained solution into files that other programs read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pinnkit.errors import UsageError
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.settings import Setting

if TYPE_CHECKING:
    from pinnkit.runs.solution import Solution


@dataclass(frozen=True)
class Exported:
    """What an exporter made.

    Args:
        files: content of each file by its name.
        about: what export.json says of them, under the name of the exporter.
        notes: what the command prints below the names of the files: texts, or tables of rich. `{folder}` stands for the folder.
    """

    files: Mapping[str, bytes]
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Exporter(Setting, ABC):
    """Converts a trained solution into files. Abstract.

    An exporter of one's own is a frozen dataclass that derives from this class. `solution.export(folder, MyExporter())` calls
    it; defined in a problem file, `pinnkit export RUN --NAME` does. Its fields are its options, `--NAME.option`.
    pinnkit's own are the files of `pinnkit/exporting`.

    Every exporter says how well its files agree with the solution: it reads them back, and compares.
    """

    role: ClassVar[str] = "exporter"
    standard: ClassVar[bool] = False
    """Whether `pinnkit export` uses it without being asked."""

    @abstractmethod
    def convert(self, solution: Solution) -> Exported:
        """The files of a solution; nothing is written before all exporters have returned.

        Args:
            solution: called with coordinates by name it gives the fields, `solution.at` derivatives and quantities;
                `solution.answer` has the problem, values at points and the errors; of a trained one also the network.

        Raises:
            UsageError: the solution cannot be written so, with the reason.
        """


def trained(solution: Solution, what: str) -> Evaluation:
    """The evaluation of a trained solution. Raises UsageError for one without a network, which cannot be written as `what`."""
    answer = solution.answer
    if not isinstance(answer, Evaluation):
        raise UsageError(
            f"The solution of {answer.problem.name} cannot be written as {what}: it has no network.",
            expected="a run that pinnkit train made",
            do="Use it from Python: pk.load(...), whose result is called with coordinates by name.",
        )
    return answer
