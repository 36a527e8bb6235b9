"""How fast scenes become maps, and whether maps show the windows they were made of."""
