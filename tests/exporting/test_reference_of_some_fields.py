"""Figures and files where a reference gives some of the fields."""

import numpy as np
import pytest

import pinnkit as pk


class Pair(pk.Problem):
    fields = ("u", "v")
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))
    reference_fields = ("v",)

    def reference(self, t, x):
        return {"v": np.exp(-t) * x}

    @pk.interior
    def decay(self, u, u_t, v, v_t):
        return {"u": u_t + u, "v": v_t + v}

    @pk.initial
    def start(self, u, v, x):
        return {"u": u - 1.0, "v": v - x}


@pytest.mark.slow
def test_what_is_known_is_compared_and_drawn(tmp_path):
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=150),), sampling=pk.Sampling(interior=200, initial=50))
    solution = pk.train(Pair(), model=pk.MLP(width=8, depth=2), recipe=recipe, verify="no", out=tmp_path / "run")
    assert set(solution.errors) == {"v"}
    assert "The reference gives no u, which is not compared." in str(solution)
    data = solution.to_xarray(t=np.linspace(0, 1, 3), x=np.linspace(0, 1, 5))
    assert {"v_reference", "v_error"} <= set(data) and not {"u_reference", "u_error"} & set(data)
    assert not data["v_error"].isnull().any()
