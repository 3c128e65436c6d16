"""Warnings of domains that are lines of the class and do not follow a parameter; none without a reason."""

import math
from dataclasses import fields
from numbers import Real

import jax.numpy as jnp
import pytest
from cli import pinnkit

import pinnkit as pk
from pinnkit.checking.fixed_domains import domain_notes, domain_warnings
from pinnkit.problem import problem_class
from pinnkit.problem.find import package_problems_folder
from pinnkit.problem.unknown import Unknown


class Base(pk.Problem):
    @pk.interior
    def growth(self, u, u_x):
        return u_x - u


class Written(Base):
    L: float = 1.0
    c: float = 1.0

    half = L / 2
    domain = pk.Box(t=(0.0, 1.0), x=(-half, half))


class Guess(Base):
    fields = ("theta",)
    L: float = pk.unknown(2.0)

    domain = pk.Box(x=(0.0, L))

    @pk.interior
    def growth(self, theta, theta_x):
        return theta_x - theta


class Method(Base):
    L: float = 2.0

    def domain(self):
        return pk.Box(x=(0.0, self.L))


def told(problem):
    return [*domain_warnings(problem), *domain_notes(problem)]


def test_a_domain_that_is_written_with_a_parameter():
    (unchanged,) = domain_warnings(Written())
    assert "computed from the default of 'L', 1, when the class is read: --problem.L does not change it" in unchanged
    (changed,) = domain_warnings(Written(L=3.0))
    assert "when the class is read, and L is 3 here" in changed and "`def domain(self)`" in changed
    assert domain_notes(Written()) == ()
    (inherited,) = domain_warnings(type("Heir", (Written,), {"__annotations__": {"L": float}, "L": 5.0})())
    assert "'L'" in inherited
    (guess,) = domain_warnings(Guess())
    assert "first guess of the unknown 'L'" in guess and "derivatives in xi = x / L" in guess
    assert told(Method()) == told(Method(L=3.0)) == []


def variant(name, default, **axes):
    return type("P", (Base,), {"__annotations__": {name: float}, name: default, "domain": pk.Box(**axes)})


@pytest.mark.parametrize(
    ("name", "default", "axes", "changed_text"),
    [
        ("L", 1.0, {"x": (0, 1)}, "x ends at 1, the default of 'L', and L is 3 here"),
        ("Lx", 2.0, {"x": (-1, 1), "y": (0, 1)}, "x has the length 2, the default of 'Lx'"),
        ("x_max", 5.0, {"t": (0, 5), "x": (0, 5)}, "x ends at 5, the default of 'x_max'"),
        ("half_width", 0.5, {"x": (-0.5, 0.5)}, "x ends at 0.5, the default of 'half_width'"),
        ("T", 1.0, {"t": (0, 1), "x": (0, 2)}, "t ends at 1, the default of 'T'"),
        ("t_end", 10.0, {"t": (0, 10)}, "t ends at 10"),
        ("q", 1.37, {"x": (0, 1.37)}, "x ends at 1.37, the default of 'q'"),
        ("x_min", -1.0, {"x": (-1, 4)}, "x begins at -1"),
    ],
)
def test_a_parameter_that_equals_an_end(name, default, axes, changed_text):
    cls = variant(name, default, **axes)
    (note,) = domain_notes(cls())
    assert domain_warnings(cls()) == () and f"which is the default of '{name}'" in note and f"--problem.{name}" in note
    (warning,) = domain_warnings(cls(**{name: 3.0}))
    assert changed_text in warning and domain_notes(cls(**{name: 3.0})) == ()


@pytest.mark.parametrize(
    ("name", "default", "axes"),
    [
        ("c", 1.0, {"x": (0, 1)}),  # a speed
        ("c", 2.0, {"x": (0, 2)}),
        ("k", 2 * math.pi, {"x": (0, 2 * math.pi)}),  # a wave number
        ("h", 1.0, {"x": (0, 1)}),  # a coefficient of heat transfer
        ("T", 1.0, {"x": (0, 1)}),  # a temperature
        ("L", 1.0, {"t": (0, 1), "x": (0, 2)}),
        ("L", 2.0, {"x": (0, 1)}),
        ("x_min", 0.0, {"x": (0, 1)}),
        ("L", 1.0, {"k": pk.ParameterAxis(0.5, 1.0), "x": (0, 3)}),
    ],
)
def test_chance_is_not_told_of(name, default, axes):
    cls = variant(name, default, **axes)
    assert told(cls()) == told(cls(**{name: 4.0})) == []


@pytest.mark.parametrize("name", sorted(p.stem for p in package_problems_folder().glob("*.py")))
def test_no_false_alarm_over_the_problems_that_ship(name):
    cls = problem_class(name)
    own = cls()
    assert told(own) == []
    for spec in fields(cls):
        value = getattr(own, spec.name)
        if isinstance(value, Real) and not isinstance(value, Unknown):
            assert told(cls(**{spec.name: 3.0 * value})) == []


def test_the_check_tells_of_it(tmp_path):
    (tmp_path / "rod.py").write_text(
        "import pinnkit as pk\n\nclass Rod(pk.Problem):\n    L: float = 1.0\n    domain = pk.Box(x=(0.0, L))\n"
        "    model = pk.MLP(width=4, depth=1)\n\n"
        "    @pk.interior\n    def growth(self, u, u_x):\n        return u_x - u\n\n"
        "    @pk.boundary('x-')\n    def start(self, u):\n        return u - 1.0\n"
    )
    status, out, _ = pinnkit("check", "rod.py", "--problem.L", "3", folder=tmp_path)
    said = " ".join(out.split())
    assert status == 0 and "warning: The domain is computed from the default of 'L', 1," in said
    # What the warning advises mends it.
    text = (tmp_path / "rod.py").read_text()
    line = "    domain = pk.Box(x=(0.0, L))\n"
    (tmp_path / "rod.py").write_text(
        text.replace(line, "    def domain(self):\n        return pk.Box(x=(0.0, self.L))\n")
    )
    status, out, _ = pinnkit("check", "rod.py", "--problem.L", "3", folder=tmp_path)
    assert status == 0 and "domain" not in out
    assert jnp.isclose(problem_class(str(tmp_path / "rod.py"))(L=3.0).domain.axes[0].upper, 3.0)
