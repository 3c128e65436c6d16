"""The diagnostics by name, and the diagnosis that they make together. A new one is a module and a line here.

Those in `DIAGNOSTICS` say whether a start is sound, and are always run; those in `FURTHER` are asked for with `--all`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pinnkit.diagnostics.attention import NAME as ATTENTION
from pinnkit.diagnostics.attention import attention
from pinnkit.diagnostics.finding import Diagnostic, Finding, Report, Settings, Verdict
from pinnkit.diagnostics.first_step import NAME as FIRST_STEP
from pinnkit.diagnostics.first_step import first_step
from pinnkit.diagnostics.gates import NAME as GATES
from pinnkit.diagnostics.gates import gates
from pinnkit.diagnostics.kernel import BALANCE, SPECTRUM, balance, spectrum
from pinnkit.diagnostics.normalisation import NAME as NORMALISATION
from pinnkit.diagnostics.normalisation import normalisation
from pinnkit.diagnostics.number_formats import NAME as NUMBER_FORMATS
from pinnkit.diagnostics.number_formats import number_formats
from pinnkit.diagnostics.random_matrices import NAME as RANDOM_MATRICES
from pinnkit.diagnostics.random_matrices import random_matrices
from pinnkit.diagnostics.signal import NAME as SIGNAL
from pinnkit.diagnostics.signal import signal
from pinnkit.diagnostics.sparsity import NAME as SPARSITY
from pinnkit.diagnostics.sparsity import sparsity
from pinnkit.diagnostics.width_study import NAME as WIDTH_STUDY
from pinnkit.diagnostics.width_study import width_study
from pinnkit.errors import UsageError
from pinnkit.models import LAYERED, LayeredModel
from pinnkit.objective import Objective

DIAGNOSTICS: dict[str, Diagnostic] = {
    WIDTH_STUDY: width_study,
    SIGNAL: signal,
    BALANCE: balance,
    SPECTRUM: spectrum,
}
FURTHER: dict[str, Diagnostic] = {
    FIRST_STEP: first_step,
    RANDOM_MATRICES: random_matrices,
    SPARSITY: sparsity,
    NUMBER_FORMATS: number_formats,
    GATES: gates,
    NORMALISATION: normalisation,
    ATTENTION: attention,
}


@dataclass(frozen=True)
class Diagnosis:
    """All findings, by diagnostic."""

    reports: dict[str, Report]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all diagnostics, in their order."""
        return tuple(f for report in self.reports.values() for f in report.findings)

    @property
    def own_findings(self) -> tuple[Finding, ...]:
        """Of the network as it is."""
        return tuple(f for report in self.reports.values() if not report.hypothetical for f in report.findings)

    @property
    def verdict(self) -> Verdict:
        """Unfit as soon as one finding on the network as it is says so."""
        return "unfit" if any(f.verdict == "unfit" for f in self.own_findings) else "fit"

    def plain(self) -> dict[str, Any]:
        """As diagnose.json holds it."""
        return {
            "verdict": self.verdict,
            "findings": [f.plain() for f in self.findings],
            "curves": {name: report.curves for name, report in self.reports.items()},
            "notes": {name: report.note for name, report in self.reports.items() if report.note},
        }


def diagnose(
    objective: Objective, settings: Settings, seed: int, announce: Callable[[str], None] = lambda name: None
) -> Diagnosis:
    """Run the diagnostics, all where the settings say so. Raises UsageError for a model whose layers are not known.

    Args:
        objective: the problem with its network.
        settings: how much is measured.
        seed: of the random networks.
        announce: is called with the name of each diagnostic before it starts.

    Returns:
        The reports, by diagnostic.
    """
    if not isinstance(objective.network.model, LayeredModel):
        raise UsageError(
            f"The diagnosis does not know the layers of a {type(objective.network.model).__name__}.",
            expected="one of " + ", ".join(f"pk.{cls.__name__}(...)" for cls in LAYERED.values()),
            do="Diagnose the problem with --model mlp, say.",
        )
    if objective.network.model.masks:
        raise UsageError(
            "A pruned network cannot be diagnosed: its masks are of one width, and its weights are no random ones.",
            expected="a network whose weights are drawn",
            do="Diagnose it before pruning, or with --model.keep, which draws what is kept.",
        )
    asked = DIAGNOSTICS | (FURTHER if settings.all else {})
    reports = {}
    for name, run in asked.items():
        announce(name)
        reports[name] = run(objective, settings, seed)
    return Diagnosis(reports)
