"""Facts of a network that follow from its graph: sizes, work, what a pixel sees, a drawing."""
