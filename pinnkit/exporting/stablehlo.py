"""Export of the fields as a StableHLO program for any number of points, hard conditions included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import jax
import numpy as np
from jax import export

from pinnkit.errors import UsageError
from pinnkit.exporting.exporter import Exported, Exporter, trained

if TYPE_CHECKING:
    from pinnkit.evaluation.evaluation import Evaluation
    from pinnkit.runs.solution import Solution

PROGRAM = "solution.stablehlo"
"""Name of the file."""

PLATFORMS = ("cpu", "cuda", "tpu")
DERIVATIVES = 2
"""Number of orders of reverse-mode derivatives that the program contains."""
SAME = 1e-12
"""Largest relative difference from the run's own values that rounding explains in float64; in float32 1e9 times as much."""


@dataclass(frozen=True)
class StableHLO(Exporter):
    """The fields as a program for JAX and other compilers, for any number of points, with derivatives."""

    name: ClassVar[str] = "stablehlo"
    standard: ClassVar[bool] = True

    def convert(self, solution: Solution) -> Exported:
        """The program. Raises UsageError where it does not give what the solution gives."""
        evaluation = trained(solution, "a StableHLO program")
        problem = evaluation.problem
        program, difference = export_program(evaluation)
        about = {
            "inputs": {"shape": ["points", problem.domain.dim], "columns": list(problem.domain.names)},
            "outputs": {"shape": ["points", len(problem.fields)], "columns": list(problem.fields)},
            "dtype": str(evaluation.network.dtype),
            "errors": {f: asdict(e) for f, e in evaluation.errors.items()} if evaluation.errors else None,
            "largest_difference": difference,
        }
        compared = f"read back, it differs by {difference:.1e} from the run at {len(evaluation.accuracy.points)} points"
        return Exported({PROGRAM: program}, about, (compared, *_use(evaluation)))


def _use(evaluation: Evaluation) -> Iterator[str]:
    """Lines of Python that call the program, to copy from the terminal."""
    domain = evaluation.problem.domain
    yield "  import jax"
    if evaluation.network.dtype.itemsize == 8:
        yield '  jax.config.update("jax_enable_x64", True)'
    yield f'  program = jax.export.deserialize(bytearray(open("{{folder}}/{PROGRAM}", "rb").read()))'
    names, fields = ", ".join(domain.names), ", ".join(evaluation.problem.fields)
    yield f"  program.call(X)  # X: (points, {domain.dim}), columns {names}; gives {fields}"


def export_program(evaluation: Evaluation) -> tuple[bytes, float]:
    """Return the serialised program (points, dim) -> (points, fields), and its largest difference from the run's own values.

    The program is read back and compared at the evaluation points. Load it with `jax.export.deserialize(bytes).call(X)`. The
    gradient of its sum, which holds the derivatives at each point, can be taken twice; jax cannot `vmap` it.

    Raises:
        UsageError: The two differ by more than rounding, or the network has batch coupling, whose normalisation needs random
            inputs.
    """
    problem, network, params = evaluation.problem, evaluation.network, evaluation.state.params
    if network.batch_coupling is not None:
        raise UsageError(
            f"The solution of {problem.name} cannot be exported: its network normalises over {network.batch_coupling} samples, "
            "and a program gets no others than those that it is called with.",
            expected="a solution whose network maps each point by itself",
            do='Use it from Python: pk.load("runs/NAME")(' + ", ".join(f"{n}=..." for n in evaluation.arguments) + ").",
        )
    dtype = network.dtype
    (points,) = export.symbolic_shape("points")
    # On one device: parameters that are replicated here would make a program that runs on as many devices only.
    constants = jax.device_put(jax.tree.map(np.asarray, params), jax.devices()[0])
    program = export.export(jax.jit(network.fields(constants)), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct((points, problem.domain.dim), dtype)
    )
    serialised = bytes(program.serialize(vjp_order=DERIVATIVES))
    X = evaluation.accuracy.points
    own = network.values(params, X)
    reread = np.asarray(export.deserialize(bytearray(serialised)).call(X.astype(dtype)), np.float64)
    difference = float(np.max(np.abs(own - reread)))
    if not difference <= (SAME if dtype.itemsize == 8 else SAME * 1e9) * max(float(np.max(np.abs(own))), 1e-300):
        raise UsageError(
            f"The exported program does not give what the run gives: they differ by {difference:.1e}.",
            expected="the same values but for rounding",
            do="Tell the maintainers of pinnkit: this is a mistake in pinnkit or in jax.export.",
        )
    return serialised, difference
