from autolabel.filters.illumination.sky import estimate_sky as estimate_sky
from autolabel.labels import filter_image as filter_image
from autolabel.labels import label_image as label_image
from inference.predict.predict import open_model as load_model
from inference.predict.predict import predict_scene as predict_scene
from inference.report.page import make_report as make_report
from polynya.recipe.recipe import load_recipe as load_recipe
from polynya.scenes.finding import find_scenes as find_scenes
from polynya.scenes.reading import open_scene as open_scene
from polynya.scenes.reading import read_scene as read_scene
from polynya.scenes.xarrays import to_xarray as to_xarray
from polynya.shards.dataset import open_shards as open_shards
from training import losses as losses
from training import metrics as metrics
from training.models import build as build_model

__all__ = [
    "build_model",
    "estimate_sky",
    "filter_image",
    "find_scenes",
    "label_image",
    "load_model",
    "load_recipe",
    "losses",
    "make_report",
    "metrics",
    "open_scene",
    "open_shards",
    "predict_scene",
    "read_scene",
    "to_xarray",
]

__version__: str
