"""What every source says of a scene, and the scene file that comes of it."""
