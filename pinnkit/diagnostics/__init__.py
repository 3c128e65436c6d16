"""What is measured and judged: the check before training, accuracy after it, intervals of unknowns."""
