"""A neural operator that has to learn the identity, for trials of neural operators."""

import jax

import pinnkit as pk


class Screened(pk.NeuralOperator):
    """p - s = 0, each cell by itself."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    cells = (6, 8)
    inputs = ("s",)
    fields = ("p",)

    def draw(self, key, count):
        return jax.random.normal(key, (count, 6, 8))

    @pk.interior
    def screening(self, p, s):
        return p - s

    def solve(self, s):
        return s

    model = pk.DenseED(growth=2, layers=(1, 1), channels=3)
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=60, learning_rate=1e-2, patience=0),),
        sampling=pk.Sampling(interior=8, redraw=5, method="sobol"),
        precision="float64",
    )
