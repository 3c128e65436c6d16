"""The options of `pinnkit train NAME`: a dataclass made from the problem's own parameters, model and recipe."""

from __future__ import annotations

import dataclasses
import inspect
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from pinnkit.cli.named import (
    NONE,
    idle_options,
    name_of_model,
    refuse_idle,
    setting_by_name,
    settings_by_name,
    take_model,
    take_names,
    without,
)
from pinnkit.cli.parsing import parse, parse_early
from pinnkit.errors import UsageError
from pinnkit.models import MLP
from pinnkit.models.mlp import AUTO
from pinnkit.objective import ProblemEquations, default_weights
from pinnkit.optim import STAGES, Auto, Stage
from pinnkit.problem import Problem, same_parameters
from pinnkit.problem.lines import line_of
from pinnkit.problem.terms import method_of
from pinnkit.runs.kinds import AnyModel, equations_of, network_classes
from pinnkit.runs.run import settings_of_problem
from pinnkit.runs.warm_start import WarmStart
from pinnkit.settings import choices
from pinnkit.trackers import TRACKERS
from pinnkit.training.recipe import Recipe, SingleOptions
from pinnkit.training.schedule import Schedule
from pinnkit.training.schedules import SCHEDULES
from pinnkit.training.tracker import Tracker
from pinnkit.weighting import WEIGHTINGS, Weighting

NETWORKS = f"network, one of {', '.join(network_classes())}; each has its own options --model.NAME"
OPTIMISERS = f"optimisers, one after the other: {', '.join(STAGES)}"
NO_SCHEDULE = 1
"""The value of `--windows` and the like that stands for a training without such a schedule."""
AUTOMATIC = "; an automatic stage takes the options of the optimiser that it stands for (--ssbroyden.steps 6000)"


@dataclass(frozen=True)
class Options:
    """The problem, the network, the recipe and the seed that a command line asks for."""

    problem: Problem
    model: AnyModel
    recipe: Recipe
    seed: int
    out: Path | None
    further: Any = None
    """An instance of the dataclass that `read` was given."""
    equations: ProblemEquations | None = None
    """The equations of `problem` where they have been built: that takes a while, and a command needs them once."""


def read(
    cls: type[Problem],
    arguments: Sequence[str],
    command: str,
    further: Any = None,
    start: WarmStart | None = None,
) -> Options:
    """Read the options of a problem; the defaults are the problem's own. Exits with 2 and a suggestion on a bad one.

    Args:
        cls: Class of the problem.
        arguments: The words of the command line.
        command: The command, for messages.
        further: An instance of a dataclass whose fields are options too.
        start: The run to start from, whose network and seed are the defaults.
    """
    problem = problem_with_defaults(cls)
    model, recipe = settings_of_problem(problem)
    model, seed = start.settings(problem) if start else (model, 0)
    return read_onto(Options(problem, model, recipe, seed, None, further), arguments, command)


def read_onto(own: Options, arguments: Sequence[str], command: str) -> Options:
    """Read options whose defaults are what `own` says: those of a problem, or of a run that goes on."""
    problem, recipe, further = own.problem, own.recipe, own.further
    optimisers, weighters = choices(STAGES, type(problem), Stage), choices(WEIGHTINGS, type(problem), Weighting)
    model, arguments = take_model(arguments, own.model, type(problem))
    chosen, rest = take_names(arguments, "--stages", "optimiser", optimisers)
    stages = tuple(setting_by_name(name, recipe.stages, optimisers) for name in chosen) if chosen else recipe.stages
    chosen, rest = take_names(rest, "--weighting", "weighting", (*weighters, NONE))
    weightings = settings_by_name("--weighting", chosen, recipe.weighting, weighters) if chosen else recipe.weighting
    refuse_idle(rest, "--weighting", "a weighting", weighters, [w.name for w in weightings])
    followers = choices(TRACKERS, type(problem), Tracker)
    chosen, rest = take_names(rest, "--trackers", "tracker", (*followers, NONE))
    trackers = settings_by_name("--trackers", chosen, recipe.trackers, followers) if chosen else recipe.trackers
    refuse_idle(rest, "--trackers", "a tracker", followers, [tracker.name for tracker in trackers])
    chosen_problem = parse_early("problem", problem, rest)
    equations = own.equations if own.equations and chosen_problem is problem else equations_of(chosen_problem)
    weights = {
        term: recipe.weights.get(term, recipe.weights.get(method_of(term), default))
        for term, default in default_weights(equations).items()
    }
    description = (type(problem).__doc__ or "").strip()

    def parse_with(stages: Sequence[Stage], words: Sequence[str]) -> Any:
        kind = _options_type(replace(own, model=model), stages, weightings, trackers, weights)
        return parse(kind, words, command, description, (tyro.conf.SuppressFixed,))

    meant = [n for n in idle_options(rest, optimisers, _labels(stages)) if any(isinstance(s, Auto) for s in stages)]
    if meant:  # options of an optimiser that an automatic stage may stand for: which, the other options decide
        first = parse_with(stages, without(rest, meant))
        automatic = [getattr(first, label) for label in _labels(stages)]
        stages = _resolve_stages(equations, first.model, replace(recipe, precision=first.single.precision), automatic)
        rest = without(rest, ["auto"])
    refuse_idle(rest, "--stages", "an optimiser", optimisers, _labels(stages), instead=bool(meant))
    parsed = parse_with(stages, rest)
    options = _assemble_options(parsed, recipe, weights, stages, weightings, trackers, further)
    built = same_parameters(options.problem, equations.problem)
    return replace(options, problem=equations.problem, equations=equations) if built else options


def _resolve_stages(
    equations: ProblemEquations, model: AnyModel, recipe: Recipe, stages: Sequence[Stage]
) -> tuple[Stage, ...]:
    """Return the stages, each automatic one replaced by what it stands for with this network and precision."""
    plain = replace(model, init="he") if isinstance(model, MLP) and model.init == AUTO else model
    network = equations.network(plain, dtype=recipe.dtype, seed=0, working=recipe.working)
    return tuple(s for stage in stages for s in stage.resolve(network.count(), recipe.working))


def _assemble_options(
    parsed: Any,
    recipe: Recipe,
    weights: Mapping[str, float],
    stages: Sequence[Stage],
    weightings: Sequence[Weighting],
    trackers: Sequence[Tracker],
    further: Any,
) -> Options:
    """Return the options of a command, from the dataclass that tyro has filled."""
    chosen_stages = tuple(getattr(parsed, label) for label in _labels(stages))
    chosen_weightings = [getattr(parsed, w.name) for w in weightings]
    chosen_weights = {k: v for k, v in _flat(parsed.weights).items() if v != weights[k]}
    changed = replace(
        recipe,
        stages=chosen_stages,
        sampling=parsed.sampling,
        weights=recipe.weights if not chosen_weights else {**recipe.weights, **chosen_weights},
        weighting=tuple(chosen_weightings),
        trackers=tuple(getattr(parsed, tracker.name) for tracker in trackers),
        schedule=_schedule(parsed, recipe.schedule),
        **vars(parsed.single),
    )
    return Options(parsed.problem, parsed.model, changed, parsed.seed, parsed.out, parsed.further if further else None)


def problem_with_defaults(cls: type[Problem]) -> Problem:
    """Return the problem with the values of its class. Raises UsageError for parameters that cannot be options."""
    try:
        get_type_hints(cls)
    except Exception as error:
        name = next((n for n, kind in vars(cls).get("__annotations__", {}).items() if isinstance(kind, str)), "")
        raise UsageError(
            f"A parameter of {cls.__name__} has a type that cannot be read: {type(error).__name__}: {error}.",
            where=line_of(cls, name),
            expected="float, int, bool, str or Literal",
            do="Write the type without quotation marks, or import it.",
        ) from None
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]
        if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise UsageError(
                f"The parameter '{spec.name}' of {cls.__name__} has no value.",
                where=line_of(cls, spec.name),
                expected=f"a default, {spec.name}: float = 1.0, say",
                do=f"Give it one; --problem.{spec.name} changes it.",
            )
    return cls()


def _options_type(
    own: Options,
    stages: Sequence[Stage],
    weightings: Sequence[Weighting],
    trackers: Sequence[Tracker],
    weights: Mapping[str, float],
) -> Any:
    """Return the dataclass that tyro reads: its field docs are the help."""
    problem, model, recipe, further = own.problem, own.model, own.recipe, own.further
    own_schedule = recipe.schedule
    names, weighed = tuple(s.name for s in stages), tuple(w.name for w in weightings) or (NONE,)
    hidden: Any = tyro.conf.Suppress
    fields = [
        _group("problem", problem, type(problem) if problem.parameters() else hidden[Any]),
        _group("model", model),
        *(_group(label, stage) for label, stage in zip(_labels(stages), stages, strict=True)),
        _group("sampling", recipe.sampling),
        _group("weights", _weights_type(weights)()),
        *(_group(setting.name, setting) for setting in (*weightings, *trackers)),
        *([_group(own_schedule.name, own_schedule)] if own_schedule and not own_schedule.shorthand else []),
        *(_shorthand(cls, own_schedule) for cls in _with_shorthand(type(problem))),
        ("network", Annotated[str, tyro.conf.arg(name="model", help=NETWORKS)], field(default=name_of_model(model))),
        option("stages", tuple[str, ...], names, OPTIMISERS + AUTOMATIC * any(isinstance(s, Auto) for s in stages)),
        option(
            "weighting", tuple[str, ...], weighed, f"weights that follow the residuals: {', '.join(WEIGHTINGS)}, {NONE}"
        ),
        option(
            "trackers",
            tuple[str, ...],
            tuple(tracker.name for tracker in trackers) or (NONE,),
            f"followers of the training besides the run folder: {', '.join(TRACKERS)}, {NONE}",
        ),
        _group("single", _single(recipe), Annotated[SingleOptions, tyro.conf.arg(name="")]),
        option("seed", int, own.seed, "random seed of the initial weights and of the collocation points"),
        option("out", Path | None, None, "folder for the results, instead of runs/NAME/TIME"),
        # name="": its fields are options of their own, --widths and not --diagnosis.widths.
        *([_group("further", further, Annotated[type(further), tyro.conf.arg(name="")])] if further else []),
    ]
    return make_dataclass("Options", fields, frozen=True)


def _group(name: str, value: Any, kind: Any = None) -> tuple[str, Any, Any]:
    return name, kind or type(value), field(default_factory=lambda: value)


def _with_shorthand(problem: type[Problem]) -> list[type[Schedule]]:
    """Return the schedules that the command line chooses by their name alone, as `--windows 5`."""
    return [cls for cls in choices(SCHEDULES, problem, Schedule).values() if cls.shorthand]


def _schedule(parsed: Any, own: Schedule | None) -> Schedule | None:
    """Return the schedule that was asked for. Raises UsageError for two of them."""
    chosen: Schedule | None = getattr(parsed, own.name) if own and not own.shorthand else None
    for cls in _with_shorthand(type(parsed.problem)):
        count = getattr(parsed, cls.name)
        if count == NO_SCHEDULE:
            continue
        if chosen:
            raise UsageError(
                f"{cls.name} is {count}, and there is {chosen.title}.",
                where=f"--{cls.name}",
                expected="one of them",
                do=f"Use --{cls.name} {NO_SCHEDULE}, or remove the schedule from the problem file.",
            )
        chosen = replace(own, **{cls.shorthand: count}) if isinstance(own, cls) else cls(**{cls.shorthand: count})
    return chosen


def _shorthand(cls: type[Schedule], own: Schedule | None) -> tuple[str, Any, Any]:
    """Return the option of a schedule that goes by its name alone: `--windows 5`."""
    default = getattr(own, cls.shorthand) if isinstance(own, cls) else NO_SCHEDULE
    return option(cls.name, int, default, (inspect.getdoc(cls) or "").split("\n\n")[0])


def _single(recipe: Recipe) -> SingleOptions:
    return SingleOptions(**{spec.name: getattr(recipe, spec.name) for spec in dataclasses.fields(SingleOptions)})


def option(name: str, kind: Any, default: Any, meaning: str) -> tuple[str, Any, Any]:
    """Return the field of a dataclass of options: its name, its type with the text of the help, its default."""
    return name, Annotated[kind, tyro.conf.arg(help=meaning)], field(default=default)


def _labels(stages: Sequence[Stage]) -> list[str]:
    """Return the labels of stages: `adam`, `ssbroyden`; a second stage of the same optimiser is `adam2`."""
    labels: list[str] = []
    for stage in stages:
        count = sum(1 for s in stages[: len(labels)] if s.name == stage.name)
        labels.append(stage.name if count == 0 else f"{stage.name}{count + 1}")
    return labels


def _weights_type(weights: Mapping[str, float]) -> Any:
    """Return the dataclass of the weights, nested as the terms are: --weights.heat 10, --weights.flow.continuity 10."""
    groups: dict[str, list[str]] = {}
    for term in weights:
        method, _, part = term.partition(".")
        if not part or (part.isidentifier() and not keyword.iskeyword(part)):  # others can be weighted in the file only
            groups.setdefault(method, []).extend([part] if part else [])

    def number(term: str) -> tuple[str, Any, Any]:
        return option(term.rpartition(".")[2], float, weights[term], f"factor of mean({term}^2) in the loss")

    fields: list[tuple[str, Any, Any]] = []
    for method, parts in groups.items():
        inner = make_dataclass(method, [number(f"{method}.{p}") for p in parts], frozen=True)
        fields.append((method, inner, field(default_factory=inner)) if parts else number(method))
    return make_dataclass("Weights", fields, frozen=True)


def _flat(weights: Any) -> dict[str, float]:
    """Return the weights by the name of their term: {"heat": 10.0, "flow.continuity": 1.0}."""
    flat: dict[str, float] = {}
    for spec in dataclasses.fields(weights):
        value = getattr(weights, spec.name)
        if dataclasses.is_dataclass(value):
            flat |= {f"{spec.name}.{k}": v for k, v in _flat(value).items()}
        else:
            flat[spec.name] = value
    return flat
