"""How many points a group has: by dimension and shape at first, and more where held-out residuals ask for it."""

import numpy as np
import pytest
from cases import Rod, objective

import pinnkit as pk
from pinnkit.objective.point_counts import LARGEST, counts_of, first_count, grown
from pinnkit.training.more_points import explain_growth, groups_in_need


def conditions(box):
    """The groups of a problem over a domain: inside, at the start, on the whole boundary."""

    class Heat(pk.Problem):
        domain = box

        @pk.interior
        def heat(self, u_laplacian):
            return u_laplacian

        @pk.boundary
        def walls(self, u):
            return u

    class Timed(Heat):
        @pk.initial
        def start(self, u):
            return u

    return {g.kind: g for g in objective((Timed if box.time is not None else Heat)()).equations.groups}


@pytest.mark.parametrize(
    ("axes", "first"),
    [
        ({"x": (0, 1)}, {"interior": 2000, "boundary": 200}),
        ({"x": (0, 1), "y": (0, 1)}, {"interior": 2000, "boundary": 200}),
        ({"t": (0, 1), "x": (0, 1)}, {"interior": 2000, "boundary": 200, "initial": 200}),
        ({"t": (0, 1), "x": (0, 1), "y": (0, 9)}, {"interior": 4000, "boundary": 800, "initial": 800}),
        (
            {"t": (0, 1), "x": (0, 1), "y": (0, 1), "z": (0, 1)},
            {"interior": 8000, "boundary": 1600, "initial": 1600},
        ),
    ],
)
def test_first_numbers_follow_the_dimension(axes, first):
    assert {kind: first_count(g) for kind, g in conditions(pk.Box(**axes)).items()} == first


@pytest.mark.slow
def test_first_numbers_follow_the_surface_of_a_shape():
    square, disk = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)), pk.Disk(x=0.5, y=0.5, radius=0.4)
    hole = pk.Disk(x=0.5, y=0.5, radius=0.3)
    ring = pk.Box(t=(0.0, 1.0)) * disk - hole
    # Surface per volume 2 / (R - r), that of the bounding box 2 / R.
    assert ring.detail == pytest.approx(0.4 / (0.4 - 0.3), rel=0.02)
    assert (square & disk).detail == pytest.approx(1.0, rel=0.02)
    assert (square - hole).detail == pytest.approx((4 + 0.6 * np.pi) / (1 - 0.09 * np.pi) / 4, rel=0.02)
    first = {kind: first_count(g) for kind, g in conditions(square - hole).items()}
    assert first["interior"] == pytest.approx(2000 * 2.05, rel=0.02) and first["boundary"] > 400
    holes = pk.Box(t=(0.0, 1.0), x=(0.0, 9.0), y=(0.0, 1.0))
    for k in range(9):
        holes -= pk.Disk(x=0.5 + k, y=0.5, radius=0.45, name=f"hole{k}")
    assert holes.detail > 2.0 and first_count(conditions(holes)["interior"]) <= 4 * 4000


def test_counts_as_they_are():
    groups = objective(Rod()).equations.groups
    few = pk.Sampling(interior=7, initial=5, boundary=3).counts(groups)
    assert pk.Sampling(interior=7).may_grow(groups[0]) is False and pk.Sampling().may_grow(groups[0])
    everything = [g.name for g in groups]
    once = grown(few, groups, everything)
    assert once == tuple(2 * n for n in few)
    most = grown(tuple(10**6 for _ in few), groups, everything)
    assert most == tuple(10**6 for _ in few), "no group ever gets fewer"
    counts = pk.Sampling().counts(groups)
    for _ in range(5):
        counts = grown(counts, groups, everything)
    assert counts == tuple(LARGEST * n for n in pk.Sampling().counts(groups))


@pytest.mark.parametrize("interior", [None, 33])
def test_the_number_that_is_asked_for_is_the_number_of_points(interior):
    import jax

    from pinnkit.objective.collocation import point_sampler

    class Ends(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def flat(self, u_xx):
            return u_xx

        @pk.boundary
        def ends(self, u):
            return u

    for problem in (Rod(), Ends()):
        made, sampling = objective(problem), pk.Sampling(interior=interior, boundary=9)
        groups = made.equations.groups
        drawn = point_sampler(made, sampling).init(jax.random.key(0))
        assert counts_of(drawn, groups) == sampling.counts(groups)


def test_who_needs_more():
    made = objective(Rod())
    terms = made.terms
    even = dict.fromkeys(terms, 1.0)
    assert groups_in_need(made, even, even) == {}
    first, inside = terms[0], made.equations.interior.name
    assert groups_in_need(made, even, {**even, first: 8.9}) == {}
    assert groups_in_need(made, even, {**even, first: 16.0}) == {inside: (first, 4.0)}
    # What is small beside the rest of the loss is not worth it, nor is rounding.
    assert groups_in_need(made, {**even, first: 1e-6}, {**even, first: 1e-2}) == {}
    tiny = dict.fromkeys(terms, 1e-30)
    assert groups_in_need(made, tiny, {**tiny, first: 1e-24}) == {}
    groups = made.equations.groups
    before = tuple(100 for _ in groups)
    after = tuple(200 if g.name == inside else 100 for g in groups)
    assert explain_growth(groups, before, before, {}) == ""
    words = explain_growth(groups, before, after, {inside: (first, 4.0)})
    assert words == f"more points ({inside} 100 to 200): the residual of '{first}' is 4 times larger on others"
