"""The classes and decorators of a problem file: Problem, conditions, domains, unknown parameters; and finding such files."""

from pinnkit.problem.axes import Axis, ParameterAxis, Periodic
from pinnkit.problem.conditions import Condition, at, boundary, data, feature, initial, interior, quantity
from pinnkit.problem.domain import Box, Region
from pinnkit.problem.find import available_problems, find, package_problems_folder, problem_class
from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.meshes import Mesh
from pinnkit.problem.problem import Problem, same_parameters, validate
from pinnkit.problem.shapes import Annulus, Ball, Block, Disk, Ellipse, Interval, Polygon, Rectangle, Sector
from pinnkit.problem.table_functions import Table, table
from pinnkit.problem.unknown import Unknown, unknown

__all__ = [
    "Annulus",
    "Axis",
    "Ball",
    "Block",
    "Box",
    "Condition",
    "Disk",
    "Ellipse",
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
    "Surface",
    "Table",
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
