"""Products of a scene's map: one module a kind of file."""
