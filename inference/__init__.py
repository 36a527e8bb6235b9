"""Stage 3: a trained model over whole scenes, to georeferenced class maps."""

from inference.predict import Prediction, predict_bands, predict_scene

__all__ = ["Prediction", "predict_bands", "predict_scene"]
