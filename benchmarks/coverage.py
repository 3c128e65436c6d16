"""Does the 95% interval of an unknown parameter hold the truth in 95 of 100 cases? docs/coverage.md.

    python benchmarks/coverage.py                       # four inverse problems, 40 data sets each
    python benchmarks/coverage.py cooling --sets 0 1    # two data sets of one of them; others of the table are kept

Each data set has its own noise. Each problem has two unknown parameters, sizes in SI units and a solution in closed form, so that
least squares on that solution says what the best estimate and its standard deviation are. All options are the defaults.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.optimize import curve_fit
from scipy.stats import binom

import pinnkit as pk

ROOT = Path(__file__).resolve().parents[1]
MEASURED, REPORT = ROOT / "docs" / "coverage.json", ROOT / "docs" / "coverage.md"
ROWS_OF_DATA = 40
"""Number of measured values of a data set."""


@dataclass(frozen=True)
class Inverse:
    """An inverse problem whose solution is known in closed form.

    title: for the table; problem: made from a file of data; exact: (coordinates, *parameters) -> values; truth: of the
    parameters, in the order of `exact`; box: ends of the coordinates by name; noise: standard deviation; field: the name of what
    is measured.
    """

    title: str
    problem: Callable[[str], pk.Problem]
    exact: Callable[..., np.ndarray]
    truth: dict[str, float]
    box: dict[str, tuple[float, float]]
    noise: float
    field: str = "u"


def cooling(file: str) -> pk.Problem:
    """A body that cools down: rate and temperature of the surroundings are unknown; the second is declared first."""

    class Cooling(pk.Problem):
        ambient: float = pk.unknown(280.0, bounds=(200.0, 400.0))
        """surroundings [K]"""
        rate: float = pk.unknown(1e-3, bounds=(1e-5, 1e-1))
        """rate of cooling [1/s]"""
        fields = ("T",)
        domain = pk.Box(t=(0.0, 3600.0))

        @pk.interior
        def newton(self, T, T_t):
            return T_t + self.rate * (T - self.ambient)

        @pk.initial
        def hot(self, T):
            return T - 370.0

        @pk.data(file)
        def sensor(self, T, measured):
            return T - measured

    return Cooling()


def rod(file: str) -> pk.Problem:
    """A rod with its ends in ice: its diffusivity and the temperature at the start are unknown."""

    class Rod(pk.Problem):
        D: float = pk.unknown(1e-5, bounds=(1e-7, 1e-3))
        """diffusivity [m^2/s]"""
        peak: float = pk.unknown(30.0, bounds=(0.0, 500.0))
        """temperature in the middle at the start [degrees C]"""
        domain = pk.Box(t=(0.0, 60.0), x=(0.0, 0.1))

        @pk.interior
        def heat(self, u_t, u_xx):
            return u_t - self.D * u_xx

        @pk.initial
        def start(self, u, x):
            return u - self.peak * jnp.sin(jnp.pi * x / 0.1)

        @pk.boundary("x")
        def ice(self, u):
            return u

        @pk.data(file)
        def sensor(self, u, measured):
            return u - measured

    return Rod()


def gradient(file: str) -> pk.Problem:
    """A substance that is made at one end and decays: production and the length of the decay are unknown."""

    class Gradient(pk.Problem):
        L: float = pk.unknown(150.0, bounds=(5.0, 400.0))
        """length of the decay [um]"""
        C: float = pk.unknown(500.0, bounds=(0.0, 20000.0))
        """production over twice the diffusivity [1/um^2]"""
        domain = pk.Box(x=(0.0, 300.0))

        @pk.interior
        def decay(self, u, u_xx):
            return u_xx - u / self.L**2

        @pk.boundary("x-")
        def production(self, u_x):
            return u_x + self.C / 20.0

        @pk.boundary("x+")
        def closed(self, u_x):
            return u_x

        @pk.data(file)
        def sensor(self, u, measured):
            return u - measured

    return Gradient()


def spring(file: str) -> pk.Problem:
    """A damped spring with a mass of 2 kg: stiffness and damping are unknown, without bounds."""

    class Spring(pk.Problem):
        k: float = pk.unknown(100.0)
        """stiffness [N/m]"""
        c: float = pk.unknown(1.0)
        """damping [kg/s]"""
        domain = pk.Box(t=(0.0, 2.0))

        @pk.interior
        def newton(self, u, u_t, u_tt):
            return 2.0 * u_tt + self.c * u_t + self.k * u

        @pk.initial
        def pulled(self, u):
            return u - 0.03

        @pk.initial
        def at_rest(self, u_t):
            return u_t

        @pk.data(file)
        def sensor(self, u, measured):
            return u - measured

    return Spring()


def swing(t: np.ndarray, k: float, c: float) -> np.ndarray:
    """The spring's motion."""
    damping = c / 4.0
    omega = np.sqrt(k / 2.0 - damping**2)
    return 0.03 * np.exp(-damping * t) * (np.cos(omega * t) + damping / omega * np.sin(omega * t))


PROBLEMS = {
    "cooling": Inverse(
        "a body cools down; K, s",
        cooling,
        lambda t, ambient, rate: ambient + (370.0 - ambient) * np.exp(-rate * t),
        {"ambient": 295.0, "rate": 8e-4},
        {"t": (0.0, 3600.0)},
        0.5,
        "T",
    ),
    "rod": Inverse(
        "diffusivity of a rod and how hot it was; m, s",
        rod,
        lambda t, x, D, peak: peak * np.sin(np.pi * x / 0.1) * np.exp(-D * (np.pi / 0.1) ** 2 * t),
        {"D": 2.3e-5, "peak": 80.0},
        {"t": (0.0, 60.0), "x": (0.0, 0.1)},
        1.0,
    ),
    "gradient": Inverse(
        "gradient of a protein; um, molecules",
        gradient,
        lambda x, L, C: C * L / 20.0 * np.cosh((300.0 - x) / L) / np.sinh(300.0 / L),
        {"L": 60.0, "C": 2000.0},
        {"x": (0.0, 300.0)},
        150.0,
    ),
    "spring": Inverse(
        "a damped spring, no bounds; N/m, kg/s", spring, swing, {"k": 180.0, "c": 3.0}, {"t": (0.0, 2.0)}, 0.002
    ),
}


def main(
    problems: Annotated[tuple[str, ...], tyro.conf.Positional] = (), sets: tuple[int, ...] = tuple(range(40))
) -> None:
    """Train on data sets, and write the table.

    Args:
        problems: Names of problems, all unless given.
        sets: Numbers of the data sets.
    """
    jax.config.update("jax_enable_x64", True)
    with tempfile.TemporaryDirectory() as cache:
        # Programs are the same for all data sets of a problem.
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        for number in sets:
            for name in problems or PROBLEMS:
                row = measured(PROBLEMS[name], number)
                print(name, number, row, flush=True)
                kept = load()
                kept.setdefault(name, {})[str(number)] = row
                MEASURED.write_text(json.dumps(kept, sort_keys=True).replace('}}, "', '}},\n"') + "\n")
                REPORT.write_text(report(kept))


def measured(inverse: Inverse, number: int) -> dict[str, Any]:
    """Estimate, interval and best estimate of each unknown of one data set: [value, lower, upper, best, its deviation]."""
    rng = np.random.default_rng(number)
    lower, upper = np.array(list(inverse.box.values())).T
    X = (lower + (upper - lower) * rng.random((ROWS_OF_DATA, len(lower)))).T
    y = inverse.exact(*X, *inverse.truth.values()) + inverse.noise * rng.normal(size=ROWS_OF_DATA)

    def model(X: np.ndarray, *parameters: float) -> np.ndarray:
        return inverse.exact(*X, *parameters)

    best, covariance = curve_fit(model, X, y, p0=list(inverse.truth.values()))
    deviations = np.sqrt(np.diag(covariance))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.csv")
        header = ",".join([*inverse.box, "measured"])
        np.savetxt(file, np.column_stack([*X, y]), delimiter=",", header=header, comments="")
        solution = pk.train(inverse.problem(str(file)), progress=False)
    unknowns = {
        name: [u.value, u.lower, u.upper, float(b), float(d)] if u.known else None
        for (name, u), b, d in zip(((n, solution.unknowns[n]) for n in inverse.truth), best, deviations, strict=True)
    }
    return {"unknowns": unknowns, "verdict": solution.verdict}


def load() -> dict[str, Any]:
    """What the data sets have shown so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def report(kept: dict[str, Any]) -> str:
    """docs/coverage.md."""
    lines = [
        "# Intervals of unknown parameters",
        "",
        "See how often the 95% interval of an unknown parameter holds the truth, and how it compares with least squares on the",
        f"exact solution. {ROWS_OF_DATA} measured values with normal noise per data set; all options are the defaults.",
        "Made by `python benchmarks/coverage.py`.",
        "",
        "| column | what |",
        "|---|---|",
        "| holds the truth | number of intervals that do, and the range where it is 95 times in 100 if the true rate is 95 % |",
        "| none | number of data sets without an interval |",
        "| off the best | distance from least squares on the exact solution, in its standard deviations: median, largest |",
        "| width | of the interval, over that of least squares: median |",
        "",
        "| problem | unknown | data sets | holds the truth | none | off the best | width |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in kept.items():
        inverse = PROBLEMS[name]
        for unknown, truth in inverse.truth.items():
            entries = [row["unknowns"][unknown] for row in rows.values()]
            known = np.array([e for e in entries if e is not None])
            if not len(known):
                continue
            value, lower, upper, best, deviation = known.T
            inside = int(np.sum((lower <= truth) & (truth <= upper)))
            low, high = binom.interval(0.95, len(known), 0.95)
            off = np.abs(value - best) / deviation
            width = np.median((upper - lower) / (2 * 1.96 * deviation))
            lines.append(
                f"| {name}: {inverse.title} | {unknown} | {len(entries)} | {inside} ({low:.0f} to {high:.0f}) | "
                f"{len(entries) - len(known)} | {np.median(off):.1g}, {off.max():.1g} | {width:.2f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    tyro.cli(main)
