"""Messages name the problem's own fields and coordinates: `u` and `x` are those of some problems only."""

import ast
import re
from pathlib import Path

import jax.numpy as jnp
import pytest

import pinnkit as pk
from pinnkit.checking.hints import warnings
from pinnkit.figures.terminal import print_check
from pinnkit.objective import Equations
from pinnkit.runs.run import Run

FOREIGN = re.compile(r"(?<![A-Za-z])u(?![A-Za-z])|\bu_|\bx\b")
"""A field called u, or a coordinate called x."""


class Drift(pk.Problem):
    """theta_t + theta_s = 0."""

    domain = pk.Box(t=(0.0, 1.0), s=(0.0, 1.0))
    fields = ("theta",)
    model = pk.MLP(width=4, depth=1)

    @pk.interior
    def drift(self, theta_t, theta_s):
        return theta_t + theta_s

    @pk.initial
    def start(self, theta, s):
        return theta - s


def at_the_end(method, decorator=None):
    return {"end": (decorator or pk.boundary("s-"))(method)}


def message(members):
    problem = type("P", (Drift,), members)()
    with pytest.raises(pk.UsageError) as caught:
        Run(problem).check()
    return str(caught.value)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (at_the_end(lambda self, theta: theta(s=0.0)), "`theta_at` to evaluate theta elsewhere: theta_at(s=0.0)"),
        (at_the_end(lambda self, theta: theta == 1.0), "theta - 1.0, not theta == 1.0"),
        (at_the_end(lambda self, theta: jnp.ones(3)), "such as an integral of `theta_at`"),
        (
            at_the_end(lambda self, theta: theta**2, pk.boundary("s-", hard=True)),
            "expected: a theta + b, so that theta",
        ),
        (
            at_the_end(lambda self, theta, t: (t - 0.5) * theta, pk.boundary("s-", hard=True)),
            "expected: a theta + b with a",
        ),
        (at_the_end(lambda self, t: t), "(self, theta, ...)"),
        (at_the_end(lambda self, psi: psi), "fields theta; coordinates t, s; derivatives such as theta_s, theta_ss"),
        (
            {"drift": pk.interior(lambda self, theta_sssssssssssss: theta_sssssssssssss)},
            "fields = ('theta', 'w'), with w - theta_ssss as",
        ),
        ({"fields": "theta"}, 'Write fields = ("theta",)'),
    ],
)
def test_messages_name_the_own_field(members, words):
    text = message(members)
    assert words in text and not FOREIGN.search(text), text


def test_warnings_and_tables_name_the_own_field():
    from rich.console import Console

    members = {
        **at_the_end(lambda self, theta: jnp.mean(theta)),
        "start": None,
        "more": lambda self, theta_t: theta_t,
        "drift": pk.interior(lambda self, theta_tt, theta_s: theta_tt + theta_s),
    }
    problem = type("P", (Drift,), members)()
    told = " ".join(warnings(Equations(problem)))
    assert "theta_at(s=nodes)" in told and "theta has derivatives of order 2 in t" in told
    console = Console(record=True, width=200)
    print_check(console, Run(problem).check())
    shown = console.export_text()
    assert "theta_tt=" in shown and "theta_at(s=nodes)" in shown and not FOREIGN.search(shown), shown


@pytest.mark.parametrize("name", ["n", "a_b", "ss"])
def test_coordinates_that_cannot_be_named_so_are_refused_without_a_field(name):
    with pytest.raises(pk.UsageError) as caught:
        pk.Box(s=(0, 1), **{name: (0, 1)})
    assert "cannot name a coordinate" in str(caught.value) and not re.search(r"\bu_", str(caught.value))


ALLOWED = {
    "cli/template.py",  # a problem with a field u
    "problem/problem.py",  # the default of `fields`, and an example of several
    "references/cavity.py",  # the velocities of its flow
}


def test_no_text_in_the_package_has_a_field_u():
    package = Path(pk.__file__).parent
    # A wheel holds the problems too, whose fields are theirs.
    for path in sorted(p for p in package.rglob("*.py") if p.relative_to(package).parts[0] != "_problems"):
        tree = ast.parse(path.read_text())
        docs = {s.value for s in ast.walk(tree) if isinstance(s, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
                allowed = path.relative_to(package).as_posix() in ALLOWED
                assert allowed or not re.search(r"(?<![A-Za-z])u(?![A-Za-z])|\bu_", node.value), (
                    f"{path}: {node.value!r}"
                )
