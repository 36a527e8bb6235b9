"""Simulate runs on machines that are not available, from the costs of measured runs."""
