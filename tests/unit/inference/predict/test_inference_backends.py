"""What runs a model gives the same probabilities, to the rounding of its arithmetic."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from helpers.maps.inference_models import make_recipe, save_unet
from inference.predict.backends import open_forward
from inference.predict.predict import open_model
from polynya.errors import MissingDependencyError, ModelError
from polynya.recipe.inference import InferenceOptions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_model(save_unet(tmp_path_factory.mktemp("model"), make_recipe(32))).keras_model


IMAGES = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


# bfloat16 has 8 bits of mantissa, and errors add up over the layers.
@pytest.mark.parametrize(
    ("backend", "precision", "tolerance"),
    [("keras", "bfloat16", 0.05), ("openvino", "float32", 1e-4), ("openvino", "bfloat16", 0.05)],
)
def test_back_ends_agree(model, backend, precision, tolerance):
    expected = open_forward(model, InferenceOptions())(IMAGES)
    options = InferenceOptions(backend=backend, precision=precision)
    forward = open_forward(model, options)
    found = forward(IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=tolerance)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-3)
    # Its results are the caller's own, and it is made once.
    forward(np.zeros_like(IMAGES))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert open_forward(model, options) is forward


def test_a_missing_back_end_is_an_error_that_says_what_to_install(tmp_path, monkeypatch):
    other = open_model(save_unet(tmp_path / "model", make_recipe(32))).keras_model
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '.*\[openvino\]'"):
        open_forward(other, InferenceOptions(backend="openvino"))


@pytest.mark.parametrize(("backend", "precision"), [("keras", "bfloat16"), ("openvino", "float32")])
def test_an_answer_that_is_no_number_is_an_error(tmp_path, backend, precision):
    folder = save_unet(tmp_path / "model", make_recipe(32))
    model = open_model(folder).keras_model
    # In the last layer, as some processors' ReLU takes what is no number for 0.
    kernel, bias = model.get_layer("probabilities").get_weights()
    model.get_layer("probabilities").set_weights([np.full_like(kernel, np.inf), bias])
    forward = open_forward(model, InferenceOptions(backend=backend, precision=precision))
    with pytest.raises(ModelError, match="not finite numbers for a window"):
        forward(IMAGES)
