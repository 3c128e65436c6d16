"""Reference solutions in float64 and tables of measured or computed values; NumPy and SciPy only."""
