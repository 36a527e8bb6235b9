"""How fast scenes become labelled tiles, on one core and on many: docs/benchmarks.md."""
