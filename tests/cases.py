"""Small problems and helpers that several tests share."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.fields import Catalogue, Points
from pinnkit.objective import Equations, FieldNetwork, Objective
from pinnkit.runs.run import Run

SMALL = pk.MLP(width=5, depth=2)


class Rod(pk.Problem):
    """u_t = alpha u_xx with an exact solution; nothing is met exactly."""

    alpha: float = 0.1

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - self.alpha * u_xx

    @pk.initial
    def warm_start(self, u, x):
        return u - jnp.sin(jnp.pi * x)

    @pk.boundary("x")
    def cold_ends(self, u):
        return u

    def exact(self, t, x):
        return jnp.exp(-self.alpha * jnp.pi**2 * t) * jnp.sin(jnp.pi * x)


class Wave:
    """A plane wave sin(k . X + phase) as the fields of a problem: every derivative in closed form."""

    def __init__(self, *wave_numbers, phases=None):
        self.k = np.array(wave_numbers, float)
        self.phases = np.zeros(len(self.k)) if phases is None else np.array(phases)

    def __call__(self, X):
        return jnp.sin(X @ jnp.asarray(self.k.T, X.dtype) + jnp.asarray(self.phases, X.dtype)[None, :])

    def partial(self, X, index, field=0):
        angle = np.asarray(X) @ self.k[field] + self.phases[field]
        return np.prod(self.k[field][list(index)]) * np.sin(angle + len(index) * np.pi / 2)


def objective(problem, model=SMALL, *, dtype=jnp.float64, weights=None, seed=0):
    """A problem with a network, ready to be evaluated."""
    equations = Equations(problem)
    network = FieldNetwork(problem, model, equations.ansatz, dtype=dtype, seed=seed)
    return Objective(equations, network, weights or {})


def random_parameters(network, seed=1):
    """Parameters away from their start, where biases are zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(a + rng.normal(size=a.shape) * 0.5, a.dtype), network.initial_parameters)


def scattered(domain, count=7, seed=0):
    """Points inside a box, float64."""
    unit = np.random.default_rng(seed).random((count, domain.dim))
    lower, length = (np.array([getattr(a, n) for a in domain.axes]) for n in ("lower", "length"))
    return jnp.asarray(lower + length * unit)


def computed(problem, f, points, *names, **resolving):
    """What a method of the problem would get for its argument names."""
    catalogue = Catalogue(problem)
    points = points if isinstance(points, Points) else Points(points)
    return catalogue.compute(problem, f, points, {n: catalogue.names.resolve(n, **resolving) for n in names})


def refused(call, *words):
    """The UsageError of a call; its whole text must have all the words."""
    with pytest.raises(pk.UsageError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in:\n{caught.value}"
    return caught.value


@cache
def evaluation(kind):
    """The evaluation of an untrained network: what its figures show need not be good."""
    run = Run(kind(), pk.MLP(width=4, depth=1), pk.Recipe(stages=(pk.Adam(steps=1),), sampling=pk.Sampling(interior=8)))
    return evaluation_of(run)


def evaluation_of(run, **values):
    """An evaluation of the untrained network of a run, with these values in place of measured ones."""
    nothing = {"errors": None, "estimated_errors": None, "training_residuals": {}, "residuals": {}}
    nothing |= {"sizes": {}, "unknowns": {}}
    options = {t: run.recipe.sampling.option(g) for g in run.equations.groups for t in run.equations.terms(g)}
    given = {"problem": run.problem, "equations": run.equations, "accuracy": run.accuracy, "point_options": options}
    given |= {"requested": run.recipe.accuracy, "state": run.trainer.start(), "diverged": False, "interrupted": False}
    return Evaluation(**given | nothing | values)


def panels(figure):
    """The panels of a figure that hold a picture, by title."""
    return {axes.get_title(): axes for axes in figure.axes if axes.get_images()}
