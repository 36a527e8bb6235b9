"""Classes of all pixels of a scene, from windows that a model sees."""
