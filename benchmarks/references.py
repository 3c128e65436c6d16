"""Remakes every reference solution and prints the error that it states.

    python benchmarks/references.py          # those that are computed at run time: a minute
    python benchmarks/references.py --files  # the data files of problems/ as well: a quarter of an hour, 3 GB

The references are computed anew, in a folder of their own; what the user's cache holds is neither read nor changed.
Relative L2 errors, over all of time and space: for the periodic ones the difference from half the resolution, a cautious
estimate; for Cole-Hopf the largest difference from more nodes, relative to the largest value.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import make_burgers_sensors
import make_cavity
import numpy as np
import tyro

from pinnkit.references import allen_cahn, cole_hopf, kdv, kuramoto_sivashinsky


def cole_hopf_error(nu: float) -> float:
    """The largest change with twice the nodes that are used, at points of which half lie in the shock."""
    rng = np.random.default_rng(0)
    t, x = rng.uniform(0, 1, 1000), np.concatenate([rng.uniform(-1, 1, 500), rng.uniform(-0.02, 0.02, 500)])
    return float(np.abs(cole_hopf.burgers(t, x, nu) - cole_hopf.burgers(t, x, nu, nodes=1501)).max())


REFERENCES: dict[str, Callable[[], float]] = {
    "burgers, nu = 0.01 / pi": lambda: cole_hopf_error(0.01 / np.pi),
    "burgers, nu = 0.01": lambda: cole_hopf_error(0.01),
    "allen_cahn": lambda: allen_cahn.converged().estimated_error.relative_l2,
    "kdv": lambda: kdv.converged().estimated_error.relative_l2,
    "kuramoto_sivashinsky": lambda: kuramoto_sivashinsky.converged().estimated_error.relative_l2,
}


def main(files: bool = False) -> None:
    """Compute and print; with `files`, write the data files of problems/ too."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PINNKIT_CACHE"] = folder
        for name, error in REFERENCES.items():
            began = time.perf_counter()
            print(f"{name:24s} own error {error():.1e}  {time.perf_counter() - began:5.1f} s", flush=True)
    if files:
        make_burgers_sensors.FILE.write_text(make_burgers_sensors.text(), encoding="utf-8")
        make_cavity.main()


if __name__ == "__main__":
    tyro.cli(main)
