"""The equations and the network of a surrogate, in the place of those of a problem that is solved at points.

A sample is a point of a space with a dimension for each input and cell: `Points.X` is (samples, inputs cells).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import Ansatz, BatchFunction, Catalogue, Points
from pinnkit.fields.calls import Residuals, by_name, guarded
from pinnkit.models import split
from pinnkit.models.grid import GridModel, Watch
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.residuals import Equations, Group
from pinnkit.problem import Problem, Surrogate, validated_surrogate
from pinnkit.problem.conditions import method_arguments

TOGETHER = 16
"""Samples that are normalised together in training: not all of a draw, so that cores can share it and numbers do not depend on
how many there are."""
CALIBRATION = 128
"""Samples whose mean and variance normalise those that the trained network is asked for."""
KEY = 271828
"""Of these samples."""
LEAST = 3
"""Samples of the first look at what `draw` returns."""


def equations_of(problem: Problem) -> Equations:
    """The equations of any problem. Raises UsageError."""
    return SurrogateEquations(problem) if isinstance(problem, Surrogate) else Equations(problem)


class SurrogateEquations(Equations):
    """The equations of a surrogate: one group of conditions on its samples."""

    problem: Surrogate

    def __init__(self, problem: Surrogate) -> None:
        self.problem = validated_surrogate(problem)
        self.catalogue = Catalogue(problem)
        self.ansatz = Ansatz(problem, self.catalogue, [])
        self.groups = (Group("samples", None, None, problem.conditions(), {}, draws=self.drawn),)
        self.hard = ()
        jax.eval_shape(lambda: self.drawn(jax.random.key(0), LEAST, jnp.zeros(()).dtype).X)  # its mistakes, found early

    def network(self, model: Any, **given: Any) -> FieldNetwork:
        """The network on the grid."""
        return SurrogateNetwork(self, model, **given)

    def drawn(self, key: Any, count: int, dtype: Any) -> Points:
        """Random inputs. Raises UsageError for what `draw` must not return."""
        problem = self.problem
        found = guarded(type(problem).draw, problem, {"key": key, "count": count}, "'draw'", "inputs computed with jnp")
        named = self._checked(found, problem.inputs, "draw", (count, *problem.cells), jnp.shape)
        columns = [jnp.asarray(named[name], dtype).reshape(count, -1) for name in problem.inputs]
        return Points(jnp.concatenate(columns, axis=1))

    def solved(self, X: Any) -> Float[np.ndarray, "samples ..."]:
        """What `solve` says of each sample, (samples, *cells, fields). Raises UsageError for what it must not return."""
        problem = self.problem
        inputs = {name: np.asarray(values, np.float64) for name, values in self.inputs(X).items()}
        solutions = []
        for i in range(X.shape[0]):
            one = {name: values[i] for name, values in inputs.items()}
            found = guarded(type(problem).solve, problem, one, "'solve'", "the solution computed with numpy")
            named = self._checked(found, problem.fields, "solve", problem.cells, np.shape)
            solutions.append(np.stack([np.asarray(named[f], np.float64) for f in problem.fields], axis=-1))
        return np.stack(solutions)

    def composed(self, X: Any, outputs: Any) -> Any:
        """The fields, (samples, *cells, fields), of what the network gives. Raises UsageError where `compose` is wrong."""
        problem, method = self.problem, type(self.problem).compose
        if method is None:
            return outputs
        given = self.inputs(X) | {name: outputs[..., i] for i, name in enumerate(problem.fields)}
        asked = {name: given[name] for name in method_arguments(method)}
        found = guarded(method, problem, asked, "'compose'", "fields computed with jnp")
        named = self._checked(found, problem.fields, "compose", (X.shape[0], *problem.cells), jnp.shape)
        return jnp.stack([jnp.asarray(named[f], outputs.dtype) for f in problem.fields], axis=-1)

    def _checked(self, found: Any, names: tuple[str, ...], method: str, shape: tuple[int, ...], of: Any) -> Any:
        """What a method returned, by name. Raises UsageError for other names than these, or another shape."""
        named = found if isinstance(found, Mapping) else {names[0]: found}
        for name in (*names, *named):
            if name not in named or name not in names or of(named[name]) != shape:
                raise UsageError(
                    f"'{method}' does not return '{name}' as it should"
                    + (f": its shape is {of(named[name])}." if name in named and name in names else "."),
                    where=location(getattr(type(self.problem), method)),
                    expected=", ".join(f"'{n}'" for n in names) + f", each of the shape {shape}",
                    do="Return one array, or a dict by name where there are several.",
                )
        return named

    def inputs(self, X: Any) -> dict[str, Any]:
        """The inputs of samples by name, each (samples, *cells)."""
        names = self.problem.inputs
        apart = X.reshape(X.shape[0], len(names), *self.problem.cells)
        return {name: apart[:, i] for i, name in enumerate(names)}

    def evaluate(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """The residuals of the equations, {term: (samples, values)}; `f` gives the fields, (samples, *cells, fields)."""
        values = f(jnp.asarray(points.X))
        arrays = self.inputs(points.X) | {name: values[..., i] for i, name in enumerate(problem.fields)}
        residuals: Residuals = {}
        for condition in group.conditions:
            asked = {name: arrays[name] for name in condition.arguments}
            found = guarded(condition.method, problem, asked, f"'{condition.name}'", "a residual computed with jnp")
            for term, value in by_name(condition.name, found, "residual", condition.where).items():
                if jnp.ndim(value) == 0 or jnp.shape(value)[0] != points.X.shape[0] or jnp.iscomplexobj(value):
                    raise UsageError(
                        f"The residual of '{term}' has the shape {jnp.shape(value)}"
                        + (" and is complex." if jnp.iscomplexobj(value) else "."),
                        where=condition.where,
                        expected=f"real numbers, samples first: ({points.X.shape[0]}, ...)",
                        do="Keep the first axis of the inputs and fields.",
                    )
                residuals[term] = jnp.asarray(value, points.X.dtype).reshape(points.X.shape[0], -1)
        return residuals

    def terms(self, group: Group) -> tuple[str, ...]:
        """The names of the residuals; finds residuals of the wrong shape without computing anything."""
        names: list[str] = []

        def shapes(X: Any) -> Residuals:
            fields = jnp.ones((X.shape[0], *self.problem.cells, len(self.problem.fields)), X.dtype)
            found = self.evaluate(self.problem, lambda X: fields, group, Points(X))
            names.extend(found)  # in the order of the file; the dict that comes out of JAX is sorted
            return found

        jax.eval_shape(shapes, jnp.ones((7, len(self.problem.inputs) * int(np.prod(self.problem.cells)))))
        return tuple(names)

    def pointwise(self, group: Group) -> bool:
        """Whether tiles of samples may be looked at by themselves: `TOGETHER` at a time."""
        return True

    def channels(self, group: Group) -> int:
        """No derivative is carried through the network."""
        return 0


class SurrogateNetwork(FieldNetwork):
    """A network on the grid. While it trains it normalises by its own tile of samples, `TOGETHER`, afterwards by others."""

    problem: Surrogate
    together = TOGETHER

    def __init__(
        self, equations: SurrogateEquations, model: Any, *, dtype: Any, seed: int, working: Any = None
    ) -> None:
        if not isinstance(model, GridModel):
            raise UsageError(
                f"{type(model).__name__} is no network on a grid.",
                where=location(type(equations.problem)),
                expected="model = pk.DenseConvolutional(), or pk.Autoencoder()",
                do="Name one in the problem, or with --model dense_convolutional.",
            )
        self.equations, self.problem, self.ansatz = equations, equations.problem, equations.ansatz
        self.model: Any = model
        self.dtype, self.seed, self.working = jnp.dtype(dtype), seed, jnp.dtype(working or dtype)
        network, self._apply = split(self._drawn())
        self.initial_parameters: Parameters = {"network": network, "unknowns": {}}
        self._calibrated = jax.jit(self._after_calibration)

    def _drawn(self) -> Any:
        model, problem = self.model, self.problem
        assert isinstance(model, GridModel)
        sizes = problem.cells, len(problem.inputs), len(problem.fields)
        return model.build_on(*sizes, rngs=nnx.Rngs(self.seed), dtype=self.dtype)

    def changed(self, **changes: Any) -> SurrogateNetwork:
        """Another network, with some arguments changed."""
        own = {n: getattr(self, n) for n in ("equations", "model", "dtype", "seed", "working")}
        return SurrogateNetwork(**(own | changes))

    def outputs(self, params: Parameters) -> Any:
        """What the network gives while it trains, (samples, *cells, fields)."""
        return lambda X: self._apply(params["network"], self._stacked(X))

    def fields(self, params: Parameters, trial: Any = None) -> Any:
        """The fields while it trains, (samples, *cells, fields)."""
        del trial
        return lambda X: self.equations.composed(X, self.outputs(params)(X))

    def watched(self, params: Parameters, X: Any, watch: Watch) -> Any:
        """What the network gives while it trains; `watch` gets what each layer gives."""
        module: Any = self.module(params)
        return module(self._stacked(X), watch)

    def values(self, params: Parameters, X: Float[np.ndarray, "samples dim"]) -> Float[np.ndarray, "values fields"]:
        """The fields of samples, each by itself, in float64: (samples cells, fields)."""
        found = np.asarray(self._calibrated(params, jnp.asarray(X, self.dtype)), np.float64)
        return found.reshape(-1, len(self.problem.fields))

    def _after_calibration(self, params: Parameters, X: Any) -> Any:
        module: Any = self.module(params)
        module.train()
        module(self._stacked(self.equations.drawn(jax.random.key(KEY), CALIBRATION, self.dtype).X))
        module.eval()
        return self.equations.composed(X, module(self._stacked(X)))

    def _stacked(self, X: Any) -> Any:
        """(samples, inputs cells) -> (samples, *cells, inputs)."""
        return jnp.stack(list(self.equations.inputs(X).values()), axis=-1)
