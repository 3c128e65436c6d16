"""Solutions of Burgers' equation, u_t + u u_x = nu u_xx, compressed to eight numbers by an autoencoder of 20 layers.

Each sample is a solution on 16 x 32 cells of t in [0, 1] and x in [0, 2 pi], by the Cole-Hopf transform of a random start of
three waves. What comes out has to be what went in, and has to satisfy the equation.
Expected: relative L2 error about 0.04 in 3 minutes on one CPU core.
"""

import jax
import jax.numpy as jnp

import pinnkit as pk

T, X = 16, 32  # cells
WAVES = 3  # of the start
FINE = 128  # places of the transform


class SolutionAutoencoder(pk.NeuralOperator):
    """u_t + u u_x = nu u_xx, periodic in x."""

    nu: float = 0.1  # viscosity [length^2 / time]
    size: float = 0.5  # standard deviation of the first wave of the start [length / time]

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 2 * jnp.pi))
    cells = (T, X)
    inputs = ("given",)
    fields = ("u",)

    def draw(self, key, count):
        """Cole-Hopf: u = -2 nu phi_x / phi, phi_t = nu phi_xx, phi = exp(-integral of u / (2 nu)) at the start."""
        k, x = jnp.arange(1, WAVES + 1), 2 * jnp.pi * (jnp.arange(FINE) + 0.5) / FINE
        a, b = jax.random.normal(key, (2, count, WAVES))
        size = jnp.diag(self.size / k**2)
        potential = a @ size @ jnp.sin(jnp.outer(k, x)) - b @ size @ jnp.cos(jnp.outer(k, x))
        n, t = jnp.arange(FINE // 2 + 1), (jnp.arange(T) + 0.5) / T
        start = jnp.fft.rfft(jnp.exp(-potential / (2 * self.nu)))
        waves = jnp.einsum("sn,tn->stn", start, jnp.exp(-self.nu * jnp.outer(t, n**2)))
        phi, phi_x = jnp.fft.irfft(waves, FINE), jnp.fft.irfft(waves @ jnp.diag(1j * n), FINE)
        return (-2 * self.nu * phi_x / phi)[:, :, :: FINE // X]

    @pk.interior
    def data(self, u, given):
        return u - given

    @pk.interior
    def burgers(self, u):
        """Simpson's rule in time, Fourier in space."""
        slope, waves = 1j * jnp.arange(X // 2 + 1)[None, None, :], jnp.fft.rfft(u)
        u_x, u_xx = jnp.fft.irfft(slope * waves, X), jnp.fft.irfft(slope**2 * waves, X)
        f = self.nu * u_xx - u * u_x
        return (u[:, 2:] - u[:, :-2]) * T / 2 - (f[:, :-2] + 4 * f[:, 1:-1] + f[:, 2:]) / 6

    def solve(self, given):
        return given

    model = pk.Autoencoder(width=128, depth=20, code=8)
    recipe = pk.Recipe(
        stages=(pk.Muon(steps=5000, patience=0),),
        weights={"burgers": 0.01},  # random weights give large second derivatives
        sampling=pk.Sampling(interior=128, redraw=20, method="sobol"),
        precision="float32",
    )
