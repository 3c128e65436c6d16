"""One least-squares solve without training, beside FastLSQ on the problems that it is measured on.

    python benchmarks/random_features.py                # pinnkit alone
    python benchmarks/random_features.py --fastlsq      # beside it, where `pip install fastlsq` has been done

FastLSQ (Sulc, arXiv 2602.10541, 2026) takes sines with random frequencies and solves for the outer coefficients: of the methods
that train nothing (PIELM, locELM, RFM) it is the one that reports the smallest errors. Here each solves its own problems with
about 1500 functions: pinnkit in the tangent functions of an untrained network (`--stages tangent`), for each `init_scale` of a
short list; the one whose estimated error is smallest is taken, so that no truth is needed for the choice. FastLSQ takes the scale
that its own benchmark gives each problem. Seconds are those of the solve taken, after compilation.
"""

from __future__ import annotations

import argparse
import importlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pinnkit as pk
from pinnkit.parallel.devices import use_all_cores
from pinnkit.runs.run import Run

SCALES = (0.35, 0.7, 1.4, 2.8)
SQUARE = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))


class Poisson5D(pk.Problem):
    """-laplacian(u) = f in five dimensions."""

    domain = pk.Box(**{f"x{i}": (0.0, 1.0) for i in range(1, 6)})

    def exact(self, x1, x2, x3, x4, x5):
        return sum(jnp.sin(jnp.pi / 2 * x) for x in (x1, x2, x3, x4, x5))

    @pk.interior
    def poisson(self, u_laplacian, x1, x2, x3, x4, x5):
        return u_laplacian + jnp.pi**2 / 4 * self.exact(x1, x2, x3, x4, x5)

    @pk.boundary
    def faces(self, u, x1, x2, x3, x4, x5):
        return u - self.exact(x1, x2, x3, x4, x5)


class Wave1D(pk.Problem):
    """u_tt = 4 u_xx, two standing waves."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    def exact(self, t, x):
        slow = jnp.sin(jnp.pi * x) * jnp.cos(2 * jnp.pi * t)
        return slow + 0.5 * jnp.sin(4 * jnp.pi * x) * jnp.cos(8 * jnp.pi * t)

    @pk.interior
    def wave(self, u_tt, u_xx):
        return u_tt - 4.0 * u_xx

    @pk.initial
    def start(self, u, u_t, x):
        return {"place": u - self.exact(0.0, x), "speed": u_t}

    @pk.boundary("x")
    def ends(self, u):
        return u


class Helmholtz2D(pk.Problem):
    """laplacian(u) + k^2 u = f, k = 10."""

    domain = SQUARE
    k: float = 10.0

    def exact(self, x, y):
        return jnp.sin(self.k * x) * jnp.sin(self.k * y)

    @pk.interior
    def equation(self, u, u_laplacian, x, y):
        return u_laplacian + self.k**2 * u + self.k**2 * self.exact(x, y)

    @pk.boundary
    def edge(self, u, x, y):
        return u - self.exact(x, y)


class NonlinearPoisson2D(pk.Problem):
    """-laplacian(u) + u^3 = f."""

    domain = SQUARE

    def exact(self, x, y):
        return jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)

    @pk.interior
    def equation(self, u, u_laplacian, x, y):
        v = self.exact(x, y)
        return -u_laplacian + u**3 - 2 * jnp.pi**2 * v - v**3

    @pk.boundary
    def edge(self, u):
        return u


class Bratu2D(NonlinearPoisson2D):
    """-laplacian(u) - exp(u) = f, with the same solution."""

    @pk.interior
    def equation(self, u, u_laplacian, x, y):
        v = self.exact(x, y)
        return -u_laplacian - jnp.exp(u) - 2 * jnp.pi**2 * v + jnp.exp(v)


class SteadyBurgers1D(pk.Problem):
    """u u_x - nu u_xx = f, nu = 0.1."""

    domain = pk.Box(x=(0.0, 1.0))
    nu: float = 0.1

    def exact(self, x):
        return jnp.sin(2 * jnp.pi * x)

    @pk.interior
    def equation(self, u, u_x, u_xx, x):
        w = 2 * jnp.pi
        return u * u_x - self.nu * u_xx - jnp.sin(w * x) * (w * jnp.cos(w * x) + self.nu * w**2)

    @pk.boundary
    def ends(self, u):
        return u


class NonlinearHelmholtz2D(Helmholtz2D):
    """laplacian(u) + k^2 u + u^3 / 2 = f, k = 3."""

    k: float = 3.0

    @pk.interior
    def equation(self, u, u_laplacian, x, y):
        v = self.exact(x, y)
        return u_laplacian + self.k**2 * u + u**3 / 2 + self.k**2 * v - v**3 / 2


class AllenCahn1D(pk.Problem):
    """e u_xx + u - u^3 = f, e = 0.1."""

    domain = pk.Box(x=(0.0, 1.0))
    e: float = 0.1

    def exact(self, x):
        return jnp.sin(jnp.pi * x)

    @pk.interior
    def equation(self, u, u_xx, x):
        v = self.exact(x)
        return self.e * u_xx + u - u**3 + self.e * jnp.pi**2 * v - v + v**3

    @pk.boundary
    def ends(self, u):
        return u


PROBLEMS: dict[str, tuple[type[pk.Problem], str, float]] = {
    "Poisson, 5 D": (Poisson5D, "linear.PoissonND", 5.0),
    "wave": (Wave1D, "linear.Wave1D", 20.0),
    "Helmholtz, k = 10": (Helmholtz2D, "linear.Helmholtz2D", 10.0),
    "Poisson + u^3": (NonlinearPoisson2D, "nonlinear.NLPoisson2D", 3.0),
    "Bratu": (Bratu2D, "nonlinear.Bratu2D", 2.0),
    "steady Burgers": (SteadyBurgers1D, "nonlinear.SteadyBurgers1D", 10.0),
    "Helmholtz + u^3 / 2, k = 3": (NonlinearHelmholtz2D, "nonlinear.NLHelmholtz2D", 5.0),
    "Allen-Cahn, steady": (AllenCahn1D, "nonlinear.AllenCahn1D", 3.0),
}
"""Name: the problem, that of FastLSQ, and its scale in FastLSQ's own benchmark."""


def by_pinnkit(problem: pk.Problem, seed: int) -> tuple[float, float, float, float, int]:
    """Scale, error, estimated error, seconds and number of functions of the best of SCALES by its estimate."""
    tried = []
    for scale in SCALES:
        model = pk.MLP(width=36, depth=2, activation="sin", bias_scale=1.0, init_scale=scale)
        recipe = pk.Recipe(stages=(pk.Tangent(steps=12),))
        run = Run(problem, model, recipe, seed=seed)
        *_, last = run.trainer.run(run.trainer.start())
        e = run.evaluate(last.state)
        estimate = max(e.estimated_errors.values()) if e.estimated_errors else np.inf
        error = max(error.relative_l2 for error in (e.errors or {}).values())
        tried.append((scale, error, estimate, float(last.state.seconds), run.objective.network.count()))
    return min(tried, key=lambda one: one[2])


def by_fastlsq(name: str, scale: float, seed: int) -> tuple[float, float]:
    """Error and seconds of FastLSQ."""
    import fastlsq
    import torch

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    module, _, kind = name.partition(".")
    solve = fastlsq.solve_linear if module == "linear" else fastlsq.solve_nonlinear
    problem: Any = getattr(importlib.import_module(f"fastlsq.problems.{module}"), kind)()
    began = time.perf_counter()
    result = solve(problem, scale=scale, verbose=False)
    seconds = time.perf_counter() - began
    X = problem.get_test_points(10000)
    truth = problem.exact(X)
    return float(torch.linalg.norm(result["u_fn"](X) - truth) / torch.linalg.norm(truth)), seconds


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--fastlsq", action="store_true", help="measure FastLSQ too")
    options.add_argument("--only", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    jax.config.update("jax_enable_x64", True)
    use_all_cores()
    print("| problem | pinnkit: error | estimated | seconds | functions | FastLSQ: error | seconds |")
    print("|---" * 7 + "|")
    for name in given.only:
        problem, other, its_scale = PROBLEMS[name]
        scale, error, estimate, seconds, functions = by_pinnkit(problem(), given.seed)
        cells = [name, f"{error:.1e} (scale {scale:g})", f"{estimate:.0e}", f"{seconds:.1f}", str(functions)]
        if given.fastlsq:
            error, seconds = by_fastlsq(other, its_scale, given.seed)
            cells += [f"{error:.1e}", f"{seconds:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
