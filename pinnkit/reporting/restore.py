"""A run as its folder describes it, built again from the folder's own copy of the problem file."""

from __future__ import annotations

import dataclasses
from typing import Any

from pinnkit.errors import UsageError, shown_path
from pinnkit.models import MODELS
from pinnkit.optim import STAGES
from pinnkit.problem import Problem
from pinnkit.problem.find import class_in, load
from pinnkit.reporting.run_folder import CONFIG, PROBLEM, RunFolder
from pinnkit.sampling import Sampling
from pinnkit.training.curriculum import Curriculum
from pinnkit.training.recipe import Recipe
from pinnkit.training.run import Run
from pinnkit.weighting import WEIGHTINGS, Causality


def restored(folder: RunFolder) -> Run:
    """The run of a folder. Raises UsageError where run.json does not describe one."""
    config = folder.config()
    try:
        source = config["problem"]
        module = load(folder.path / PROBLEM / source["file"])
        module.__dict__["__pinnkit_name__"] = source["name"]
        cls = class_in(module, source["class"])
        if strange := set(config["parameters"]) - {f.name for f in dataclasses.fields(cls)}:  # type: ignore[arg-type]
            raise KeyError(min(strange))
        problem = cls(**config["parameters"])
        described = dict(config["model"])
        name = described.pop("name")
        models = {m.__name__: m for m in (*MODELS.values(), type(problem.model))}
        return Run(problem, models[name](**described), _recipe(config["recipe"], problem), seed=int(config["seed"]))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(
            f"The run folder is damaged: run.json does not describe a run ({type(error).__name__}: {error}).",
            where=shown_path(folder.path / CONFIG),
            expected="the file as pinnkit train wrote it",
            do="Train again.",
        ) from None


def _recipe(described: dict[str, Any], problem: Problem) -> Recipe:
    """The recipe of run.json; a stage with an optax transformation takes that from the problem file."""
    stages = []
    own = problem.recipe.stages if problem.recipe is not None else ()
    for position, entry in enumerate(described["stages"]):
        options = {k: v for k, v in entry.items() if k != "name"}
        if entry["name"] in STAGES:
            stages.append(STAGES[entry["name"]](**options))
        else:
            stages.append(dataclasses.replace(own[position], **options))
    causality, curriculum = described.get("causality"), described.get("curriculum")
    return Recipe(
        stages=tuple(stages),
        sampling=Sampling(**described["sampling"]),
        weights=described["weights"],
        weighting=tuple(
            WEIGHTINGS[w["name"]](**{k: v for k, v in w.items() if k != "name"}) for w in described.get("weighting", [])
        ),
        causality=Causality(**causality) if causality else None,
        precision=described["precision"],
        windows=described.get("windows", 1),
        curriculum=Curriculum(**curriculum) if curriculum else None,
        accuracy=described["accuracy"],
        gradients=described.get("gradients", 0),
    )
