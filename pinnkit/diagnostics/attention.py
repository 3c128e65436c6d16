"""Attention at initialisation: the size of its logits, and the entropy of its weights.

For tokens of d numbers of variance one, logits q.k / sqrt(d_k) have the variance (d sigma2)^2: 1 for projections of variance
1 / d (Xavier), 4 for 2 / d (He), a sharper softmax. Given the tokens, the logits of a row are Gaussian with covariance
sigma2^2 (x_i.x_i) (x_j.x_k) over random projections, which gives the entropy, also for similar tokens.

Source: Vaswani et al. 2017, section 3.2; Zhao et al. 2024 (arXiv 2307.11833) for sequences of pseudo-times.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.init.layers import dense, projection
from pinnkit.models import LayeredModel
from pinnkit.objective import Objective
from pinnkit.objective.probe_points import interior_points

NAME = "attention"
TOKENS = 8
HEADS = 4
STEP = 0.05
"""Distance between the pseudo-times of a sequence, relative to the axis."""
LEAST_ENTROPY = 0.25
"""Share of log(tokens) below which attention selects little more than one token, and the others have no gradient."""
STARTS = {"he, 2/d": 2.0, "xavier, 1/d": 1.0}
SAMPLES = 4000
GAINS = np.geomspace(0.25, 16.0, 13)
MEASURED = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Values of d sigma2 in the figure, those of `STARTS` among them."""
LOGITS, ENTROPY = "variance of the logits", "entropy of the weights over log(tokens)"


def attention(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure and predict logits and entropy of an attention layer of the network's width, on points of the problem."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    size = HEADS * max(1, math.ceil(model.width / HEADS))
    tokens = sequences(objective, size, settings.points, seed)
    measured = {gain2: measure(tokens, gain2, settings.draws, seed) for gain2 in MEASURED}
    findings = []
    for start, gain2 in STARTS.items():
        variance, entropy = measured[gain2]
        findings += [
            _finding(LOGITS, start, variance, gain2**2, "fit"),
            _finding(ENTROPY, start, entropy, predict_entropy(tokens, gain2, seed), entropy_verdict(entropy)),
        ]
    theory = [predict_entropy(tokens, float(g), seed) for g in GAINS]
    shown = [float(entropy.mean()) for _, entropy in measured.values()]
    chart = Chart(
        title=f"attention among {TOKENS} tokens",
        xlabel=r"$d\,\sigma^2$ of the projections: 1 Xavier, 2 He",
        ylabel="entropy of the weights / log(tokens)",
        lines=(
            Line(label="mean of the networks", x=MEASURED, y=shown),
            Line(label="theory", x=GAINS.tolist(), y=theory, theory=True),
        ),
        xscale="log",
        yscale="linear",
    )
    return Report(
        tuple(findings),
        f"an attention layer of {HEADS} heads on {TOKENS} pseudo-times, of the network's width",
        subjects="projections",
        panels=(chart,),
        hypothetical=True,
    )


def sequences(objective: Objective, size: int, points: int, seed: int) -> Float[np.ndarray, "points tokens size"]:
    """Return tokens, each of mean square one: points shifted along time (or the first axis), embedded, through a dense layer."""
    domain = objective.network.problem.domain
    X = np.asarray(interior_points(objective, points).X, np.float64)
    along = domain.time if domain.time is not None else 0
    axis = domain.axes[along]
    start = axis.lower + (X[:, along] - axis.lower) * (1 - (TOKENS - 1) * STEP)
    shifted = np.repeat(X[:, None, :], TOKENS, axis=1)
    shifted[:, :, along] = start[:, None] + axis.length * STEP * np.arange(TOKENS)[None, :]
    E = objective.network.embedding(jnp.asarray(shifted.reshape(-1, X.shape[1]), jnp.float32))
    W = dense(1.0)(jax.random.key(seed), (E.shape[1], size), jnp.float32)
    h = np.asarray(E @ W, np.float64)
    return (h / np.sqrt(np.mean(h**2, axis=1, keepdims=True))).reshape(len(X), TOKENS, size)


def measure(
    tokens: Float[np.ndarray, "points tokens size"], gain2: float, draws: int, seed: int
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """Return the mean square of the logits, and the mean entropy of the weights over log(tokens), per random network."""
    x, size = jnp.asarray(tokens, jnp.float32), tokens.shape[-1]
    draw = projection(gain2)

    def one(key: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
        query, key_ = (draw(k, (size, HEADS, size // HEADS), jnp.float32) for k in jax.random.split(key))
        q, k = (jnp.einsum("ptd,dhs->phts", x, W) for W in (query, key_))
        logits = jnp.einsum("phis,phjs->phij", q, k) / math.sqrt(size // HEADS)
        return jnp.mean(logits**2), jnp.mean(relative_entropy(logits))

    keys = jax.random.split(jax.random.key(seed), draws)
    variance, entropy = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return np.asarray(variance, np.float64), np.asarray(entropy, np.float64)


def predict_entropy(tokens: Float[np.ndarray, "points tokens size"], gain2: float, seed: int) -> float:
    """Return the mean entropy for Gaussian logits of covariance sigma2^2 (x_i.x_i) G, G = x x^T, as random projections give."""
    size, rng = tokens.shape[-1], np.random.default_rng(seed)
    entropies = []
    for x in tokens:
        gram = x @ x.T / size
        # Not Cholesky: similar tokens make the Gram matrix singular up to rounding.
        values, vectors = np.linalg.eigh(gram)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        logits = gain2 * math.sqrt(float(np.mean(np.diag(gram)))) * rng.normal(size=(SAMPLES, len(gram))) @ root.T
        entropies.append(float(np.mean(relative_entropy(jnp.asarray(logits)))))
    return float(np.mean(entropies))


def relative_entropy(logits: Float[Array, "*rows tokens"]) -> Float[Array, "*rows"]:
    """Return the entropy of the softmax over log(tokens): 1 for equal weights, 0 for a single token."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1) / math.log(logits.shape[-1])


def entropy_verdict(entropy: Float[np.ndarray, " draws"]) -> Verdict:
    """Return "unfit" where attention selects little more than one token."""
    return "unfit" if interval(bootstrap(entropy), JUDGED)[1] < LEAST_ENTROPY else "fit"


def _finding(what: str, start: str, samples: Float[np.ndarray, " draws"], expected: float, verdict: Verdict) -> Finding:
    message = f"{what}, {start}: {samples.mean():.3g}"
    if verdict == "unfit":
        message += ": attention selects little more than one token"
    return Finding(
        diagnostic=NAME,
        equation=what,
        subject=start,
        predicted=expected,
        measured=float(samples.mean()),
        interval=interval(bootstrap(samples)),
        verdict=verdict,
        message=message,
    )
