"""Work in parallel on several devices: the mesh of cores, sums over tiles of points, and matrices sharded by rows."""
