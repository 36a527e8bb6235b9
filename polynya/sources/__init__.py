"""Where scenes come from: Earth Engine, STAC, SAFE products and files, listed and fetched alike.

See docs/scenes.md. `polynya.sources.run` has the whole run, one module a source lists its items.
"""
