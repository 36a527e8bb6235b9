"""Groups of tiles, splits that keep groups together, and the file of a split."""
