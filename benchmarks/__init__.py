"""Benchmarks, to repeat whenever a method changes; docs/benchmarks.md describes them."""
