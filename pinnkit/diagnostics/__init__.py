"""Diagnostics of a network at initialisation, predicted and measured: one module per diagnostic, one interface."""
