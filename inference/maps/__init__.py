"""Maps that are there already: found and read, brought to one grid, overlaps resolved."""
