"""One training step: the graph that each rank runs, and the exchange between ranks."""
