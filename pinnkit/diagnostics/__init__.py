"""The theory of the start, predicted and measured: one module per diagnostic, all with one interface."""
