"""The run from which another one started, as run.json and summary.json note it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """The run from which another one started."""

    run: str
    """Its folder; empty for a solution in memory."""
    problem: str
    parameters: Mapping[str, Any]
    step: int
    notes: tuple[str, ...] = ()
    """What was left out, or taken over in another form: one clause each."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Origin | None:
        """Return the origin that run.json notes; None for a run that started from random weights."""
        entry = config.get("start")
        return None if entry is None else cls(**{**entry, "notes": tuple(entry["notes"])})

    def plain(self) -> dict[str, Any]:
        """Return it as run.json holds it."""
        return asdict(self)

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        text = f"started from {self.run or 'a solution'} ({self.problem}{values and ', '}{values}, step {self.step})"
        return "; ".join([text, *self.notes])
