"""A shape that a user writes: the ellipse of docs/extend.md, against closed forms and in combinations."""

import jax.numpy as jnp
import numpy as np
import pytest
from markdown import blocks
from paths import ROOT
from scipy.special import ellipe

import pinnkit as pk
from pinnkit.objective.sobol import sobol

(EXAMPLE,) = [b for b in blocks("python", (ROOT / "docs" / "extend.md").read_text()) if "class Ellipse" in b]


@pytest.fixture(scope="module")
def example():
    names = {}
    exec(EXAMPLE.partition("class Torsion")[0], names)
    return names["Ellipse"]


def test_its_points_are_evenly_spread_over_surface_and_inside(example):
    ellipse = example(2.0, 1.0)
    (rim,) = ellipse.surfaces()
    assert rim.measure == pytest.approx(4 * 2.0 * ellipe(1 - 0.25), rel=1e-6)
    points, normals = ellipse.surface_points(0, jnp.linspace(0, 1, 2001)[:-1, None])
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    np.testing.assert_allclose(gaps, rim.measure / 2000, rtol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, rtol=1e-12)
    domain = pk.Box(x=(-3.0, 3.0), y=(-2.0, 2.0)) & ellipse
    X, _ = domain.interior().place(sobol(_key(), domain.interior().size(4000), 2, jnp.float64), 4000)
    assert bool(domain.contains(X).all())
    np.testing.assert_allclose(np.mean(np.asarray(X) ** 2, axis=0), [1.0, 0.25], rtol=0.03)  # a^2 / 4, b^2 / 4


def _key():
    import jax

    return jax.random.key(0)


def test_it_is_cut_out_of_other_shapes(example):
    plate = pk.Box(x=(-3.0, 3.0), y=(-2.0, 2.0)) - example(2.0, 1.0)
    region = plate.boundary("rim")
    X, normals = region.place(sobol(_key(), region.size(50), 1, jnp.float64), 50)
    np.testing.assert_allclose((X[:, 0] / 2) ** 2 + X[:, 1] ** 2, 1.0, rtol=1e-9)
    assert bool((jnp.sum(X * normals, axis=1) < 0).all())  # out of the plate is into the hole


def test_a_shape_without_its_methods_cannot_be_made():
    class Half(pk.Shape):
        names = ("x", "y")

    with pytest.raises(TypeError, match="abstract"):
        Half()
