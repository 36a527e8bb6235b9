"""Speed of mapping, and whether maps show the borders of their windows."""
