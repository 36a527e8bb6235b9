"""The recipe: all its keys, their checks, and how it is read from YAML."""
