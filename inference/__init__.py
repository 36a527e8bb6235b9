"""Stage 3: a trained model over whole scenes, to georeferenced class maps."""

from typing import TYPE_CHECKING

from polynya.lazy import lazy_names

if TYPE_CHECKING:
    from inference.predict.predict import Prediction, predict_bands, predict_scene

__all__ = ["Prediction", "predict_bands", "predict_scene"]

# Lazy imports, so that `--help` doesn't wait for OpenCV and GDAL.
__getattr__, __dir__ = lazy_names(
    __name__, {name: f"inference.predict.predict:{name}" for name in __all__}
)
