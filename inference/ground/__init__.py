"""The position of a map's pixels on the ground: coordinates, areas, the footprint."""
