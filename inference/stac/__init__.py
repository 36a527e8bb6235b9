"""STAC items and a collection of the products."""
