"""What a recipe does for the keys of Segmentation Gym, by the names of `keys.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polynya.errors import RecipeError
from polynya.recipe.gym.config import Answer, Config, approximated, carried, refused

_FAMILIES = {
    "unet": "gym_unet",
    "resunet": "gym_resunet",
    "simple_unet": "gym_simple_unet",
    "simple_resunet": "gym_simple_resunet",
    "segformer": "segformer",
}
MODELS = (*_FAMILIES, "satunet")
"""Networks that the Gym documents."""
_SIMPLE = ("simple_unet", "simple_resunet")
_SEGFORMER = "segformer"
_ZOOM = (0.25, 4.0)
"""Range of the recipe's key `training.augment.zoom`."""
_SHIFT = 0.99
_IN_THE_FILES = "the Gym has done it when it made the files"


def same(recipe_key: str, key: str) -> Callable[[Config], Answer]:
    """Make an answer that carries the value as it is."""
    return lambda config: carried({recipe_key: config[key]})


def never(reason: str) -> Callable[[Config], Answer]:
    """Make an answer for a key of the Gym's program that changes no result."""
    return lambda config: refused(reason)


def of_unet(recipe_key: str, key: str) -> Callable[[Config], Answer]:
    """Make an answer that carries the value to a U-Net as it is."""

    def answer(config: Config) -> Answer:
        if config["MODEL"] == _SEGFORMER:
            return refused("it changes nothing in the Gym's SegFormer")
        return carried({recipe_key: config[key]})

    return answer


# Model.


def target_size(config: Config) -> Answer:
    """Tiles are as large as images."""
    rows, columns = config["TARGET_SIZE"]
    keys: dict[str, Any] = {
        "tiles.size": max(rows, columns),
        "inference.size": [rows, columns],
        "inference.window": max(rows, columns),
    }
    if not config.has_npz:
        keys |= {
            "imports.size": [rows, columns],
            "imports.padding": "background",
            "imports.background": config.classes[0],
        }
    if rows != columns:
        reason = "tiles are square; what is padded has no label, and the loss leaves it out"
        return approximated(reason, keys)
    if not config.has_npz:
        reason = "padding is at the right and the bottom; the Gym puts the image into the middle"
        return approximated(reason, keys)
    return carried(keys)


def model(config: Config) -> Answer:
    """The family of the network."""
    name = config["MODEL"]
    if name not in _FAMILIES:
        raise RecipeError(
            f"its MODEL is {name}, an older network of the Gym that Polynya doesn't have; set MODEL"
            " to unet or resunet"
        )
    if name == _SEGFORMER:
        return approximated(
            "it begins with random weights; the Gym downloads some",
            {"model.name": _FAMILIES[name], "model.size": "b0"},
        )
    return carried({"model.name": _FAMILIES[name], "model.batch_norm": "local"})


def n_classes(config: Config) -> Answer:
    """Classes, which a configuration gives no names."""
    if config["NCLASSES"] == 1:
        return carried(reason="1 means binary: two classes, as the Gym builds its network")
    return carried()


def n_data_bands(config: Config) -> Answer:
    """Bands by number, standardised as the Gym does it when it reads the files."""
    bands = config["N_DATA_BANDS"]
    keys = {
        "scene.inputs": list(range(1, bands + 1)),
        "scene.zero_is_nodata": False,
        "features.scaling": "z_score",
        "features.statistics": "image_all_bands",
    }
    if bands < 3:
        return approximated("newer versions of the Gym repeat one band three times", keys)
    return carried(keys)


def kernel(config: Config) -> Answer:
    """Edge of kernels."""
    if config["MODEL"] in _SIMPLE:
        reason = "the Gym's simple networks have kernels of 2 x 2, whatever it says"
        return approximated(reason, {"model.kernel": 2})
    return of_unet("model.kernel", "KERNEL")(config)


def stride(config: Config) -> Answer:
    """Stride on the way down."""
    if config["MODEL"] in _SIMPLE:
        return refused("it changes nothing in the Gym's simple networks")
    if config["MODEL"] != _SEGFORMER and config["STRIDE"] != 2:
        reason = (
            "the Gym always repeats pixels twice on the way up, which fits a stride of 2 only; here"
            " as often as the stride says"
        )
        return approximated(reason, {"model.stride": config["STRIDE"]})
    return of_unet("model.stride", "STRIDE")(config)


# Training.


def loss(config: Config) -> Answer:
    """The loss; the Gym smooths Dice by 1e-5."""
    if config["MODEL"] == _SEGFORMER and config["LOSS"] != "crossentropy":
        reason = "the Gym trains its SegFormer with cross-entropy, whatever it says"
        return approximated(reason, {"training.loss": "crossentropy"})
    if config["LOSS"] == "dice":
        return carried({"training.loss": {"name": "dice", "smoothing": 1e-5}})
    return carried({"training.loss": config["LOSS"]})


def loss_weights(config: Config) -> Answer:
    """Weights of classes: 1 - f / sum f of their frequencies, or of the numbers that are given."""
    weights = config["LOSS_WEIGHTS"]
    if weights is False:
        return carried({"training.class_weights": "none"})
    if config["LOSS"] != "dice" or config["MODEL"] == _SEGFORMER:
        return refused("the Gym weighs the classes of the Dice loss only")
    reason = (
        "the Gym divides the weighted sum by the number of classes, the recipe by the sum of the"
        " weights: a constant factor, which Adam cancels"
    )
    if weights is True:
        return approximated(reason, {"training.class_weights": "one_minus_share"})
    if len(weights) != config.n_classes:
        raise RecipeError(
            f"its LOSS_WEIGHTS has {len(weights)} numbers and there are {config.n_classes} classes;"
            " give one number for each class"
        )
    return approximated(
        reason, {"training.class_weights": [1.0 - weight / sum(weights) for weight in weights]}
    )


def max_epochs(config: Config) -> Answer:
    """Epochs that are left."""
    first, last = config["INITIAL_EPOCH"], config["MAX_EPOCHS"]
    if first >= last:
        raise RecipeError(
            f"its INITIAL_EPOCH is {first} and its MAX_EPOCHS {last}, so no epoch is left; set"
            " MAX_EPOCHS to more"
        )
    reason = f"{first} of them are done (INITIAL_EPOCH)" if first else ""
    return carried({"training.epochs": last - first}, reason)


def patience(config: Config) -> Answer:
    """Early stopping by the validation loss."""
    return carried({"training.early_stopping": config["PATIENCE"], "training.monitor": "loss"})


def validation_split(config: Config) -> Answer:
    """The folder val_data, or a share of the images."""
    if config.has_npz:
        reason = f"{_IN_THE_FILES}: those in val_data validate"
        return carried({"split.held_out": "^val-"}, reason)
    return carried({"split.validation": config["VALIDATION_SPLIT"]})


def max_lr(config: Config) -> Answer:
    """The schedule and its greatest rate, for any number of ranks."""
    return carried(
        {
            "training.learning_rate": config["MAX_LR"],
            "training.learning_rate_scaling": "none",
            "training.schedule.name": "ramp",
        }
    )


def rate(recipe_key: str, key: str) -> Callable[[Config], Answer]:
    """Make an answer that carries a learning rate as a share of the greatest."""

    def answer(config: Config) -> Answer:
        if config[key] > config["MAX_LR"]:
            raise RecipeError(
                f"its {key} is {config[key]:g}, more than its MAX_LR, {config['MAX_LR']:g}; make it"
                " less"
            )
        # Without the last digits, which the division has made.
        return carried({recipe_key: float(f"{config[key] / config['MAX_LR']:.12g}")})

    return answer


def hot_start(config: Config) -> Answer:
    """Weights to begin with."""
    if not config.is_given("INITIAL_EPOCH"):
        raise RecipeError("it has HOT_START and no INITIAL_EPOCH, which the Gym needs too; add it")
    reason = (
        "layers fit by their names, as in model folders and files of Polynya; the Gym's own files"
        " name them otherwise"
    )
    return approximated(reason, {"training.start_from": config["HOT_START"]})


def do_train(config: Config) -> Answer:
    """Nothing: the command decides."""
    if config["DO_TRAIN"]:
        return carried(reason="`polynya train` trains")
    return refused("a recipe only says how to train; `polynya evaluate` scores a trained model")


# Data set.


def root_string(config: Config) -> Answer:
    """Files whose names begin like this."""
    if not config.has_npz:
        return refused("scenes are named by their images")
    return carried({"imports.prefix": config["ROOT_STRING"]})


def mode(config: Config) -> Answer:
    """Files that train; `copies` sets the keys."""
    if config["MODE"] == "aug":
        return approximated("the images without changes train too")
    return carried()


def remap_classes(config: Config) -> Answer:
    """Classes of the numbers in labels."""
    if config.has_npz:
        return carried(reason=_IN_THE_FILES)
    table, names = config["REMAP_CLASSES"], config.classes
    codes = {str(old): names[new] if new < len(names) else None for old, new in table.items()}
    chained = [old for old, new in table.items() if table.get(new, new) != new]
    if chained:
        reason = (
            f"the Gym replaces one number after the other, so {chained[0]} may change twice; here"
            " each changes once"
        )
        return approximated(reason, {"imports.codes": codes})
    return carried({"imports.codes": codes})


def filter_value(config: Config) -> Answer:
    """Dilation of labels. Of two classes the second grows; of more, the first that reaches wins."""
    radius = config["FILTER_VALUE"]
    if radius <= 1:
        return carried(reason="up to 1 it changes nothing")
    if config.has_copies:
        reason = f"{_IN_THE_FILES}; where classes of a copy overlap, the first of them counts"
        return approximated(reason, {"imports.overlap": "first"})
    if config.has_npz:
        return carried(reason=_IN_THE_FILES)
    names = config.classes[1:] if config.n_classes == 2 else tuple(reversed(config.classes))
    reason = "before images get their size; the Gym does it after"
    return approximated(reason, {"imports.dilate": dict.fromkeys(names, radius)})


def use_mask(config: Config) -> Answer:
    """The folder of labels."""
    if config.has_npz:
        return carried(reason=_IN_THE_FILES)
    folder = "masks" if config["USEMASK"] else "labels"
    return carried({"imports.masks": f"{folder}/{{stem}}.*"})


def copies(config: Config) -> Answer:
    """Augmented copies, or training that augments."""
    if config.has_copies:
        return carried({"imports.augmented": True}, "the copies are in the data set")
    if not config.augments:
        return refused("MODE is noaug, so copies are left out")
    reason = (
        "each epoch sees each image once, changed anew, instead of fixed copies; so an epoch is"
        " shorter"
    )
    return approximated(reason, {"training.augment.fill": "reflect"})


def _augmented(config: Config, answer: Answer) -> Answer:
    """Answer to a key of augmentation: in the copies, in training, or not at all."""
    if config.has_copies:
        return carried(reason="the copies in the data set have it")
    return answer if config.augments else refused("MODE is noaug, so copies are left out")


def rotation(config: Config) -> Answer:
    """Greatest rotation."""
    return _augmented(config, carried({"training.augment.rotation": config["AUG_ROT"]}))


def zoom(config: Config) -> Answer:
    """Range of the enlargement. The Gym draws 1 - z to 1 + z by which it divides it."""
    share = config["AUG_ZOOM"]
    least = max(_ZOOM[0], 1.0 / (1.0 + share))
    greatest = min(_ZOOM[1], 1.0 / (1.0 - share)) if share < 1.0 else _ZOOM[1]
    if not share:
        return _augmented(config, carried({"training.augment.zoom": [1.0, 1.0]}))
    reason = "rows and columns are enlarged alike; the Gym draws a factor for each"
    return _augmented(config, approximated(reason, {"training.augment.zoom": [least, greatest]}))


def shift(config: Config) -> Answer:
    """Greatest shift; from 1, the Gym takes it for pixels."""
    shifts = [
        config[key] / size if config[key] >= 1.0 else config[key]
        for key, size in zip(
            ("AUG_HEIGHTSHIFT", "AUG_WIDTHSHIFT"), config["TARGET_SIZE"], strict=True
        )
    ]
    keys = {"training.augment.shift": min(max(shifts), _SHIFT)}
    if shifts[0] == shifts[1]:
        return _augmented(config, carried(keys))
    reason = "rows and columns have one greatest shift, the greater of the two"
    return _augmented(config, approximated(reason, keys))


def flip(recipe_key: str, key: str) -> Callable[[Config], Answer]:
    """Make an answer for a flip, which half of the images get."""
    return lambda config: _augmented(config, carried({recipe_key: 0.5 if config[key] else 0.0}))


# Prediction.


def test_time(config: Config) -> Answer:
    """Mean of the probabilities of four flips."""
    if config["TESTTIMEAUG"]:
        return carried({"inference.tta": "flips", "inference.merge": "mean"})
    return carried({"inference.tta": "none"})


def otsu(config: Config) -> Answer:
    """Otsu's threshold for two classes."""
    if not config["OTSU_THRESHOLD"]:
        return carried(reason="the most probable class counts")
    if config.n_classes > 2:
        return refused("Otsu's method divides in two, and the Gym uses it for two classes only")
    return carried({"inference.threshold": "otsu"})


def write_metadata(config: Config) -> Answer:
    """Probabilities beside the maps."""
    if not config["WRITE_MODELMETADATA"]:
        return carried(reason="a map always has a STAC item that says where it comes from")
    reason = "probabilities are a GeoTIFF; the rest is in the STAC item"
    return approximated(reason, {"inference.products": ["probability"]})
