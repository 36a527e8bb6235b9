"""Section `training` of the recipe: how a model is trained, and on how many ranks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from polynya.errors import RecipeError
from polynya.recipe.base import Options, Positive, Share
from polynya.recipe.loss import CrossEntropyOptions, LossOptions
from polynya.recipe.metrics import MetricsOptions
from polynya.recipe.optimisation import (
    AdamOptions,
    AveragingOptions,
    ConstantOptions,
    OptimizerOptions,
    PlateauOptions,
    ScheduleOptions,
)
from polynya.recipe.sampling import EachOptions, SamplingOptions
from polynya.recipe.tracking import TrackerOptions, as_list
from polynya.recipe.weights import WeightsOptions

ClassWeight = Annotated[float, Field(ge=0.0, le=1e6)]
GreyLevel = Annotated[float, Field(ge=0.0, le=255.0)]


class HorovodOptions(Options):
    """Exchange between ranks by Horovod; without effect on a single rank."""

    reduction: Literal["sum", "adasum"] = "sum"
    """How gradients of ranks are joined. sum: the gradient of the global batch, exact for any
    number of ranks. adasum: mean gradients of the ranks, added where they differ and averaged where
    they agree; needs MPI and a power of 2 as number of ranks (S. Maleki et al., "Scaling
    distributed training with adaptive summation", 2020)."""
    compression: Literal["none", "fp16", "bf16"] = "none"
    """Number format of gradients during the exchange. fp16 and bf16 halve the bytes; they keep
    eleven and eight significant bits of each number."""
    fusion_mb: Annotated[float, Field(ge=0.0, le=1e6)] | None = None
    """Greatest size in MB of small gradients that are sent together; 0 sends each alone. Default: 1
    without GPUs (`training/ranks/cpu_defaults.py`), Horovod's default with GPUs."""
    timeline: str | None = None
    """File for Horovod's timeline (a trace for chrome://tracing), in the model's folder or at an
    absolute path. Default: none."""
    autotune: bool = False
    """Let Horovod choose its cycle time and fusion size during the first steps."""

    @model_validator(mode="after")
    def _adasum_knows_no_bfloat16(self) -> HorovodOptions:
        if self.reduction == "adasum" and self.compression == "bf16":
            raise ValueError("compression 'bf16' is for reduction 'sum' only; take none or fp16")
        return self


class CheckpointOptions(Options):
    """Checkpoints, from which an interrupted training can continue."""

    every_epochs: Positive | None = 1
    """Number of epochs between checkpoints; null: no checkpoints at the end of epochs."""
    every_steps: Positive | None = None
    """Number of steps between checkpoints, counted over all epochs; null: no checkpoints within
    epochs."""
    keep: Positive = 2
    """Number of last checkpoints to keep; older ones are deleted."""


Zoom = Annotated[float, Field(ge=0.25, le=4.0)]
Fill = Literal["nodata", "reflect"]
"""What rotation, zoom and shift bring in from outside a tile."""


class AugmentOptions(Options):
    """Random changes of the training tiles, different for each batch. Off by default."""

    dihedral: bool = False
    """Flips and rotations by right angles, of image and label together."""
    dihedral_share: Share = 1.0
    """Share of tiles that `dihedral` may change."""
    flip_horizontal: Share = 0.0
    """Share of tiles that are flipped from left to right."""
    flip_vertical: Share = 0.0
    """Share of tiles that are flipped from top to bottom."""
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Greatest rotation about the tile's centre, in both directions, in degrees."""
    zoom: tuple[Zoom, Zoom] = (1.0, 1.0)
    """Range of the factor of enlargement."""
    shift: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Greatest shift along rows and columns, as a share of the tile's edge."""
    warp_share: Share = 1.0
    """Share of tiles that rotation, zoom and shift change."""
    fill: Fill = "nodata"
    """Pixels that rotation, zoom or shift bring in from outside the tile. reflect: those of the
    tile, reflected at its edge, with their labels."""
    haze: Share = 0.0
    """Share of tiles with simulated thin cloud (additive, towards white)."""
    haze_strength: tuple[Share, Share] = (0.1, 0.6)
    """Range of the greatest opacity of haze in a tile."""
    shade: Share = 0.0
    """Share of tiles with simulated shadow (multiplicative)."""
    shade_strength: tuple[Share, Share] = (0.1, 0.7)
    """Range of the greatest share of light that shadow takes away in a tile."""
    cloud_size: tuple[
        Annotated[float, Field(ge=40.0)], Annotated[float, Field(ge=40.0, le=1e6)]
    ] = (80.0, 1500.0)
    """Range of the size of clouds and shadows in pixels."""
    cloud_brightness: tuple[GreyLevel, GreyLevel] = (195.0, 255.0)
    """Range of the brightness of opaque cloud."""
    displaced: Share = 0.5
    """Share of tiles with a shadow that is a displaced copy of their cloud. In other tiles the
    shadow has another shape, like the shadow of clouds outside the tile."""
    noise: Share = 0.0
    """Share of tiles with noise in every band."""
    noise_strength: tuple[GreyLevel, GreyLevel] = (0.0, 5.0)
    """Range of the standard deviation of the noise in a tile."""
    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Greatest change of brightness in both directions, as a share of white. Colours only, as
    contrast and hue."""
    brightness_share: Share = 1.0
    """Share of tiles whose brightness changes."""
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Greatest change, in both directions, of a factor on the distance from the tile's mean
    colour."""
    contrast_share: Share = 1.0
    """Share of tiles whose contrast changes."""
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Greatest turn of the hue in both directions, as a share of the colour circle."""
    hue_share: Share = 1.0
    """Share of tiles whose hue changes."""
    filter: Literal["none", "illumination"] = "none"
    """Filter that runs on each tile after all other changes, for a model that will see scenes after
    `inference.filter`. It uses a wide neighbourhood: use tiles as large as the scenes."""
    filter_share: Share = 0.75
    """Share of tiles that are filtered. The filter leaves some scenes unchanged, so the model must
    also learn from unfiltered cloud."""

    @field_validator(
        "zoom",
        "haze_strength",
        "shade_strength",
        "cloud_size",
        "cloud_brightness",
        "noise_strength",
    )
    @classmethod
    def _range_rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] < value[0]:
            raise ValueError("the second value must not be smaller than the first")
        return value


class InputOptions(Options):
    """How ranks read tiles from the shards (docs/input.md)."""

    cache: Literal["memory", "disk", "none"] = "memory"
    """Where a run keeps its decoded tiles. memory: in memory that all ranks of a machine share.
    disk: in one file per machine, which later runs use again. none: nowhere; each rank decodes its
    own tiles when it needs them, for data sets larger than the memory and disk of a machine."""
    folder: str | None = None
    """Folder for the files of cache "disk", on a local disk of the machine; default: the folder
    "tiles" in $POLYNYA_CACHE or ~/.cache/polynya."""
    shuffle_buffer: Positive = 2048
    """Number of tiles in the shuffle buffer of a rank, with cache "none"."""


class TrainingOptions(Options):
    """Optimisation; the defaults are the values of the paper."""

    epochs: Positive = 50
    start_from: WeightsOptions | None = None
    """Weights to start from: a Keras file, a URL with its checksum, or the folder of a model;
    what doesn't fit is left out and named (docs/models.md). Default: random weights."""
    freeze_encoder_epochs: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Number of epochs in which the encoder keeps its weights, with the moving statistics of its
    batch normalisation; then all weights train, and the optimizer starts again."""
    batch_size: Positive = 32
    """Number of tiles in a batch of one rank."""
    accumulate: Positive = 1
    """Number of batches with gradients that a rank adds up before the exchange between ranks. A
    step has ranks x accumulate x batch_size tiles."""
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    """Learning rate for one rank; see `learning_rate_scaling` for several ranks."""
    learning_rate_scaling: Literal["linear", "sqrt", "none"] = "linear"
    """Factor on the learning rate for N ranks: N, its square root, or 1."""
    warmup_epochs: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    """Number of epochs in which the learning rate rises from zero."""
    schedule: ScheduleOptions = ConstantOptions()
    """Learning rate after the warm-up: constant, cosine (to zero at the end), plateau (times
    `plateau_factor` after `plateau_epochs` without a better score), step, one_cycle, ramp or
    restarts."""
    plateau_epochs: Positive = 5
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    optimizer: OptimizerOptions = AdamOptions()
    """Optimizer, which turns gradients into changes of weights: adam, adamw, nadam, sgd or
    rmsprop."""
    averaging: AveragingOptions | None = None
    """Stochastic weight averaging: keep the mean of the weights of several moments instead of the
    best epoch (docs/training.md); null: no averaging."""
    clip_norm: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    """Greatest Euclidean norm of all gradients of a step together; a greater norm is scaled down.
    Default: no limit."""
    loss: LossOptions = CrossEntropyOptions()
    """Function that training minimises: crossentropy, binary_crossentropy, focal, dice, jaccard,
    tversky, jdt, lovasz, hinge, kullback_leibler, or a weighted sum of several."""
    class_weights: (
        Literal["none", "balanced", "square_root", "one_minus_share"]
        | tuple[Annotated[float, Field(ge=0.0, le=1e6)], ...]
    ) = "none"
    """Factor of each class in the loss: of its pixels, or of the class in a mean over classes.
    balanced: pixels of all classes / (classes x pixels of the class), counted on the training
    scenes; masks in the same way, so one mask alone has the weight 1. square_root: the root of
    balanced. one_minus_share: 1 - pixels of the class / pixels of all classes. Or give one number
    per class, in the order of codes."""
    shuffle: bool = True
    """Use a new order of the tiles in each epoch."""
    sampling: SamplingOptions = EachOptions()
    """Tiles of an epoch (docs/splits.md): each of them once, or drawn with replacement so that
    classes are balanced or by features."""
    monitor: Literal["mean_iou", "mean_f1", "accuracy", "loss"] = "mean_iou"
    """Validation score that decides which epoch is the best and is kept. Without validation scenes,
    the training loss decides."""
    early_stopping: Positive | None = None
    """Number of epochs without a better score after which training ends; null: never."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the layers; weights, loss and optimizer are always float32. With float16 the
    loss is scaled up, so that small gradients don't vanish."""
    jit: bool = False
    """Compile forward and backward pass with XLA, without the exchange between ranks."""
    metrics: MetricsOptions = MetricsOptions()
    horovod: HorovodOptions = HorovodOptions()
    checkpoints: CheckpointOptions = CheckpointOptions()
    augment: AugmentOptions = AugmentOptions()
    input: InputOptions = InputOptions()
    tracking: tuple[TrackerOptions, ...] = ()
    """Experiment trackers that follow the training (docs/tracking.md): mlflow, tensorboard, or
    several. No digest includes it, because the model doesn't depend on who looks on."""

    @field_validator("tracking", mode="before")
    @classmethod
    def _one_tracker_is_a_list(cls, value: Any) -> Any:
        return as_list(value)

    @field_serializer("schedule")
    def _plain_schedules_go_by_their_name(self, value: Any) -> Any:
        """Write a schedule with default keys as its name, so that old digests stay the same."""
        return value.name if value == type(value)() else value.model_dump()

    @property
    def plateau(self) -> tuple[int, float] | None:
        """Epochs without a better score and the factor of a drop; None for other schedules."""
        if not isinstance(self.schedule, PlateauOptions):
            return None
        return (
            self.schedule.epochs or self.plateau_epochs,
            self.schedule.factor or self.plateau_factor,
        )

    @model_validator(mode="after")
    def _adasum_scales_by_itself(self) -> TrainingOptions:
        if self.horovod.reduction == "adasum" and self.learning_rate_scaling != "none":
            raise ValueError("horovod.reduction 'adasum' needs learning_rate_scaling 'none'")
        return self

    @model_validator(mode="after")
    def _averaging_has_a_moment(self) -> TrainingOptions:
        if self.averaging is None:
            return self
        before = self.averaging.epochs_before(self.epochs)
        left = self.epochs - before
        if left < 1 or (self.averaging.every_steps is None and left < self.averaging.every_epochs):
            raise RecipeError(
                f"The recipe key 'training.averaging' begins after {before} of {self.epochs} epochs"
                " and so has no moment to average; set 'training.averaging.start_epoch' or"
                " 'training.averaging.every_epochs' to less."
            )
        return self

    @model_validator(mode="after")
    def _drawn_tiles_are_decoded_before(self) -> TrainingOptions:
        if self.sampling != EachOptions() and self.input.cache == "none":
            raise RecipeError(
                f"The recipe key 'training.sampling' is '{self.sampling.name}', so tiles come in"
                " any order, and with 'training.input.cache' none each would be decoded alone; set"
                " 'training.input.cache' to memory or disk."
            )
        return self

    @model_validator(mode="after")
    def _losses_of_batches_add_up(self) -> TrainingOptions:
        if self.accumulate > 1 and not self.loss.adds_up:
            raise RecipeError(
                f"The recipe key 'training.accumulate' is {self.accumulate}, but the loss"
                f" '{self.loss.name}' of 'training.loss' is no mean over pixels or tiles, so the"
                " gradients of several batches can't be added; set 'training.accumulate' to 1 and"
                " 'training.batch_size' to more, or take a loss that is a mean over pixels or"
                " tiles: crossentropy, binary_crossentropy, focal, hinge, kullback_leibler, lovasz,"
                " or dice, jaccard, tversky or jdt with 'per_image: true'."
            )
        return self
