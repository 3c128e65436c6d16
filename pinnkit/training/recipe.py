"""The recipe: everything about training that is not physics and not the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from pinnkit import compilation
from pinnkit.errors import UsageError
from pinnkit.objective.collocation import Sampling
from pinnkit.objective.point_counts import FEWEST_INSIDE
from pinnkit.optim import Auto, Stage, Tangent
from pinnkit.settings import Several
from pinnkit.training.schedule import Schedule
from pinnkit.training.tracker import Tracker
from pinnkit.validation import require_number
from pinnkit.weighting import Causality, Weighting

Precision = Literal["float64", "float32", "bfloat16", "float16"]
HALF_PRECISION = ("bfloat16", "float16")
"""The formats of half precision: of the network's products and activations alone; all else is float32."""


@dataclass(frozen=True, kw_only=True)
class SingleOptions:
    """The options of a recipe that are single values; on the command line they have no prefix."""

    precision: Precision = "float64"
    """Number format; the 16-bit formats apply only to the network's matrix products and activations."""
    accuracy: float | None = None
    """Stop when the relative L2 error of every field is below this; exit status 1 if it is not reached."""
    gradients: int = 0
    """Steps between two measurements of each term's gradient by layer, for the metrics of a run; 0 for never."""


@dataclass(frozen=True, kw_only=True)
class Recipe(SingleOptions):
    """A list of stages, with the collocation points, the weights of the terms and the precision."""

    stages: Several[Stage] = (Auto(),)  # type: ignore[assignment]
    """Optimisers, one after the other."""
    sampling: Sampling = field(default_factory=Sampling)
    """Collocation points."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each term, by method name or by `method.component`; 1 where none is given, 0.01 for measured values."""
    weighting: Several[Weighting] = ()  # type: ignore[assignment]
    """Weights that follow the residuals, on top of the fixed ones: their factors are multiplied, in this order."""
    schedule: Schedule | None = None
    """Order in which networks are trained: windows of time, a curriculum, an ensemble; None trains one network once."""

    trackers: Several[Tracker] = ()  # type: ignore[assignment]
    """Followers of the training besides the run folder and the terminal; they change no number of it."""

    def __post_init__(self) -> None:
        stages = (self.stages,) if isinstance(self.stages, Stage) else self.stages
        for stage in stages if isinstance(stages, (tuple, list)) else [stages]:
            if not isinstance(stage, Stage):
                _refuse(f"{stage!r} is no stage", "pk.Adam(...), pk.LBFGS(...), pk.SSBroyden(...), "
                        "pk.LevenbergMarquardt(...), pk.Tangent() or pk.Optax(transform=...)",
                        "Wrap an optax transformation as pk.Optax(transform=..., steps=...).")  # fmt: skip
        if not stages:
            _refuse("stages is empty: nothing would be trained", "at least one optimiser", "Write stages=(pk.Auto(),).")
        solves = [isinstance(stage, Tangent) for stage in stages]
        if solves != sorted(solves):
            following = stages[solves.index(True) + 1 :]
            name = next(stage.name for stage in following if not isinstance(stage, Tangent))
            _refuse(
                f"the stage '{name}' follows 'tangent'", "'tangent' last: it freezes the network that the others train"
            )
        object.__setattr__(self, "stages", tuple(stages))
        if not isinstance(self.sampling, Sampling):
            _refuse(f"sampling is {self.sampling!r}", "pk.Sampling(interior=2000), say")
        if not isinstance(self.weights, Mapping):
            _refuse(
                f"weights is {self.weights!r}",
                'a dict from names of equations to numbers, {"heat": 10.0}',
                "Weights that are computed are a weighting: weighting=pk.NTK(every=0) computes them once, at the start.",
            )
        for term, weight in self.weights.items():
            if not isinstance(term, str):
                _refuse(f"weights names {term!r}", "names of equations, as text")
            require_number(weight, f"The weight of '{term}'", where="weights of the recipe", above=0)
        self._set_weighting()
        self._require_slices()
        require_number(
            self.gradients,
            "gradients",
            where="recipe",
            whole=True,
            least=0,
            meaning="a number of steps, or 0 for never",
        )
        if self.accuracy is not None:
            require_number(
                self.accuracy, "accuracy", where="recipe", above=0, meaning="a positive relative L2 error, such as 1e-4"
            )
        if not isinstance(self.schedule, (Schedule, type(None))):
            example = 'pk.Windows(5), pk.Curriculum(parameter="Re", multiples=(0.1, 0.4)), pk.Ensemble(8) or None'
            _refuse(f"schedule is {self.schedule!r}", example)
        trackers = (self.trackers,) if isinstance(self.trackers, Tracker) else self.trackers
        for tracker in trackers if isinstance(trackers, (tuple, list)) else [trackers]:
            if not isinstance(tracker, Tracker):
                _refuse(f"{tracker!r} is no tracker", "an instance of a class that derives from pk.Tracker")
        object.__setattr__(self, "trackers", tuple(trackers))
        if self.precision not in get_args(Precision):
            _refuse(f"precision is {self.precision!r}", "one of " + ", ".join(get_args(Precision)))

    def _set_weighting(self) -> None:
        weightings = (self.weighting,) if isinstance(self.weighting, Weighting) else self.weighting
        for weighting in weightings if isinstance(weightings, (tuple, list)) else [weightings]:
            if not isinstance(weighting, Weighting):
                _refuse(f"{weighting!r} is no weighting", "pk.GradientNorm(...), pk.NTK(...), pk.ResidualAttention(...),"
                        " pk.VariationalAttention(...) or pk.SelfAdaptive(...)")  # fmt: skip
        names = [weighting.name for weighting in weightings]
        if twice := [name for name in names if names.count(name) > 1]:
            _refuse(f"the weighting '{twice[0]}' is there twice", "each weighting once", "Remove one of them.")
        # Causality first: the others balance what it leaves of each time. The sort is stable, and keeps the user's order else.
        object.__setattr__(self, "weighting", tuple(sorted(weightings, key=lambda weighting: weighting.order)))

    def _require_slices(self) -> None:
        """Raise UsageError where causal weights have more slices of time than there are points to fill them."""
        for weighting in self.weighting:
            interior = self.sampling.interior or FEWEST_INSIDE
            if isinstance(weighting, Causality) and weighting.slices > interior:
                _refuse(
                    f"causality.slices is {weighting.slices}, and sampling.interior is {interior}",
                    "at most as many slices of time as interior points",
                    "Use --causality.slices 16.",
                )

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of parameters and points. Raises UsageError where JAX would silently give fewer digits than are asked for."""
        if self.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise UsageError(
                "The recipe asks for float64, and JAX is set to 32 bits.",
                where="precision of the recipe",
                expected='jax.config.update("jax_enable_x64", True) before anything else (the command line does it itself)',
                do='Add that line at the top of the script or notebook, or use precision="float32".',
            )
        if self.precision == "float32" and compilation.rounds_float32():
            raise UsageError(
                f"The recipe asks for float32, and JAX rounds the factors of products to 3 digits on a {jax.default_backend()}.",
                where="precision of the recipe",
                expected=f'jax.config.update("{compilation.SETTING}", "{compilation.FULL}") (the command line does it itself)',
                do='Add that line at the top of the script or notebook; "tensorfloat32" instead asks for the rounding.',
            )
        return jnp.dtype("float32" if self.precision in HALF_PRECISION else self.precision)

    @property
    def working(self) -> jnp.dtype:
        """The dtype of the network's products and activations."""
        return jnp.dtype(self.precision)

    @property
    def steps(self) -> int:
        """The largest number of steps of all stages, in all phases of the schedule."""
        plain = sum(stage.steps for stage in self.stages)
        return self.schedule.total_steps(self.stages) if self.schedule else plain


def _refuse(what: str, expected: str, do: str = "Change the value.") -> None:
    raise UsageError(what + ".", where="recipe", expected=expected, do=do)
