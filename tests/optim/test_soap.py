"""SOAP, against its algorithm written out in numpy, against Adam, and against the rotations that it must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import ortho_group

import pinnkit as pk
from pinnkit.optim import scale_by_soap

SHAPE, B1, B2, EPS, EVERY = (4, 3), 0.9, 0.8, 1e-8, 3


def gradients(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE))


def updates(gs, **options):
    optimiser = scale_by_soap(B1, B2, EPS, every=EVERY, **options)
    state, update, found = optimiser.init(jnp.asarray(gs[0])), jax.jit(optimiser.update), []
    for g in gs:
        u, state = update(jnp.asarray(g), state)
        found.append(np.asarray(u))
    return np.array(found)


def by_hand(gs):
    """Algorithm 3 of Vyas et al., step by step; the first gradient makes the basis only, as in their implementation."""
    L = R = M = V = 0.0
    for t, G in enumerate(gs, start=1):
        if t == 1:
            L, R = G @ G.T, G.T @ G
            QL, QR = np.linalg.eigh(L)[1], np.linalg.eigh(R)[1]
            V = np.zeros(SHAPE)
            yield np.zeros(SHAPE)
            continue
        L, R = B2 * L + (1 - B2) * G @ G.T, B2 * R + (1 - B2) * G.T @ G
        if t % EVERY == 0:
            QL, QR = np.linalg.qr(L @ QL)[0], np.linalg.qr(R @ QR)[0]
        M = B1 * M + (1 - B1) * G
        V = B2 * V + (1 - B2) * (QL.T @ G @ QR) ** 2
        N = (QL.T @ M @ QR / (1 - B1 ** (t - 1))) / (np.sqrt(V / (1 - B2 ** (t - 1))) + EPS)
        yield QL @ N @ QR.T


def test_it_is_the_published_algorithm():
    gs = gradients(10)
    np.testing.assert_allclose(updates(gs), np.array(list(by_hand(gs))), atol=1e-10)


def test_a_vector_gets_adam():
    gs, adam = gradients(10)[:, :, 0], optax.scale_by_adam(B1, B2, EPS)
    state, expected = adam.init(jnp.asarray(gs[0])), []
    for g in gs:
        u, state = adam.update(jnp.asarray(g), state)
        expected.append(np.asarray(u))
    np.testing.assert_allclose(updates(gs), np.array(expected), atol=1e-12)


def test_steps_turn_with_the_coordinates():
    """Adam depends on the axes of the weights; SOAP's step for U G V is U times its step for G times V."""
    U, V = ortho_group.rvs(4, random_state=1), ortho_group.rvs(3, random_state=2)
    gs = gradients(8)
    turned = updates(np.einsum("ij,tjk,kl->til", U, gs, V))
    np.testing.assert_allclose(turned, np.einsum("ij,tjk,kl->til", U, updates(gs), V), atol=1e-8)
    adam = optax.scale_by_adam(B1, B2, EPS)
    plain, other = (adam.update(jnp.asarray(g), adam.init(jnp.asarray(g)))[0] for g in (gs[0], U @ gs[0] @ V))
    assert not np.allclose(other, U @ plain @ V, atol=0.1)


def test_it_solves_what_is_badly_scaled_along_no_axis():
    """min ||A W B - C||^2 with in turned coordinates: Adam with the same rate is behind."""
    U, V = ortho_group.rvs(4, random_state=3), ortho_group.rvs(3, random_state=4)
    A, B = U @ np.diag([1, 0.3, 0.1, 0.03]), np.diag([1, 0.3, 0.1]) @ V
    A, B = A @ ortho_group.rvs(4, random_state=5), ortho_group.rvs(3, random_state=6) @ B
    target = A @ np.ones(SHAPE) @ B

    def loss(W):
        return jnp.sum((A @ W @ B - target) ** 2)

    def trained(stage):
        optimiser, W = stage.transformation(), jnp.zeros(SHAPE)
        state = optimiser.init(W)

        @jax.jit
        def step(W, state):
            u, state = optimiser.update(jax.grad(loss)(W), state, W)
            return optax.apply_updates(W, u), state

        for _ in range(stage.steps):
            W, state = step(W, state)
        return float(loss(W))

    soap, adam = (trained(stage(steps=300, learning_rate=0.03)) for stage in (pk.SOAP, pk.Adam))
    assert soap < 0.15 * adam  # measured: 0.07


@pytest.mark.parametrize("every", [0, 2.0, True])
def test_how_often_the_basis_follows_is_a_count(every):
    with pytest.raises(pk.UsageError, match=r"soap\.every"):
        pk.SOAP(every=every)
