"""Additional data of a scene: land, other layers, users' own labels."""
