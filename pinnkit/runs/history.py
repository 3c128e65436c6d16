"""The course of a training: one row per report, as metrics.jsonl holds them and the figures draw them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pinnkit.fields.field_errors import FieldError
from pinnkit.models.linearised import trained_part
from pinnkit.objective import AnyObjective
from pinnkit.optim.loss_scaling import describe_scale
from pinnkit.parallel.processes import agreed
from pinnkit.runs.run import Run
from pinnkit.training.state import TrainState
from pinnkit.training.trainer import Report

EVALUATE_SECONDS = 2.0
"""Seconds between two measurements of the error during training."""


class History:
    """The rows of one training, with errors that are measured every few seconds and at each event."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.errors: dict[str, FieldError] | None = None
        """The errors that were measured last."""
        self._evaluated = 0.0
        self._measured = 0
        self._gradients: tuple[AnyObjective, Any] | None = None  # the objective of the present phase, and its program

    def row(self, report: Report) -> dict[str, Any]:
        """Return step, seconds, stage, loss and terms; errors, unknowns, gradients and an event where there are any."""
        state, row = report.state, dict[str, Any]()
        row |= {"step": int(state.step), "seconds": float(state.seconds), "stage": report.stage}
        row |= {"loss": report.loss, "terms": report.mean_squares}
        if agreed(time.monotonic() - self._evaluated) > EVALUATE_SECONDS or report.event:
            self.errors, self._evaluated = self.run.accuracy.errors_so_far(state.params), time.monotonic()
            if self.errors:
                row["errors"] = {f: e.relative_l2 for f, e in self.errors.items()}
        if unknowns := self.run.problem.unknowns():
            row["unknowns"] = {n: float(u.value(state.params["unknowns"][n])) for n, u in unknowns.items()}
        row |= describe_scale(state.optimiser)
        if report.event:
            row["event"] = report.event
        every = self.run.recipe.gradients
        if every and int(state.step) - self._measured >= every:
            self._measured = int(state.step)
            row["gradients"] = self._measure_gradients(state)
        return row

    def _measure_gradients(self, state: TrainState) -> dict[str, dict[str, float]]:
        """Return the norm of each term's gradient by layer, in the phase that is being trained."""
        objective, params = self.run.trainer.objectives(state)[-1]
        if self._gradients is None or self._gradients[0] is not objective:
            self._gradients = objective, jax.jit(partial(gradient_norms, objective))
        norms = self._gradients[1](params, state.points)
        return {term: jax.tree.map(float, norms[term]) for term in objective.terms}


def gradient_norms(objective: AnyObjective, params: Any, points: Any) -> dict[str, dict[str, Any]]:
    """Return ||d(w mean(r^2))/dtheta|| of each term, by layer: {term: {layer: norm}}."""
    slopes = jax.jacrev(lambda p: objective.mean_squares(p, points))(params)
    norms = {}
    for term, slope in slopes.items():
        own = trained_part(slope["network"])
        layers = own.get("layers", [own])
        squares = [sum(jnp.sum(g**2) for g in jax.tree.leaves(layer)) for layer in layers]
        norms[term] = {f"layer {i + 1}": objective.weights[term] * jnp.sqrt(s) for i, s in enumerate(squares)}
    return norms
