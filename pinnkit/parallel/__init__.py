"""Work shared among devices: the mesh of cores, sums over tiles of points, and matrices whose rows are shared."""
