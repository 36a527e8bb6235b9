"""Satellite scenes in; labelled tiles, a trained segmentation model and georeferenced maps out.

The names below are what programs and notebooks need; `__init__.pyi` has their types. Each is
imported when it is first used, so `import polynya` loads neither TensorFlow nor Spark nor GDAL.
"""

from polynya.environment import settle_geodata
from polynya.lazy import lazy_names

__version__ = "0.1.0"

# rasterio reads these variables when it is imported, by whichever module, process or worker.
settle_geodata()

# The stages build on this package, so it names them by text and imports none of them itself.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "build_model": "training.models:build",
        "estimate_sky": "autolabel.filters.illumination.sky:estimate_sky",
        "filter_image": "autolabel.labels:filter_image",
        "find_scenes": "polynya.scenes.finding:find_scenes",
        "label_image": "autolabel.labels:label_image",
        "load_model": "inference.predict.predict:open_model",
        "load_recipe": "polynya.recipe.recipe:load_recipe",
        "losses": "training.losses",
        "make_report": "inference.report.page:make_report",
        "metrics": "training.metrics",
        "open_scene": "polynya.scenes.reading:open_scene",
        "open_shards": "polynya.shards.dataset:open_shards",
        "predict_scene": "inference.predict.predict:predict_scene",
        "read_scene": "polynya.scenes.reading:read_scene",
        "to_xarray": "polynya.scenes.xarrays:to_xarray",
    },
)
