"""The step of benchmarks/step.py in other libraries: loss and gradient of Burgers' residual, float32, tanh 4 x 128.

    pip install -e ".[peers]"
    python benchmarks/peers.py              # pinnkit, DeepXDE (its JAX backend) and jinns, each in a process of its own, in turns

Prints the median milliseconds of each and the ratio to pinnkit's. DeepXDE's step holds Adam's update too, which is nothing beside
the rest; its conditions' points count as interior points as well, as it does by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import tyro

NU = 0.01 / np.pi
INTERIOR, OTHERS, WIDTH, DEPTH = 4096, 512, 128, 4
LIBRARIES = {"pinnkit": "pinnkit", "DeepXDE": "deepxde", "jinns": "jinns"}


def main(rounds: int = 5, repetitions: int = 10, library: str = "") -> None:
    """Measure.

    Args:
        rounds: times that each library has its turn.
        repetitions: steps of a turn.
        library: one of them, by itself: prints the milliseconds of its steps as JSON.
    """
    if library:
        print(json.dumps(measured(STEPS[library](), repetitions)))
        return
    present = [name for name, module in LIBRARIES.items() if find_spec(module)]
    found: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(rounds):
        for name in present:
            command = [sys.executable, __file__, "--library", name, "--repetitions", str(repetitions)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] += json.loads(done.stdout.splitlines()[-1])
    ours = median(found["pinnkit"])
    for name, times in found.items():
        print(f"{name:10}{median(times):8.1f} ms{median(times) / ours:8.2f} times pinnkit's")
    for name in set(LIBRARIES) - set(present):
        print(f"{name:10} is not installed")


def measured(step: Callable[[], Any], repetitions: int) -> list[float]:
    """Milliseconds of each of some steps, compilation left out."""
    import jax

    times = []
    for _ in range(repetitions + 2):
        began = time.perf_counter()
        jax.block_until_ready(step())
        times.append((time.perf_counter() - began) * 1e3)
    return times[2:]


def pinnkit_step() -> Callable[[], Any]:
    """By `Objective.loss`, on all cores as the command line has them."""
    import jax
    from step import prepared

    from pinnkit.parallel.devices import use_all_cores

    use_all_cores()
    objective, params, points = prepared("burgers", INTERIOR, OTHERS)
    step = jax.jit(jax.value_and_grad(objective.loss))
    return lambda: step(params, points)


def deepxde_step() -> Callable[[], Any]:
    """By `Model.train_step`."""
    os.environ["DDE_BACKEND"] = "jax"
    import deepxde as dde

    def pde(x: Any, y: Any) -> Any:
        u_x, _ = dde.grad.jacobian(y, x, i=0, j=0)
        u_t, _ = dde.grad.jacobian(y, x, i=0, j=1)
        u_xx, _ = dde.grad.hessian(y, x, i=0, j=0)
        return u_t + y[0] * u_x - NU * u_xx

    where = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    ends = dde.icbc.DirichletBC(where, lambda x: 0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(where, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda _, on_initial: on_initial)
    data = dde.data.TimePDE(where, pde, [ends, start], num_domain=INTERIOR, num_boundary=OTHERS, num_initial=OTHERS)
    model = dde.Model(data, dde.nn.FNN([2, *[WIDTH] * DEPTH, 1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=1, verbose=0)
    there = model.train_state
    return lambda: model.train_step(model.params, model.opt_state, there.X_train, there.y_train)[0]


def jinns_step() -> Callable[[], Any]:
    """By `LossPDENonStatio`."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jinns

    layers: list[Any] = [(eqx.nn.Linear, 2, WIDTH), (jax.nn.tanh,)]
    layers += [(eqx.nn.Linear, WIDTH, WIDTH), (jax.nn.tanh,)] * (DEPTH - 1) + [(eqx.nn.Linear, WIDTH, 1)]
    u, start = jinns.nn.PINN_MLP.create(key=jax.random.PRNGKey(0), eqx_list=tuple(layers), eq_type="PDENonStatio")
    params = jinns.parameters.Params(nn_params=start, eq_params={"nu": jnp.asarray(NU)})
    data = jinns.data.CubicMeshPDENonStatio(
        key=jax.random.PRNGKey(1),
        n=INTERIOR,
        nb=OTHERS,
        ni=OTHERS,
        dim=1,
        min_pts=(-1.0,),
        max_pts=(1.0,),
        tmin=0.0,
        tmax=1.0,
        method="uniform",
    )
    loss = jinns.loss.LossPDENonStatio(
        u=u,
        dynamic_loss=jinns.loss.BurgersEquation(Tmax=1.0),
        boundary_condition=jinns.loss.Dirichlet(),
        initial_condition_fun=lambda x: -jnp.sin(jnp.pi * x),
        loss_weights=jinns.loss.LossWeightsPDENonStatio(dyn_loss=1.0, initial_condition=1.0, boundary_loss=1.0),
        params=params,
    )
    _, batch = data.get_batch()
    step = eqx.filter_jit(jax.value_and_grad(lambda p, batch: loss.evaluate(p, batch)[0]))
    return lambda: step(params, batch)


STEPS: dict[str, Callable[[], Callable[[], Any]]] = {
    "pinnkit": pinnkit_step,
    "DeepXDE": deepxde_step,
    "jinns": jinns_step,
}

if __name__ == "__main__":
    tyro.cli(main)
