"""The summary of a run: summary.json, written and read."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console

from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.evaluation.family import family_errors
from pinnkit.evaluation.uncertainty import estimate_of
from pinnkit.figures.terminal import print_summary
from pinnkit.optim.loss_scaling import describe_scale
from pinnkit.problem.units import units_of
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.origin import Origin
from pinnkit.runs.run import LEFT_OUT, Run


def usable_summary(summary: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Return the summary itself. Raises UsageError where it lacks what `show` prints or a run needs to go on."""
    try:
        print_summary(Console(file=io.StringIO()), summary, folder.path)
        kinds = {
            "exit_status": int,
            "steps": int,
            "events": list,
            "interrupted": bool,
            "diverged": bool,
            "verdict": str,
        }
        for name, kind in kinds.items():
            if not isinstance(summary[name], kind):
                raise TypeError(f"{name} is {summary[name]!r}")
        if not 0 <= summary["exit_status"] < 128 or not all(isinstance(event, str) for event in summary["events"]):
            raise ValueError("exit_status or events")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise folder.damage_error("summary.json", f"{type(error).__name__}: {error}") from None
    return summary


def summary_of(evaluation: Evaluation, metrics: list[dict[str, Any]], origin: Origin | None = None) -> dict[str, Any]:
    """Return the content of summary.json."""
    state, errors, short = evaluation.state, evaluation.errors, evaluation.short
    return {
        "problem": evaluation.problem.name,
        "verdict": evaluation.verdict,
        "errors": {f: dataclasses.asdict(e) for f, e in errors.items()} if errors else None,
        "family_errors": {
            name: [{"value": v, "errors": {f: e.relative_l2 for f, e in own.items()}} for v, own in errors.items()]
            for name, errors in family_errors(evaluation).items()
        },
        "estimated_errors": evaluation.estimated_errors,
        "spread": _spread(evaluation),
        "reference_error": evaluation.reference_error,
        "verified": _verified(evaluation),
        "requested_accuracy": evaluation.requested,
        "residuals": evaluation.residuals,
        "training_residuals": evaluation.training_residuals,
        "sizes": evaluation.sizes,
        "fields_left_open": evaluation.fields_left_open,
        "half_widths": dict(evaluation.half_widths),
        "units": units_of(evaluation.problem),
        "unknowns": {n: dataclasses.asdict(u) for n, u in evaluation.unknowns.items()},
        "steps": int(state.step),
        "parameters": evaluation.network.count(),
        "wall_seconds": float(state.seconds),
        "compile_seconds": float(state.compile_seconds),
        "rescues": int(state.rescues),
        "start": origin and origin.plain(),
        "events": [*([str(origin)] if origin else []), *(m["event"] for m in metrics if "event" in m)],
        **({"short": dataclasses.asdict(short) | describe_scale(state.optimiser)} if short else {}),
        "diverged": evaluation.diverged,
        "interrupted": evaluation.interrupted,
        "exit_status": evaluation.exit_status(),
    }


def _spread(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the spread of the members of an ensemble; None where there is none."""
    spread = evaluation.spread
    if spread is None:
        return None
    return {
        "members": spread.count,
        "relative_l2": spread.relative,
        "clusters": spread.clusters,
        "separation": spread.separation,
        "residuals_of_clusters": spread.residuals,
    }


def _verified(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the comparison with an independent solution; None where there is none."""
    verified = evaluation.verified
    if verified is None:
        return {"reason": evaluation.unverified} if evaluation.unverified else None
    differences = {name: dataclasses.asdict(error) for name, error in verified.differences.items()}
    return {
        "differences": differences,
        "own_error": verified.own_error,
        "description": verified.description,
        "seconds": verified.seconds,
    }


def known_from_summary(run: Run, summary: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return what a summary of the same step knows of intervals, which take a while to compute again; {} where it has none."""
    if summary.get("steps") != step:
        return {}
    known: dict[str, Any] = {}
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        estimates = {name: estimate_of(summary["unknowns"][name]) for name in run.problem.unknowns()}
        if not any(e.reason == LEFT_OUT for e in estimates.values()):
            known["unknowns"] = estimates
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        half_widths = {str(name): float(width) for name, width in summary["half_widths"].items()}
        known |= {"half_widths": half_widths, "fields_left_open": float(summary["fields_left_open"])}
    return known
