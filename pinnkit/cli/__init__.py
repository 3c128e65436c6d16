"""The command line: the only place that knows of it."""
