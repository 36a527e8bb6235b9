"""Runs on machines that nobody here has, from the costs of measured ones."""
