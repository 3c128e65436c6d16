"""Checks before training: mistakes, oversights, initial sizes of the terms, and the initial state of the network."""
