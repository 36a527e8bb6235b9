"""Boosted decision trees on single pixels: a baseline for networks, in folders like theirs."""
