"""Colour thresholds: profiles that ship with Polynya, and labels from profiles."""
