"""Training on ranks: efficiency, traffic, overhead, a model of large runs, and one GPU alone."""
