"""`polynya split`, and descriptors of tiles by a network."""
