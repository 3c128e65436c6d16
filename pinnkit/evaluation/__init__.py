"""The accuracy of trained networks: errors against the truth, intervals of unknown parameters, the verdict."""
