"""What lies beside a scene or its colours: land, other layers, labels that people have."""
