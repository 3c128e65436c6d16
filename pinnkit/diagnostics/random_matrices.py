"""The layer-to-layer Jacobians at initialisation: their spectral radius, and the singular values of their product.

From one pre-activation to the next of the same width n a perturbation is multiplied by J = D W, D = diag(phi'(z)). Its entries
are independent with variance sigma2 phi'^2, so that its eigenvalues fill a disk of radius (n sigma2 E[phi'(z)^2])^(1/2) as n
grows: 1 for ReLU with He.

Source: Ginibre 1965 and Tao and Vu 2010 for the circular law; Pennington, Schoenholz and Ganguli 2017 for networks.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.init.gains import CHANNELS, Elementwise, normal_expectation
from pinnkit.models import LayeredModel, activation
from pinnkit.objective import Objective
from pinnkit.objective.network_layers import layers_of, open_layers
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import RandomNetwork

NAME = "random matrices"
MOST = 10.0
"""Largest factor by which the product over all hidden layers may change a signal."""


def random_matrices(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure and predict the spectral radius of each square layer, and measure the network's singular values."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    phi, layers = activation(model.activation).function, layers_of(objective, model)
    square = [i for i in open_layers(layers) if i > 0 and layers[i].n_in == layers[i].n_out]
    sizes_of = (objective.network.embedding.features, len(objective.network.problem.fields))
    terms, variances = model.terms(*sizes_of), model.variances(*sizes_of)
    radii, sizes, chain = measure(objective, model, square, settings.draws, seed)
    hidden = sum(1 for layer in layers if layer.n_out == model.width)
    findings, theory = [], []
    for k, i in enumerate(square):
        predicted = radius(phi, terms[i] * variances[i], sizes[k])
        theory.append(predicted)
        spread = interval(bootstrap(radii[:, k]))
        findings.append(_finding(layers[i].name, float(radii[:, k].mean()), spread, predicted, layers[i].n_in, hidden))
    shown = ", ".join(f"{s:.3g}" for s in np.sqrt(np.mean(chain**2, axis=0)))
    note = f"Singular values of the outputs by the network's inputs, RMS over networks: {shown}."
    if not square:
        note = "No hidden layer has as many inputs as outputs and a gradient at the start: there is no radius. " + note
    names = [layers[i].name for i in square]
    return Report(
        tuple(findings),
        "spectral radius of J = D W, D = diag(phi'(z)), by layer",
        subjects="layer",
        curves={"layers": names, "radii": radii.T.tolist(), "predicted": theory, "singular values": chain.tolist()},
        panels=(_chart(radii, theory),) if square else (),
        note=note,
    )


def radius(phi: Elementwise, gain2: float, size: float) -> float:
    """Return (gain2 E[phi'(z)^2])^(1/2), gain2 = n sigma2, for z of mean square `size`."""

    def slope_square(u: jax.Array) -> jax.Array:
        z = jnp.sqrt(size) * u
        return CHANNELS["derivative"](phi, z) ** 2

    return float(np.sqrt(gain2 * normal_expectation(slope_square)))


def measure(
    objective: Objective, model: LayeredModel, square: list[int], draws: int, seed: int
) -> tuple[Float[np.ndarray, "draws layers"], list[float], Float[np.ndarray, "draws values"]]:
    """Return spectral radii of square layers, E z^2 of these layers, and singular values; each network at its own point."""
    X = jnp.asarray(interior_points(objective, draws).X, jnp.float32)
    phi = activation(model.activation).function

    def one(key_and_point: tuple[jax.Array, jax.Array]) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
        key, x = key_and_point
        drawn = RandomNetwork(objective, model, key, jnp.float32)
        z = drawn.preactivations(x[None, :])
        weights = drawn.weights()
        slopes = [CHANNELS["derivative"](phi, z[i][0]) for i in square]
        matrices = [d[:, None] * weights[i].T for d, i in zip(slopes, square, strict=True)]
        whole = jax.jacfwd(lambda e: drawn.outputs(e[None, :])[0])(objective.network.embedding(x[None, :])[0])
        return matrices, [jnp.mean(z[i] ** 2) for i in square], whole

    keys = jax.random.split(jax.random.key(seed), draws)
    matrices, squares, whole = jax.jit(lambda pairs: jax.lax.map(one, pairs))((keys, X))
    # By NumPy: JAX's non-symmetric eigensolver does not exist on every device.
    radii = [[np.abs(np.linalg.eigvals(np.asarray(M, np.float64))).max() for M in stack] for stack in matrices]
    chain = np.linalg.svd(np.asarray(whole, np.float64), compute_uv=False)
    return np.array(radii).T.reshape(draws, len(square)), [float(s.mean()) for s in squares], chain


def _finding(
    layer: str, measured: float, spread: tuple[float, float], predicted: float, width: int, hidden: int
) -> Finding:
    whole = measured**hidden
    verdict: Verdict = "fit" if 1 / MOST <= whole <= MOST else "unfit"
    message = f"{layer}: spectral radius {measured:.3g}, in theory {predicted:.3g} (up to {width**-0.5:.2g} or so, width^-1/2)"
    if verdict == "unfit":
        message += f"; {hidden} such layers make a signal {whole:.2g} times as large"
    return Finding(
        diagnostic=NAME,
        subject=layer,
        predicted=predicted,
        measured=measured,
        interval=spread,
        verdict=verdict,
        message=message,
    )


def _chart(radii: Float[np.ndarray, "draws layers"], theory: list[float]) -> Chart:
    places = list(range(2, 2 + radii.shape[1]))
    low, high = np.quantile(radii, [0.025, 0.975], axis=0)
    line = Line(
        label="mean, and 95% of networks",
        x=places,
        y=radii.mean(axis=0).tolist(),
        lower=low.tolist(),
        upper=high.tolist(),
    )
    return Chart(
        title="spectral radius of D W",
        xlabel="square layer",
        ylabel="spectral radius",
        lines=(line, Line(label="theory", x=places, y=theory, theory=True)),
        yscale="linear",
        ticks=places,
    )
