"""Products of a scene's map: one module per kind of file."""
