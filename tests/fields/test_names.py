"""Argument names: what each stands for, and what is said of those that stand for nothing."""

import pytest
from cases import refused

import pinnkit as pk
from pinnkit.fields import Names, Partial
from pinnkit.fields.names import Column, Coordinate, FieldFunction, NormalComponent, partials

PLANE = pk.Box(t=(0, 1), x=(0, 1), y=(0, 1))
LONG = pk.Box(t=(0, 1), theta=pk.Periodic(0, 1), x=(0, 1), x1=(0, 1), nu=pk.ParameterAxis(0, 1))
U = Names(PLANE, ("u",))
SYSTEM = Names(PLANE, ("u", "u_plus", "p"), ("flux", "flux_total"), ("alpha", "c"))


@pytest.mark.parametrize(
    ("names", "argument", "expected"),
    [
        (U, "u", Partial("u")),
        (U, "u_t", Partial("u", (0,))),
        (U, "u_xx", Partial("u", (1, 1))),
        (U, "u_xy", Partial("u", (1, 2))),
        (U, "u_yx", Partial("u", (1, 2))),
        (U, "u_x_y", Partial("u", (1, 2))),
        (U, "u_yxyt", Partial("u", (0, 1, 2, 2))),
        (U, "u_laplacian", Partial("u", (), "laplacian")),
        (U, "u_grad", Partial("u", (), "grad")),
        (U, "u_hessian", Partial("u", (), "hessian")),
        (U, "u_at", FieldFunction("u")),
        (U, "t", Coordinate(0)),
        (U, "y", Coordinate(2)),
        (Names(LONG, ("u",)), "u_theta_theta", Partial("u", (1, 1))),
        (Names(LONG, ("u",)), "u_x_theta", Partial("u", (1, 2))),
        (Names(LONG, ("u",)), "u_theta_xt", Partial("u", (0, 1, 2))),
        (Names(LONG, ("u",)), "u_x1", Partial("u", (3,))),
        (Names(LONG, ("u",)), "u_nu", Partial("u", (4,))),
        (SYSTEM, "u_plus", Partial("u_plus")),
        (SYSTEM, "u_plus_xx", Partial("u_plus", (1, 1))),
        (SYSTEM, "u_xx", Partial("u", (1, 1))),
        (SYSTEM, "u_plus_at", FieldFunction("u_plus")),
        (SYSTEM, "flux", Partial("flux")),
        (SYSTEM, "flux_x", Partial("flux", (1,))),
        (SYSTEM, "flux_total_x", Partial("flux_total", (1,))),
        (SYSTEM, "flux_laplacian", Partial("flux", (), "laplacian")),
        (SYSTEM, "flux_at", FieldFunction("flux")),
        # With axes a and t, u_at could also be a derivative: it is the function.
        (Names(pk.Box(t=(0, 1), a=(0, 1)), ("u",)), "u_at", FieldFunction("u")),
        (Names(pk.Box(t=(0, 1), a=(0, 1)), ("u",)), "u_ta", Partial("u", (0, 1))),
    ],
    ids=str,
)
def test_what_a_name_stands_for(names, argument, expected):
    assert names.resolve(argument) == expected


def test_normals_on_a_boundary_only():
    assert U.resolve("u_n", has_normal=True) == Partial("u", (), "n")
    assert U.resolve("n_x", has_normal=True) == NormalComponent(1)
    for argument in ("u_n", "n_y"):
        refused(
            lambda a=argument: U.resolve(a, method="heat", where="f.py:3"),
            f"'heat' asks for '{argument}', which needs a normal",
            "@pk.boundary",
            "f.py:3",
        )
    refused(lambda: U.resolve("n_t", has_normal=True), "'n_t', which is unknown")
    circle = Names(LONG, ("u",))
    assert circle.resolve("n_theta", has_normal=True) == NormalComponent(1)
    refused(lambda: circle.resolve("n_nu", has_normal=True), "unknown")


def test_columns():
    assert U.resolve("u_measured", columns=("u_measured",)) == Column("u_measured")
    for clash in ("u", "u_x", "u_at"):
        refused(
            lambda c=clash: U.resolve(c, columns=(c,)), f"Column '{clash}'", f"{clash}_measured", "Rename the column"
        )
    message = str(refused(lambda: U.resolve("u_measurd", columns=("u_measured",))))
    assert "columns u_measured" in message and "Did you mean 'u_measured'" in message


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("w", ("'balance' asks for 'w', which is unknown",)),
        ("u_xz", ("The part after 'u_' must be made of the coordinates t, x, y",)),
        ("u_", ("The part after 'u_'",)),
        ("u__x", ("The part after 'u_'",)),
        ("flux_q", ("The part after 'flux_'",)),
        ("v_xx", ("'v' is no field", "Name it in `fields`")),
        ("flx", ("Did you mean 'flux'",)),
        ("u_pluss", ("Did you mean 'u_plus'",)),
        ("alpha", ("parameter of the problem: read it as self.alpha",)),
        ("c", ("self.c",)),
        ("alpha_x", ("'alpha' is no field",)),
    ],
)
def test_unknown_names(argument, words):
    refused(
        lambda: SYSTEM.resolve(argument, method="balance", where="file.py:12"),
        *words,
        "file.py:12",
        "fields u, u_plus, p; coordinates t, x, y; derivatives such as u_y, u_yy, u_laplacian; ",
        "quantities flux, flux_total; distance; u_at",
    )


def test_the_listing_on_a_boundary_and_with_long_names():
    names = Names(pk.Box(r=(0, 1), theta=(0, 1)), ("u",))
    message = str(refused(lambda: names.resolve("q", has_normal=True)))
    assert "u_theta, u_theta_theta" in message and "u_n and n_theta on a boundary" in message


@pytest.mark.parametrize("argument", ["u_n", "u_laplacian", "u_grad", "u_hessian"])
def test_no_operators_without_space(argument):
    names = Names(pk.Box(t=(0, 1), nu=pk.ParameterAxis(0, 1)), ("u",))
    message = str(refused(lambda: names.resolve(argument, has_normal=True), "unknown"))
    assert "laplacian" not in message.partition("expected")[2]


@pytest.mark.parametrize(
    ("fields", "quantities", "clash"),
    [
        (("u", "u_x"), (), "u_x"),
        (("u",), ("u_laplacian",), "u_laplacian"),
        (("u",), ("u_at",), "u_at"),
        (("u", "n_x"), (), "n_x"),
        (("u",), ("flux", "flux_t"), "flux_t"),
    ],
)
def test_names_of_fields_that_are_already_something(fields, quantities, clash):
    refused(
        lambda: Names(PLANE, fields, quantities).refuse_ambiguous("f.py:1"),
        f"'{clash}' stands for two things",
        "f.py:1",
    )


def test_which_derivatives_a_request_needs():
    assert partials(Partial("u", (0, 1)), PLANE) == {(0, 1)}
    assert partials(Partial("u", (), "laplacian"), PLANE) == {(1, 1), (2, 2)}
    assert partials(Partial("u", (), "grad"), PLANE) == partials(Partial("u", (), "n"), PLANE) == {(1,), (2,)}
    assert partials(Partial("u", (), "hessian"), PLANE) == {(1, 1), (1, 2), (2, 2)}
    assert partials(Coordinate(0), PLANE) == set()
