"""The keys that Segmentation Gym documents, each declared once.

A key says how it is read, what the recipe does for it, and what the table in docs/gym.md says.
"""

from __future__ import annotations

from polynya.recipe.gym import answers
from polynya.recipe.gym.answers import flip, never, of_unet, rate, same
from polynya.recipe.gym.config import Fate, Key
from polynya.recipe.gym.values import (
    Reader,
    devices,
    loss,
    loss_weights,
    number,
    one_of,
    remap,
    size,
    text,
    truth,
    whole,
)

_SHARE = number(0.0, 0.999, "a number from 0 to less than 1")
_CHANGE = number(-1.0, 1.0, "a number from -1 to 1")
_RATE = number(1e-12, 100.0, "a number greater than 0")
_DEVICES = "devices are no matter of a recipe: set CUDA_VISIBLE_DEVICES, and start a rank for each"


def _program(name: str, about: str, read: Reader, reason: str) -> Key:
    """A key of the Gym's program that changes no result."""
    return Key(name, about, read, never(reason), "", reason, Fate.REFUSED)


GROUPS: dict[str, tuple[Key, ...]] = {
    "Model": (
        Key("TARGET_SIZE", "rows and columns of images", size, answers.target_size,
            "tiles.size, inference.size, inference.window; images: imports.size",
            "approximated if not square, or with images: padding is at the right and the bottom",
            is_required=True),
        Key("MODEL", "network", one_of(*answers.MODELS), answers.model, "model.name",
            "segformer is approximated: it begins with random weights; satunet is an error",
            is_required=True),
        Key("NCLASSES", "number of classes", whole(1, 254), answers.n_classes, "classes",
            "1 means binary: two classes", is_required=True),
        Key("N_DATA_BANDS", "number of bands", whole(1, 64), answers.n_data_bands,
            "scene.inputs, features.statistics",
            "1 and 2 are approximated: newer versions of the Gym repeat one band three times",
            is_required=True),
        Key("FILTERS", "filters of the first block", whole(1, 1024),
            of_unet("model.filters", "FILTERS"), "model.filters", "refused with segformer",
            default=6),
        Key("KERNEL", "edge of the kernels", whole(1, 63), answers.kernel, "model.kernel",
            "2 in the simple networks, whatever it says; refused with segformer", default=7),
        Key("STRIDE", "stride of the blocks that lead down", whole(1, 4), answers.stride,
            "model.stride", "approximated if not 2; refused with simple networks and segformer",
            default=2),
        Key("DROPOUT", "dropout rate", _SHARE, of_unet("model.dropout", "DROPOUT"),
            "model.dropout", "refused with segformer", default=0.1),
        Key("DROPOUT_CHANGE_PER_LAYER", "added to the rate after each block", _CHANGE,
            of_unet("model.dropout_change", "DROPOUT_CHANGE_PER_LAYER"), "model.dropout_change",
            "refused with segformer", default=0.0),
        Key("DROPOUT_TYPE", "standard, or spatial: whole channels", one_of("standard", "spatial"),
            of_unet("model.dropout_type", "DROPOUT_TYPE"), "model.dropout_type",
            "refused with segformer", default="standard"),
        Key("USE_DROPOUT_ON_UPSAMPLING", "dropout on the way up too", truth,
            of_unet("model.dropout_up", "USE_DROPOUT_ON_UPSAMPLING"), "model.dropout_up",
            "refused with segformer", default=False),
    ),
    "Training": (
        Key("BATCH_SIZE", "images of a batch", whole(1), same("training.batch_size", "BATCH_SIZE"),
            "training.batch_size", is_required=True),
        Key("LOSS", "dice, cat, kld or hinge", loss, answers.loss, "training.loss",
            "names that begin with cat or k count as these", default="crossentropy"),
        Key("LOSS_WEIGHTS", "weights of the classes in the Dice loss", loss_weights,
            answers.loss_weights, "training.class_weights",
            "approximated: another constant factor, which Adam cancels; refused with other losses",
            default=False),
        Key("MAX_EPOCHS", "epochs", whole(1), answers.max_epochs, "training.epochs",
            "less INITIAL_EPOCH", is_required=True),
        Key("PATIENCE", "epochs without a better validation loss before the end", whole(1),
            answers.patience,
            "training.early_stopping, training.monitor", default=10),
        Key("VALIDATION_SPLIT", "share of images that validate", _SHARE, answers.validation_split,
            "split.held_out; images: split.validation", "with npz, the folder val_data validates",
            default=0.2),
        Key("MAX_LR", "greatest learning rate", _RATE, answers.max_lr, "training.learning_rate",
            default=1e-4),
        Key("START_LR", "learning rate of the first epoch", _RATE,
            rate("training.schedule.start", "START_LR"),
            "training.schedule.start", "as a share of MAX_LR", default=1e-7),
        Key("MIN_LR", "learning rate that the decay comes to", _RATE,
            rate("training.schedule.end", "MIN_LR"),
            "training.schedule.end", "as a share of MAX_LR", default=1e-7),
        Key("RAMPUP_EPOCHS", "epochs from START_LR to MAX_LR", whole(0),
            same("training.schedule.ramp", "RAMPUP_EPOCHS"), "training.schedule.ramp", default=20),
        Key("SUSTAIN_EPOCHS", "epochs at MAX_LR", whole(0),
            same("training.schedule.sustain", "SUSTAIN_EPOCHS"), "training.schedule.sustain",
            default=0),
        Key("EXP_DECAY", "factor of an epoch in the decay",
            number(1e-6, 0.999999, "a number between 0 and 1"),
            same("training.schedule.decay", "EXP_DECAY"), "training.schedule.decay", default=0.9),
        Key("HOT_START", "weights to begin with", text, answers.hot_start, "training.start_from",
            "layers fit by name: files of Polynya, not of the Gym; needs INITIAL_EPOCH",
            Fate.APPROXIMATED),
        Key("INITIAL_EPOCH", "epoch of the schedule to begin with", whole(0),
            same("training.schedule.initial_epoch", "INITIAL_EPOCH"),
            "training.schedule.initial_epoch", default=0),
        Key("DO_TRAIN", "train, or evaluate only", truth, answers.do_train, "",
            "false is refused: `polynya evaluate` scores a trained model", default=True),
    ),
    "Data set": (
        Key("ROOT_STRING", "beginning of the names of files", text, answers.root_string,
            "imports.prefix", "refused with images"),
        Key("MODE", "files that train: all, aug or noaug", one_of("all", "aug", "noaug"),
            answers.mode, "imports.augmented", "aug is approximated: images without changes too",
            default="all"),
        Key("REMAP_CLASSES", "new class of each number in the labels", remap,
            answers.remap_classes, "images: imports.codes",
            "npz files have it; approximated if a number changes twice"),
        Key("FILTER_VALUE", "radius in pixels by which labels are dilated, from 2", whole(0, 255),
            answers.filter_value, "images: imports.dilate; npz: imports.overlap",
            "npz files have it, approximated where classes of a copy overlap; with images"
            " approximated: before images get their size", default=0),
        Key("USEMASK", "names of labels have mask in them, not label", truth, answers.use_mask,
            "images: imports.masks", default=False),
        Key("AUG_COPIES", "augmented copies of each image", whole(0), answers.copies,
            "imports.augmented", "approximated without copies: training augments", default=1),
        Key("AUG_ROT", "greatest rotation in degrees", number(0.0, 180.0, "a number, 0 to 180"),
            answers.rotation, "training.augment.rotation", "npz: in the copies", default=0.0),
        Key("AUG_ZOOM", "greatest zoom as a share", number(0.0, 3.0, "a number, 0 to 3"),
            answers.zoom, "training.augment.zoom",
            "npz: in the copies; approximated: rows and columns alike", default=0.0),
        Key("AUG_WIDTHSHIFT", "greatest shift along columns, a share, or pixels from 1",
            number(0.0, 16384.0, "a number from 0"), answers.shift, "training.augment.shift",
            "npz: in the copies; approximated if the two differ", default=0.0),
        Key("AUG_HEIGHTSHIFT", "greatest shift along rows", number(0.0, 16384.0, "a number from 0"),
            answers.shift, "training.augment.shift", "see AUG_WIDTHSHIFT", default=0.0),
        Key("AUG_HFLIP", "flips from left to right", truth,
            flip("training.augment.flip_horizontal", "AUG_HFLIP"),
            "training.augment.flip_horizontal", "npz: in the copies", default=False),
        Key("AUG_VFLIP", "flips from top to bottom", truth,
            flip("training.augment.flip_vertical", "AUG_VFLIP"),
            "training.augment.flip_vertical", "npz: in the copies", default=False),
    ),
    "Prediction": (
        Key("TESTTIMEAUG", "average the probabilities of four flips", truth, answers.test_time,
            "inference.tta, inference.merge", default=False),
        Key("OTSU_THRESHOLD", "Otsu's threshold for two classes, else 0.5", truth, answers.otsu,
            "inference.threshold", "refused with more classes", default=False),
        Key("WRITE_MODELMETADATA", "write probabilities and names of models too", truth,
            answers.write_metadata, "inference.products",
            "a GeoTIFF of probabilities, and the STAC item", Fate.APPROXIMATED,
            default=False),
    ),
    "Program": (
        _program("DOPLOT", "pictures of the results", truth,
                 "`polynya predict --products overlay` draws pictures of maps"),
        _program("SET_GPU", "GPUs that the Gym uses, -1 for none", devices, _DEVICES),
        _program("SET_PCI_BUS_ID", "order of GPUs", truth, _DEVICES),
        _program("LOAD_DATA_WITH_CPU", "keep the input off the GPU", truth,
                 "the input never uses the GPU"),
        _program("CLEAR_MEMORY", "free memory after each epoch", truth,
                 "a training keeps nothing of an epoch"),
        _program("DO_CRF", "refine maps with a conditional random field", truth,
                 "the Gym has removed it"),
        _program("AUG_LOOPS", "portions in which copies are made", whole(1),
                 "it only changes the memory that the Gym needs"),
    ),
}  # fmt: skip
"""All keys, by group."""

KEYS: dict[str, Key] = {key.name: key for group in GROUPS.values() for key in group}
