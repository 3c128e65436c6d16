"""Figures of solutions, trainings and diagnoses, and the tables of the terminal."""
