"""Prediction: the classes of all pixels of a scene, from the windows that a model sees."""
