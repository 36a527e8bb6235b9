"""STAC items and the STAC collection of the products."""
