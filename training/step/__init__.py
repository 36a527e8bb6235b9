"""One step: the graph that each rank runs and what ranks exchange."""
