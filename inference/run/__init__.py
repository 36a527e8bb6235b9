"""From many scenes to maps: products, names and engines."""
