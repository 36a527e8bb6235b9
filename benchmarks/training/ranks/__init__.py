"""Ranks that are started, told what to train, and counted."""
