"""Slips that a check can see: shapes and unknowns without effect, random methods, high derivatives, unverifiable accuracy."""

import numpy as np
import pytest
from cases import refused
from problems_of_tests import Square

import pinnkit as pk
from pinnkit.checking.oversights import oversights
from pinnkit.objective import Equations
from pinnkit.runs.run import Run


def said(problem):
    return " ".join(oversights(Equations(problem)))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda box: box - pk.Disk(x=5.0, y=0.5, radius=0.1, name="hole"), "'hole' takes nothing away"),
        (lambda box: box - pk.Disk(x=0.5, y=0.5, radius=0.1, name="hole"), ""),
        (lambda box: box | pk.Disk(x=0.5, y=0.5, radius=0.1, name="bulge"), "'bulge' adds nothing"),
        (lambda box: box | pk.Disk(x=1.0, y=0.5, radius=0.1, name="bulge"), ""),
        (lambda box: box & pk.Disk(x=0.5, y=0.5, radius=0.1), ""),
        (
            lambda box: (
                box
                - pk.Disk(x=0.5, y=0.5, radius=0.1, name="here")
                - pk.Polygon(y=[3, 4, 3], x=[0, 0, 1], name="there")
            ),
            "'there' takes nothing away",
        ),
        (lambda box: box, ""),
    ],
)
def test_shapes_that_change_nothing_are_told(shape, words):
    class Plate(Square):
        domain = shape(Square.domain)

    found = said(Plate())
    assert words in found and bool(found) == bool(words)
    assert "'here'" not in found


def test_an_unknown_without_measurements_is_told(tmp_path):
    class Inverse(Square):
        k: float = pk.unknown(1.0)

        @pk.interior
        def poisson(self, u, u_laplacian):
            return u_laplacian - self.k * u

    assert "unknown parameter 'k' has no @pk.data" in said(Inverse())

    class Eigenvalue(Inverse):
        @pk.at(x=0.5, y=0.5)
        def scale(self, u):
            return u - 1.0

    assert said(Eigenvalue()) == ""


def test_random_numbers_in_a_method_are_told():
    class Noisy(Square):
        @pk.interior
        def poisson(self, u_laplacian):
            return u_laplacian * np.random.rand()

        @pk.boundary("x")
        def ends(self, u):
            return u

        @pk.boundary("y")
        def walls(self, u, x):
            return u - np.random.default_rng().normal(size=x.shape)

    found = said(Noisy())
    assert "'poisson' computes something else each time" in found and "'walls' computes" in found
    assert "'ends'" not in found


def test_fixed_random_numbers_are_none():
    class Fixed(Square):
        @pk.interior
        def poisson(self, u_laplacian):
            return u_laplacian - np.random.default_rng(0).random()

    assert said(Fixed()) == ""


def test_derivatives_of_an_order_that_would_compile_for_hours_are_refused():
    def of(order):
        name = "u_" + "x" * order
        source = f"def high(self, {name}):\n    return {name}\n"
        space = {}
        exec(source, space)
        return type("High", (Square,), {"poisson": pk.interior(space["high"])})

    assert Equations(of(12)()).highest_order == 12
    refused(lambda: Equations(of(13)()), "a derivative of 'u' of order 13", "order 12 or less")


class Unverified(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def growth(self, u, u_x):
        return u_x - u

    @pk.boundary("x-")
    def start(self, u):
        return u - 1.0

    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(sampling=pk.Sampling(interior=16, boundary=1), accuracy=1e-4)


def test_an_accuracy_that_nothing_can_verify_is_told_before_training():
    warnings = Run(Unverified()).check().warnings
    assert any(
        "requested accuracy of 1.0e-04 can be verified by an independent solution only" in w and "exit status 1" in w
        for w in warnings
    )
    verified = type("Verified", (Unverified,), {"exact": lambda self, x: np.e**x})
    assert not any("accuracy" in w for w in Run(verified()).check().warnings)


def test_a_parameter_of_zero_or_infinity_is_named():
    class Divided(Square):
        k: float = 0.0
        w: float = 0.0

        @pk.interior
        def poisson(self, u_laplacian):
            return u_laplacian * (1 / self.k)

    refused(lambda: Equations(Divided()).terms(Equations(Divided()).interior), "ZeroDivisionError", "it uses: k = 0.")


@pytest.mark.filterwarnings("error")
def test_an_infinite_parameter_is_named_without_a_warning_of_numpy():
    class Infinite(Unverified):
        k: float = 1.0

        @pk.interior
        def growth(self, u, u_x):
            return u_x - self.k * u

    refused(lambda: Run(Infinite(k=np.inf)).check(), "'growth' is not finite", "it uses: k = inf.")
