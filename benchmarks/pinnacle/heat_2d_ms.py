"""Heat2d-MS: heat that spreads at two very different speeds. Truth: closed form."""

import jax.numpy as jnp

import pinnkit as pk


class Heat2dMS(pk.Problem):
    domain = pk.Box(t=(0.0, 5.0), x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_xx, u_yy):
        return u_t - u_xx / (500 * jnp.pi) ** 2 - u_yy / jnp.pi**2

    @pk.initial
    def start(self, u, x, y):
        return u - jnp.sin(20 * jnp.pi * x) * jnp.sin(jnp.pi * y)

    @pk.boundary
    def walls(self, u):
        return u

    def exact(self, t, x, y):
        return jnp.sin(20 * jnp.pi * x) * jnp.sin(jnp.pi * y) * jnp.exp(-((20 / 500) ** 2 + 1) * t)


def errors(solution, problem):
    return {"u": solution.errors["u"].relative_l2}
