"""Solutions as scripts and notebooks have them: the fields as functions, errors, figures, a folder, files for other programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.evaluation.field_intervals import LARGEST, QUANTILE, FieldIntervals
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.exporting.exporter import Exported
from pinnkit.exporting.sampled import sampled
from pinnkit.fields.field_errors import FieldError
from pinnkit.figures.overview import as_html, as_text
from pinnkit.problem.watching import OpenedFiles
from pinnkit.runs.description import describe_run
from pinnkit.runs.exports import write_exports
from pinnkit.runs.folder import RunFolder, require_free_folder
from pinnkit.runs.kinds import ProblemKind, kind_of
from pinnkit.runs.results import save_results
from pinnkit.runs.run import Run
from pinnkit.runs.solving import describe_collocated, save_collocated
from pinnkit.verification.collocated import Collocated

if TYPE_CHECKING:
    from xarray import Dataset

    from pinnkit.exporting.exporter import Exporter
    from pinnkit.figures.pictures import Pictures


class Solution(ABC):
    """A solution: the fields as functions of named coordinates, and how good they are."""

    def __init__(self, history: Sequence[dict[str, Any]] = (), opened: OpenedFiles | None = None) -> None:
        self._opened = opened or OpenedFiles()  # the files that the problem read: `save` keeps them
        self.history = list(history)
        """Step, seconds, stage, loss, terms, errors and unknowns, one dict per report of a training; empty without one."""

    @property
    @abstractmethod
    def answer(self) -> Answer:
        """The fields, with everything that is known of their error."""

    @abstractmethod
    def _write(self, folder: RunFolder) -> None:
        """Write it into a new run folder."""

    @property
    def _kind(self) -> ProblemKind:
        return kind_of(self.answer.problem)

    @property
    def verdict(self) -> str:
        """The accuracy of the solution in words, a sentence or two."""
        return self.answer.verdict

    @property
    def errors(self) -> dict[str, FieldError] | None:
        """Relative L2 and largest error of each field; None where no truth is known."""
        return self.answer.errors

    @property
    def estimated_errors(self) -> dict[str, float] | None:
        """Relative L2 error of each field as it is estimated without a truth; None where nothing estimates it.

        The estimate is that of the last solve of the tangent stage; of an ensemble, the relative L2 norm of its spread.
        """
        return self.answer.estimated_errors

    @property
    def residuals(self) -> dict[str, float]:
        """RMS of each term, in the units of its equation, on points at which it was not made small."""
        return self.answer.residuals

    @property
    def unknowns(self) -> dict[str, Estimate]:
        """The unknown parameters with their 95% intervals."""
        return self.answer.unknowns

    def __call__(self, *unnamed: Any, **coordinates: Any) -> dict[str, np.ndarray]:
        """Return the fields at given coordinates (broadcast together): `solution(t=0.5, x=xs)["u"]`.

        Of a neural operator, for given inputs, each (*cells) or (samples, *cells): `solution(log_k=log_k)["p"]`.
        Warns of points outside the domain. Raises UsageError unless every coordinate, or every input, is given.
        """
        if unnamed:
            self._refuse_positional(unnamed, f'solution({{}})["{self.answer.problem.fields[0]}"]')
        return self._kind.values(self.answer, coordinates)

    def at(self, *names: str, **coordinates: Any) -> dict[str, np.ndarray]:
        """Return derivatives and quantities, by the names of signatures: `solution.at("u_x", "flux", t=0.5, x=xs)`.

        The values have the shape of the coordinates broadcast together; `u_grad` and `u_hessian` further axes.
        Raises UsageError for an unknown name.
        """
        if unnamed := [name for name in names if not isinstance(name, str)]:
            texts = ", ".join(f'"{name}"' for name in names if isinstance(name, str))
            self._refuse_positional(unnamed, f"solution.at({texts}, {{}})")
        return self._kind.derivatives(self.answer, names, coordinates)

    def intervals(self, **coordinates: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the ends of the 95% interval of each field at given coordinates: `low, high = solution.intervals(x=xs)["a"]`.

        They say what noise in the measured values does to the fields (`pinnkit.evaluation.field_intervals`); they know nothing
        of errors of the equations. The first call takes up to a minute. Raises UsageError where nothing is measured.
        """
        intervals = self._field_intervals()
        if intervals is None:
            raise UsageError(
                "There are no intervals of the fields.",
                where="Solution.intervals",
                expected=f"one network of at most {LARGEST} parameters, fitted to measured values (@pk.data)",
                do="Without measured values there is no noise. For the error itself see solution.errors and the verdict.",
            )
        values = self._kind.values(self.answer, coordinates)
        deviations = self._by_field(intervals.deviation, coordinates)
        reach = {name: QUANTILE * deviation for name, deviation in deviations.items()}
        return {name: (value - reach[name], value + reach[name]) for name, value in values.items()}

    def spread(self, **coordinates: Any) -> dict[str, np.ndarray]:
        """Return the spread of an ensemble at given coordinates, in the units of each field: `solution.spread(x=xs)["u"]`.

        It is the standard deviation of the members' fields, an estimate of the error (docs/ensembles.md). The coordinates are
        broadcast together, and so are the values of the result. Raises UsageError where the solution is no ensemble.
        """
        spread = self.answer.spread
        if spread is None:
            raise UsageError(
                "There is no spread: the solution is that of one network.",
                where="Solution.spread",
                expected="an ensemble, of which at least two members are trained",
                do="Train one: recipe=pk.Recipe(schedule=pk.Ensemble(8)), or pinnkit train PROBLEM --ensemble 8.",
            )
        self._kind.values(self.answer, coordinates)  # it refuses names that are none, and warns of points outside
        return self._by_field(spread.deviation, coordinates)

    def _by_field(
        self, function: Callable[[np.ndarray], np.ndarray], coordinates: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Return a function of points (points, dim) -> (points, fields) at coordinates that are broadcast together."""
        columns = [np.asarray(coordinates[name], np.float64) for name in self.answer.problem.domain.names]
        together = np.broadcast_arrays(*columns)
        values = function(np.stack([a.ravel() for a in together], axis=1))
        return {name: values[:, i].reshape(together[0].shape) for i, name in enumerate(self.answer.problem.fields)}

    def _field_intervals(self) -> FieldIntervals | None:
        return self.answer.intervals

    def plot(self) -> Pictures:
        """Return the figures of a run by name: `solution`, `slices`, `losses`; a notebook shows them all."""
        from pinnkit.runs.figures import all_figures  # matplotlib takes most of a second

        return all_figures(self.answer, self.history)

    def save(self, folder: str | Path) -> Path:
        """Write the solution into a folder that `pk.load` and the commands of pinnkit read.

        It holds the problem itself: the file of its class, or, of a class in a notebook or a script, its source.

        Args:
            folder: A folder that is empty or does not exist.

        Returns:
            The path of the folder.

        Raises:
            UsageError: The folder is taken or cannot be written, or the problem's source cannot be found.
        """
        require_free_folder(Path(folder), "folder")
        target = RunFolder.create(self.answer.problem.name, Path(folder))
        self._write(target)
        return target.path

    def export(self, folder: str | Path, *exporters: Exporter) -> list[Path]:
        """Write the solution for other programs: `solution.export("out", pk.StableHLO(), pk.Int8())`.

        Args:
            folder: where the files go; it is made where it is not there, and files of the same names are replaced.
            exporters: one or more; all of them have converted the solution before anything is written.

        Returns:
            The paths of the files.

        Raises:
            UsageError: the solution cannot be written so, or the folder not be written to.
        """
        return write_exports([exporter.convert(self) for exporter in exporters], Path(folder))

    def to_xarray(
        self, *, quantities: Sequence[str] = (), points: Mapping[str, Any] | None = None, **axes: Any
    ) -> Dataset:
        """Return the fields as an xarray dataset: `solution.to_xarray(t=[0.0, 1.0], x=xs, quantities=["u_x"])`.

        Args:
            quantities: Derivatives and quantities beside the fields, by the names that `at` takes.
            points: Points by coordinate, which are broadcast together, in place of a grid.
            axes: Values along axes; those that are not named are filled. Outside a shape there is NaN.

        Returns:
            Fields with their units; where a truth is known, that and the error; the verdict and parameters as attributes.

        Raises:
            UsageError: A name is unknown, or xarray is not installed.
        """
        from pinnkit.exporting.netcdf import as_dataset

        return as_dataset(sampled(self, quantities=quantities, points=points, axes=axes))

    def to_netcdf(
        self, path: str | Path, *, quantities: Sequence[str] = (), points: Mapping[str, Any] | None = None, **axes: Any
    ) -> Path:
        """Write what `to_xarray` returns as a NetCDF file, and return its path. Raises UsageError."""
        from pinnkit.exporting.netcdf import netcdf_bytes

        fields = sampled(self, quantities=quantities, points=points, axes=axes)
        return self._write_files({Path(path).name: netcdf_bytes(fields)}, Path(path))

    def to_csv(
        self, path: str | Path, *, quantities: Sequence[str] = (), points: Mapping[str, Any] | None = None, **axes: Any
    ) -> Path:
        """Write the fields as a CSV table, a row for each place in the domain, and return its path. Raises UsageError.

        The arguments are those of `to_xarray`.
        """
        from pinnkit.exporting.table import csv_text

        fields = sampled(self, quantities=quantities, points=points, axes=axes)
        return self._write_files({Path(path).name: csv_text(fields).encode()}, Path(path))

    def to_vtk(
        self, path: str | Path, *, quantities: Sequence[str] = (), mesh: str | Path | None = None, **axes: Any
    ) -> Path:
        """Write the fields for ParaView: `solution.to_vtk("plate.vtu")`, and return the path of the file to open.

        A shape is filled with triangles or tetrahedra up to its surface. With several times, there is a file for each, and one
        with the ending .pvd that lists them.

        Args:
            path: The file; its ending becomes .vtu, or .pvd with several times.
            quantities: Derivatives and quantities beside the fields, by the names that `at` takes.
            mesh: A file with a mesh of space that meshio reads: the fields are written at its nodes.
            axes: Values along axes; those that are not named are filled.

        Raises:
            UsageError: A name is unknown, there is no space, or meshio is not installed.
        """
        from pinnkit.exporting.vtk import vtk_files

        fields = sampled(self, quantities=quantities, mesh=mesh, axes=axes, triangulated=True)
        return self._write_files(vtk_files(fields, Path(path).stem), Path(path))

    def animate(self, path: str | Path, field: str = "", *, frames: int = 60, seconds: float = 6.0) -> Path:
        """Write a field as it evolves in time, as an animated picture: `solution.animate("heat.gif")`; returns the path.

        Args:
            path: The file; .mp4 needs imageio-ffmpeg, any other ending is a GIF.
            field: The name of the field; the first one unless given.
            frames: Number of times, from the first to the last.
            seconds: How long it lasts.

        Raises:
            UsageError: The name is unknown, the problem has no time or no space, or imageio-ffmpeg is not installed.
        """
        from pinnkit.exporting.animation import animation

        names = self.answer.problem.fields
        if field and field not in names:
            raise UsageError(
                f"'{field}' is no field.", expected="one of " + ", ".join(names), do="Leave it out for the first one."
            )
        kind: Any = "mp4" if Path(path).suffix.lower() == ".mp4" else "gif"
        content = animation(self, field or names[0], frames, seconds, kind)
        return self._write_files({Path(path).name: content}, Path(path))

    def _write_files(self, files: Mapping[str, bytes], path: Path) -> Path:
        """Write files into the folder of a path; returns the path of the first."""
        return write_exports([Exported(files)], path.parent)[0]

    def __repr__(self) -> str:
        return as_text(self.answer)

    def _repr_html_(self) -> str:
        return as_html(self.answer)

    def _refuse_positional(self, values: Sequence[Any], form: str) -> NoReturn:
        """Raise UsageError for coordinates without their names; `form`: the call, {} where they belong."""
        problem = self.answer.problem
        names = self._kind.arguments(problem)
        numbers = len(values) == len(names) and all(isinstance(v, (int, float)) for v in values)
        arguments = ", ".join(
            f"{n}={v}" for n, v in zip(names, values if numbers else ["..."] * len(names), strict=True)
        )
        raise UsageError(
            f"The solution is called with {_quantity(len(values), 'value')} without a name.",
            expected="each coordinate by its name: " + ", ".join(names),
            do=f"Write {form.format(arguments)}.",
        )


class TrainedSolution(Solution):
    """A solution by a trained network."""

    def __init__(
        self,
        run: Run,
        evaluation: Evaluation,
        history: Sequence[dict[str, Any]] = (),
        opened: OpenedFiles | None = None,
    ) -> None:
        super().__init__(history, opened)
        self.run, self.evaluation = run, evaluation

    @property
    def answer(self) -> Evaluation:
        """The fields of the network, with everything that is known of their error."""
        return self.evaluation

    def mean_of(self, *members: int) -> TrainedSolution:
        """Return the mean of some members of an ensemble as a solution: `solution.mean_of(0, 3)`; of one, the member itself.

        Raises UsageError for numbers that are those of no members.
        """
        own = self.evaluation
        known = self.run.trainer.members(own.state)
        if not members or not set(members) <= set(known):
            raise UsageError(
                f"The solution has no members {', '.join(map(str, members))}.".replace(
                    "members .", "mean of no members."
                ),
                where="TrainedSolution.mean_of",
                expected="one or more of " + (", ".join(map(str, known)) or "none: it is no ensemble"),
                do="Train an ensemble: recipe=pk.Recipe(schedule=pk.Ensemble(8))." if not known else "Name others.",
            )
        state = self.run.trainer.mean_of(own.state, members)
        evaluation = self.run.evaluate(state, diverged=own.diverged, interrupted=own.interrupted)
        return TrainedSolution(self.run, evaluation, self.history, self._opened)

    def clusters(self) -> list[TrainedSolution]:
        """Return the mean of each cluster of members of an ensemble, the largest first; the solution alone where they agree.

        Members cluster where the equations have several solutions, or where training ended at wrong ones: the residuals and the
        verdict of each say which.
        """
        spread = self.evaluation.spread
        if spread is None or not spread.disagrees:
            return [self]
        return [self.mean_of(*cluster) for cluster in spread.clusters]

    @cached_property
    def _computed_intervals(self) -> FieldIntervals | None:
        return self.run.field_intervals(self.evaluation.state)

    def _field_intervals(self) -> FieldIntervals | None:
        return self.evaluation.intervals or self._computed_intervals

    def _write(self, folder: RunFolder) -> None:
        describe_run(self.run, folder, self._opened, ["Solution.save"])
        save_results(self.evaluation, self.history, folder, self.run.origin)


class CollocatedSolution(Solution):
    """A solution by collocation, without a network."""

    def __init__(self, answer: Collocated, opened: OpenedFiles | None = None) -> None:
        super().__init__((), opened)
        self._answer = answer

    @property
    def answer(self) -> Collocated:
        """The fields, with everything that is known of their error."""
        return self._answer

    @property
    def own_error(self) -> float:
        """How far the last two collocation solutions are apart, the largest of a field, relative L2."""
        return self._answer.own_error

    def _write(self, folder: RunFolder) -> None:
        describe_collocated(self._answer, folder, self._opened, ["Solution.save"])
        save_collocated(self._answer, folder)


def _quantity(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
