"""Measured runs: the scenes, the machines that label them, and their times."""
