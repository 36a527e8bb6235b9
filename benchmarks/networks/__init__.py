"""Comparison of networks: accuracy, time, memory and size of each in one run."""
