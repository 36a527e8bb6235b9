"""Stage 2: from labelled tiles to a segmentation model, on one rank or many."""
