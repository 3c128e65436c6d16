"""Poisson2d-CG: -u_xx - u_yy + 64 u = f in a square with four round holes of different size.

Truth: a particular solution in closed form, and modified Bessel functions around the centre of the square and of each hole,
fitted to the values on the walls; by the maximum principle they are nowhere farther off than there, 7e-5 in the corners.
"""

import jax.numpy as jnp
import numpy as np
from scipy.special import ive, kve

import pinnkit as pk

HOLES = [(0.5, 0.5, 0.2), (0.4, -0.4, 0.4), (-0.2, -0.7, 0.1), (-0.6, 0.5, 0.3)]
K, A = 8.0, 10.0


class Poisson2dCG(pk.Problem):
    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0))
    for hole in HOLES:
        domain -= pk.Disk(x=hole[0], y=hole[1], radius=hole[2], name="hole")
    del hole

    @pk.interior
    def screened(self, u, u_laplacian, x, y):
        f = A * (17.0 + x**2 + y**2) * jnp.sin(jnp.pi * x) * jnp.sin(4 * jnp.pi * y)
        return -u_laplacian + K**2 * u - f

    @pk.boundary("x")
    def left_and_right(self, u):
        return u - 0.2

    @pk.boundary("y")
    def below_and_above(self, u):
        return u - 0.2

    @pk.boundary("hole")
    def holes(self, u):
        return u - 1.0


def particular(x, y):
    """A solution for the same f, whatever its values on the walls."""
    full = 17 * np.pi**2 + K**2
    b = A / full
    c, d = 4 * np.pi * b / full, 16 * np.pi * b / full
    a = (17 * A + 4 * b - 2 * np.pi * c - 8 * np.pi * d) / full
    sx, cx, sy, cy = np.sin(np.pi * x), np.cos(np.pi * x), np.sin(4 * np.pi * y), np.cos(4 * np.pi * y)
    return (a + b * (x**2 + y**2)) * sx * sy + c * x * cx * sy + d * y * sx * cy


def functions(z):
    """Solutions for f = 0 at z = x + i y, (points, functions), each of a size near one."""
    columns = []
    r, angle, far = np.abs(z), np.angle(z), K * np.sqrt(2.0)
    for n in range(61):
        radial = ive(n, K * r) / ive(n, far) * np.exp(K * r - far)
        columns += [radial * np.cos(n * angle), radial * np.sin(n * angle)][: 2 if n else 1]
    for x, y, radius in HOLES:
        r, angle = np.abs(z - complex(x, y)), np.angle(z - complex(x, y))
        for n in range(31):
            radial = kve(n, K * r) / kve(n, K * radius) * np.exp(K * (radius - r))
            columns += [radial * np.cos(n * angle), radial * np.sin(n * angle)][: 2 if n else 1]
    return np.array(columns).T


def errors(solution, problem):
    # Denser towards the corners, where the second derivatives jump.
    s, angle = np.cos(np.pi * np.arange(601) / 600), np.exp(2j * np.pi * np.arange(300) / 300)
    square = np.concatenate([s - 1j, s + 1j, -1 + 1j * s, 1 + 1j * s])
    walls = np.concatenate([square, *[complex(x, y) + radius * angle for x, y, radius in HOLES]])
    values = np.where(np.arange(len(walls)) < len(square), 0.2, 1.0) - particular(walls.real, walls.imag)
    columns = functions(walls)
    coefficients = np.linalg.lstsq(columns, values, rcond=1e-14)[0]
    assert np.max(np.abs(columns @ coefficients - values)) < 1e-4
    x, y = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 20000))
    z = x + 1j * y
    z = z[np.min([np.abs(z - complex(a, b)) - radius for a, b, radius in HOLES], axis=0) > 0]
    truth = particular(z.real, z.imag) + functions(z) @ coefficients
    return {"u": np.linalg.norm(solution(x=z.real, y=z.imag)["u"] - truth) / np.linalg.norm(truth)}
