"""Write problems/burgers_sensors.csv: 200 noisy values of u for the problem with unknown viscosity.

Burgers' equation with nu = 0.01/pi and u(0, x) = -sin(pi x), by Cole-Hopf (exact to 1e-14). Points: uniformly random,
t in (0, 1], x in [-1, 1]. Noise: independent, Gaussian, standard deviation 1% of max |u| = 0.01. Seed 0; six
significant digits; the value of u is the one at the point as it is written.

    python benchmarks/make_burgers_sensors.py
"""

from pathlib import Path

import numpy as np

from pinnkit.references.cole_hopf import burgers

POINTS = 200
NU = 0.01 / np.pi
NOISE = 0.01
FILE = Path(__file__).resolve().parent.parent / "problems" / "burgers_sensors.csv"


def text() -> str:
    """The contents of the file."""
    rng = np.random.default_rng(0)
    t = rounded(1.0 - rng.random(POINTS))
    x = rounded(rng.uniform(-1.0, 1.0, POINTS))
    u = burgers(t, x, NU) + NOISE * rng.standard_normal(POINTS)
    rows = [f"{a:.6g},{b:.6g},{c:.6g}" for a, b, c in zip(t, x, u, strict=True)]
    return "\n".join(["t,x,u_measured", *rows]) + "\n"


def rounded(values: np.ndarray) -> np.ndarray:
    """To six significant digits."""
    return np.array([float(f"{value:.6g}") for value in values])


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.name}: {POINTS} points")
