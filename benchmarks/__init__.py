"""Measurements that are repeated whenever a method changes; docs/benchmarks.md says how."""
