"""Opening rasters safely, with GDAL's settings, companions and references under control."""
