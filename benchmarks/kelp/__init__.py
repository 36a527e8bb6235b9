"""Benchmark of tiles like those of kelp forests: faults, groups, splits, and what helps."""
