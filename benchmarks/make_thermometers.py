"""Write problems/thermometers.csv: 100 noisy temperatures of a rod whose conductivity is k = 15 (1 + x / L) W/m/K.

The temperature is the closed form in problems/conductivity.py. Points: uniformly random. Noise: independent, Gaussian, standard
deviation 0.3 K. Seed 0; six significant digits.

    python benchmarks/make_thermometers.py
"""

from pathlib import Path

import numpy as np

POINTS, NOISE, LENGTH = 100, 0.3, 0.1
FILE = Path(__file__).resolve().parent.parent / "problems" / "thermometers.csv"


def text() -> str:
    """The contents of the file."""
    rng = np.random.default_rng(0)
    x = np.array([float(f"{v:.6g}") for v in np.sort(rng.uniform(0.0, LENGTH, POINTS))])
    s = x / LENGTH
    T = 300.0 + 2e5 * LENGTH**2 / 15.0 * (2.0 * np.log1p(s) - s) + NOISE * rng.standard_normal(POINTS)
    return "\n".join(["x,T_measured", *(f"{a:.6g},{b:.6g}" for a, b in zip(x, T, strict=True))]) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.name}: {POINTS} points")
