"""Helpers that all benchmarks share."""
