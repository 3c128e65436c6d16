"""The truth to compare with: exact solutions, references as methods and as files, and their mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, refused, scattered

import pinnkit as pk
from pinnkit.evaluation.truth import exact_fields, truth_of
from pinnkit.fields.field_errors import field_errors

X = np.asarray(scattered(Rod.domain, 9))


def variant(base=Rod, **members):
    return type("P", (base,), members)()


def truth(**members):
    return truth_of(variant(**members))


def test_the_exact_solution_wins():
    found = truth(reference=lambda self, t, x: 0 * x)
    assert found.kind == "exact" and found.points is None
    expected = np.exp(-0.1 * np.pi**2 * X[:, 0]) * np.sin(np.pi * X[:, 1])
    np.testing.assert_allclose(found.at(X), expected[:, None], rtol=1e-14)
    assert isinstance(found.at(X), np.ndarray)


def test_no_truth():
    assert truth(exact=None) is None


def test_exact_fields_can_be_differentiated():
    f = exact_fields(Rod())
    _, slope = jax.jvp(f, (jnp.asarray(X),), (jnp.tile(jnp.asarray([[0.0, 1.0]]), (9, 1)),))
    expected = np.pi * np.exp(-0.1 * np.pi**2 * X[:, 0]) * np.cos(np.pi * X[:, 1])
    np.testing.assert_allclose(slope[:, 0], expected, rtol=1e-13)


def test_several_fields_some_coordinates_and_constants():
    found = truth(fields=("u", "v"), exact=lambda self, x: {"v": 2 * x, "u": 3.0})
    np.testing.assert_allclose(found.at(X), np.stack([np.full(9, 3.0), 2 * X[:, 1]], axis=1))


def test_a_reference_is_numpy():
    def reference(self, t, x):
        assert isinstance(t, np.ndarray)
        return np.where(x > 0.5, t, self.alpha)

    found = truth(exact=None, reference=reference)
    assert found.kind == "reference"
    np.testing.assert_array_equal(found.at(X)[:, 0], np.where(X[:, 1] > 0.5, X[:, 0], 0.1))


def test_a_reference_on_a_grid_in_a_file(tmp_path):
    t, x = np.linspace(0, 1, 21), np.linspace(0, 1, 41)
    np.savez(tmp_path / "r.npz", t=t, x=x, u=np.sin(t)[:, None] * np.cos(x)[None, :])
    for name in ("r.npz", tmp_path / "r.npz"):
        found = truth(exact=None, reference=name, folder=tmp_path)
        assert found.points is None
        np.testing.assert_allclose(found.at(X)[:, 0], np.sin(X[:, 0]) * np.cos(X[:, 1]), atol=1e-6)


def test_a_reference_at_scattered_points(tmp_path):
    rows = "\n".join(f"{t},{x},{t + x},{t - x}" for t, x in X)
    (tmp_path / "r.csv").write_text("t,x,v,u\n" + rows + "\n")
    found = truth(exact=None, reference="r.csv", folder=tmp_path, fields=("u", "v"))
    np.testing.assert_allclose(found.points, X, rtol=1e-12)
    np.testing.assert_allclose(found.at(found.points), np.stack([X[:, 0] - X[:, 1], X.sum(axis=1)], axis=1), rtol=1e-12)


@pytest.mark.parametrize("by_file", [False, True])
def test_a_reference_of_some_fields(by_file, tmp_path):
    rows = "\n".join(f"{t},{x},{t - x}" for t, x in X)
    (tmp_path / "r.csv").write_text("t,x,v\n" + rows + "\n")
    reference = "r.csv" if by_file else lambda self, t, x: {"v": t - x}
    fields = {"exact": None, "reference": reference, "folder": tmp_path, "fields": ("u", "v")}
    refused(lambda: truth(**fields).at(X), "reference_fields", "u, v")
    known = truth(**fields, reference_fields=("v",))
    assert known.unknown == ("u",) and known.not_compared == "The reference gives no u, which is not compared."
    values = known.at(X)
    assert np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(values[:, 1], X[:, 0] - X[:, 1], rtol=1e-12)
    errors = field_errors(variant(**fields), np.stack([X[:, 0], 2.0 * values[:, 1]], axis=1), values)
    assert list(errors) == ["v"] and errors["v"].relative_l2 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (
            {"exact": lambda self, t, y: t},
            ("'exact' asks for 'y', which is not a coordinate", "t, x", "def exact(self, t, x)"),
        ),
        ({"exact": lambda self, x: None}, ("'exact' gives 'u' a NoneType",)),
        ({"exact": lambda self, x: x[:, None]}, ("gives 'u' the shape (9, 1) for 9 points",)),
        ({"exact": lambda self, x: jnp.ones(3)}, ("the shape (3,)",)),
        ({"exact": lambda self, x: {"v": x}}, ("'exact' gives v, not every field", 'Return {"u": ...}')),
        ({"exact": lambda self, x: x, "fields": ("u", "v")}, ("not every field", "a dict with u, v")),
        ({"exact": lambda self, x: (x, x), "fields": ("u", "v")}, ("'exact' gives tuple, not every field",)),
        ({"exact": lambda self, x: np.sin(x)}, ("'exact' failed: Tracer", "jnp in `exact`", "test_truth.py:")),
        ({"exact": lambda self, x: x / self.beta}, ("'exact' failed: AttributeError", "test_truth.py:")),
        ({"exact": "solution.csv"}, ("'exact' is 'solution.csv'", "named as `reference`")),
        ({"exact": None, "reference": 5}, ("'reference' is 5",)),
        ({"exact": None, "reference": "none.csv"}, ("no file 'none.csv'",)),
        ({"exact": None, "reference": lambda self, t, z: t}, ("'reference' asks for 'z'",)),
        ({"exact": None, "reference": lambda self, t: 1 / 0}, ("'reference' failed: ZeroDivisionError",)),
    ],
)
def test_mistakes(members, words):
    refused(lambda: truth(**members).at(X), *words)


class Inverse(Rod):
    alpha: float = pk.unknown(0.2)


def test_a_truth_cannot_use_what_is_to_be_found():
    refused(lambda: truth_of(Inverse()), "'exact' uses the unknown parameter 'alpha'", "true value", "cases.py:")
    reference = {"exact": None, "reference": lambda self, x: self.alpha * x}
    refused(lambda: truth_of(variant(Inverse, **reference)), "'reference' uses the unknown parameter 'alpha'")
    assert truth_of(variant(Inverse, exact=lambda self, x: 0.1 * x)).kind == "exact"


@pytest.mark.parametrize("stated", [1e-6, np.float64(1e-6), lambda self: self.alpha * 1e-5])
def test_a_reference_states_its_own_error(stated, tmp_path):
    known = {"exact": None, "reference": lambda self, t, x: t, "reference_error": stated}
    assert truth(**known).error == pytest.approx(1e-6)
    assert truth(**known | {"reference_error": None}).error is None
    t, x = np.linspace(0, 1, 5), np.linspace(0, 1, 5)
    np.savez(tmp_path / "r.npz", t=t, x=x, u=np.zeros((5, 5)))
    assert truth(**known | {"reference": tmp_path / "r.npz"}).error == pytest.approx(1e-6)
    assert truth(reference_error=stated).error is None  # of the exact solution, which wins


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (-1e-6, "is -1e-06"),
        (np.nan, "is nan"),
        ("small", "is small"),
        (True, "is True"),
        (lambda self: None if self.alpha > 1 else "1e-6", "is 1e-6"),
        (lambda self, t: 1e-6, "a failure: TypeError"),
    ],
)
def test_what_is_no_error_of_a_reference(stated, words):
    known = {"exact": None, "reference": lambda self, t, x: t, "reference_error": stated}
    refused(lambda: truth(**known), "'reference_error'", words, "a number, 0 or more", "reference_error = 1e-6")
