"""Training: the recipe, the state, the compiled chunk of steps, the loop, and the schedules of several phases."""
