"""A channel with a round post, whose points are drawn anew: for trials of shapes."""

import jax.numpy as jnp

import pinnkit as pk


class Channel(pk.Problem):
    """u_xx + u_yy = 0 with the values of e^x sin y on the walls and on the post."""

    domain = pk.Box(x=(0.0, 2.2), y=(0.0, 0.41)) - pk.Disk(x=0.2, y=0.2, radius=0.05, name="post")

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary
    def walls(self, u, x, y):
        return u - jnp.exp(x) * jnp.sin(y)

    def exact(self, x, y):
        return jnp.exp(x) * jnp.sin(y)

    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=40, learning_rate=1e-2), pk.SSBroyden(steps=40)),
        sampling=pk.Sampling(interior=64, boundary=24, redraw=15),
    )
