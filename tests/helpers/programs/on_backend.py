"""What models, losses, metrics and augmentation give on one back end of Keras, as arrays.

KERAS_BACKEND=jax python tests/helpers/programs/on_backend.py OUT.npz

Everything that is drawn at random comes from NumPy, so that back ends can be compared.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from polynya.recipe.base import tags_of
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.loss import LossOptions
from polynya.recipe.metrics import MetricName, MetricsOptions
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.training import AugmentOptions
from training.augment import augmentation_layers
from training.losses import build_loss, label_targets
from training.metrics import Tally
from training.metrics.base import Sample
from training.models import NETWORKS, build_from
from training.models.features import FeaturePlan, make_features

NODATA = SEA_ICE.nodata
TERMS = [{"loss": "binary_crossentropy"}, {"loss": "dice", "weight": 0.5}]
LOSSES: list[Any] = [
    *(name for name in tags_of(LossOptions, "name") if name != "sum"),
    *({"name": name, "binary": True} for name in ("focal", "hinge")),
    *({"name": name, "per_image": True, "classes": "present"} for name in ("dice", "jdt")),
    {"name": "sum", "terms": TERMS},
]
CHANGES: dict[str, dict[str, Any]] = {
    "dihedral": {"dihedral": True, "dihedral_share": 0.5},
    "flips": {"flip_horizontal": 0.5, "flip_vertical": 0.5},
    "warp": {"rotation": 30.0, "zoom": (0.8, 1.25), "shift": 0.1},
    "reflected": {"rotation": 30.0, "shift": 0.1, "fill": "reflect", "warp_share": 0.5},
    "sky": {"haze": 0.7, "shade": 0.7},
    "colours": {"brightness": 0.2, "contrast": 0.3, "hue": 0.1},
    "noise": {"noise": 0.7},
}


def with_gradients(function: Callable[[list[Any]], Any], arrays: list[Any]) -> list[np.ndarray]:
    """Call a function of a list of arrays, which returns a scalar and another array.

    Returns:
        Both, and the gradients of the scalar.
    """
    if keras.backend.backend() == "jax":
        import jax

        differentiated = compiled(jax.value_and_grad(function, has_aux=True))
        (value, other), gradients = differentiated(arrays)
        return [np.asarray(array) for array in (value, other, *gradients)]
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value, other = function(tensors)
    return [array.numpy() for array in (value, other, *tape.gradient(value, tensors))]


def a_batch(size: int, bands: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images with regions, float32 (2, size, size, bands), and labels, with nodata in both."""
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 3, (2, 4, 4)), np.ones((1, size // 4, size // 4)))
    labels = labels.astype(np.int32)
    images = labels[..., None] * 80 + rng.integers(1, 90, (2, size, size, bands))
    images[:, : size // 8], labels[:, : size // 8] = 0, NODATA
    return images.astype(np.float32), labels


def models(found: dict[str, np.ndarray]) -> None:
    """Probabilities, loss and gradients of a small model of each family, as in training."""
    for name in NETWORKS:
        options = parse_recipe({"model": {"name": name}}, "test").model
        options = parse_recipe({"model": smaller(options)}, "test").model
        # Of large multiples some cells must be left for batch normalisation.
        size = max(32, 2 * options.multiple)
        model = build_from(options, input_shape=(None, None, 3), n_classes=3)
        compare_model(f"model {name}", model, *a_batch(size), found)
    recipe = parse_recipe({"features": {"statistics": "image", "scaling": "z_score"}}, "test")
    features = make_features(FeaturePlan.of(recipe), None)
    options = parse_recipe({"model": smaller(recipe.model)}, "test").model
    model = build_from(
        options, input_shape=(None, None, 3), n_classes=3, activation="sigmoid", features=features
    )
    compare_model("model of features and masks", model, *a_batch(64), found)


def smaller(options: Any) -> dict[str, Any]:
    """Keys of a family for a small network without dropout."""
    keys = options.model_dump()
    for key, value in keys.items():
        if isinstance(value, (bool, str)):
            continue
        is_list = isinstance(value, (list, tuple))
        if "drop" in key and value is not None:
            keys[key] = [0.0] * len(value) if is_list else 0.0
        elif "filters" in key or key == "decoder":
            keys[key] = [4] * len(value) if is_list else min(4 if value is None else value, 4)
    small = {"encoder": "resnet18", "width": 0.125, "groups": 2}
    return keys | {key: value for key, value in small.items() if key in keys}


def compare_model(
    name: str, model: Any, images: Any, labels: Any, found: dict[str, np.ndarray]
) -> None:
    for number, weight in enumerate(model.weights):
        rng = np.random.default_rng([number, zlib.crc32(name.encode())])
        shape = tuple(weight.shape)
        if weight.path.endswith(("gamma", "moving_variance", "scale")):
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif weight.trainable:
            spread = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
            weight.assign(rng.normal(0, spread, shape))
    targets, valid = label_targets(labels, SEA_ICE)
    loss = build_loss(parse_recipe({}, "test").training.loss, n_classes=3)
    fixed = [variable.value for variable in model.non_trainable_variables]

    def of_weights(weights: list[Any]) -> Any:
        probabilities, _ = model.stateless_call(weights, fixed, images, training=True)
        return loss.value(loss.sums(targets, probabilities, valid)), probabilities

    weights = [keras.ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    value, answer, *gradients = with_gradients(of_weights, weights)
    found |= {f"{name}: loss": value, f"{name}: answer": answer}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        found[f"{name}: gradient of {variable.path}"] = gradient


def losses(found: dict[str, np.ndarray]) -> None:
    """Value of each loss, and its gradient for probabilities."""
    rng = np.random.default_rng(1)
    _, labels = a_batch(16)
    targets, valid = label_targets(labels, SEA_ICE)
    probabilities = (0.9 * rng.dirichlet((1, 1, 1), labels.shape) + 0.1 / 3).astype(np.float32)
    for spelling in LOSSES:
        options = parse_recipe({"training": {"loss": spelling}}, "test").training.loss
        loss = build_loss(options, n_classes=3, class_weights=(1.0, 0.5, 2.0))

        def of_probabilities(arrays: list[Any], loss: Any = loss) -> Any:
            sums = loss.sums(targets, arrays[0], valid)
            return loss.value(sums), sums

        arrays = with_gradients(of_probabilities, [probabilities])
        for part, array in zip(("value", "sums", "gradient"), arrays, strict=True):
            found[f"loss {spelling}: {part}"] = array


def metrics(found: dict[str, np.ndarray]) -> None:
    """Every metric of what a model answers."""
    names = MetricName.__args__  # type: ignore[attr-defined]
    tally = Tally(SEA_ICE, MetricsOptions(further=names))
    _, labels = a_batch(16)
    answers = np.random.default_rng(2).dirichlet((1, 1, 1), labels.shape).astype(np.float32)
    codes = keras.ops.convert_to_numpy(keras.ops.argmax(answers, axis=-1))
    for truth, code, answer in zip(labels, codes, answers, strict=True):
        tally.add(Sample(truth.astype(np.uint8), code.astype(np.uint8), SEA_ICE, answer))
    for name, value in tally.together().items():
        found[f"metric {name}"] = np.asarray(value)


def augmentation(found: dict[str, np.ndarray]) -> None:
    """Images and labels after each change; of bands with gaps where they are possible."""
    images, labels = a_batch(32)
    gaps = np.where(images % 7 == 0, np.nan, images).astype(np.float32)
    for name, keys in CHANGES.items():
        for kind, pixels in (("colours", images), ("bands", gaps)):
            layers = augmentation_layers(
                AugmentOptions(**keys), nodata=NODATA, seed=0, has_gaps=kind == "bands"
            )

            def change(arrays: list[Any], layers: list[Any] = layers) -> Any:
                draw_from(np.random.default_rng(3))
                for layer in layers:
                    arrays = layer(*arrays)
                return arrays

            if layers:
                changed = compiled(change)([pixels, labels])
                for part, array in zip(("image", "label"), changed, strict=True):
                    found[f"{name} of {kind}: {part}"] = keras.ops.convert_to_numpy(array)


def compiled(function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Compile a function for JAX, which takes long for operations one by one."""
    if keras.backend.backend() != "jax":
        return lambda arrays: function([keras.ops.convert_to_tensor(array) for array in arrays])
    import jax

    return jax.jit(function)


def draw_from(rng: np.random.Generator) -> None:
    """Let layers draw from NumPy; the numbers of back ends differ."""

    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, **_: Any) -> Any:
        return keras.ops.convert_to_tensor(rng.uniform(minval, maxval, shape).astype(np.float32))

    def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, **_: Any) -> Any:
        return keras.ops.convert_to_tensor(rng.normal(mean, stddev, shape).astype(np.float32))

    keras.random.uniform, keras.random.normal = uniform, normal


def main(out: str) -> None:
    found: dict[str, np.ndarray] = {}
    for part in (losses, metrics, models, augmentation):
        part(found)
    # TensorFlow imports JAX where it finds it; JAX needs nothing else.
    if keras.backend.backend() == "jax":
        assert not {"tensorflow", "torch"} & set(sys.modules)
    np.savez(out, **{f"{number:05d}": array for number, array in enumerate(found.values())})
    with open(f"{out}.json", "w", encoding="utf-8") as file:
        json.dump(list(found), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
