"""The options of `pinnkit train NAME`: a dataclass made from the problem's own parameters, model and recipe."""

from __future__ import annotations

import dataclasses
import keyword
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from pinnkit.cli.named import NONE, chosen_model, name_of_model, refuse_idle, stage_named, taken, weightings_named
from pinnkit.errors import UsageError, location
from pinnkit.models import MLP, MODELS, Model
from pinnkit.objective import equations_of
from pinnkit.optim import STAGES, Stage
from pinnkit.problem import Problem
from pinnkit.training.recipe import Precision, Recipe
from pinnkit.weighting import WEIGHTINGS, Causality, Weighting

NETWORKS = f"network, one of {', '.join(MODELS)}; it decides which options --model.NAME there are"


@dataclass(frozen=True)
class Options:
    """What a command line asks for."""

    problem: Problem
    model: Model
    recipe: Recipe
    seed: int
    out: Path | None
    further: Any = None
    """An instance of the dataclass that `read` was given."""


def read(cls: type[Problem], arguments: Sequence[str], command: str, further: Any = None) -> Options:
    """Read the options of a problem; the defaults are the problem's own. Exits with 2 and a suggestion on a bad one.

    The fields of `further`, an instance of a dataclass, are options too.
    """
    problem = _with_defaults(cls)
    recipe = problem.recipe or Recipe()
    model, arguments = chosen_model(arguments, problem.model or MLP())
    chosen, rest = taken(arguments, "--stages", "optimiser", STAGES)
    stages = tuple(stage_named(name, recipe) for name in chosen) if chosen else recipe.stages
    refuse_idle(rest, "--stages", "an optimiser", STAGES, _labels(stages))
    chosen, rest = taken(rest, "--weighting", "weighting", (*WEIGHTINGS, NONE))
    weightings = weightings_named(chosen, recipe) if chosen else recipe.weightings
    refuse_idle(rest, "--weighting", "a weighting", WEIGHTINGS, [w.name for w in weightings])
    equations = equations_of(problem)
    terms = [term for group in equations.groups for term in equations.terms(group)]
    parsed = tyro.cli(
        _options_type(problem, model, recipe, stages, weightings, terms, further),
        args=list(rest),
        prog=command,
        description=(cls.__doc__ or "").strip(),
        use_underscores=True,
        config=(tyro.conf.SuppressFixed,),
    )
    trained = tuple(getattr(parsed, label) for label in _labels(stages))
    weighed = [getattr(parsed, w.name) for w in weightings]
    chosen_weights = {k: v for k, v in _flat(parsed.weights).items() if v != _weight(recipe, k)}
    changed = replace(
        recipe,
        stages=trained,
        sampling=parsed.sampling,
        weights=recipe.weights if not chosen_weights else {**recipe.fixed_weights, **chosen_weights},
        weighting=tuple(w for w in weighed if not isinstance(w, Causality)),
        causality=next((w for w in weighed if isinstance(w, Causality)), None),
        precision=parsed.precision,
        windows=parsed.windows,
        curriculum=parsed.curriculum if recipe.curriculum else None,
        accuracy=parsed.accuracy,
        gradients=parsed.gradients,
    )
    return Options(parsed.problem, parsed.model, changed, parsed.seed, parsed.out, parsed.further if further else None)


def _with_defaults(cls: type[Problem]) -> Problem:
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]
        if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise UsageError(
                f"The parameter '{spec.name}' of {cls.__name__} has no value.",
                where=location(cls),
                expected=f"a default, {spec.name}: float = 1.0, say",
                do=f"Give it one; --problem.{spec.name} changes it.",
            )
    return cls()


def _options_type(
    problem: Problem,
    model: Model,
    recipe: Recipe,
    stages: Sequence[Stage],
    weightings: Sequence[Weighting],
    terms: Sequence[str],
    further: Any,
) -> Any:
    """The dataclass that tyro reads: its field docs are the help."""
    names, weighed = tuple(s.name for s in stages), tuple(w.name for w in weightings) or (NONE,)
    hidden: Any = tyro.conf.Suppress
    fields = [
        _group("problem", problem, type(problem) if problem.parameters() else hidden[Any]),
        _group("model", model),
        *(_group(label, stage) for label, stage in zip(_labels(stages), stages, strict=True)),
        _group("sampling", recipe.sampling),
        _group("weights", _weights_type(recipe, terms)()),
        *(_group(w.name, w) for w in weightings),
        *([_group("curriculum", recipe.curriculum)] if recipe.curriculum else []),
        ("network", Annotated[str, tyro.conf.arg(name="model", help=NETWORKS)], field(default=name_of_model(model))),
        _option("stages", tuple[str, ...], names, f"optimisers, one after the other, of {', '.join(STAGES)}"),
        _option(
            "weighting", tuple[str, ...], weighed, f"weights that follow the residuals, of {', '.join(WEIGHTINGS)}"
        ),
        _option("precision", Precision, recipe.precision, "of all numbers; 16 bits: of the network's products only"),
        _option("windows", int, recipe.windows, "equal parts of time, trained one after the other"),
        _option("accuracy", float | None, recipe.accuracy, "relative L2 error to reach; exit status 1 where it is not"),
        _option("gradients", int, recipe.gradients, "steps between measurements of gradients by layer; 0: never"),
        _option("seed", int, 0, "of the initial weights and the collocation points"),
        _option("out", Path | None, None, "folder for what is written, instead of runs/NAME/TIME"),
        # name="": its fields are options of their own, --widths and not --diagnosis.widths.
        *([_group("further", further, Annotated[type(further), tyro.conf.arg(name="")])] if further else []),
    ]
    return make_dataclass("Options", fields, frozen=True)


def _group(name: str, value: Any, kind: Any = None) -> tuple[str, Any, Any]:
    return name, kind or type(value), field(default_factory=lambda: value)


def _option(name: str, kind: Any, default: Any, meaning: str) -> tuple[str, Any, Any]:
    return name, Annotated[kind, tyro.conf.arg(help=meaning)], field(default=default)


def _labels(stages: Sequence[Stage]) -> list[str]:
    """`adam`, `ssbroyden`; a second stage of the same optimiser is `adam2`."""
    labels: list[str] = []
    for stage in stages:
        count = sum(1 for s in stages[: len(labels)] if s.name == stage.name)
        labels.append(stage.name if count == 0 else f"{stage.name}{count + 1}")
    return labels


def _weight(recipe: Recipe, term: str) -> float:
    return recipe.fixed_weights.get(term, recipe.fixed_weights.get(term.partition(".")[0], 1.0))


def _weights_type(recipe: Recipe, terms: Sequence[str]) -> Any:
    """Nested as the terms are: --weights.heat 10, --weights.flow.continuity 10."""
    groups: dict[str, list[str]] = {}
    for term in terms:
        method, _, part = term.partition(".")
        if not part or (part.isidentifier() and not keyword.iskeyword(part)):  # others can be weighed in the file only
            groups.setdefault(method, []).extend([part] if part else [])

    def number(term: str) -> tuple[str, Any, Any]:
        return _option(term.rpartition(".")[2], float, _weight(recipe, term), f"factor of mean({term}^2) in the loss")

    fields: list[tuple[str, Any, Any]] = []
    for method, parts in groups.items():
        inner = make_dataclass(method, [number(f"{method}.{p}") for p in parts], frozen=True)
        fields.append((method, inner, field(default_factory=inner)) if parts else number(method))
    return make_dataclass("Weights", fields, frozen=True)


def _flat(weights: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for spec in dataclasses.fields(weights):
        value = getattr(weights, spec.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{spec.name}.{k}": v for k, v in _flat(value).items()}
        else:
            found[spec.name] = value
    return found
