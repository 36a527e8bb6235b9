"""The filter `illumination`: light and haze of a whole scene, found and taken out."""
