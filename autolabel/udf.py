"""The paper's way: a user-defined function of Spark labels each image of a DataFrame.

    images = spark.read.format("image").load("tiles/")
    labels = images.select("image.origin", label_udf("published")("image").alias("label"))

For scenes use the job (`autolabel/job.py`): it sends no pixels through the JVM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autolabel.labels import Method, label_image
from autolabel.thresholds.profiles import Profile

if TYPE_CHECKING:
    from pyspark.sql import Column

_OPENCV_8UC3 = 16
"""Spark's image schema names pixel types by OpenCV's codes; this one is 8-bit, three channels."""


def label_udf(
    method: Method = "illumination", profile: str | Profile = "ross-sea-summer"
) -> Callable[[Column | str], Column]:
    """Make a Spark function from an image to its label.

    Args:
        method: Thin-cloud and shadow filter, applied to each image alone. It works better on a
            whole scene than on a tile.
        profile: Colour thresholds: the name of a profile, or a profile.

    Returns:
        Function of a column of Spark's image schema (8-bit BGR). It returns bytes: uint8 class
        codes, (height, width) in C order; null for images of another type or damaged images.
    """
    from pyspark.sql.functions import pandas_udf

    def label_images(images: pd.DataFrame) -> pd.Series:
        return pd.Series([_label(image, method, profile) for image in images.itertuples()])

    return pandas_udf(label_images, "binary")


def _label(image: Any, method: Method, profile: str | Profile) -> bytes | None:
    if image.mode != _OPENCV_8UC3:
        return None
    bgr = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    return label_image(
        np.ascontiguousarray(bgr[..., ::-1]), method=method, profile=profile
    ).tobytes()
