"""A user's script, for type checkers: it is checked, never run."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import pinnkit as pk
from pinnkit.training.trainer import Report


class Rod(pk.Problem):
    """Heat in a rod."""

    fields = ("u",)
    up_to_constant = ()
    domain = pk.Box(t=(0, 1), x=(-1, 1))
    alpha: float = 0.2
    nu: float = pk.unknown(0.1, bounds=(0, 1))
    model = pk.MLP(width=20, depth=2)
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=500), pk.SSBroyden(steps=1000), pk.Optax(transform=optax.adam(1e-3), steps=10)),
        weights={"heat": 10.0},
        sampling=pk.Sampling(method="r3"),
    )

    @pk.quantity
    def flux(self, u_x: Array) -> Array:
        return -self.alpha * u_x

    @pk.feature
    def wave(self, x: Array) -> Array:
        return jnp.sin(x)

    @pk.interior
    def heat(self, u_t: Array, flux_x: Array) -> Array:
        return u_t + flux_x

    @pk.initial(hard=True)
    def start(self, u: Array, x: Array) -> Array:
        return u - jnp.cos(jnp.pi * x / 2)

    @pk.boundary("x-")
    def left(self, u: Array) -> Array:
        return u

    @pk.boundary
    def everywhere(self, u: Array) -> dict[str, Array]:
        return {"all": u}

    @pk.at(x=0.5)
    def pin(self, u: Array) -> Array:
        return u

    @pk.data("sensors.csv")
    def measured(self, u: Array, temperature: Array) -> Array:
        return u - temperature

    def exact(self, t: Array, x: Array) -> Array:
        return jnp.cos(jnp.pi * x / 2) * jnp.exp(-self.alpha * (jnp.pi / 2) ** 2 * t)

    def reference(self, t: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.exp(-t) * x


class Plate(pk.Problem):
    """Heat in a plate with a hole."""

    reference = "plate.csv"
    reference_error = 1e-6
    domain = pk.Box(x=(0, 2), y=(0, 1), k=pk.ParameterAxis(1, 2), z=pk.Periodic(0, 1)) - pk.Disk(
        x=1, y=0.5, radius=0.2, name="hole"
    )


class Followed(pk.Tracker):
    """Prints the loss."""

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        print(report.loss, row["step"])


print(pk.__version__)
pk.use_all_cores()
pk.check(Rod())
pk.diagnose(Rod())
solution: pk.Solution = pk.train(
    Rod(),
    model=pk.MLP(width=30, depth=3, activation="tanh"),
    recipe=pk.Recipe(stages=(pk.Auto(),), schedule=pk.Windows(5)),
)
loaded = pk.load("runs/rod/today")
u: np.ndarray = loaded(t=0.5, x=np.linspace(-1, 1, 10))["u"]
slope: np.ndarray = loaded.at("u_x", t=0.5, x=0.0)["u_x"]
if solution.errors is not None:
    error: float = solution.errors["u"].relative_l2
Rod(alpha=0.3)
optimiser = pk.optim.self_scaled_broyden()
params = {"w": jnp.ones(3)}
state = optimiser.init(params)
gain2: float = pk.init.gain(jnp.tanh)
weights: Array = pk.init.dense(gain2)(jax.random.key(0), (3, 4))
one_of_each = pk.Recipe(stages=pk.Auto(), weighting=pk.NTK(), trackers=Followed())
steps: int = one_of_each.stages[0].steps
try:
    pk.load("nowhere")
except pk.UsageError as mistake:
    print(mistake.what, mistake.do)
