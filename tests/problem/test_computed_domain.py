"""A domain that physical parameters decide: what it is, where it is read, curricula, run folders, and what is refused."""

import dataclasses
import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit

import pinnkit as pk
from pinnkit.problem import Box, validate
from pinnkit.problem.shaped_domain import ShapedBox
from pinnkit.runs.run import Run

FILE = '''
import jax.numpy as jnp
import pinnkit as pk

class Fin(pk.Problem):
    """u_xx = u, u = 1 at the base and insulated at the tip: u = cosh(L - x) / cosh L."""

    L: float = 1.0
    scales = None  # no verdict on a few steps

    def domain(self):
        return pk.Box(x=(0.0, self.L))

    @pk.interior
    def balance(self, u, u_xx):
        return u_xx - u

    @pk.boundary("x-")
    def base(self, u):
        return u - 1.0

    @pk.boundary("x+")
    def tip(self, u_n):
        return u_n

    def exact(self, x):
        return jnp.cosh(self.L - x) / jnp.cosh(self.L)

    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(stages=(pk.Adam(steps=20),), sampling=pk.Sampling(interior=32, boundary=2))
'''
space = {}
exec(FILE, space)
Fin = space["Fin"]


CALLS = []


class Strip(pk.Problem):
    L: float = 2.0
    T: float = 1.0
    ratio: float = 0.5

    def domain(self):
        CALLS.append(self.L)
        return pk.Box(t=(0.0, self.T), x=(-self.half(), self.half()), y=(0.0, self.ratio * self.L))

    def half(self):
        return self.L / 2

    @pk.interior
    def heat(self, u_t, u_laplacian):
        return u_t - u_laplacian


def ends(problem):
    return [(axis.lower, axis.upper) for axis in problem.domain.axes]


def test_axes_follow_the_parameters():
    assert ends(Strip()) == [(0, 1), (-1, 1), (0, 1)]
    assert ends(Strip(L=6.0, T=0.25)) == [(0, 0.25), (-3, 3), (0, 3)]
    assert ends(dataclasses.replace(Strip(), ratio=3.0)) == [(0, 1), (-1, 1), (0, 6)]
    assert isinstance(validate(Strip()).domain, Box) and Strip().plain_methods() == ("half",)


def test_it_is_computed_once_per_instance():
    problem = Strip(L=8.0)
    CALLS.clear()
    assert problem.domain is problem.domain is problem.bound({}).domain
    assert CALLS == [8.0]


def test_copies_on_another_domain_have_that_domain():
    other = pk.Box(t=(0, 1), x=(0, 5))
    assert Strip().on(other, ()).domain is other


def test_a_subclass_builds_on_the_domain_of_its_base():
    class Called(Strip):
        def domain(self):
            return Strip.domain(self) - pk.Disk(x=0.0, y=0.5, radius=0.1 * self.L, name="hole")

    class Super(Strip):
        def domain(self):
            return super().domain - pk.Disk(x=0.0, y=0.5, radius=0.1 * self.L, name="hole")

    class Fixed(Strip):
        domain = pk.Box(x=(0, 1))

    for cls in (Called, Super):
        domain = cls(L=2.0).domain
        assert isinstance(domain, ShapedBox)
        # The radius is 0.2: 0.19 from the centre is outside, 0.21 inside; with L = 1 both are inside.
        X = np.array([[0.5, 0.19, 0.5], [0.5, 0.21, 0.5]])
        assert domain.contains(X).tolist() == [False, True]
    assert ends(Fixed()) == [(0, 1)] and type("Heir", (Strip,), {})(L=4.0).domain.axes[1].upper == 2.0


def test_a_shape_alone_is_a_domain():
    disk = type("Drum", (Strip,), {"domain": lambda self: pk.Disk(x=0.0, y=0.0, radius=self.L)})(L=3.0).domain
    assert isinstance(disk, ShapedBox) and [(a.lower, a.upper) for a in disk.axes] == [(-3, 3), (-3, 3)]


def of(**members):
    return type("P", (Strip,), members)()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (lambda self: None, ("returns None", "Add the word return", "test_computed_domain.py")),
        (lambda self: (0, 1), ("returns (0, 1)", "in the brackets of pk.Box")),
        (lambda self: pk.Box(x=(0, -self.L)), ("(0, -2), is reversed. It is computed with L = 2.0",)),
        (lambda self: pk.Box(x=(0, 1 / (self.L - 2))), ("cannot be computed: ZeroDivisionError", "with L = 2.0")),
        (
            lambda self: pk.Box(x=(0, self.ration)),
            ("no attribute 'ration'", "did you mean 'ratio'?", "a parameter axis"),
        ),
    ],
)
def test_a_method_that_returns_no_domain_is_refused(member, words):
    refused(lambda: Run(of(domain=member)), *words)


def test_what_is_no_plain_method_is_refused():
    box = pk.Box(x=(0, 1))
    refused(lambda: of(domain=property(lambda self: box)), "is a property", "Remove the line @property")
    refused(lambda: of(domain=staticmethod(lambda: box)), "is a staticmethod")
    refused(lambda: of(domain=lambda self, x: box), "has the arguments (self, x)", "does not depend on coordinates")
    refused(lambda: of(domain=lambda: box), "has the arguments ()", "Add self")
    refused(lambda: of(domain=pk.interior(lambda self, u: u)), "'domain' has a meaning of its own")


@pytest.mark.parametrize(
    "method",
    [
        lambda self: pk.Box(x=(0.0, self.D)),
        lambda self: pk.Box(x=(0.0, 2 * self.D)),
        lambda self: pk.Box(x=(0.0, self.twice())),
        lambda self: pk.Box(x=(0.0, float(jnp.sqrt(self.D)))),
        lambda self: pk.Box(x=(0.0, 1.0 if self.D < 3 else 2.0)),
        lambda self: pk.Disk(x=0.0, y=0.0, radius=self.D),
    ],
)
def test_an_unknown_parameter_is_refused(method):
    class Inverse(Strip):
        C: float = pk.unknown(1.0)
        D: float = pk.unknown(2.0, bounds=(1.0, 4.0))

        def twice(self):
            return 2 * self.D

    Inverse.domain = vars(type("Q", (Inverse,), {"domain": method}))["domain"]
    refused(lambda: validate(Inverse()), "The domain depends on 'D', an unknown parameter", "xi = x / L")


def test_an_unknown_elsewhere_is_no_obstacle():
    class Inverse(Strip):
        D: float = pk.unknown(2.0)

    assert ends(Inverse(L=4.0))[1] == (-2, 2)
    broken = type("Broken", (Inverse,), {"domain": lambda self: pk.Box(x=(0, self.L / 0))})
    refused(lambda: validate(broken()), "ZeroDivisionError")


def test_a_parameter_cannot_be_an_axis_too():
    family = of(domain=lambda self: pk.Box(L=pk.ParameterAxis(1, 2), x=(0, self.L)))
    refused(lambda: validate(family), "The name 'L' stands for two things")


def test_windows_cut_the_time_that_the_parameter_gives():
    class Growth(pk.Problem):
        T: float = 1.0

        def domain(self):
            return pk.Box(t=(0.0, self.T))

        @pk.interior
        def growth(self, u, u_t):
            return u_t - u

        @pk.initial
        def one(self, u):
            return u - 1.0

    run = Run(Growth(T=3.0), pk.MLP(width=4, depth=1), pk.Recipe(schedule=pk.Windows(3)))
    np.testing.assert_allclose(run.trainer.network.cut.starts, [0, 1, 2, 3])


def curriculum(*multiples, **changes):
    return replace(Fin.recipe, schedule=pk.Curriculum(parameter="L", multiples=multiples, steps=3), **changes)


@pytest.mark.slow
def test_a_curriculum_trains_each_value_on_its_own_domain():
    run = Run(Fin(L=4.0), recipe=curriculum(0.25, 0.5))
    params = run.trainer.network.initial_parameters
    for k, length in enumerate([1.0, 2.0, 4.0]):
        loop = run.trainer.loop(k, params)
        points = loop.start().points
        inside, tips = np.asarray(points["interior"].X), np.asarray(points["boundary x+"].X)
        assert 0.9 * length < inside.max() <= length
        np.testing.assert_allclose(tips, length)
        # The same weights are the same function of x / L.
        xi = np.linspace(0, 1, 5)[:, None]
        own = run.trainer.network.values(params, 4.0 * xi)
        np.testing.assert_allclose(loop.network.values(params, length * xi), own, rtol=1e-12)
    reports = list(run.trainer.run(run.trainer.start()))
    assert int(reports[-1].state.step) == 3 + 3 + 20
    assert run.accuracy.points.max() == 4.0


def test_a_curriculum_with_a_domain_that_does_not_fit_is_refused_before_training():
    class Pinned(Fin):
        @pk.at(x=0.8)
        def pin(self, u):
            return u - jnp.cosh(self.L - 0.8) / jnp.cosh(self.L)

    Run(Pinned(), recipe=curriculum(0.9))
    refused(
        lambda: Run(Pinned(), recipe=curriculum(0.9, 0.5)), "cannot be trained with L = 0.5", "x = 0.8 lies outside"
    )
    refused(lambda: Run(Fin(), recipe=curriculum(-1.0)), "with L = -1", "(0, -1), is reversed")


@pytest.mark.slow
def test_a_run_folder_keeps_the_domain(tmp_path):
    (tmp_path / "fin.py").write_text(FILE)
    status, out, err = pinnkit("train", "fin.py", "--problem.L", "3", "--out", "run", folder=tmp_path)
    assert status == 0, err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["parameters"] == {"L": 3.0}
    solution = pk.load(tmp_path / "run")
    assert ends(solution.run.problem) == [(0, 3)]
    before = solution(x=np.array([0.0, 3.0]))["u"]
    status, out, err = pinnkit("resume", "run", "--adam.steps", "30", folder=tmp_path)
    assert status == 0 and "going on at step 20 of 30" in out, err
    longer = pk.load(tmp_path / "run")
    assert ends(longer.run.problem) == [(0, 3)] and not np.array_equal(longer(x=[0.0, 3.0])["u"], before)
    status, out, err = pinnkit("export", "run", folder=tmp_path)
    assert status == 0, err
    (about,) = [
        json.loads(p.read_text()) for p in (tmp_path / "run").rglob("*.json") if '"largest_difference"' in p.read_text()
    ]
    assert about["domain"] == {"x": [0.0, 3.0]}
    # The error is measured at points of (0, 3) against the solution for L = 3.
    x = np.linspace(0, 3, len(longer.run.accuracy.points))
    exact = np.cosh(3 - x) / np.cosh(3)
    own = np.linalg.norm(longer(x=x)["u"] - exact) / np.linalg.norm(exact)
    assert longer.errors["u"].relative_l2 == pytest.approx(own, rel=1e-6)


def test_the_command_line_says_what_a_parameter_does_to_the_domain(tmp_path):
    (tmp_path / "fin.py").write_text(FILE)
    status, _, err = pinnkit("check", "fin.py", "--problem.L", "-1", folder=tmp_path)
    assert status == 2 and "(0, -1), is reversed. It is computed with L = -1.0." in " ".join(err.split())
    assert "fin.py:11" in err
