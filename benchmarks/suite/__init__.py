"""All benchmarks that `make bench` runs, in one list: docs/benchmarks.md."""
