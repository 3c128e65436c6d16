"""Problems in shapes that are not well posed, each beside a sound one."""

import re

import pytest

import pinnkit as pk
from pinnkit.objective.residuals import Equations
from pinnkit.verification.judgement import Judgement, judge

PLATE = pk.Box(x=(0.0, 0.1), y=(0.0, 0.1)) - pk.Disk(x=0.05, y=0.05, radius=0.02, name="hole")


class Plate(pk.Problem):
    """A plate in SI units with a cooled hole."""

    fields = ("T",)
    domain = PLATE

    @pk.interior
    def conduction(self, T_laplacian):
        return 50.0 * T_laplacian

    @pk.boundary("x")
    def sides(self, T):
        return T - 100.0

    @pk.boundary("y")
    def insulated(self, T_n):
        return T_n

    @pk.boundary("hole")
    def cooled(self, T, T_n):
        return 50.0 * T_n + 1000.0 * (T - 20.0)


class WithoutHole(Plate):
    cooled = None


class WithoutTop(Plate):
    insulated = None

    @pk.boundary("y-")
    def below(self, T_n):
        return T_n


class Insulated(Plate):
    """Heat flows in and out, and no temperature is given."""

    sides = None

    @pk.boundary("x")
    def fluxes(self, T_n, x):
        return T_n - 10.0 * (x - 0.05)

    @pk.boundary("hole")
    def cooled(self, T_n):
        return T_n


class Pinned(Insulated):
    up_to_constant = ("T",)


class Stokes(pk.Problem):
    """A slow flow around a cylinder in a box, driven by a force: the pressure occurs in derivatives alone."""

    fields = ("u", "v", "p")
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.2, name="cylinder")

    @pk.interior
    def momentum(self, u_laplacian, v_laplacian, p_x, p_y):
        return {"x": p_x - u_laplacian - 1.0, "y": p_y - v_laplacian}

    @pk.interior
    def mass(self, u_x, v_y):
        return u_x + v_y

    @pk.boundary
    def walls(self, u, v):
        return {"u": u, "v": v}


class StokesPinned(Stokes):
    up_to_constant = ("p",)


class Carried(pk.Problem):
    """First derivatives alone: where the flow leaves, there is no condition."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.2, name="cylinder")

    @pk.interior
    def transport(self, u, u_x):
        return u_x + u

    @pk.boundary("x-")
    def inflow(self, u):
        return u - 1.0


class Cooling(Plate):
    """With time."""

    domain = pk.Box(t=(0.0, 100.0), x=(0.0, 0.1), y=(0.0, 0.1)) - pk.Disk(x=0.05, y=0.05, radius=0.02, name="hole")

    @pk.interior
    def conduction(self, T_t, T_laplacian):
        return T_t - 1e-5 * T_laplacian

    @pk.initial
    def start(self, T):
        return T - 100.0


class CoolingWithoutHole(Cooling):
    cooled = None


UNSOUND = {
    "a hole": (WithoutHole, r"No condition says anything of T at 'hole': .* Is a condition missing\?"),
    "a side": (WithoutTop, r"No condition says anything of T at 'y\+':"),
    "fluxes alone": (Insulated, 'a constant in T: .* up_to_constant = \\("T",\\)'),
    "a pressure": (Stokes, "Nothing determines a constant in p"),
    "a hole, with time": (CoolingWithoutHole, "No condition says anything of T at 'hole'"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_wrong_is_named(name):
    cls, words = UNSOUND[name]
    (warning,) = judge(Equations(cls()), 1000).warnings
    assert re.search(words, warning)


@pytest.mark.parametrize("cls", [Plate, Pinned, StokesPinned, Carried, Cooling], ids=lambda cls: cls.__name__)
def test_sound_twins_are_clean(cls):
    assert judge(Equations(cls()), 1000) == Judgement()
