"""What every stage of Polynya shares: recipes, scenes, tiles, classes, shards and errors."""

__version__ = "0.1.0"
