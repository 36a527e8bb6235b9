"""Checks of labelled tiles: one module each, its `CHECK` in `registry.CHECKS`."""
