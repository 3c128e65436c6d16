"""Whether a hard start should fade, against modes whose decay is known in closed form."""

import jax.numpy as jnp
import pytest
from cases import objective

import pinnkit as pk
from pinnkit.checking.hard_start import best_decay, half_waves, hard_start_notes


class Short(pk.Problem):
    """Ten half waves that decay as exp(-rate t), in SI units: a wall of 0.2 m."""

    rate: float = 0.04
    """rate of decay [1/s]"""

    domain = pk.Box(t=(0.0, 500.0), x=(0.0, 0.2))
    units = {"t": "s"}  # noqa: RUF012

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - self.rate * (0.02 / jnp.pi) ** 2 * T_xx

    @pk.initial(hard=True)
    def start(self, T, x):
        return T - 50.0 * jnp.sin(jnp.pi * x / 0.02)

    @pk.boundary("x", hard=True)
    def walls(self, T):
        return T

    fields = ("T",)


class Long(Short):
    """One half wave."""

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - self.rate * (0.2 / jnp.pi) ** 2 * T_xx

    @pk.initial(hard=True)
    def start(self, T, x):
        return T - 50.0 * jnp.sin(jnp.pi * x / 0.2)


class Standing(Short):
    """Ten half waves that the equation keeps."""

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t


def test_the_time_in_which_short_waves_decay():
    equations = objective(Short()).equations
    assert half_waves(equations) == pytest.approx(10.0, rel=0.05)
    decay, gain = best_decay(equations)
    assert decay == pytest.approx(1 / 0.04, rel=0.02) and gain > 100
    (note,) = hard_start_notes(equations)
    assert "'start'" in note and "if they fade in 25 s." in note and "@pk.initial(hard=True, decay=25)" in note


@pytest.mark.parametrize("problem", [Long, Standing])
def test_what_may_stay(problem):
    equations = objective(problem()).equations
    assert half_waves(equations) == pytest.approx(1.0 if problem is Long else 10.0, rel=0.05)
    assert hard_start_notes(equations) == []


def test_what_fades_already_or_is_soft():
    class Fading(Short):
        @pk.initial(hard=True, decay=20.0)
        def start(self, T, x):
            return T - 50.0 * jnp.sin(jnp.pi * x / 0.02)

    class Soft(Short):
        @pk.initial
        def start(self, T, x):
            return T - 50.0 * jnp.sin(jnp.pi * x / 0.02)

    for problem in (Fading, Soft):
        assert hard_start_notes(objective(problem()).equations) == []
