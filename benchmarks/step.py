"""Loss and gradient in one step, against the residual by hand and against the matrix products it needs; memory and points.

    python benchmarks/step.py                    # ratios, then 10^4, 10^5, 10^6 points
    python benchmarks/step.py --repetitions 40   # on a noisy machine

float32, tanh 4 x 128, 4096 interior points, 512 on the boundary, 512 at the start; conditions are soft. Ratios are of medians
of interleaved repetitions in one process; each number of points has a process of its own, whose peak memory is read. The
residual by hand has all cores too, as threads of one device. `products` is the time that the operations of the step's matrix
products take at the speed of one large product, measured in the same run: no step can be faster.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import pinnkit as pk
from pinnkit.compilation import keep_digits
from pinnkit.objective import Equations, FieldNetwork, Objective, PointSets
from pinnkit.objective.collocation import point_sampler
from pinnkit.parallel.devices import device_mesh, replicate, use_all_cores

MODEL = pk.MLP(width=128, depth=4)
NU = 0.01 / np.pi
POINTS = (10**4, 10**5, 10**6)


class Burgers(pk.Problem):
    """u_t + u u_x = nu u_xx."""

    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0))

    @pk.interior
    def equation(self, u, u_t, u_x, u_xx):
        return u_t + u * u_x - NU * u_xx

    @pk.initial
    def start(self, u, x):
        return u + jnp.sin(jnp.pi * x)

    @pk.boundary("x")
    def ends(self, u):
        return u


class Advection(pk.Problem):
    """u_t + u_x = 0."""

    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0))

    @pk.interior
    def equation(self, u_t, u_x):
        return u_t + u_x

    @pk.initial
    def start(self, u, x):
        return u + jnp.sin(jnp.pi * x)

    @pk.boundary("x")
    def ends(self, u, t):
        return u - jnp.sin(jnp.pi * t)


class Poisson(pk.Problem):
    """u_xx + u_yy = f."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def equation(self, u_laplacian, x, y):
        return u_laplacian + jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)

    @pk.boundary
    def rim(self, u):
        return u


Field = Callable[[Any, Any], Any]
"""One field as a function of two numbers."""


def burgers_by_hand(u: Field, t: Any, x: Any) -> Any:
    """The residual at one point, as it is usually written."""
    u_x = jax.grad(u, 1)
    return jax.grad(u, 0)(t, x) + u(t, x) * u_x(t, x) - NU * jax.grad(u_x, 1)(t, x)


def advection_by_hand(u: Field, t: Any, x: Any) -> Any:
    """As `burgers_by_hand`."""
    return jax.grad(u, 0)(t, x) + jax.grad(u, 1)(t, x)


def poisson_by_hand(u: Field, x: Any, y: Any) -> Any:
    """As `burgers_by_hand`."""
    laplacian = jax.grad(jax.grad(u, 0), 0)(x, y) + jax.grad(jax.grad(u, 1), 1)(x, y)
    return laplacian + jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)


CASES: dict[str, tuple[type[pk.Problem], Callable[[Field, Any, Any], Any], float]] = {
    "burgers": (Burgers, burgers_by_hand, 3.5),
    "advection": (Advection, advection_by_hand, 2.0),
    "poisson_2d": (Poisson, poisson_by_hand, 4.0),
}
"""Problem, its residual by hand, and how many times faster than that a step is to be."""
PRODUCTS_TARGET = 1.5
SQUARE = 1024
"""Size of the large product."""


def main(repetitions: int = 20, points: int = 0, problem: str = "burgers", scaling: bool = True) -> None:
    """Print the ratios; with `points`, one line of JSON for that many interior points (used by itself)."""
    use_all_cores()
    keep_digits()
    if points:
        print(json.dumps(at_scale(problem, points)))
        return
    mesh = device_mesh()
    device = jax.devices()[0].device_kind
    print(
        f"float32, tanh {MODEL.depth} x {MODEL.width}, {mesh.size if mesh else 1} x {device}; medians of {repetitions}"
    )
    print(f"{'problem':12}{'step':>9}{'by hand':>10}{'products':>10}{'hand/step':>11}{'step/products':>15}   to reach")
    for name in CASES:
        t = compared(name, repetitions)
        by_hand, products = t["hand"] / t["step"], t["step"] / t["products"]
        print(
            f"{name:12}{t['step'] * 1e3:7.1f}ms{t['hand'] * 1e3:8.1f}ms{t['products'] * 1e3:8.1f}ms"
            f"{by_hand:11.2f}{products:15.2f}   >= {CASES[name][2]}, <= {PRODUCTS_TARGET}"
        )
    if not scaling:
        return
    print(f"\n{'burgers, points':18}{'ms/step':>10}{'us/point':>12}{'peak memory':>13}")
    for count in POINTS:
        command = [sys.executable, __file__, "--points", str(count)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{count:<18}{found['ms']:10.1f}{found['ms'] / count * 1e3:12.2f}{found['gib']:10.2f} GiB")


def compared(name: str, repetitions: int) -> dict[str, float]:
    """Median seconds of a step, of the same by hand, and of its matrix products, interleaved."""
    objective, params, points = prepared(name, 4096, 512)
    square = jnp.ones((SQUARE, SQUARE), jnp.float32)
    alone = jax.device_put((params, points), jax.devices()[0])
    programs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "step": (jax.jit(jax.value_and_grad(objective.loss)), (params, points)),
        "hand": (jax.jit(jax.value_and_grad(by_hand(name, objective))), alone),
        "products": (jax.jit(jnp.matmul), (square, square)),
    }
    values = {k: jax.block_until_ready(f(*given)) for k, (f, given) in programs.items()}
    np.testing.assert_allclose(values["step"][0], values["hand"][0], rtol=1e-4)  # they compute the same thing
    for ours, theirs in zip(*(jax.tree.leaves(values[k][1]) for k in ("step", "hand")), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * float(jnp.abs(theirs).max()))
    seconds: dict[str, list[float]] = {k: [] for k in programs}
    for _ in range(repetitions):
        for k, (f, given) in programs.items():
            seconds[k].append(timed(f, *given))
    found = {k: median(s) for k, s in seconds.items()}
    return found | {"products": operations(objective, points) / (2.0 * SQUARE**3 / found["products"])}


def at_scale(name: str, count: int) -> dict[str, float]:
    """Milliseconds of a step, and the peak memory: of this process, or of the accelerator."""
    objective, params, points = prepared(name, count, count // 8)
    step = jax.jit(jax.value_and_grad(objective.loss))
    jax.block_until_ready(step(params, points))
    seconds = median(timed(step, params, points) for _ in range(5 if count < 10**6 else 3))
    device = jax.devices()[0].memory_stats()
    peak = device["peak_bytes_in_use"] / 2**10 if device else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": seconds * 1e3, "gib": peak / 2**20}


def prepared(name: str, interior: int, others: int) -> tuple[Objective, Any, PointSets]:
    """An objective with its start and its points."""
    problem = CASES[name][0]()
    equations = Equations(problem)
    network = FieldNetwork(problem, MODEL, equations.ansatz, dtype=jnp.float32, seed=0)
    objective = Objective(equations, network, {})
    sampling = pk.Sampling(interior=interior, initial=others, boundary=others)
    points = point_sampler(objective, sampling).init(jax.random.key(0))
    return objective, replicate(network.initial_parameters), replicate(points)


def by_hand(name: str, objective: Objective) -> Callable[[Any, PointSets], Any]:
    """The loss as a JAX user writes it: vmap of nested jax.grad of a network of one point."""
    residual = CASES[name][1]
    conditions = {
        "initial": lambda u, t, x: u(t, x) + jnp.sin(jnp.pi * x),
        "boundary x": (lambda u, t, x: u(t, x) - jnp.sin(jnp.pi * t))
        if name == "advection"
        else lambda u, t, x: u(t, x),
        "boundary": lambda u, x, y: u(x, y),
    }

    def network(params: Any, x: Any) -> Any:
        lower = jnp.array([a.lower for a in objective.network.problem.domain.axes], x.dtype)
        length = jnp.array([a.length for a in objective.network.problem.domain.axes], x.dtype)
        h = (x - lower - length / 2) * (2 * 3**0.5 / length)
        *hidden, last = params["network"]["layers"]
        for layer in hidden:
            h = jnp.tanh(h @ layer["kernel"] + layer["bias"])
        return (h @ last["kernel"] + last["bias"])[0]

    def loss(params: Any, points: PointSets) -> Any:
        def u(a: Any, b: Any) -> Any:
            return network(params, jnp.stack([a, b]))

        total = 0.0
        for region, at in points.items():
            condition = residual if region == "interior" else conditions[region]
            total += jnp.mean(jax.vmap(lambda x, c=condition: c(u, x[0], x[1]))(at.X) ** 2)
        return total

    return loss


def operations(objective: Objective, points: PointSets) -> float:
    """Floating-point operations of the matrix products of a step: forward one product a layer, backward two.

    Of the first layer only the value counts: the derivatives of the coordinates are constants.
    """
    first, *others = [layer["kernel"].size for layer in objective.network.initial_parameters["network"]["layers"]]
    total = 0.0
    for group in objective.equations.groups:
        count, channels = points[group.name].X.shape[0], 1 + objective.equations.channels(group)
        total += 2.0 * count * (2 * first + 3 * channels * sum(others))
    return total


def timed(f: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of one call, right after one that is not counted: the caches and threads of another program are out of the way."""
    time.sleep(0.05)
    jax.block_until_ready(f(*arguments))
    began = time.perf_counter()
    jax.block_until_ready(f(*arguments))
    return time.perf_counter() - began


if __name__ == "__main__":
    tyro.cli(main)
