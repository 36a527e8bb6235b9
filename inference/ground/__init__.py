"""Where pixels of a map lie on the ground: coordinates, areas, the footprint."""
