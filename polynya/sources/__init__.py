"""Sources of scenes: Earth Engine, STAC, SAFE products and files, with the same commands for all.

See docs/scenes.md. `polynya.sources.run` does a whole run. Each source has a module that lists its
items.
"""
