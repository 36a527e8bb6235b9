"""The recipe: every key of it, its checks, and reading it from YAML."""
