"""What the tangent functions of the untrained network can represent: one solve of the tangent stage, before any training.

u = A[N(p) + dN/dp(p) c] at the random p of the start, c from one least-squares problem. For a linear equation that is a solution:
a random-feature method whose features are those of the network's tangent kernel (relatives: Dwivedi and Srinivasan 2020, PIELM;
Dong and Li 2021, locELM; Chen et al. 2022, RFM). For others it is one step of Gauss-Newton.
"""

from __future__ import annotations

import jax
import numpy as np

from pinnkit.diagnostics.finding import Finding, Report, Settings
from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.models import LayeredModel
from pinnkit.models.linearised import linearise
from pinnkit.objective import Objective
from pinnkit.objective.collocation import Sampling, point_sampler
from pinnkit.optim.auto import SOLVABLE
from pinnkit.optim.tangent import Tangent
from pinnkit.parallel.devices import replicate
from pinnkit.training.estimate import estimated_errors
from pinnkit.training.solve import compile_solves, sampling_of_solve

NAME = "tangent space"


def tangent_space(objective: Objective, settings: Settings, seed: int) -> Report:
    """Solve once in the tangent functions of the untrained network, and say how much of the residual that leaves."""
    network, model, stage = objective.network, objective.network.model, Tangent(steps=1)
    assert isinstance(model, LayeredModel)
    about = "what one solve in the tangent functions of the untrained network reaches (--stages tangent)"
    if network.count() > SOLVABLE:
        return Report((), about, note=f"Not measured: {network.count()} parameters, more than {SOLVABLE}.")
    sampling = Sampling()
    plan = sampling_of_solve(objective, stage, sampling, sampling.counts(objective.equations.groups))
    points = replicate(point_sampler(objective, *plan).init(jax.random.key(seed), None))
    start = network.initial_parameters
    params = replicate({**start, "network": linearise(start["network"])})
    init, chunk = compile_solves(objective, stage)
    solved = chunk(params, replicate(init(params), shares=True), points, 1)
    before, after = (objective.mean_squares(p, points) for p in (params, solved.params))
    findings = []
    for term in objective.terms:
        rms = [float(np.sqrt(squares[term])) for squares in (before, after)]
        findings.append(
            Finding(
                diagnostic=NAME,
                subject=term,
                equation=term,
                measured=rms[1],
                verdict="measured only",
                message=f"{term}: RMS {rms[0]:.3g} at the start, {rms[1]:.3g} after one solve",
            )
        )
    errors = estimated_errors(objective.equations, Accuracy(network, None).fields, solved.params, solved.optimiser)
    size = f"{max(errors.values()):.0e}" if errors else ""
    note = (
        f"The relative L2 error after it is estimated at {size}."
        if errors
        else "Its error is not estimated: too much is left."
    )
    advice = ""
    if not model.bias_scale:
        advice = "With --model.bias_scale 1 the tangent functions are neither odd nor even, and represent more."
    return Report(tuple(findings), about, curves={"estimated_errors": errors}, note=note, advice=advice)
