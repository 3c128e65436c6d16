"""The diagnostics by name, and the diagnosis that runs them. A new one is a module and a line here.

`DIAGNOSTICS` judge the initialisation and always run; `FURTHER` run with `--all`.
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
from pinnkit.diagnostics.tangent_space import NAME as TANGENT_SPACE
from pinnkit.diagnostics.tangent_space import tangent_space
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
    TANGENT_SPACE: tangent_space,
}


@dataclass(frozen=True)
class Diagnosis:
    """The reports of all diagnostics, by name."""

    reports: dict[str, Report]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of all diagnostics, in their order."""
        return tuple(f for report in self.reports.values() for f in report.findings)

    @property
    def own_findings(self) -> tuple[Finding, ...]:
        """Findings about the network itself, without those about variants of it."""
        return tuple(f for report in self.reports.values() if not report.hypothetical for f in report.findings)

    @property
    def verdict(self) -> Verdict:
        """Verdict on the network: "unfit" if one of its own findings is."""
        return "unfit" if any(f.verdict == "unfit" for f in self.own_findings) else "fit"

    def plain(self) -> dict[str, Any]:
        """Return the diagnosis as a dict for diagnose.json."""
        return {
            "verdict": self.verdict,
            "findings": [f.plain() for f in self.findings],
            "curves": {name: report.curves for name, report in self.reports.items()},
            "notes": {name: report.note for name, report in self.reports.items() if report.note},
        }


def diagnose(
    objective: Objective, settings: Settings, seed: int, announce: Callable[[str], None] = lambda name: None
) -> Diagnosis:
    """Run the diagnostics; with `settings.all` the further ones too.

    Args:
        objective: The problem with its network.
        settings: The amount of measurement.
        seed: Seed of the random networks.
        announce: Function that is called with the name of each diagnostic before it starts.

    Returns:
        The reports, by diagnostic.

    Raises:
        UsageError: A model that is no `LayeredModel`, or a pruned network.
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
    selected = DIAGNOSTICS | (FURTHER if settings.all else {})
    reports = {}
    for name, run in selected.items():
        announce(name)
        reports[name] = run(objective, settings, seed)
    return Diagnosis(reports)
