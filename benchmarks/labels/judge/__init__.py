"""Grow the judge of the illumination filter, and measure it on what it hasn't seen."""
