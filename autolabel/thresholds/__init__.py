"""Colour thresholds: profiles that ship, and labels from them."""
