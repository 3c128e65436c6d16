"""Neural operators: maps from input fields to solution fields on the cells of a grid, trained by the equations alone.

Everything specific to them is in this folder. `kind.py` is its interface to the rest of pinnkit, see `pinnkit/runs/kinds.py`.
"""

from pinnkit.neural_operators.networks import NETWORKS
from pinnkit.neural_operators.networks.autoencoder import Autoencoder
from pinnkit.neural_operators.networks.dense_ed import DenseED
from pinnkit.neural_operators.problem import NeuralOperator

__all__ = ["NETWORKS", "Autoencoder", "DenseED", "NeuralOperator"]
