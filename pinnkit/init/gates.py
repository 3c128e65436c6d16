"""The gain of a layer that reads a gate instead of an activation."""

from __future__ import annotations

import functools

import numpy as np

from pinnkit.errors import UsageError
from pinnkit.init.gains import CHANNELS, Elementwise, gain, normal_expectation
from pinnkit.init.names import lookup


@functools.lru_cache(maxsize=256)
def gate_gain(activation: Elementwise, kind: str = "value") -> float:
    """The squared gain of h = (1 - z) u + z v, where z, u, v are phi of independent standard normal pre-activations.

    As `gain`, with h in the place of phi(z): gain2 = 1 / E[h^2] ("value"), or 1 / E[h_v^2] for derivatives along v of
    unit variance of all three pre-activations ("derivative"). With e = E phi, m = E phi^2, d = E phi'^2:
    E h^2 = (1 - 2 e + m) m + m^2 + 2 (e - m) e^2, and E h_v^2 = d (1 - 2 e + 2 m + 2 (m - e^2)).

    Independent they are, in the limit of infinite width: z, u and v have weights of their own.

    Arguments
        activation: phi, an elementwise JAX function; hashable, as the answer is cached.
        kind: the channel that is kept, "value" or "derivative".

    Raises
        UsageError: unknown kind, or the activation has no such gain.
    """
    lookup(CHANNELS, kind, "kind of gain")
    e, m = normal_expectation(activation), 1.0 / gain(activation)
    if kind == "value":
        moment = (1.0 - 2.0 * e + m) * m + m * m + 2.0 * (e - m) * e * e
    else:
        moment = (1.0 - 2.0 * e + 2.0 * m + 2.0 * (m - e * e)) / gain(activation, "derivative")
    if not (np.isfinite(moment) and moment > 0.0):
        raise UsageError(
            f"A gate with this activation has no {kind} gain: the second moment that has to be inverted is {moment}.",
            expected="a finite, positive second moment",
            do="Choose another activation, or another kind of gain.",
        )
    return 1.0 / moment
