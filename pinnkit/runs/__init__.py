"""Runs: a problem with its network and recipe, the folder that it is trained into, and the solution that comes out."""
