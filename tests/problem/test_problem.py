"""The class of a problem: decorators, parameters, unknowns, inheritance, slips; and finding problem files."""

import copy
import dataclasses
import pickle
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, refused

import pinnkit as pk
from pinnkit.problem import Unknown, available_problems, find, problem_class, validate
from pinnkit.problem.find import misspelt_option_advice
from pinnkit.problem.problem import snake_case

BOX = pk.Box(t=(0, 1), x=(0, 1))


# Decorators


def test_decorators_with_and_without_parentheses():
    class P(pk.Problem):
        domain = BOX

        @pk.interior
        def a(self, u): ...

        @pk.interior()
        def b(self, u): ...

        @pk.initial
        def c(self, u): ...

        @pk.initial(hard=True)
        def d(self, u): ...

        @pk.boundary
        def e(self, u): ...

        @pk.boundary("x-", hard=True)
        def f(self, u_x, u): ...

        @pk.at(x=1, t=0.5)
        def g(self, u): ...

        @pk.data("a.csv")
        def h(self, u): ...

        @pk.quantity
        def q(self, u): ...

        @pk.quantity()
        def r(self, u): ...

    conditions = P().conditions()
    assert [(c.name, c.mark.kind, c.mark.target, c.mark.hard) for c in conditions] == [
        ("a", "interior", "", False),
        ("b", "interior", "", False),
        ("c", "initial", "", False),
        ("d", "initial", "", True),
        ("e", "boundary", "", False),
        ("f", "boundary", "x-", True),
        ("g", "at", "", False),
        ("h", "data", "a.csv", False),
    ]
    assert conditions[5].arguments == ("u_x", "u") and conditions[6].mark.fixed == (("t", 0.5), ("x", 1.0))
    assert set(P().quantities()) == {"q", "r"}


def a_method(self, u):
    return u


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: pk.interior(5), ("5", "not a method")),
        (lambda: pk.boundary(5), ("boundary(5)", "as a string")),
        (lambda: pk.boundary(("x",)), ("as a string",)),
        (lambda: pk.data(a_method), ("names no file", "sensors.csv")),
        (lambda: pk.at(a_method), ("names no place", "@pk.at(x=0.5)")),
        (lambda: pk.at(), ("names no place",)),
        (lambda: pk.at(x="middle"), ("names no place",)),
        (lambda: pk.quantity(property(a_method)), ("not a method",)),
        (lambda: pk.interior(staticmethod(a_method)), ("not a method",)),
        (lambda: pk.interior(lambda u_t, u_x: u_t), ("first argument is 'u_t'", "Put self first", "test_problem.py")),
        (lambda: pk.interior(lambda: 0), ("no arguments",)),
        (lambda: pk.initial(pk.interior(lambda self, u: u)), ("decorated twice", "test_problem.py")),
    ],
)
def test_wrong_use_of_a_decorator(wrong, words):
    refused(wrong, *words)


def test_arguments_are_plain_names():
    class P(pk.Problem):
        domain = BOX

    for wrong, words in (
        (lambda self, u, *rest: u, ("*rest", "by its name")),
        (lambda self, **rest: 0, ("*rest",)),
        (lambda self, u, k=2.0: u, ("'k'", "default", "self.k")),
    ):
        problem = type("Q", (P,), {"equation": pk.interior(wrong)})()
        refused(problem.conditions, *words, "test_problem.py:")


# Parameters


def test_parameters_are_fields_by_keyword():
    assert Rod().parameters() == {"alpha": 0.1} and Rod(alpha=2.0).alpha == 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        Rod().alpha = 3.0


BOUNDS = [(None, None), (-1.0, None), (None, 5.0), (-1.0, 5.0)]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("guess", [-0.999, 0.1, 4.5])
def test_unknowns_start_at_their_guess_and_stay_in_their_bounds(bounds, guess):
    u = pk.unknown(guess, bounds=bounds)
    np.testing.assert_allclose(u.value(jnp.asarray(u.start())), guess, rtol=1e-12)
    z = jnp.linspace(-20.0, 20.0, 81)
    values, slopes = (jax.vmap(f)(z) for f in (u.value, jax.grad(u.value)))
    assert bool(jnp.all(jnp.isfinite(values))) and bool(jnp.all(slopes != 0))
    assert bounds[0] is None or bool(jnp.all(values >= bounds[0]))
    assert bounds[1] is None or bool(jnp.all(values <= bounds[1]))
    assert u.value(jnp.float32(0.3)).dtype == jnp.float32


@pytest.mark.parametrize("bounds", [*BOUNDS, (0.001, 50.0)])
@pytest.mark.parametrize("guess", [0.002, 0.1, 4.5])
def test_no_step_of_an_unknown_is_so_long_that_no_gradient_leads_back(bounds, guess):
    """A sigmoid or an exponential is flat beyond z = 20: what comes there stays there."""
    u = pk.unknown(guess, bounds=bounds)
    z, slope = jnp.linspace(-300.0, 300.0, 2001), jax.grad(u.value)
    sizes = np.ones(2001)
    if (
        bounds.count(None) == 1 or u.logarithmic
    ):  # such a parameter goes down by orders of magnitude, and is judged by them
        bound = 0.0 if u.logarithmic else next(b for b in bounds if b is not None)
        sizes = np.abs(jax.vmap(u.value)(z) - bound)
    first = abs(slope(0.0)) / np.interp(0.0, z, sizes)
    assert np.mean(np.abs(jax.vmap(slope)(z)) / sizes > 1e-2 * first) > 0.8


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_first_moves_of_an_unknown_do_not_depend_on_its_unit(scale):
    for bounds in ((None, None), (0.0, None), (0.0, 10.0), (0.01, 100.0)):
        u = pk.unknown(0.5 * scale, bounds=tuple(None if b is None else b * scale for b in bounds))
        slope = float(jax.grad(u.value)(0.0)) / u.initial
        assert 0.9 < slope < 4.0  # a unit step changes it by about its own size


def test_an_unknown_that_ran_to_its_bound_is_recognised():
    two, one = pk.unknown(0.1, bounds=(0.0, 0.2)), pk.unknown(1.0, bounds=(0.0, None))
    wide = pk.unknown(1e-3, bounds=(1e-8, 1.0))
    assert (two.which_bound(1e-6), two.which_bound(0.008), two.which_bound(0.2 - 1e-6)) == ("lower", "", "upper")
    assert (one.which_bound(1e-6), one.which_bound(1e-3), one.which_bound(1e5)) == ("lower", "", "")
    assert (wide.which_bound(1e-7), wide.which_bound(1.0001e-8)) == ("", "lower")
    assert pk.unknown(1.0).which_bound(1e30) == ""


def test_an_unknown_is_its_first_guess_and_can_be_copied():
    u = pk.unknown(0.5, bounds=(0.0, 1.0))
    for twin in (u, copy.deepcopy(u), pickle.loads(pickle.dumps(u))):
        assert twin == 0.5 and (twin.initial, twin.lower, twin.upper) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((2.0, (0.0, 1.0)), ("first guess 2", "(0, 1)", "lower < initial < upper")),
        ((0.0, (0.0, None)), ("first guess 0", "(0, inf)")),
        ((0.5, (1.0, 0.0)), ("first guess 0.5",)),
        ((float("nan"), (None, None)), ("first guess nan",)),
        (("a", (None, None)), ("not made of numbers",)),
        ((0.5, (1.0,)), ("not made of numbers", "a pair of bounds")),
    ],
)
def test_guesses_that_are_none(arguments, words):
    refused(lambda: pk.unknown(arguments[0], bounds=arguments[1]), *words)


class Inverse(Rod):
    alpha: float = pk.unknown(0.2, bounds=(0.0, 1.0))
    beta: float = 3.0


def test_a_number_for_an_unknown_is_a_new_first_guess():
    assert set(Inverse().unknowns()) == {"alpha"} and Inverse().parameters()["beta"] == 3.0
    guess = Inverse(alpha=0.7).unknowns()["alpha"]
    assert isinstance(guess, Unknown) and (guess.initial, guess.lower, guess.upper) == (0.7, 0.0, 1.0)
    refused(lambda: Inverse(alpha=1.5), "first guess 1.5")
    refused(lambda: Inverse(alpha="fast"), "'alpha' of Inverse is 'fast'")
    assert Rod(alpha=pk.unknown(1.0)).unknowns()["alpha"].initial == 1.0


def test_bound_gives_values_to_a_copy():
    problem = Inverse()
    bound = problem.bound({"alpha": 0.9})
    assert bound.alpha == 0.9 and bound.beta == 3.0 and problem.alpha == 0.2


# Inheritance and slips


def test_a_subclass_replaces_adds_and_removes():
    class Steady(Rod):
        domain = pk.Box(x=(0, 1))

        @pk.interior
        def heat(self, u_xx, x):
            return self.alpha * u_xx + x

        @pk.boundary("x+")
        def warm_end(self, u):
            return u - 1

        warm_start = None

    names = [(c.name, c.arguments) for c in Steady().conditions()]
    assert names == [("heat", ("u_xx", "x")), ("cold_ends", ("u",)), ("warm_end", ("u",))]
    assert [c.name for c in Rod().conditions()] == ["heat", "warm_start", "cold_ends"]


def test_an_override_without_a_decorator_is_refused():
    def heat(self, u_t):
        return u_t

    refused(
        lambda: type("P", (Rod,), {"heat": heat}), "'heat' replaces an equation", "`heat = None`", "test_problem.py:"
    )


def test_two_equations_of_one_name_are_refused():
    def body():
        class P(pk.Problem):
            @pk.boundary("x-")
            def end(self, u):
                return u

            @pk.boundary("x+")
            def end(self, u):  # noqa: F811
                return u - 1

    refused(body, "Two things in the class are called 'end'", "Rename", "test_problem.py:")


def test_reserved_names_are_refused():
    def typed():
        class P(pk.Problem):
            domain: object = BOX

    def equation():
        class P(pk.Problem):
            @pk.interior
            def bound(self, u):
                return u

    def both():
        class P(pk.Problem):
            heat: float = 1.0

            @pk.interior
            def heat(self, u):  # noqa: F811
                return u

    refused(typed, "'domain' has a meaning of its own", "`domain = ...` without a type")
    refused(equation, "'bound' has a meaning of its own", "an equation")
    refused(both, "'heat' stands for two things", "test_problem.py:")


def test_an_unknown_without_a_type_is_refused():
    refused(lambda: type("P", (Rod,), {"nu": pk.unknown(0.1)}), "'nu' has no type", "nu: float = pk.unknown(...)")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"domain": None}, ("P has no domain", "pk.Box(t=(0, 1), x=(0, 1))")),
        ({"domain": (0, 1)}, ("The domain is (0, 1)",)),
        ({"heat": None}, ("P has no equations", "@pk.interior")),
        ({"fields": "u"}, ("fields = 'u'", "mind the comma")),
        ({"fields": ()}, ("fields = ()",)),
        ({"fields": 3}, ("fields = 3",)),
        ({"fields": ("u", "2v")}, ("does not name fields",)),
        ({"fields": ("u", "lambda")}, ("does not name fields",)),
        ({"fields": ("u", "x")}, ("'x' stands for two things",)),
        ({"fields": ("u", "u")}, ("'u' stands for two things",)),
        ({"u": pk.quantity(lambda self, u_x: u_x)}, ("'u' stands for two things",)),
        ({"t": pk.quantity(lambda self, u_x: u_x)}, ("'t' stands for two things",)),
        ({"up_to_constant": ("p",)}, ("up_to_constant names 'p'", "one of u")),
        ({"up_to_constant": "u"}, ("up_to_constant = 'u' is no tuple",)),
    ],
    ids=", ".join,
)
def test_what_validation_refuses(members, words):
    refused(lambda: validate(type("P", (Rod,), members)()), *words)


def test_validation_says_where():
    class Nowhere(pk.Problem):
        @pk.interior
        def equation(self, u):
            return u

    refused(lambda: validate(Nowhere()), "Nowhere has no domain", "test_problem.py:")


@pytest.mark.parametrize(
    ("cls", "name"),
    [("HeatEquation", "heat_equation"), ("Poisson2D", "poisson2d"), ("KdV", "kd_v"), ("PDE", "pde"), ("wave", "wave")],
)
def test_names_of_classes(cls, name):
    assert snake_case(cls) == name and type(cls, (Rod,), {})().name == name


# Problem files

HEADER = "import pinnkit as pk\n\n"
CLASS = """class {name}({base}):
    domain = pk.Box(t=(0, 1), x=(0, 1))

    @pk.interior
    def equation(self, u_t):
        return u_t

"""


def problem_file(folder, name, *classes):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{name}.py"
    path.write_text(HEADER + "".join(CLASS.format(name=c, base="pk.Problem") for c in classes))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_found_by_path_and_by_name_with_the_own_folder_first(here):
    problem_file(here / "problems", "heat", "Mine")
    path = problem_file(here / "deep" / "er", "other", "Other")
    assert problem_class("heat").__name__ == "Mine"
    assert problem_class("wave").__name__ == "Wave", "ships with pinnkit"
    cls = problem_class("deep/er/other.py")
    assert cls.__name__ == "Other" and cls().name == "other" and cls().folder == path.parent
    assert problem_class(str(path)).__name__ == "Other"
    assert find("heat") == available_problems()["heat"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "advektion",
            (
                "no problem named 'advektion'",
                "Did you mean 'advection'",
                "one of advection, advection_fast, allen_cahn",
            ),
        ),
        ("qqq", ("no problem named 'qqq'", "Use one of those names")),
        ("", ("no problem named ''",)),
        ("advection.py", ("no problem file 'advection.py'", "Did you mean 'advection'?")),
        ("deep/othr.py", ("no problem file", "Did you mean 'other.py'")),
        ("nowhere/other.py", ("no problem file", "Check the path")),
        ("deep/notes.txt", ("cannot be read as Python",)),
        ("deep/two.py", ("2 problems", "deep/two.py:One")),
        ("deep/two.py:Tvo", ("no problem class 'Tvo'", "Did you mean 'Two'?")),
        ("deep/none.py", ("defines no problem", "class Name(pk.Problem)")),
    ],
)
def test_what_is_not_found(here, name, words):
    problem_file(here / "deep", "other", "Other")
    problem_file(here / "deep", "two", "One", "Two")
    problem_file(here / "deep", "none")
    (here / "deep" / "notes.txt").write_text("nothing")
    refused(lambda: problem_class(name), *words)


def test_one_of_several_classes(here):
    path = problem_file(here, "two", "One", "Two")
    assert problem_class("two.py:Two").__name__ == "Two"
    path.write_text(path.read_text() + CLASS.format(name="Three", base="Two"))
    assert problem_class("two.py:Three").__name__ == "Three"
    path.write_text(HEADER + CLASS.format(name="Base", base="pk.Problem") + CLASS.format(name="Leaf", base="Base"))
    assert problem_class("two.py").__name__ == "Leaf", "a base class is a helper"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\nclass P(pk.Problem)\n    pass\n", 4, ("syntax error", "not `class P(pk.Problem)`")),
        ("import pinnkit.nothing\n", 3, ("ModuleNotFoundError", "pinnkit.nothing")),
        ("k = 1\nm = k / 0\n", 4, ("ZeroDivisionError",)),
        ("\nbox = pk.Box(x=(1, 0))\n", 4, ("reversed",)),
        ("raise SystemExit\n", 3, ("SystemExit",)),
        ("class P(pk.Problem):\n    @pk.interior(5)\n    def f(self, u): ...\n", 4, ("not a method",)),
    ],
)
def test_mistakes_in_the_file_have_their_line(here, text, line, words):
    (here / "broken.py").write_text(HEADER + text)
    error = refused(lambda: problem_class("broken.py"), *words)
    assert error.where == f"broken.py:{line}"


def test_every_shipped_problem_is_valid():
    for name in (
        "advection",
        "allen_cahn",
        "burgers",
        "burgers_inverse",
        "conductivity",
        "heat",
        "kovasznay",
        "poisson_2d",
        "wave",
    ):
        assert validate(problem_class(name)()).name == name


def test_parameters_are_set_by_name_and_are_numbers():
    class Bar(pk.Problem):
        alpha: float = 0.1
        k: float = pk.unknown(1.0, bounds=(0.0, None))

        domain = pk.Box(x=(0.0, 1.0))

    assert Bar(alpha=np.float32(0.5)).alpha == 0.5
    refused(lambda: Bar(aplha=1.0), "Bar has no parameter 'aplha'", "Did you mean 'alpha'?")
    refused(lambda: Bar(1.0), "Bar(1.0) does not say which parameter", "alpha, k")
    for bad in ("0.1", None, float("nan"), True):
        refused(lambda: Bar(alpha=bad), f"'alpha' of Bar is {bad!r}", "a number, such as 0.1")  # noqa: B023
    refused(lambda: Bar(k="0.1"), "'k' of Bar is '0.1'")


def test_a_misspelt_option_of_a_stage_gets_a_suggestion():
    file = ModuleType("rod")
    file.pk = pk
    message = "Adam.__init__() got an unexpected keyword argument 'step'"
    assert misspelt_option_advice(message, file) == "Adam(step=...): did you mean 'steps'?"
    assert misspelt_option_advice("Adam.__init__() missing 1 argument", file) == ""
    assert misspelt_option_advice("nobody() got an unexpected keyword argument 'step'", file) == ""
