"""Start ranks, tell them what to train, and measure them."""
