"""The figures: there is one for every kind of problem, and what they show are the numbers."""

from dataclasses import replace
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, evaluation, panels
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.evaluation.truth import Truth
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.figures import courses, pictures
from pinnkit.figures import solution as figures
from pinnkit.figures.maps import Grid
from pinnkit.figures.vectors import vector_figures
from pinnkit.runs.figures import save_all


class Plate(pk.Problem):
    """Two space axes and time."""

    domain = pk.Box(t=(0.0, 0.1), x=(0.0, 2.0), y=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_laplacian):
        return u_t - u_laplacian

    def exact(self, t, x, y):
        return jnp.exp(-t) * jnp.sin(x) * y


class Square(Plate):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def heat(self, u_laplacian):
        return u_laplacian

    def exact(self, x, y):
        return x - y + 0.1


class Flow(Square):
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    @pk.interior
    def heat(self, u_x, v_y, p_x):
        return {"mass": u_x + v_y, "force": p_x}

    def exact(self, x, y):
        return {"u": x, "v": y, "p": x * y}


class Stream(Flow):
    vectors: ClassVar = {"velocity": ("u", "v")}


class Family(Rod):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), k=pk.ParameterAxis(2.0, 4.0))

    def exact(self, t, x, k):
        return k * t * x


class Cube(Plate):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 4.0), k=pk.ParameterAxis(2.0, 4.0))
    exact = None

    @pk.interior
    def heat(self, u_laplacian):
        return u_laplacian


class NoTruth(Rod):
    exact = None


class Holed(Square):
    domain = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - pk.Disk(x=1.0, y=0.5, radius=0.3, name="hole")


METRICS = [
    {
        "step": 10 * i,
        "seconds": 0.1 * i**2,
        "stage": "adam" if i < 4 else "lbfgs",
        "terms": {"heat": 10.0**-i, "start": 1.0},
    }
    for i in range(1, 7)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "names"),
    [
        (Decay, {"solution"}),
        (Rod, {"solution", "slices"}),
        (Square, {"solution"}),
        (Plate, {"solution"}),
        (Flow, {"solution_u", "solution_v", "solution_p"}),
        (Stream, {"solution_u", "solution_v", "solution_p", "vectors_velocity"}),
        (Family, {"solution", "slices", "error_against_k"}),
        (Cube, {"solution"}),
        (NoTruth, {"solution", "slices"}),
        (Holed, {"solution"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_kind_of_problem_has_its_figures(problem, names, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "DPI", 60)
    paths = save_all(evaluation(problem), METRICS, tmp_path)
    assert {p.stem for p in paths} == {"losses", *names}
    for path in paths:
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) > 5_000


def test_streamlines_follow_the_vectors():
    found = evaluation(Stream)
    (drawn,) = vector_figures(found).values()
    axes, bar = drawn.axes
    assert axes.get_title() == "velocity, its size and direction" and bar.get_title() == ""
    X = np.stack([c.ravel() for c in np.meshgrid(*[np.linspace(0, 1, 201)] * 2)], axis=1)
    values = found.accuracy.fields(found.state.params, X)
    np.testing.assert_allclose(picture(axes), np.hypot(values[:, 0], values[:, 1]).reshape(201, 201), rtol=1e-9)
    lines = next(c for c in axes.collections if len(c.get_segments()) > 20)
    for segment in lines.get_segments()[::17]:
        along = segment[np.argmax(np.any(segment != segment[0], axis=1))] - segment[0]
        velocity = found.accuracy.fields(found.state.params, segment[None, 0])[0, :2]
        assert abs(along @ velocity) > 0.99 * np.linalg.norm(along) * np.linalg.norm(velocity)


def picture(axes):
    return np.asarray(axes.get_images()[0].get_array())


def test_a_map_shows_solution_truth_and_error_over_named_axes():
    found = evaluation(Rod)
    shown = panels(figures.fields(found)["solution"])
    assert list(shown) == ["u, solution", "u, exact", "|u - exact|"]
    t, x = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
    u = found.accuracy.fields(found.state.params, np.stack([t.ravel(), x.ravel()], axis=1)).reshape(201, 201)
    exact = np.exp(-0.1 * np.pi**2 * t) * np.sin(np.pi * x)
    for axes, values in zip(shown.values(), (u, exact, np.abs(u - exact)), strict=True):
        np.testing.assert_allclose(
            picture(axes), np.maximum(values, 1e-17) if "|" in axes.get_title() else values, atol=1e-12
        )
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("t", "x")
        image = axes.get_images()[0]
        assert image.origin == "lower"
        assert image.get_extent() == [0.0, 1.0, 0.0, 1.0]
    limits = [shown[name].get_images()[0].get_clim() for name in ("u, solution", "u, exact")]
    assert limits[0] == limits[1]  # the same colour is the same value
    assert limits[0][0] <= min(u.min(), exact.min()) and limits[0][1] >= max(u.max(), exact.max())


def test_lengths_are_true_to_scale_and_times_are_not():
    assert panels(figures.fields(evaluation(Plate))["solution"])["u, solution at t = 0"].get_aspect() == 1.0
    assert panels(figures.fields(evaluation(Rod))["solution"])["u, solution"].get_aspect() == "auto"


@pytest.mark.parametrize(
    ("problem", "titles", "whole"),
    [
        (Plate, ["at t = 0", "at t = 0.05", "at t = 0.1"], "plate"),
        (Family, ["at k = 2", "at k = 3", "at k = 4"], "family"),
    ],
    ids=["time", "parameter"],
)
def test_a_third_axis_is_shown_at_several_places_and_others_are_named(problem, titles, whole):
    found = evaluation(problem)
    figure = figures.fields(found)["solution"]
    shown = panels(figure)
    assert [t for t in shown if "solution" in t] == [f"u, solution {place}" for place in titles]
    assert figure.get_suptitle() == whole
    if problem.exact is not None:
        scales = {axes.get_images()[0].get_clim() for title, axes in shown.items() if title.startswith("|")}
        assert len(scales) == 1
    if problem is Family:
        t, x = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
        np.testing.assert_allclose(picture(shown["u, exact at k = 4"]), 4 * t * x, atol=1e-12)


def test_vectors_in_a_plate_are_seen_from_above():
    plate = pk.Box(x=(0.0, 1.0), y=(0.0, 0.2), z=(0.0, 4.0))
    problem = type("Slab", (Cube,), {"domain": plate})()
    assert figures.plane(problem) == (0, 2, 1, pytest.approx([0.05, 0.1, 0.15]))


def test_a_field_known_up_to_a_constant_is_shifted_to_the_truth():
    shown = panels(figures.fields(evaluation(Flow))["solution_p"])
    assert picture(shown["p, solution"]).mean() == pytest.approx(picture(shown["p, exact"]).mean())


def test_a_shape_is_drawn_to_its_surface():
    (axes,) = (a for a in figures.fields(evaluation(Holed))["solution"].axes if a.get_title() == "u, solution")
    (mesh,) = axes.collections
    triangles = mesh._triangulation
    X = np.stack([triangles.x, triangles.y], axis=1)
    corners = X[triangles.triangles]
    areas = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 2
    assert areas.sum() == pytest.approx(2.0 - np.pi * 0.09, rel=1e-3)
    assert np.linalg.norm(X - [1.0, 0.5], axis=1).min() == pytest.approx(0.3, abs=1e-6)
    assert np.isfinite(mesh.get_array()).all() and axes.get_aspect() == 1.0


def test_outside_of_the_domain_there_is_nothing():
    canvas = Grid(Holed(), 0, 1, side=101)
    X, inside = canvas.points(0, None)
    np.testing.assert_array_equal(inside, np.linalg.norm(X - [1.0, 0.5], axis=1) >= 0.3)


def test_without_a_truth_only_the_solution_is_shown():
    assert list(panels(figures.fields(evaluation(NoTruth))["solution"])) == ["u, solution"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.0, 0.8], (-1.0, 1.0, "RdBu_r")),
        ([-0.1, 1.0], (-0.1, 1.0, "viridis")),
        ([2.0, np.nan, 3.0], (2.0, 3.0, "viridis")),
        ([np.nan], (0.0, 1.0, "viridis")),
    ],
)
def test_signed_fields_have_a_white_zero(values, expected):
    assert figures.colour_range(np.array(values)) == expected


def test_a_singular_corner_does_not_take_all_colours():
    usual = np.linspace(0.0, 1.0, 999)
    low, high, _ = figures.colour_range(np.r_[usual, 50.0])
    assert 0 <= low < 0.01 and 0.99 < high <= 1.0
    assert figures.colour_range(np.r_[usual, 2.5])[:2] == (0.0, 2.5)  # not so much larger: shown
    assert figures.colour_range(np.r_[np.zeros(999), 1.0])[:2] == (0.0, 1.0)  # all that there is to see
    for values, extend in (([[0.0, 1.0]], "neither"), ([[0.0, 9.0]], "max"), ([[-9.0, 9.0]], "both")):
        figure = pictures.Picture()
        grid = Grid(NoTruth(), 1, 0, side=2)
        figures.draw_map(grid, figure.subplots(), np.resize(values, 4), "", "u", vmin=0.0, vmax=1.0)
        assert figure.axes[1]._colorbar.extend == extend


def test_losses_beyond_the_tenth_are_dashed():
    terms = {f"t{i}": 1.0 + i for i in range(12)}
    metrics = [{"step": n, "seconds": n, "stage": "adam", "terms": terms} for n in (1, 2)]
    lines = courses.losses(metrics).axes[0].get_lines()
    assert [line.get_linestyle() for line in lines] == ["-"] * 10 + ["--"] * 2


def test_curves_show_solution_and_truth_and_the_error_below():
    found = evaluation(Decay)
    above, below = figures.fields(found)["solution"].axes
    solution, exact = above.get_lines()
    x = solution.get_xdata()
    np.testing.assert_allclose(exact.get_ydata(), np.exp(-x))
    np.testing.assert_allclose(below.get_lines()[0].get_ydata(), np.abs(solution.get_ydata() - np.exp(-x)))
    assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == ("u", "absolute error", "x")
    assert below.get_yscale() == "log"


def test_slices_are_at_five_times_over_all_of_space():
    figure = figures.slices(evaluation(Rod))
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines[::2]] == ["t = 0", "t = 0.25", "t = 0.5", "t = 0.75", "t = 1"]
    x = lines[0].get_xdata()
    assert (x[0], x[-1]) == (0.0, 1.0)
    np.testing.assert_allclose(lines[5].get_ydata(), np.exp(-0.05 * np.pi**2) * np.sin(np.pi * x), atol=1e-12)
    assert figure.axes[0].get_legend() is not None


def test_losses_against_steps_and_seconds_with_errors_and_unknowns_where_there_are_any():
    figure = courses.losses(METRICS, problem="rod")
    assert figure.get_suptitle() == "rod: the course of training"
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("step", "training time [s]")
    heat, start = left.get_lines()[:2]
    assert (heat.get_label(), start.get_label()) == ("heat", "start")
    np.testing.assert_allclose(heat.get_ydata(), [10.0**-i for i in range(1, 7)])
    np.testing.assert_allclose(right.get_lines()[0].get_xdata(), [0.1 * i**2 for i in range(1, 7)])
    assert left.get_yscale() == "log"
    assert [line.get_xdata()[0] for line in left.get_lines()[2:]] == [30]  # where the stage changed
    told = [m | {"unknowns": {"nu": 0.1}} | ({"errors": {"u": 0.5}} if i % 2 else {}) for i, m in enumerate(METRICS)]
    told[-1] = told[-1] | {"terms": {"heat": None, "start": 1.0}}  # not finite
    figure = courses.losses(told)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == [
        "mean squared residual (relative)",
        "relative L2 error",
        "nu",
    ]
    (error,) = figure.axes[2].get_lines()[:1]
    assert len(error.get_xdata()) == 3 and error.get_marker() == "o"  # it was measured only there
    assert np.isnan(figure.axes[0].get_lines()[0].get_ydata()[-1])


def test_a_truth_known_at_points_only_has_no_map(monkeypatch):
    found = evaluation(Rod)
    known = Accuracy(found.network, None)
    known.truth = Truth("reference", lambda X: X, np.zeros((3, 2)))
    assert list(panels(figures.fields(replace(found, accuracy=known))["solution"])) == ["u, solution"]


def test_the_truth_stands_out_from_the_solution_below_it():
    solution, exact = figures.slices(evaluation(Rod)).axes[0].get_lines()[:2]
    assert solution.get_lw() > 3 * exact.get_lw() and solution.get_alpha() < 0.7 and exact.get_color() == "k"


def unknown_panel(name, estimate, values=(3.0, 0.5, 0.2, 0.21, 0.2, 0.2), **others):
    metrics = [{**row, "unknowns": {**others, name: v}} for row, v in zip(METRICS, values, strict=True)]
    figure = courses.losses(metrics, {name: estimate})
    return next(a for a in figure.axes if a.get_ylabel() == name), figure


def legend(figure):
    return [t.get_text() for axes in figure.axes if axes.get_legend() for t in axes.get_legend().get_texts()]


def test_unknown_parameters_with_their_final_interval():
    axes, figure = unknown_panel("nu", Estimate(0.2, 0.01, 0.18, 0.22))
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3.0, 0.5, 0.2, 0.21, 0.2, 0.2])
    assert axes.get_yscale() == "log"
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == (0.18, 0.22)
    assert "95% interval\n[0.18, 0.22]" in legend(figure)
    axes, figure = unknown_panel("nu", Estimate(0.2, np.inf, -np.inf, np.inf))
    assert not axes.patches and "no interval:\nnothing determines it" in legend(figure)


def test_an_unknown_that_ended_at_its_bound_is_said_to_have():
    class Bounded(Estimate):
        at_bound = "lower"

    axes, figure = unknown_panel("nu", Bounded(0.2, np.inf, -np.inf, np.inf))
    assert not axes.patches and "no interval:\nit ended at its lower bound" in legend(figure)


def test_unknowns_of_different_sizes_have_scales_of_their_own():
    axes, figure = unknown_panel("D", Estimate(0.02, 0.001, 0.018, 0.022), (0.01, 0.03, 0.02, 0.02, 0.02, 0.02), v=0.7)
    other = next(a for a in figure.axes if a.get_ylabel() == "v")
    assert axes.get_ylim()[1] < 0.04 and other.get_ylim()[0] > 0.5
    axes, _ = unknown_panel("D", Estimate(0.02, 1e5, -1e6, 1e6), (0.01, 0.03, 0.02, 0.02, 0.02, 0.02))
    assert -0.02 < axes.get_ylim()[0] < axes.get_ylim()[1] < 0.06  # an endless interval leaves the line as it is


def test_figures_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = courses.losses(METRICS)
    assert pictures.save(figure, tmp_path / "losses.png").read_bytes()[:4] == b"\x89PNG"
    before = (tmp_path / "losses.png").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        pictures.save(figure, tmp_path / "losses.png")
    assert [p.name for p in tmp_path.iterdir()] == ["losses.png"]
    assert (tmp_path / "losses.png").read_bytes() == before


def test_pictures_by_name():
    shown = pictures.Pictures(solution=courses.losses(METRICS))
    assert repr(shown) == "Pictures(solution)" and isinstance(shown, dict)
    assert shown["solution"]._repr_png_()[:4] == b"\x89PNG"
