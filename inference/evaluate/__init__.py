"""Comparison of maps with truth."""
