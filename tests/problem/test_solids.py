"""Round, stretched, cut and thick shapes: areas in closed form, Gauss's theorem for polynomials, normals by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import objective, random_parameters, refused
from scipy.integrate import quad
from scipy.special import ellipe, ellipeinc, ellipkinc

import pinnkit as pk
from pinnkit.objective.sobol import sobol
from pinnkit.problem.area_tables import AreaTable
from pinnkit.problem.shaped_domain import as_domain


def ellipsoid_area(a, b, c):
    """Area of an ellipsoid with a > b > c by incomplete elliptic integrals (DLMF 19.33.2)."""
    phi = np.arccos(c / a)
    m = a**2 * (b**2 - c**2) / (b**2 * (a**2 - c**2))
    return 2 * np.pi * c**2 + 2 * np.pi * a * b / np.sin(phi) * (
        ellipeinc(phi, m) * np.sin(phi) ** 2 + ellipkinc(phi, m) * np.cos(phi) ** 2
    )


def elliptic_cone_side(a, b, h):
    """Area of the side of a cone over an ellipse: half the length of rim times slant height, by quadrature over the angle."""
    element = lambda t: 0.5 * np.sqrt((a * b) ** 2 + h**2 * ((a * np.sin(t)) ** 2 + (b * np.cos(t)) ** 2))  # noqa: E731
    return quad(element, 0.0, 2 * np.pi, epsabs=1e-12)[0]


TORUS = pk.Torus(x=1.0, y=0.0, z=0.5, radius=2.0, tube=0.5)
ELLIPSOID = pk.Ellipsoid(x=0.0, y=1.0, z=0.0, semi_axes=(3.0, 2.0, 1.0))
SPLINE = pk.ClosedSpline(x=[2, 1, 0.2, -1, -1.2, -0.6, -0.9, 0], y=[0, 1, 0.1, 1, 0.5, 0, -1, -1.3])
BALL = pk.Ball(x=0.0, y=0.0, z=0.0, radius=1.0)
CONE = pk.Cone(x=0.0, y=0.0, z=(0.0, 2.0), radii=(1.0, 0.0))
SHEARED = BALL.turned(40.0, around="y").turned(20.0, around="x").scaled(x=3.0, y=2.0).turned(30.0, around="z")
STRETCHED_CYLINDER = pk.Cylinder(y=0.0, z=1.0, x=(0.0, 2.0), radius=1.0).scaled(y=2.0)
EXACT = {  # shape, volume, area of each name; nothing of them is cut away
    "torus": (TORUS, np.pi**2, {"rim": 4 * np.pi**2}),
    "cone": (CONE, 2 * np.pi / 3, {"z-": np.pi, "side": np.pi * np.sqrt(5)}),
    "cone on its apex": (
        pk.Cone(x=0.0, y=0.0, z=(0.0, 2.0), radii=(0.0, 1.0)),
        2 * np.pi / 3,
        {"z+": np.pi, "side": np.pi * np.sqrt(5)},
    ),
    "truncated cone": (
        pk.Cone(y=0.0, z=1.0, x=(0.0, 2.0), radii=(1.0, 0.5), name="skin"),
        2 * np.pi * 1.75 / 3,
        {"x-": np.pi, "skin": 1.5 * np.pi * np.sqrt(4.25), "x+": np.pi / 4},
    ),
    "elliptic cone": (
        CONE.scaled(x=3.0),
        2 * np.pi,
        {"z-": 3 * np.pi, "side": elliptic_cone_side(3.0, 1.0, 2.0)},
    ),
    "ellipsoid": (ELLIPSOID, 8 * np.pi, {"rim": ellipsoid_area(3.0, 2.0, 1.0)}),
    "turned and stretched": (SHEARED, 8 * np.pi, {"rim": ellipsoid_area(3.0, 2.0, 1.0)}),
    "thin ellipsoid": (
        pk.Ellipsoid(x=0.0, y=0.0, z=0.0, semi_axes=(1.0, 1.0, 0.01)),
        4 * np.pi / 300,
        {"rim": 2 * np.pi * (1 + 1e-4 / np.sqrt(1 - 1e-4) * np.arctanh(np.sqrt(1 - 1e-4)))},
    ),
    "simplex": (
        pk.Simplex(x=[0, 1, 0, 0], y=[0, 0, 1, 0], z=[0, 0, 0, 1]),
        1 / 6,
        {"face1": np.sqrt(3) / 2, "face2": 0.5, "face3": 0.5, "face4": 0.5},
    ),
    "triangle": (
        pk.Simplex(x=[0, 1, 0], y=[0, 0, 2], name="edge"),
        1.0,
        {"edge1": np.sqrt(5), "edge2": 2.0, "edge3": 1.0},
    ),
    "stadium": (pk.ThickLine(x=[0, 3], y=[0, 0], width=2.0), 6 + np.pi, None),
    "bowl": (
        pk.Polygon(r=[1, 2, 2], z=[0, 0, 1]).revolved(r=("x", "y")),
        np.pi * 5 / 3,  # Pappus: area 1/2, centroid at 5/3
        {"edge1": 3 * np.pi, "edge2": 4 * np.pi, "edge3": 3 * np.pi * np.sqrt(2)},
    ),
}
CUT = {  # shapes of whose pieces parts are cut away: volume and area
    "cylinder": (pk.Cylinder(y=0.0, z=1.0, x=(0.0, 2.0), radius=1.0), 2 * np.pi, 6 * np.pi),
    "elliptic cylinder": (STRETCHED_CYLINDER, 4 * np.pi, 4 * np.pi + 2 * 8 * ellipe(0.75)),
    "half ball": (BALL.cut(normal={"x": 1.0, "z": 2.0}, through={}), 2 * np.pi / 3, 3 * np.pi),
    "cap of a ball": (
        BALL.cut(normal={"x": -3.0}, through={"x": 0.5, "y": 7.0}),
        np.pi * 0.25 * 2.5 / 3,
        np.pi + 0.75 * np.pi,
    ),
    "ball of a half disk": (
        pk.Disk(r=0.0, z=0.0, radius=1.0).cut(normal={"r": -1.0}, through={}).revolved(r=("x", "y")),
        4 * np.pi / 3,
        4 * np.pi,
    ),
    "corner": (
        pk.ThickLine(x=[0, 2, 2], y=[0, 0, 2], width=1.0, ends="flat"),
        3.75 + np.pi / 16,
        9 + np.pi / 4,
    ),
    "straight pipe": (
        pk.ThickLine(x=[0, 1, 3], y=[0, 0, 0], z=[0, 0, 0], width=2.0),
        3 * np.pi + 4 * np.pi / 3,
        6 * np.pi + 4 * np.pi,
    ),
}
ALL = {
    # The flux of a thin ellipsoid comes from its rim, to which few points come that are uniform by area.
    **{name: case[0] for name, case in EXACT.items() if name != "thin ellipsoid"},
    **{name: case[0] for name, case in CUT.items()},
    "spline": SPLINE,
    "vase": pk.ClosedSpline(r=[2, 1.5, 1, 1.5], z=[0, 1, 0, -2]).revolved(r=("x", "y")),
    "stretched torus": TORUS.scaled(x=2.0, z=3.0),
    "ellipsoid in four": pk.Ellipsoid(a=0.0, b=0.0, c=1.0, d=0.0, semi_axes=(1.0, 1.5, 1.0, 2.0)),
    "simplex in four": pk.Simplex(a=[0, 1, 0, 0, 0], b=[0, 0, 1, 0, 0.3], c=[0, 0, 0, 2, 0], d=[1, 0, 0, 0, 0]),
    "around a point": pk.Polygon(r=[0, 1, 1, 0], z=[0, 0, 1, 2]).revolved(r=("x", "y", "w")),
    "crossing lines": pk.ThickLine(x=[0, 1, 1, 0.3], y=[0, 0, 1, -1], width=0.2),
    "bent pipe": pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], z=[0, 0, 1], width=0.2),
    "ring of lines": pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.2, closed=True),
    "cut twice": ELLIPSOID.cut(normal={"x": 1.0, "y": 1.0}, through={"y": 1.2}).cut(
        normal={"x": 0.2, "z": -1.0}, through={}, name="second"
    ),
    "stretched pieces": pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0)
    .extruded(z=(0.0, 1.0))
    .turned(30.0, around="y")
    .scaled(z=2.0),
}
FAST = ["torus", "turned and stretched", "cap of a ball", "corner"]
SOME = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in ALL]


def on_surface(shape, count):
    """Points, outward normals and weights for integrals over the surface, by the midpoint rule on each piece."""
    dim = len(shape.names) - 1
    rows = max(4, round((count / len(shape.surfaces())) ** (1 / dim)))
    places = (np.arange(rows) + 0.5) / rows
    unit = jnp.asarray(np.stack(np.meshgrid(*[places] * dim, indexing="ij"), axis=-1).reshape(-1, dim))
    parts = []
    for piece in shape.surfaces():
        X, normals = piece.sample(unit, shape.names)
        bounding, normals = shape.outward(X, normals)
        own = np.asarray(bounding & piece.owns(X, shape.names))
        parts.append((np.asarray(X)[own], np.asarray(normals)[own], np.full(own.sum(), piece.measure / len(unit))))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


@pytest.mark.parametrize("name", EXACT)
def test_areas_in_closed_form(name):
    shape, _, areas = EXACT[name]
    measured = {}
    for piece in shape.surfaces():
        measured[piece.name] = measured.get(piece.name, 0.0) + piece.measure
    if areas is None:
        areas = {"side": 6.0, "end1": np.pi, "end2": np.pi}
    assert measured == pytest.approx(areas, rel=1e-7)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in (*ALL,) if n in {**EXACT, **CUT}]
)
def test_volumes_by_the_flux_and_by_points_inside(name):
    shape, volume, area = {**EXACT, **CUT}[name]
    X, normals, weights = on_surface(shape, 40000)
    n = len(shape.names)
    # Pieces of which nothing is cut away are integrated to the accuracy of the midpoint rule.
    accuracy = 1e-3 if name in EXACT else 0.01
    assert np.sum(weights * np.sum(X * normals, axis=1)) / n == pytest.approx(volume, rel=accuracy)
    if name in CUT:
        assert weights.sum() == pytest.approx(area, rel=0.01)
    lower, upper = np.array(shape.bounds).T
    unit = np.asarray(sobol(jax.random.key(0), 2**15, n, jnp.float64))
    inside = np.asarray(shape.inside(jnp.asarray(lower + (upper - lower) * unit)))
    assert np.prod(upper - lower) * inside.mean() == pytest.approx(volume, rel=0.01)


@pytest.mark.parametrize("name", SOME)
def test_gauss_for_a_polynomial(name):
    """The flux of F_i = x_i^3 + x_i x_{i+1} is the integral of its divergence: points, normals and areas together."""
    shape = ALL[name]
    n = len(shape.names)
    X, normals, weights = on_surface(shape, 40000)
    lower, upper = np.array(shape.bounds).T
    middle = 0.5 * (lower + upper)
    Y = X - middle
    flux = np.sum(weights * np.sum((Y**3 + np.roll(Y, -1, axis=1) * Y) * normals, axis=1))
    points = lower + (upper - lower) * np.asarray(sobol(jax.random.key(1), 2**16, n, jnp.float64))
    inside = np.asarray(shape.inside(jnp.asarray(points)))
    divergence = np.sum(3 * (points - middle) ** 2 + np.roll(points - middle, -1, axis=1), axis=1)
    volume = np.prod(upper - lower)
    assert flux == pytest.approx(volume * np.mean(np.where(inside, divergence, 0.0)), rel=0.02 if n < 4 else 0.05)
    assert np.abs(np.sum(weights[:, None] * normals, axis=0)).max() < 0.01 * weights.sum()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-12)
    # The surface lies in the bounding box and reaches its sides; few points come to corners in four coordinates.
    assert float(np.min(X - lower)) >= -1e-9 and float(np.max(X - upper)) <= 1e-9
    assert (
        max(np.abs(X.min(axis=0) - lower).max(), np.abs(X.max(axis=0) - upper).max())
        < (0.08 if n < 4 else 0.3) * shape.size
    )
    # The points are on the surface to 1e-9: a step of that size to either side is inside and outside.
    step = 1e-9 * shape.size * normals
    assert np.mean(np.asarray(shape.inside(jnp.asarray(X - step)))) > 0.999
    assert np.mean(np.asarray(shape.inside(jnp.asarray(X + step)))) < 0.001


LEVELS = {
    "torus": TORUS,
    "cone": CONE,
    "elliptic cone": CONE.scaled(x=3.0),
    "ellipsoid": ELLIPSOID,
    "turned and stretched": SHEARED,
    "simplex": EXACT["simplex"][0],
    "bowl": EXACT["bowl"][0],
    "ball of a half disk": CUT["ball of a half disk"][0],
    "straight pipe": CUT["straight pipe"][0],
    "cut": BALL.cut(normal={"x": 1.0, "z": 2.0}, through={}),
}


@pytest.mark.parametrize(
    "name", [n if n == "turned and stretched" else pytest.param(n, marks=pytest.mark.slow) for n in LEVELS]
)
def test_levels_are_zero_on_their_pieces_and_fall_along_the_normals(name):
    shape = LEVELS[name]
    for piece in shape.surfaces():
        unit = jnp.asarray(np.random.default_rng(0).random((200, len(shape.names) - 1)))
        X, normals = piece.sample(unit, shape.names)
        level = lambda points, own=piece: own.level(points, shape.names)  # noqa: E731
        assert float(jnp.abs(level(X)).max()) < 1e-12 * shape.size
        step = 1e-5
        slopes = jnp.stack([(level(X + step * e[None]) - level(X - step * e[None])) / (2 * step) for e in np.eye(3)], 1)
        length = jnp.linalg.norm(slopes, axis=1)
        # A cone's is flat at the apex, and what is stretched has slopes by its factors.
        steep = length > 0.02
        assert float(jnp.mean(steep)) > 0.95
        across = slopes / jnp.maximum(length, 1e-9)[:, None] + normals
        assert float(jnp.abs(jnp.where(steep[:, None], across, 0.0)).max()) < 1e-6


@pytest.mark.slow
def test_what_is_revolved_has_a_level_that_is_smooth_on_the_axis():
    """On the axis r = sqrt(x^2 + y^2) has a kink: levels are functions of r^2."""
    for shape, name, exact in (
        (CONE, "side", lambda x, y, z: (2.0 - z) ** 2 - 4.0 * (x**2 + y**2)),
        (CUT["ball of a half disk"][0], "rim", lambda x, y, z: 1.0 - x**2 - y**2 - z**2),
    ):
        (piece,) = [p for p in shape.surfaces() if p.name == name]
        level = lambda X, own=piece: own.level(X[None], ("x", "y", "z"))[0]  # noqa: E731
        origin = jnp.array([0.0, 0.0, 0.3])
        scale = level(origin) / exact(*origin)
        for place in (origin, jnp.array([1e-9, 0.0, 0.3]), jnp.array([0.2, -0.1, 0.3])):
            expected = scale * jax.hessian(lambda X: exact(*X))(place)  # noqa: B023
            np.testing.assert_allclose(jax.hessian(level)(place), expected, atol=1e-6)


def test_normals_of_a_torus_and_an_ellipsoid_in_closed_form():
    X, normals, _ = on_surface(TORUS, 1000)
    x, y, z = (X - [1.0, 0.0, 0.5]).T
    r = np.hypot(x, y)
    np.testing.assert_allclose(np.hypot(r - 2.0, z), 0.5, atol=1e-12)
    np.testing.assert_allclose(normals, 2.0 * np.stack([x * (1 - 2.0 / r), y * (1 - 2.0 / r), z], axis=1), atol=1e-9)
    X, normals, _ = on_surface(ELLIPSOID, 1000)
    gradient = (X - [0.0, 1.0, 0.0]) / np.array([9.0, 4.0, 1.0])
    np.testing.assert_allclose(normals, gradient / np.linalg.norm(gradient, axis=1, keepdims=True), atol=1e-9)


@pytest.mark.slow
def test_points_are_uniform_by_area():
    """Moments in closed form, or by quadrature over the angles."""

    def points(shape, count=2**14):
        region = as_domain(shape).boundary()
        unit = sobol(jax.random.key(0), region.size(count), len(region.free), jnp.float64)
        return np.asarray(region.place(unit, count)[0])

    x, y, z = points(TORUS.moved(x=-1.0, z=-0.5)).T
    # The area element is (R + r cos v) r: <r_axis^2> = R^2 + 3/2 r^2, <z^2> = r^2 / 2, <|z|> = 2 r / pi.
    assert np.mean(x**2 + y**2) == pytest.approx(4.0 + 1.5 * 0.25, rel=2e-3)
    assert np.mean(z**2) == pytest.approx(0.125, rel=2e-3)
    assert np.mean(np.abs(z)) == pytest.approx(1.0 / np.pi, rel=2e-3)
    X = points(ELLIPSOID.moved(y=-1.0))
    theta, phi = np.meshgrid((np.arange(800) + 0.5) * np.pi / 800, (np.arange(800) + 0.5) * np.pi / 400, indexing="ij")
    sphere = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    element = np.linalg.norm(6.0 * sphere / np.array([3.0, 2.0, 1.0]), axis=-1) * np.sin(theta)
    for power in (2, 4, 6):
        expected = [np.average((sphere[..., k] * a) ** power, weights=element) for k, a in enumerate((3.0, 2.0, 1.0))]
        np.testing.assert_allclose(np.mean(X**power, axis=0), expected, rtol=5e-3)
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 1]], float)
    X, _, weights = on_surface(pk.Simplex(x=corners[:, 0], y=corners[:, 1], z=corners[:, 2]), 40000)
    faces = [np.delete(corners, k, axis=0) for k in range(4)]
    area = [0.5 * np.linalg.norm(np.cross(f[1] - f[0], f[2] - f[0])) for f in faces]
    # Over a triangle, <x^2> = (sum of x_i^2 + (sum of x_i)^2) / 12.
    second = [((f**2).sum(axis=0) + f.sum(axis=0) ** 2) / 12 for f in faces]
    np.testing.assert_allclose(
        np.average(X**2, axis=0, weights=weights), np.average(second, axis=0, weights=area), rtol=2e-3
    )


@pytest.mark.parametrize(
    ("density", "dimension", "mean"),
    [
        (lambda u: 1.0 + jnp.sin(3.0 * u[:, 0]), 1, 1.0 + (1 - np.cos(3.0)) / 3),
        (lambda u: jnp.where(u[:, 0] < 1 / 3, 1.0, 5.0), 1, 1 / 3 + 10 / 3),  # a jump that is at no end of a cell
        (lambda u: jnp.sqrt(u[:, 0]), 1, 2 / 3),
        (lambda u: u[:, 0] ** 2 + u[:, 0] * u[:, 1], 2, 1 / 3 + 1 / 4),
        (lambda u: jnp.where(u[:, 0] < 1 / np.pi, 1.0, 3.0) * (1.0 + u[:, 1]), 2, 1.5 * (3.0 - 2.0 / np.pi)),
        (lambda u: jnp.abs(u[:, 0] - u[:, 1]), 2, 1 / 3),  # a kink along the diagonal
        (lambda u: u[:, 0] * u[:, 1] * u[:, 2], 3, 1 / 8),
        (lambda u: 2.5 + 0.0 * u[:, 0], 2, 2.5),
    ],
)
def test_tables_of_densities(density, dimension, mean):
    table = AreaTable(density, dimension)
    assert table.mean == pytest.approx(mean, rel=1e-5)
    unit = sobol(jax.random.key(0), 2**16, dimension, jnp.float64)
    points = table(unit)
    assert float(points.min()) >= 0.0 and float(points.max()) <= 1.0
    places = np.asarray(sobol(jax.random.key(1), 2**16, dimension, jnp.float64))
    weights = np.asarray(density(jnp.asarray(places)))
    for power in (1, 2, 5):
        expected = np.average(places**power, axis=0, weights=weights)
        np.testing.assert_allclose(np.mean(np.asarray(points) ** power, axis=0), expected, rtol=2e-3)
    single = table(unit.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, points, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torus", "turned and stretched", "spline", "bent pipe", "simplex", "cut twice"])
def test_float32(name):
    shape = ALL[name]
    for piece in shape.surfaces():
        unit = jnp.asarray(np.random.default_rng(0).random((500, len(shape.names) - 1)))
        X, normals = piece.sample(unit, shape.names)
        with jax.enable_x64(False):
            fresh = type(piece)(piece.name, piece.measure, piece.shape, piece.part, piece.where)
            single, outward = fresh.sample(jnp.asarray(unit, jnp.float32), shape.names)
            inside = shape.inside(jnp.asarray(np.asarray(X - 1e-3 * shape.size * normals), jnp.float32))
        assert single.dtype == outward.dtype == jnp.float32
        np.testing.assert_allclose(single, X, atol=2e-3 * shape.size)
        np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1.0, atol=1e-5)
        np.testing.assert_array_equal(inside, shape.inside(X - 1e-3 * shape.size * normals))


@pytest.mark.slow
def test_inside_a_spline_by_a_fine_polygon():
    """Points a billionth of the size from the curve are on their side, those farther away on that of a polygon's."""
    unit = jnp.linspace(0.0, 1.0, 20001)[:-1, None]
    X, normals = SPLINE.surface_points(0, unit)
    step = 1e-9 * SPLINE.size
    assert bool(SPLINE.inside(X - step * normals).all()) and not bool(SPLINE.inside(X + step * normals).any())
    polygon = pk.Polygon(x=np.asarray(X)[:, 0].tolist()[::20], y=np.asarray(X)[:, 1].tolist()[::20])
    points = jnp.asarray(np.random.default_rng(0).uniform(-2.0, 2.5, (4000, 2)))
    far = jnp.sqrt(jnp.min(jnp.sum((points[:, None] - X[None, ::20]) ** 2, axis=2), axis=1)) > 0.01
    np.testing.assert_array_equal(SPLINE.inside(points)[far], polygon.inside(points)[far])
    # It goes through its points, whichever way round they are given, and its tangent is that by differences.
    reverse = pk.ClosedSpline(x=SPLINE.points[::-1, 0], y=SPLINE.points[::-1, 1])
    for shape in (SPLINE, reverse):
        nearest = jnp.min(
            jnp.linalg.norm(shape.surface_points(0, unit)[0][:, None] - SPLINE.points[None], axis=2), axis=0
        )
        assert float(nearest.max()) < 1e-3
        ahead, behind = (shape.surface_points(0, unit[1:-1] + s)[0] for s in (1e-6, -1e-6))
        assert (
            float(jnp.abs(jnp.sum((ahead - behind) / 2e-6 * shape.surface_points(0, unit[1:-1])[1], axis=1)).max())
            < 1e-4
        )
    assert reverse.surfaces()[0].measure == pytest.approx(SPLINE.surfaces()[0].measure, rel=1e-9)


@pytest.mark.slow
def test_names():
    assert {p.name for p in CONE.surfaces()} == {"z-", "side"}
    ring = pk.Polygon(z=[0, 0, 1, 1], s=[0, 1, 1, 0], name="part").revolved(s=("x", "y"))
    assert ring.names == ("z", "x", "y") and [p.name for p in ring.surfaces()] == ["part1", "part2", "part3"]
    half = pk.Disk(r=2.0, z=0.0, radius=1.0).named("top", where=lambda r, z: z > 0.0)
    domain = as_domain(half.revolved(r=("x", "y")))
    X, _ = domain.boundary("top").place(sobol(jax.random.key(0), domain.boundary("top").size(500), 2, jnp.float64), 500)
    assert float(X[:, 2].min()) > 0.0
    line = pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.2, name="wall", ends="flat")
    assert {p.name for p in line.surfaces()} == {"wall", "end1", "end2"}
    domain = as_domain(line)
    X, normals = domain.boundary("end1").place(
        sobol(jax.random.key(0), domain.boundary("end1").size(50), 1, jnp.float64), 50
    )
    assert np.all(X[:, 0] == 0.0) and np.all(np.asarray(normals) == [-1.0, 0.0])
    back = pk.ThickLine(x=[0, 1, 0.5], y=[0, 0, 0], z=[0, 0, 0], width=0.2)  # it goes back the way it came
    assert as_domain(back).boundary("side").share > 0.3


class Base(pk.Problem):
    @pk.interior
    def poisson(self, u_laplacian):
        return u_laplacian + 1.0


class OnTorus(Base):
    domain = TORUS

    @pk.boundary("rim", hard=True)
    def held(self, u, x):
        return u - x


class OnEllipsoid(Base):
    domain = SHEARED

    @pk.boundary("rim", hard=True)
    def held(self, u, x, y):
        return u - x * y


class OnCone(Base):
    domain = CONE

    @pk.boundary("side", hard=True)
    def held(self, u):
        return u - 2.0

    @pk.boundary("z-", hard=True)
    def below(self, u, z):
        return u - 2.0 - z


class OnSimplex(Base):
    domain = EXACT["simplex"][0]

    @pk.boundary("face", hard=True)
    def held(self, u):
        return u


class OnCut(Base):
    domain = BALL.cut(normal={"x": 1.0, "y": 1.0}, through={"x": 0.2})

    @pk.boundary("cut", hard=True)
    def held(self, u, z):
        return u - z


@pytest.mark.slow
@pytest.mark.parametrize("cls", [OnTorus, OnEllipsoid, OnCone, OnSimplex, OnCut], ids=lambda cls: cls.__name__)
def test_hard_conditions(cls):
    own = objective(cls())
    fields = own.network.fields(random_parameters(own.network, 0))
    problem = own.network.problem
    for condition in problem.conditions():
        if not condition.mark.hard:
            continue
        region = problem.domain.boundary(condition.mark.target)
        unit = jnp.asarray(np.random.default_rng(0).random((region.size(500), len(region.free))))
        X = region.place(unit, 500)[0]
        values = {"u": fields(X)[:, 0]} | dict(zip(problem.domain.names, X.T, strict=True))
        residual = condition.method(problem, **{name: values[name] for name in condition.arguments})
        assert float(jnp.abs(residual).max()) < 1e-12 * max(float(jnp.abs(v).max()) for v in values.values())
    region = problem.domain.interior()
    X = region.place(jnp.asarray(np.random.default_rng(1).random((region.size(300), 3))), 300)[0]
    u = fields(X)[:, 0]
    assert float(jnp.ptp(u)) > 0.0 and bool(jnp.isfinite(u).all())
    assert bool(jnp.isfinite(jax.jit(jax.vmap(jax.hessian(lambda x: fields(x[None])[0, 0])))(X)).all())


@pytest.mark.slow
def test_a_rim_without_an_equation_is_not_hard():
    class OnSpline(Base):
        domain = SPLINE

        @pk.boundary("rim", hard=True)
        def held(self, u):
            return u

    refused(lambda: objective(OnSpline()), "has no equation")


class Drop(Base):
    domain = SPLINE

    @pk.boundary("rim")
    def rim(self, u, x, y):
        return u - self.exact(x, y)

    def exact(self, x, y):
        return -(x**2 + y**2) / 4.0


class Heated(Base):
    domain = pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.3, ends="flat")

    @pk.boundary("side")
    def side(self, u, x, y):
        return u - self.exact(x, y)

    @pk.boundary("end")
    def ends(self, u_n, x, y, n_x, n_y):
        return u_n + 0.5 * (x * n_x + y * n_y)

    def exact(self, x, y):
        return -(x**2 + y**2) / 4.0


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Drop, Heated])
def test_solved_by_collocation(cls):
    solution = pk.solve(cls(), accuracy=1e-4)
    assert solution.errors["u"].relative_l2 < 1e-4


@pytest.mark.slow
def test_trained_on_a_torus():
    class Heated(OnTorus):
        """The source is that of u = x + rho^2, with the distance rho from the middle of the tube."""

        @pk.interior
        def poisson(self, u_laplacian, x, y):
            return u_laplacian - 4.0 - 2.0 * (1.0 - 2.0 / jnp.hypot(x - 1.0, y))

        @pk.boundary("rim", hard=True)
        def held(self, u, x):
            return u - x - 0.25

        def exact(self, x, y, z):
            return x + (jnp.hypot(x - 1.0, y) - 2.0) ** 2 + (z - 0.5) ** 2

    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=60),), sampling=pk.Sampling(interior=300))
    solution = pk.train(Heated(), model=pk.MLP(width=8, depth=2), recipe=recipe, verify="no")
    assert solution.errors["u"].relative_l2 < 1e-2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pk.Polygon(r=[0, 1, 1], z=[0, 0, 1]).revolved(), "is not revolved by {}"),
        (lambda: pk.Polygon(r=[0, 1, 1], z=[0, 0, 1]).revolved(q=("x", "y")), "A shape in r, z is not revolved by"),
        (lambda: pk.Polygon(r=[0, 1, 1], z=[0, 0, 1]).revolved(r=("x", "z")), "not among the others"),
        (lambda: pk.Polygon(r=[0, 1, 1], z=[0, 0, 1]).revolved(r=("x", "x")), "is not revolved by"),
        (lambda: pk.Polygon(r=[0, 1, 1], z=[0, 0, 1]).revolved(r="xy"), "is not revolved by"),
        (lambda: pk.Polygon(r=[-1, 1, 1], z=[0, 0, 1]).revolved(r=("x", "y")), "r down to -1 is not revolved"),
        (lambda: BALL.cut(normal={"x": 0.0}, through={"x": 0.0}), "normal of the cut is zero"),
        (lambda: BALL.cut(normal={"w": 1.0}, through={"x": 0.0}), "'w' in normal"),
        (lambda: BALL.cut(normal={"x": 1.0}, through={"v": 0.0}), "'v' in through"),
        (lambda: BALL.cut(normal={"x": 1.0}, through={"x": 2.0}), "lies behind it"),
        (lambda: BALL.cut(normal={"x": 1.0}, through={"x": -2.0}), "reverse its normal"),
        (lambda: pk.Torus(x=0.0, y=0.0, radius=1.0, tube=0.5), "2 centre coordinates"),
        (lambda: pk.Torus(x=0.0, y=0.0, z="0", radius=1.0, tube=0.5), "The centre z of the Torus"),
        (lambda: pk.Torus(x=0.0, y=0.0, z=0.0, radius=0.0, tube=0.5), "The radius of the Torus"),
        (lambda: pk.Torus(x=0.0, y=0.0, z=0.0, radius=1.0, tube=1.0), "tube of the Torus"),
        (lambda: pk.Cylinder(x=0.0, y=0.0, z=0.0, radius=1.0), "coordinates of the Cylinder"),
        (lambda: pk.Cylinder(x=0.0, y=0.0, z=(1.0, 0.0), radius=1.0), "coordinates of the Cylinder"),
        (lambda: pk.Cylinder(x=0.0, y=None, z=(0.0, 1.0), radius=1.0), "The centre y of the Cylinder"),
        (lambda: pk.Cylinder(x=0.0, y=0.0, z=(0.0, 1.0), radius=-1.0), "The radius of the Cylinder"),
        (lambda: pk.Cone(x=0.0, y=(0.0, 1.0), z=(0.0, 1.0), radii=(1.0, 0.0)), "coordinates of the Cone"),
        (lambda: pk.Cone(x=0.0, y=0.0, z=(0.0, 1.0), radii=(0.0, 0.0)), "radii of the Cone"),
        (lambda: pk.Cone(x=0.0, y=0.0, z=(0.0, 1.0), radii=(1.0, -1.0)), "radii of the Cone"),
        (lambda: pk.Ellipsoid(x=0.0, y=0.0, z=0.0, semi_axes=(1.0, 2.0)), "3 centre coordinates and 2 semi-axes"),
        (lambda: pk.Ellipsoid(x=0.0, y=0.0, z=0.0, semi_axes=(1.0, 2.0, 0.0)), "A semi-axis of the Ellipse"),
        (lambda: pk.Simplex(x=[0, 1, 0], y=[0, 0, 1], z=[0, 0, 0]), "Simplex has 3 coordinates with 3, 3, 3 numbers"),
        (lambda: pk.Simplex(), "Simplex has 0 coordinates"),
        (lambda: pk.Simplex(x=[0, 1, 2], y=[0, 1, 2]), "no volume"),
        (lambda: pk.Simplex(x=[0, 1, None], y=[0, 1, 2]), "A corner's x of the Simplex"),
        (lambda: pk.ThickLine(x=[0], y=[0], width=0.1), "at least 2 corners"),
        (lambda: pk.ThickLine(x=[0, 1], y=[0, 1], width=0.1, closed=True), "at least 3 corners"),
        (lambda: pk.ThickLine(x=[0, 1], width=0.1), "ThickLine has 1 coordinates"),
        (lambda: pk.ThickLine(x=[0, 1], y=[0, 1], width=0.0), "The width of the ThickLine"),
        (lambda: pk.ThickLine(x=[0, 1], y=[0, 1], width=0.1, ends="square"), "'square'"),
        (lambda: pk.ThickLine(x=[0, 1], y=[0, np.nan], width=0.1), "A corner's y of the ThickLine"),
        (lambda: pk.ThickLine(x=[0, 1, 1], y=[0, 2, 2], width=0.1), "twice in a row, at (1, 2)"),
        (lambda: pk.ThickLine(x=[0, 1, 0], y=[0, 2, 0], width=0.1, closed=True), "connects the last with the first"),
        (lambda: pk.ClosedSpline(x=[0, 1], y=[0, 1]), "at least three points"),
        (lambda: pk.ClosedSpline(x=[0, 1, 0], y=[0, 0, "1"]), "A point's y of the ClosedSpline"),
        (lambda: pk.ClosedSpline(x=[0, 1, 1, 0], y=[0, 0, 1, 0]), "twice in a row, at (0, 0)"),
        (lambda: pk.ClosedSpline(x=[0, 1, 0, 1], y=[0, 1, 1, 0]), "meets itself near (0.5"),
    ],
)
def test_messages(make, words):
    refused(make, words)
