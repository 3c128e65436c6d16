"""Write problems/burgers_sensors.csv: 200 noisy values of u for the problem with unknown viscosity.

Burgers' equation with nu = 0.01/pi and u(0, x) = -sin(pi x), by Cole-Hopf (exact to 1e-14). Points: t uniformly random in
(0, 1]; x uniformly random, half of them in [-1, 1] and half within 0.02 of x = 0, where the shock forms: elsewhere u hardly
depends on the viscosity (with all of them in [-1, 1], least squares on the exact solution has a standard deviation of 6% of
nu; as it is, 0.5%). Noise: independent, Gaussian, standard deviation 1% of max |u| = 0.01. Seed 0; six
significant digits; the value of u is the one at the point as it is written.

    python benchmarks/make_burgers_sensors.py
"""

from pathlib import Path

import numpy as np

from pinnkit.references.cole_hopf import burgers

POINTS = 200
NU = 0.01 / np.pi
NOISE = 0.01
SHOCK = 0.02
"""Half the width of the strip that holds half of the points: about six times nu."""
FILE = Path(__file__).resolve().parent.parent / "problems" / "burgers_sensors.csv"


def text() -> str:
    """The contents of the file."""
    rng = np.random.default_rng(0)
    t = rounded(1.0 - rng.random(POINTS))
    anywhere, at_the_shock = rng.uniform(-1.0, 1.0, POINTS // 2), rng.uniform(-SHOCK, SHOCK, POINTS // 2)
    x = rounded(np.concatenate([anywhere, at_the_shock]))
    u = burgers(t, x, NU) + NOISE * rng.standard_normal(POINTS)
    rows = [f"{a:.6g},{b:.6g},{c:.6g}" for a, b, c in zip(t, x, u, strict=True)]
    return "\n".join(["t,x,u_measured", *rows]) + "\n"


def rounded(values: np.ndarray) -> np.ndarray:
    """To six significant digits."""
    return np.array([float(f"{value:.6g}") for value in values])


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.name}: {POINTS} points")
