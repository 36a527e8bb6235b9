"""Experiment tracking: what trackers are told of a training, and a module for each tracker."""
