"""Importers: data sets of images with labels that people already have, one module a kind."""
