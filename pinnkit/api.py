"""The names of `import pinnkit as pk`: all that a problem file or a notebook uses."""

from pinnkit.errors import UsageError
from pinnkit.exporting import Exported, Exporter
from pinnkit.exporting.animation import Animate
from pinnkit.exporting.int8 import Int8
from pinnkit.exporting.netcdf import NetCDF
from pinnkit.exporting.stablehlo import StableHLO
from pinnkit.exporting.table import CSV
from pinnkit.exporting.vtk import VTK
from pinnkit.models import MLP, Model, ModifiedMLP, PirateNet, ResNet, Transformer
from pinnkit.neural_operators import Autoencoder, DenseED, NeuralOperator
from pinnkit.objective.collocation import Sampling
from pinnkit.optim import (
    LBFGS,
    SOAP,
    SPRING,
    Adam,
    Auto,
    LevenbergMarquardt,
    Muon,
    Optax,
    Optimiser,
    SSBroyden,
    Tangent,
)
from pinnkit.parallel.devices import use_all_cores
from pinnkit.problem import (
    Annulus,
    Ball,
    Block,
    Box,
    Disk,
    Ellipse,
    Interval,
    Mesh,
    ParameterAxis,
    Periodic,
    Polygon,
    Problem,
    Rectangle,
    Sector,
    Shape,
    Surface,
    Table,
    at,
    boundary,
    data,
    feature,
    initial,
    interior,
    quantity,
    table,
    unknown,
)
from pinnkit.runs.calls import check, diagnose, load, solve, train, verify
from pinnkit.runs.solution import CollocatedSolution, Solution, TrainedSolution
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedule import Schedule
from pinnkit.training.schedules.curriculum import Curriculum
from pinnkit.training.schedules.windows import Windows
from pinnkit.training.tracker import Tracker
from pinnkit.verification.verification import Verification
from pinnkit.weighting import (
    NTK,
    Causality,
    GradientNorm,
    ResidualAttention,
    SelfAdaptive,
    VariationalAttention,
    Weighting,
)

__all__ = [
    "CSV",
    "LBFGS",
    "MLP",
    "NTK",
    "SOAP",
    "SPRING",
    "VTK",
    "Adam",
    "Animate",
    "Annulus",
    "Auto",
    "Autoencoder",
    "Ball",
    "Block",
    "Box",
    "Causality",
    "CollocatedSolution",
    "Curriculum",
    "DenseED",
    "Disk",
    "Ellipse",
    "Exported",
    "Exporter",
    "GradientNorm",
    "Int8",
    "Interval",
    "LevenbergMarquardt",
    "Mesh",
    "Model",
    "ModifiedMLP",
    "Muon",
    "NetCDF",
    "NeuralOperator",
    "Optax",
    "Optimiser",
    "ParameterAxis",
    "Periodic",
    "PirateNet",
    "Polygon",
    "Problem",
    "Recipe",
    "Rectangle",
    "ResNet",
    "ResidualAttention",
    "SSBroyden",
    "Sampling",
    "Schedule",
    "Sector",
    "SelfAdaptive",
    "Shape",
    "Solution",
    "StableHLO",
    "Surface",
    "Table",
    "Tangent",
    "Tracker",
    "TrainedSolution",
    "Transformer",
    "UsageError",
    "VariationalAttention",
    "Verification",
    "Weighting",
    "Windows",
    "at",
    "boundary",
    "check",
    "data",
    "diagnose",
    "feature",
    "initial",
    "interior",
    "load",
    "quantity",
    "solve",
    "table",
    "train",
    "unknown",
    "use_all_cores",
    "verify",
]
