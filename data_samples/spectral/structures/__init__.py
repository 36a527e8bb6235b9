"""Kinds of ground: each module draws some, as `data_samples.spectral.surfaces.Ground`."""
