"""`polynya serve`: maps as tiles for a page and for GIS, on this machine only."""
