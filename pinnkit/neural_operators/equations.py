"""The equations of a neural operator: residuals of fields on the cells of a grid, for random inputs.

A sample is a point in a space with one dimension per input and cell: `Points.X` is (samples, inputs * cells).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import BatchFunction, Points
from pinnkit.fields.user_calls import Residuals, by_name, call_user_method
from pinnkit.multi_index import MultiIndex
from pinnkit.neural_operators.network import OperatorNetwork
from pinnkit.neural_operators.problem import NeuralOperator, validate_operator
from pinnkit.objective.group import Group
from pinnkit.problem import Problem
from pinnkit.problem.conditions import method_arguments
from pinnkit.problem.scales import Scales

LEAST = 3
"""Number of samples in the first test of `draw`."""


class OperatorEquations:
    """The equations of a neural operator: one group of conditions on its samples."""

    def __init__(self, problem: NeuralOperator) -> None:
        self.problem = validate_operator(problem)
        self.groups: tuple[Group, ...] = (
            Group("samples", None, None, problem.conditions(), {}, sample_inputs=self.sample),
        )
        self.hard: tuple[Group, ...] = ()
        # Inputs and fields of a map are of the user's own making: `draw` and `compose` scale them.
        self.scales = Scales()
        self.highest_order = 0
        jax.eval_shape(lambda: self.sample(jax.random.key(0), LEAST, jnp.zeros(()).dtype).X)  # raises its errors early

    @property
    def interior(self) -> Group:
        """The only group, which holds all equations."""
        return self.groups[0]

    def network(self, model: Any, *, dtype: Any, seed: int, working: Any = None) -> OperatorNetwork:
        """Return the network on the grid.

        Raises:
            UsageError: The model is not a network on a grid.
        """
        return OperatorNetwork(self.problem, model, self.compose, self.sample, dtype=dtype, seed=seed, working=working)

    def sample(self, key: Any, count: int, dtype: Any) -> Points:
        """Return random inputs, (samples, inputs * cells).

        Raises:
            UsageError: `draw` returns other names or shapes than the inputs'.
        """
        problem = self.problem
        returned = call_user_method(
            type(problem).draw, problem, {"key": key, "count": count}, "'draw'", "inputs computed with jnp"
        )
        named = self._by_name(returned, problem.inputs, "draw", (count, *problem.cells), jnp.shape)
        columns = [jnp.asarray(named[name], dtype).reshape(count, -1) for name in problem.inputs]
        return Points(jnp.concatenate(columns, axis=1))

    def solve(self, X: Any) -> Float[np.ndarray, "samples ..."]:
        """Return the reference solutions, (samples, *cells, fields).

        Raises:
            UsageError: `solve` returns other names or shapes than the fields'.
        """
        problem = self.problem
        inputs = {name: np.asarray(values, np.float64) for name, values in self.inputs(X).items()}
        solutions = []
        for i in range(X.shape[0]):
            one = {name: values[i] for name, values in inputs.items()}
            returned = call_user_method(
                type(problem).solve, problem, one, "'solve'", "the solution computed with numpy"
            )
            named = self._by_name(returned, problem.fields, "solve", problem.cells, np.shape)
            solutions.append(np.stack([np.asarray(named[f], np.float64) for f in problem.fields], axis=-1))
        return np.stack(solutions)

    def compose(self, X: Any, outputs: Any) -> Any:
        """Return the fields, (samples, *cells, fields), from the outputs of the network.

        Raises:
            UsageError: `compose` returns other names or shapes than the fields'.
        """
        problem, method = self.problem, type(self.problem).compose
        if method is None:
            return outputs
        arrays = self.inputs(X) | {name: outputs[..., i] for i, name in enumerate(problem.fields)}
        arguments = {name: arrays[name] for name in method_arguments(method)}
        returned = call_user_method(method, problem, arguments, "'compose'", "fields computed with jnp")
        named = self._by_name(returned, problem.fields, "compose", (X.shape[0], *problem.cells), jnp.shape)
        return jnp.stack([jnp.asarray(named[f], outputs.dtype) for f in problem.fields], axis=-1)

    def _by_name(self, result: Any, names: tuple[str, ...], method: str, shape: tuple[int, ...], shape_of: Any) -> Any:
        """Return the arrays of a method's result by name.

        Raises:
            UsageError: Other names than these, or another shape.
        """
        named = result if isinstance(result, Mapping) else {names[0]: result}
        for name in (*names, *named):
            if name not in named or name not in names or shape_of(named[name]) != shape:
                raise UsageError(
                    f"'{method}' does not return '{name}' as it should"
                    + (f": its shape is {shape_of(named[name])}." if name in named and name in names else "."),
                    where=location(getattr(type(self.problem), method)),
                    expected=", ".join(f"'{n}'" for n in names) + f", each of the shape {shape}",
                    do="Return one array, or a dict by name where there are several.",
                )
        return named

    def inputs(self, X: Any) -> dict[str, Any]:
        """Return the inputs of samples by name, each (samples, *cells)."""
        names = self.problem.inputs
        apart = X.reshape(X.shape[0], len(names), *self.problem.cells)
        return {name: apart[:, i] for i, name in enumerate(names)}

    def evaluate(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """Return the residuals of the equations, {term: (samples, values)}; `f` returns the fields, (samples, *cells, fields)."""
        values = f(jnp.asarray(points.X))
        arrays = self.inputs(points.X) | {name: values[..., i] for i, name in enumerate(problem.fields)}
        residuals: Residuals = {}
        for condition in group.conditions:
            arguments = {name: arrays[name] for name in condition.arguments}
            returned = call_user_method(
                condition.method, problem, arguments, f"'{condition.name}'", "a residual computed with jnp"
            )
            for term, value in by_name(condition.name, returned, "residual", condition.where).items():
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
        """Return the names of the residuals; their shapes are checked too, without computing anything."""
        names: list[str] = []

        def shapes(X: Any) -> Residuals:
            fields = jnp.ones((X.shape[0], *self.problem.cells, len(self.problem.fields)), X.dtype)
            residuals = self.evaluate(self.problem, lambda X: fields, group, Points(X))
            names.extend(residuals)  # in the order of the file; the dict that comes out of JAX is sorted
            return residuals

        # Seven samples: a number that is unlikely to be that of cells or fields, which a wrong first axis might have.
        jax.eval_shape(shapes, jnp.ones((7, len(self.problem.inputs) * int(np.prod(self.problem.cells)))))
        return tuple(names)

    def pointwise(self, group: Group) -> bool:
        """Whether samples may be evaluated tile by tile: always, with as many samples per tile as the network couples."""
        return True

    def channels(self, group: Group) -> int:
        """Return the number of derivatives that are carried through the network: none."""
        return 0

    def derivatives(self, group: Group) -> set[MultiIndex] | None:
        """Return the derivatives that the equations need: only the value, since the methods compute differences of cells."""
        return {()}
