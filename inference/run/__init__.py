"""Many scenes to maps: which products, under which names, with which engine."""
