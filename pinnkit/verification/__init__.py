"""Verification of a solution by an independent method: least-squares collocation with series."""
