"""A problem in which measured values decide a field: the slope q of noisy values of u."""

import jax.numpy as jnp
import numpy as np

import pinnkit as pk

NOISE = 0.1


def slope_problem(folder, rows=100, seed=1):
    """Return the problem u_x = q with values of sin(3 x) that are noisy."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, rows)
    file = folder / "slope.csv"
    values = np.column_stack([x, np.sin(3 * x) + NOISE * rng.normal(size=rows)])
    np.savetxt(file, values, delimiter=",", header="x,measured", comments="")

    class Slope(pk.Problem):
        """The slope of measured values."""

        fields = ("u", "q")
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def slope(self, u_x, q):
            return u_x - q

        @pk.boundary("x-")
        def start(self, u):
            return u

        @pk.data(str(file))
        def sensor(self, u, measured):
            return u - measured

        def exact(self, x):
            return {"u": jnp.sin(3 * x), "q": 3 * jnp.cos(3 * x)}

    return Slope()


def trained_where(problem, held_out=None, **options):
    """Return a run of this problem with few points, and its reports."""
    from pinnkit.runs.run import Run

    sampling = pk.Sampling(interior=100, boundary=1, held_out=held_out)
    run = Run(problem, pk.MLP(width=10, depth=1), pk.Recipe(sampling=sampling, **options))
    return run, list(run.trainer.run(run.trainer.start()))
