"""Exports: labels of shards as data sets of other programs, one module a kind."""
