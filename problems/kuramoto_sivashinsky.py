"""Kuramoto-Sivashinsky equation: u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0, periodic; a smooth wave turns to chaos.

Domain t in [0, 1], x in [0, 2 pi]; u(0, x) = cos(x) (1 + sin(x)), met exactly; alpha = 100/16, beta = 100/16^2,
gamma = 100/16^4. Cells of about 0.4 grow within t = 0.4 and then move chaotically.
Reference: Fourier ETDRK4 in float64, refined until two resolutions agree.
Expected: relative L2 error about 2e-7 in 28 minutes on two CPU cores: 40 windows of time.
"""

import jax.numpy as jnp

import pinnkit as pk
from pinnkit.references import kuramoto_sivashinsky as ks


class KuramotoSivashinsky(pk.Problem):
    """u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0."""

    alpha: float = 100 / 16
    """strength of the nonlinear term [1]"""
    beta: float = 100 / 16**2
    """growth [length^2 / time]"""
    gamma: float = 100 / 16**4
    """damping [length^4 / time]"""

    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 2 * jnp.pi, modes=6))

    @pk.interior
    def kuramoto_sivashinsky(self, u, u_t, u_x, u_xx, u_xxxx):
        return u_t + self.alpha * u * u_x + self.beta * u_xx + self.gamma * u_xxxx

    @pk.initial(hard=True)
    def wave_at_start(self, u, x):
        return u - jnp.cos(x) * (1 + jnp.sin(x))

    def reference(self, t, x):
        return ks.solution(t, x, self.alpha, self.beta, self.gamma)

    def reference_error(self):
        return ks.converged(self.alpha, self.beta, self.gamma).estimated_error.relative_l2

    # An error grows 3.5 times in each 0.05 until t = 0.4: the first windows decide.
    model = pk.MLP(width=30, depth=3, activation="sin")
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=500), pk.Tangent()),
        sampling=pk.Sampling(interior=1500, redraw=250),
        schedule=pk.Windows(40),
    )
