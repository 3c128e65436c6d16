"""Training: recipe, state, compiled step, loop, solution."""
