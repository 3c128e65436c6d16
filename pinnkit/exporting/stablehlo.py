"""The fields as a StableHLO program: any number of points in, the fields out, hard conditions included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np
from jax import export

from pinnkit.errors import UsageError

if TYPE_CHECKING:
    from pinnkit.evaluation.evaluation import Evaluation

PLATFORMS = ("cpu", "cuda", "tpu")
DERIVATIVES = 2
"""Orders of reverse-mode derivatives that the program carries."""
SAME = 1e-12
"""Relative difference from the run's own values that rounding may make in float64; in float32 1e9 times as much."""


def export_program(found: Evaluation) -> tuple[bytes, float]:
    """The serialized program (points, dim) -> (points, fields), and its largest difference from the run's own values.

    It is read back and compared at the evaluation points. Load it with `jax.export.deserialize(bytes).call(X)`. The gradient
    of its sum, which are the slopes point by point, can be taken twice; jax has no `vmap` of it.

    Raises UsageError where the two differ by more than rounding, and for a network with batch
    coupling, whose normalisation needs random inputs.
    """
    problem, network, params = found.problem, found.network, found.state.params
    if network.batch_coupling is not None:
        raise UsageError(
            f"The solution of {problem.name} cannot be exported: its network normalises over {network.batch_coupling} samples, "
            "and a program gets no others than those that it is called with.",
            expected="a solution whose network maps each point by itself",
            do='Use it from Python: pk.load("runs/NAME")(' + ", ".join(f"{n}=..." for n in found.arguments) + ").",
        )
    dtype = network.dtype
    (points,) = export.symbolic_shape("points")
    # On one device: arrays that lie on all cores here would make a program that runs on as many devices only.
    constants = jax.device_put(jax.tree.map(np.asarray, params), jax.devices()[0])
    program = export.export(jax.jit(network.fields(constants)), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct((points, problem.domain.dim), dtype)
    )
    written = bytes(program.serialize(vjp_order=DERIVATIVES))
    X = found.accuracy.points
    own = network.values(params, X)
    again = np.asarray(export.deserialize(bytearray(written)).call(X.astype(dtype)), np.float64)
    difference = float(np.max(np.abs(own - again)))
    if not difference <= (SAME if dtype.itemsize == 8 else SAME * 1e9) * max(float(np.max(np.abs(own))), 1e-300):
        raise UsageError(
            f"The exported program does not give what the run gives: they differ by {difference:.1e}.",
            expected="the same values but for rounding",
            do="Tell the maintainers of pinnkit: this is a mistake in pinnkit or in jax.export.",
        )
    return written, difference
