"""Opening rasters safely: GDAL's settings, companion files and references are controlled."""
