"""How good a trained network is: errors against the truth, intervals of unknown parameters, the verdict."""
