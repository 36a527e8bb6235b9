"""`polynya split`, descriptors of tiles by a network, and subsets of a split."""
