"""The classes and decorators of a problem file: Problem, conditions, domains, unknown parameters; and finding such files."""

from pinnkit.problem.axes import Axis, ParameterAxis, Periodic
from pinnkit.problem.closed_spline import ClosedSpline
from pinnkit.problem.conditions import Condition, at, boundary, data, feature, initial, interior, quantity
from pinnkit.problem.domain import Box, Region
from pinnkit.problem.find import available_problems, find, package_problems_folder, problem_class
from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.meshes import Mesh
from pinnkit.problem.problem import Problem, same_parameters, validate
from pinnkit.problem.shapes import (
    Annulus,
    Ball,
    Block,
    Disk,
    Ellipse,
    Ellipsoid,
    Interval,
    Polygon,
    Rectangle,
    Sector,
    Simplex,
)
from pinnkit.problem.solids_of_revolution import Cone, Cylinder, Torus
from pinnkit.problem.table_functions import Table, table
from pinnkit.problem.thick_lines import ThickLine
from pinnkit.problem.unknown import Unknown, unknown

__all__ = [
    "Annulus",
    "Axis",
    "Ball",
    "Block",
    "Box",
    "ClosedSpline",
    "Condition",
    "Cone",
    "Cylinder",
    "Disk",
    "Ellipse",
    "Ellipsoid",
    "Interval",
    "Mesh",
    "ParameterAxis",
    "Periodic",
    "Polygon",
    "Problem",
    "Rectangle",
    "Region",
    "Sector",
    "Shape",
    "Simplex",
    "Surface",
    "Table",
    "ThickLine",
    "Torus",
    "Unknown",
    "at",
    "available_problems",
    "boundary",
    "data",
    "feature",
    "find",
    "initial",
    "interior",
    "package_problems_folder",
    "problem_class",
    "quantity",
    "same_parameters",
    "table",
    "unknown",
    "validate",
]
