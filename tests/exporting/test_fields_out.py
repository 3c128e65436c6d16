"""Files of fields, read by the libraries that their users have, against the solution itself."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit

import pinnkit as pk
from pinnkit.exporting import sampled as sampling

meshio = pytest.importorskip("meshio")
xarray = pytest.importorskip("xarray")


class Rod(pk.Problem):
    """A rod in SI units that cools, with its exact solution."""

    k: float = 1e-5
    """diffusivity [m^2/s]"""

    fields = ("T",)
    units = {"T": "K", "x": "m", "t": "s", "flux": "K/m"}  # noqa: RUF012
    domain = pk.Box(t=(0.0, 500.0), x=(0.0, 0.2))

    @pk.quantity
    def flux(self, T_x):
        return -T_x

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - self.k * T_xx

    @pk.initial
    def start(self, T, x):
        return T - 10.0 * jnp.sin(jnp.pi * x / 0.2)

    @pk.boundary("x")
    def ends(self, T):
        return T

    def exact(self, t, x):
        return 10.0 * jnp.exp(-self.k * (jnp.pi / 0.2) ** 2 * t) * jnp.sin(jnp.pi * x / 0.2)


class Ring(pk.Problem):
    """A heated ring: the temperature falls with the logarithm of the radius."""

    fields = ("T",)
    domain = pk.Disk(x=0.0, y=0.0, radius=1.0, name="outer") - pk.Disk(x=0.0, y=0.0, radius=0.4, name="inner")

    @pk.interior
    def conduction(self, T_laplacian):
        return T_laplacian

    @pk.boundary("outer")
    def cold(self, T):
        return T

    @pk.boundary("inner")
    def hot(self, T):
        return T - 1.0

    vectors: ClassVar = {"flux": ("qx", "qy")}

    @pk.quantity
    def qx(self, T_x):
        return -2.0 * T_x

    @pk.quantity
    def qy(self, T_y):
        return -2.0 * T_y


class Decay(pk.Problem):
    domain = pk.Box(t=(0.0, 2.0))

    @pk.interior
    def decay(self, u, u_t):
        return u_t + u

    @pk.initial
    def start(self, u):
        return u - 1.0


class Cube(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0))

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary
    def walls(self, u, x, y, z):
        return u - x * y * z


@pytest.fixture(scope="module")
def rod():
    return pk.solve(Rod())


@pytest.fixture(scope="module")
def ring():
    return pk.solve(Ring(), accuracy=1e-3)


def read_vtu(file):
    """Points, cells with their kinds, and values, as ParaView's library reads them."""
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtk.vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(file))
    reader.Update()
    grid = reader.GetOutput()
    data = grid.GetPointData()
    values = {data.GetArrayName(k): vtk_to_numpy(data.GetArray(k)) for k in range(data.GetNumberOfArrays())}
    kinds = [grid.GetCellType(k) for k in range(grid.GetNumberOfCells())]
    corners = vtk_to_numpy(grid.GetCells().GetConnectivityArray()).reshape(len(kinds), -1)
    return vtk_to_numpy(grid.GetPoints().GetData()), corners, set(kinds), values


def test_a_dataset_has_fields_quantities_truth_error_units_and_the_verdict(rod):
    t, x = [0.0, 100.0], np.linspace(0.0, 0.2, 7)
    data = rod.to_xarray(t=t, x=x, quantities=["flux", "T_x"])
    own = rod(t=np.array(t)[:, None], x=x)["T"]
    np.testing.assert_array_equal(data["T"], own)
    np.testing.assert_allclose(data["flux"], -rod.at("T_x", t=np.array(t)[:, None], x=x)["T_x"])
    np.testing.assert_allclose(data["T_exact"], Rod().exact(*np.meshgrid(t, x, indexing="ij")))
    np.testing.assert_array_equal(data["T_error"], data["T"] - data["T_exact"])
    assert data["T"].dims == ("t", "x") and data["T"].attrs["units"] == "K" and data["x"].attrs["units"] == "m"
    assert data["flux"].attrs["units"] == "K/m" and data["T_error"].attrs["units"] == "K"
    assert data.attrs["verdict"] == rod.verdict and data.attrs["k"] == 1e-5 and data.attrs["k_unit"] == "m^2/s"
    assert float(data["T"].sel(t=100.0).sel(x=0.1, method="nearest")) == own[1, 3]


def test_axes_that_are_not_given_are_filled_and_one_value_is_one(rod):
    data = rod.to_xarray(t=100.0)
    assert dict(data.sizes) == {"t": 1, "x": 501}
    assert dict(rod.to_xarray().sizes) == {"t": 201, "x": 201}


def test_netcdf_is_read_back(rod, tmp_path):
    path = rod.to_netcdf(tmp_path / "rod.nc", x=np.linspace(0.0, 0.2, 5))
    with xarray.open_dataset(path) as data:
        assert data.equals(rod.to_xarray(x=np.linspace(0.0, 0.2, 5))) and data["T"].attrs["units"] == "K"


def test_csv_has_all_digits(rod, tmp_path):
    path = rod.to_csv(tmp_path / "rod.csv", t=[0.0, 50.0], x=np.linspace(0.0, 0.2, 4))
    table = np.genfromtxt(path, delimiter=",", names=True)
    assert table.dtype.names == ("t", "x", "T", "T_exact", "T_error")
    np.testing.assert_array_equal(table["T"], rod(t=table["t"], x=table["x"])["T"])


def test_points_and_blocks(rod, tmp_path, monkeypatch):
    t, x = np.random.default_rng(0).uniform(0.0, [[500.0], [0.2]], (2, 25))
    data = rod.to_xarray(points={"t": t, "x": x}, quantities="T_x")
    assert data["T"].dims == ("point",) and not data.indexes
    np.testing.assert_array_equal(data["T"], rod(t=t, x=x)["T"])
    monkeypatch.setattr(sampling, "BLOCK", 7)
    xarray.testing.assert_allclose(rod.to_xarray(points={"t": t, "x": x}, quantities="T_x"), data, atol=1e-12)
    line = rod.to_xarray(points={"x": [0.05, 0.1]}, t=[0.0, 500.0])
    assert line["T"].dims == ("t", "x")
    with pytest.warns(UserWarning, match="1 of 2 points lie outside the domain"):
        outside = rod.to_xarray(points={"t": [0.0, 0.0], "x": [0.1, 0.3]})
    assert np.isnan(outside["T"].values).tolist() == [False, True]


def test_times_are_files_with_an_index(rod, tmp_path):
    path = rod.to_vtk(tmp_path / "rod.vtu", t=[0.0, 100.0, 500.0], quantities=["flux"])
    assert path.suffix == ".pvd"
    steps = ElementTree.parse(path).getroot().findall("Collection/DataSet")
    assert [float(step.get("timestep")) for step in steps] == [0.0, 100.0, 500.0]
    for step in steps:
        X, corners, kinds, values = read_vtu(tmp_path / step.get("file"))
        assert kinds == {3} and corners.shape == (500, 2)  # lines
        np.testing.assert_allclose(values["T"], rod(t=float(step.get("timestep")), x=X[:, 0])["T"], atol=1e-9)
        assert {"flux", "T_exact", "T_error"} <= set(values)


def test_a_shape_is_triangulated_to_its_surface(ring, tmp_path):
    path = ring.to_vtk(tmp_path / "ring.vtu", quantities=["T_grad", "flux"])
    X, corners, kinds, values = read_vtu(path)
    assert kinds == {5} and path.name == "ring.vtu"  # triangles
    radius = np.hypot(X[:, 0], X[:, 1])
    assert abs(radius.min() - 0.4) < 1e-9 and abs(radius.max() - 1.0) < 1e-9
    np.testing.assert_allclose(values["T"], np.log(radius) / np.log(0.4), atol=1e-3)
    for vector in ("T_grad", "flux"):  # of three components, as viewers expect them
        assert values[vector].shape == (len(X), 3)
    np.testing.assert_array_equal(values["T_grad"][:, :2], np.stack([values["T_grad_x"], values["T_grad_y"]], axis=1))
    np.testing.assert_allclose(values["flux"], -2.0 * values["T_grad"], rtol=1e-12)
    np.testing.assert_allclose(values["T_grad_x"], X[:, 0] / radius**2 / np.log(0.4), atol=0.05)
    edges = X[corners[:, 1:], :2] - X[corners[:, :1], :2]
    np.testing.assert_allclose(np.abs(np.linalg.det(edges)).sum() / 2, np.pi * (1.0 - 0.16), rtol=1e-3)


def test_a_grid_in_a_shape_has_no_values_outside(ring, tmp_path):
    data = ring.to_xarray(x=np.linspace(-1.0, 1.0, 21), y=[0.0, 0.9])
    radius = np.hypot(*np.meshgrid(data["x"], data["y"], indexing="ij"))
    np.testing.assert_array_equal(np.isnan(data["T"]), (radius < 0.4 - 1e-9) | (radius > 1.0 + 1e-9))
    rows = np.genfromtxt(ring.to_csv(tmp_path / "r.csv", x=data["x"], y=data["y"]), delimiter=",", names=True)
    assert len(rows) == int((~np.isnan(data["T"])).sum())
    X, *_ = read_vtu(ring.to_vtk(tmp_path / "grid.vtu", x=np.linspace(-1, 1, 41), y=np.linspace(-1, 1, 41)))
    assert np.hypot(X[:, 0], X[:, 1]).min() > 0.4 - 1e-9


def test_a_mesh_of_ones_own(ring, rod, tmp_path):
    points = np.array([[0.5, 0.0, 0.0], [0.9, 0.0, 0.0], [0.6, 0.5, 0.0], [0.0, 0.0, 0.0]])
    meshio.Mesh(points, [("triangle", [[0, 1, 2]]), ("line", [[0, 1]])]).write(tmp_path / "part.vtk")
    X, _, kinds, values = read_vtu(ring.to_vtk(tmp_path / "out.vtu", mesh=tmp_path / "part.vtk"))
    assert kinds == {5} and len(X) == 3  # the node of no cell is left out
    np.testing.assert_allclose(values["T"], ring(x=X[:, 0], y=X[:, 1])["T"], atol=1e-12)
    meshio.Mesh(0.2 * points + 0.05, [("triangle", [[0, 1, 2]])]).write(tmp_path / "hole.vtk")
    with pytest.warns(UserWarning, match="1 of 1 cells of the mesh lie outside the domain"):
        ring.to_vtk(tmp_path / "out.vtu", mesh=tmp_path / "hole.vtk")
    refused(lambda: ring.to_vtk(tmp_path / "o.vtu", mesh=tmp_path / "nothing.msh"), "mesh cannot be read")
    refused(lambda: ring.to_vtk(tmp_path / "o.vtu", mesh=tmp_path / "part.vtk", x=0.5), "x is given twice")


@pytest.mark.slow
def test_boxes_of_three_coordinates(tmp_path):
    cube = pk.solve(Cube(), accuracy=1e-6)
    X, corners, kinds, values = read_vtu(
        cube.to_vtk(tmp_path / "cube.vtu", x=np.linspace(0, 1, 5), y=[0.0, 1.0], z=[0.0, 0.5])
    )
    assert kinds == {12} and corners.shape == (4, 8)  # hexahedra
    np.testing.assert_allclose(values["u"], np.prod(X, axis=1), atol=1e-8)
    edges = X[corners[:, [1, 3, 4]]] - X[corners[:, :1]]
    assert np.all(np.linalg.det(edges) > 0)  # in the order of VTK
    flat = read_vtu(cube.to_vtk(tmp_path / "flat.vtu", x=np.linspace(0, 1, 5), y=0.5, z=[0.0, 0.5]))
    assert flat[2] == {9}  # quadrilaterals


@pytest.mark.slow
def test_a_trained_network_and_its_intervals(tmp_path):
    recipe = pk.Recipe(stages=(pk.Adam(steps=3),))
    solution = pk.train(Rod(), model=pk.MLP(width=4, depth=1), recipe=recipe, verify="no")
    data = solution.to_xarray(t=[0.0, 500.0], x=np.linspace(0.0, 0.2, 5))
    np.testing.assert_array_equal(
        data["T"], solution(t=np.array([0.0, 500.0])[:, None], x=np.linspace(0.0, 0.2, 5))["T"]
    )
    written = solution.export(tmp_path, pk.NetCDF(grid="x=0:0.2:5,t=0"), pk.CSV(grid="x=0:0.2:5,t=0"))
    assert [path.name for path in written] == ["fields.nc", "fields.csv"]


def test_the_command_writes_fields_of_a_run_without_a_network(rod, tmp_path):
    folder = rod.save(tmp_path / "run")
    (tmp_path / "probes.csv").write_text("x,t,sensor\n0.1,10,3\n0.05,20,4\n")
    status, out, err = pinnkit(
        "export",
        folder,
        "--netcdf",
        "--csv",
        "--grid",
        "t=0:500:3,x=0.1",
        "--quantities",
        "flux",
        "T_x",
        "--out",
        tmp_path / "a",
    )
    assert status == 0, err
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"export.json", "fields.csv", "fields.nc"}
    with xarray.open_dataset(tmp_path / "a" / "fields.nc") as data:
        assert dict(data.sizes) == {"t": 3, "x": 1} and {"flux", "T_x"} <= set(data)
    assert re.search("3 rows", out)
    status, *_ = pinnkit("export", folder, "--csv", "--points", tmp_path / "probes.csv", "--out", tmp_path / "b")
    rows = np.genfromtxt(tmp_path / "b" / "fields.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["T"], rod(t=[10.0, 20.0], x=[0.1, 0.05])["T"])
    status, _, err = pinnkit("export", folder)
    assert status == 2 and "it has no network" in err
    status, _, err = pinnkit("export", folder, "--grid", "x=0")
    assert status == 2 and "--grid says where fields are written" in err


def test_messages(rod, ring, tmp_path, monkeypatch):
    refused(lambda: rod.to_xarray(z=[0.0]), "'z' is no coordinate", "one of t, x")
    refused(lambda: rod.to_xarray(points={"t": 0.0, "x": 0.1}, x=[0.0]), "x is given twice")
    refused(lambda: rod.to_xarray(x=["left"]), "is no number")
    refused(lambda: rod.to_xarray(x=[0.1], quantities=["speed"]), "speed")
    refused(lambda: rod.to_xarray(x=[5.0]), "None of the places lies in the domain")
    refused(lambda: pk.solve(Decay()).to_vtk(tmp_path / "d.vtu"), "is no mesh in space")
    refused(lambda: ring.to_vtk(tmp_path / "d.vtu", x=[-1.0, 1.0], y=[0.0, 0.5]), "No cell lies in the domain")
    for text in ("x=0:1", "x=0:1:1", "x=a", "x"):
        refused(lambda text=text: rod.export(tmp_path, pk.CSV(grid=text)), "in --grid is no axis")
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    refused(lambda: rod.export(tmp_path, pk.CSV(points=tmp_path / "p.csv")), "no column that is a coordinate")
    monkeypatch.setitem(sys.modules, "xarray", None)
    monkeypatch.setitem(sys.modules, "meshio", None)
    refused(lambda: rod.to_xarray(), "xarray is not installed", 'pip install "pinnkit[export]"')
    refused(lambda: rod.to_vtk(tmp_path / "r.vtu", t=0.0), "meshio is not installed")
