"""The per-image function on a DataFrame of images, with Spark's own image reader."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import pytest
from conftest import ice_image

from autolabel import label_image
from autolabel.udf import label_udf


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    yield session
    session.stop()


def test_each_image_gets_its_label_and_other_types_none(tmp_path, spark):
    images = {f"{n}.png": ice_image(40, 30 + n, n) for n in range(3)}
    for name, image in images.items():
        cv2.imwrite(str(tmp_path / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "grey.png"), images["0.png"][..., 0])
    frame = spark.read.format("image").load(str(tmp_path))
    rows = frame.select("image.origin", label_udf("published")("image").alias("label")).collect()
    assert len(rows) == 4
    for row in rows:
        name = row.origin.rsplit("/", 1)[1]
        if name == "grey.png":
            assert row.label is None
            continue
        labels = np.frombuffer(row.label, np.uint8).reshape(images[name].shape[:2])
        assert (labels == label_image(images[name], method="published")).all()
