"""Benchmark of tiles with labels: how long they take to import and to inspect."""
