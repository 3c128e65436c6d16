"""Poisson2d-C: Laplace's equation in a square with four round holes.

Truth: harmonic functions around the square's centre and around each hole, fitted to the values on the walls; by the maximum
principle they are nowhere farther off than there, 8e-6 in the corners.
"""

import numpy as np

import pinnkit as pk

CENTRES = [complex(0.3 * a, 0.3 * b) for a in (-1, 1) for b in (-1, 1)]
RADIUS = 0.1


class Poisson2dC(pk.Problem):
    domain = pk.Box(x=(-0.5, 0.5), y=(-0.5, 0.5))
    for centre in CENTRES:
        domain -= pk.Disk(x=centre.real, y=centre.imag, radius=RADIUS, name="hole")
    del centre

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary("x")
    def left_and_right(self, u):
        return u - 1.0

    @pk.boundary("y")
    def below_and_above(self, u):
        return u - 1.0

    @pk.boundary("hole")
    def holes(self, u):
        return u


def functions(z):
    """Harmonic functions at z = x + i y, (points, functions)."""
    powers = [(z / 0.75) ** n for n in range(41)]
    around = [(RADIUS / (z - c)) ** n for c in CENTRES for n in range(1, 21)]
    logs = [np.log(np.abs(z - c)) for c in CENTRES]
    parts = np.array([*powers, *around])
    return np.concatenate([parts.real, parts[1:].imag, np.array(logs)]).T


def errors(solution, problem):
    s, angle = np.linspace(-0.5, 0.5, 400), np.exp(2j * np.pi * np.arange(200) / 200)
    square = np.concatenate([s - 0.5j, s + 0.5j, -0.5 + 1j * s, 0.5 + 1j * s])
    walls = np.concatenate([square, *[c + RADIUS * angle for c in CENTRES]])
    values = (np.arange(len(walls)) < len(square)).astype(float)
    A = functions(walls)
    coefficients = np.linalg.lstsq(A, values, rcond=None)[0]
    assert np.max(np.abs(A @ coefficients - values)) < 1e-5
    x, y = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 20000))
    z = x + 1j * y
    z = z[np.min([np.abs(z - c) for c in CENTRES], axis=0) > RADIUS]
    truth = functions(z) @ coefficients
    return {"u": np.linalg.norm(solution(x=z.real, y=z.imag)["u"] - truth) / np.linalg.norm(truth)}
