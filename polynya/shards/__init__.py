"""Shards: labelled tiles as a Parquet data set."""
