"""What every stage of Polynya shares: recipes, scenes, tiles, classes, shards and errors."""

from polynya.environment import settle_geodata

__version__ = "0.1.0"

# rasterio reads these variables when it is imported, by whichever module, process or worker.
settle_geodata()
