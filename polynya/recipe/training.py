"""Section `training` of the recipe: how a model is trained, and on how many ranks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from polynya.errors import RecipeError
from polynya.recipe.base import Options, Positive, Share
from polynya.recipe.loss import CrossEntropyOptions, LossOptions
from polynya.recipe.optimisation import (
    AdamOptions,
    ConstantOptions,
    OptimizerOptions,
    PlateauOptions,
    ScheduleOptions,
)

ClassWeight = Annotated[float, Field(ge=0.0, le=1e6)]
GreyLevel = Annotated[float, Field(ge=0.0, le=255.0)]


class HorovodOptions(Options):
    """What goes between ranks, and what Horovod notes of it. Nothing of it matters to one rank."""

    reduction: Literal["sum", "adasum"] = "sum"
    """sum: the gradient of the global batch, exact for any number of ranks. adasum: the ranks' own
    mean gradients, added where they differ and averaged where they agree; needs MPI and 2, 4, 8 ..
    ranks (S. Maleki et al., "Scaling distributed training with adaptive summation", 2020)."""
    compression: Literal["none", "fp16", "bf16"] = "none"
    """Gradients on their way between ranks; half the bytes, eight or eleven bits of each number."""
    fusion_mb: Annotated[float, Field(ge=0.0, le=1e6)] | None = None
    """Greatest size of small gradients that travel as one, MB; with 0 each travels alone. Default:
    1 without GPUs (`training/ranks/cpu_defaults.py`), with them Horovod's own."""
    timeline: str | None = None
    """File for Horovod's timeline (a trace for chrome://tracing), in the model's folder unless it
    is an absolute path."""
    autotune: bool = False
    """Let Horovod find its cycle time and fusion size during the first steps."""

    @model_validator(mode="after")
    def _adasum_knows_no_bfloat16(self) -> HorovodOptions:
        if self.reduction == "adasum" and self.compression == "bf16":
            raise ValueError("compression 'bf16' is for reduction 'sum' only; take none or fp16")
        return self


class CheckpointOptions(Options):
    """What a training leaves behind while it goes on, so that it can be taken up again."""

    every_epochs: Positive | None = 1
    """After so many epochs; null: none at the end of an epoch."""
    every_steps: Positive | None = None
    """After so many steps of the whole training; null: none within an epoch."""
    keep: Positive = 2
    """Of the last ones; older ones go."""


Zoom = Annotated[float, Field(ge=0.25, le=4.0)]


class AugmentOptions(Options):
    """Random changes of the training tiles, drawn again for each batch. Off by default."""

    dihedral: bool = False
    """Flips and right-angle turns, image and label together."""
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Greatest angle of a turn about the tile's centre, either way, in degrees. What a turn, zoom
    or shift brings in from outside the tile is nodata."""
    zoom: tuple[Zoom, Zoom] = (1.0, 1.0)
    """Range of the factor by which things grow."""
    shift: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Greatest shift along rows and columns, as a share of the tile's edge."""
    haze: Share = 0.0
    """Share of tiles under simulated thin cloud (additive, towards white)."""
    haze_strength: tuple[Share, Share] = (0.1, 0.6)
    """Range of the greatest opacity of a tile's haze."""
    shade: Share = 0.0
    """Share of tiles under simulated shadow (multiplicative)."""
    shade_strength: tuple[Share, Share] = (0.1, 0.7)
    """Range of the greatest share of light that a tile's shadow takes away."""
    cloud_size: tuple[
        Annotated[float, Field(ge=40.0)], Annotated[float, Field(ge=40.0, le=1e6)]
    ] = (80.0, 1500.0)
    """Range of the size of clouds and shadows in pixels."""
    cloud_brightness: tuple[GreyLevel, GreyLevel] = (195.0, 255.0)
    """Range of the brightness of cloud that hides the ground."""
    displaced: Share = 0.5
    """Share of tiles whose shadow has the shape of their cloud, displaced; others have their own
    shape, as of clouds beyond the tile."""
    noise: Share = 0.0
    """Share of tiles with noise in every band."""
    noise_strength: tuple[GreyLevel, GreyLevel] = (0.0, 5.0)
    """Range of the standard deviation of a tile's noise."""
    filter: Literal["none", "illumination"] = "none"
    """Filter over each tile after all of these, for a model that sees what `inference.filter`
    leaves. It looks far around: take tiles as large as the scenes."""
    filter_share: Share = 0.75
    """Share of tiles that are filtered. On scenes that the filter stays out of, the model sees
    cloud as it is, so it must learn from that too."""

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
    """How tiles get from the shards to the ranks (docs/input.md)."""

    cache: Literal["memory", "disk", "none"] = "memory"
    """Where the decoded tiles are during a run, once a machine: in memory that its ranks share, in
    a file that later runs find again, or nowhere: ranks decode their own as they go, which is for
    data sets larger than a machine."""
    folder: str | None = None
    """Folder of the files of "disk", on a disk of the machine itself; default: tiles in
    $POLYNYA_CACHE, or in ~/.cache/polynya."""
    shuffle_buffer: Positive = 2048
    """Tiles of a rank among which "none" mixes those of different files."""


class TrainingOptions(Options):
    """Optimisation; the defaults are the paper's."""

    epochs: Positive = 50
    batch_size: Positive = 32
    """Tiles per rank at once."""
    accumulate: Positive = 1
    """Batches whose gradients a rank adds up before the ranks exchange them: a step has ranks x
    accumulate x batch_size tiles."""
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    """Of one rank; scaled with the number of ranks."""
    learning_rate_scaling: Literal["linear", "sqrt", "none"] = "linear"
    """Factor on the learning rate for N ranks: N, its square root, or 1."""
    warmup_epochs: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    """Epochs in which the learning rate rises from nothing."""
    schedule: ScheduleOptions = ConstantOptions()
    """Learning rate after the warm-up: constant, cosine (to zero at the end), plateau (times
    `plateau_factor` after `plateau_epochs` without a better score), step or one_cycle."""
    plateau_epochs: Positive = 5
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    optimizer: OptimizerOptions = AdamOptions()
    """What becomes of the gradients: adam, adamw, nadam, sgd or rmsprop."""
    clip_norm: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    """Greatest Euclidean norm of all gradients of a step together; longer ones are shortened."""
    loss: LossOptions = CrossEntropyOptions()
    """What is made as small as possible: crossentropy, binary_crossentropy, focal, dice, jaccard,
    or a weighted sum of some."""
    class_weights: (
        Literal["none", "balanced"] | tuple[Annotated[float, Field(ge=0.0, le=1e6)], ...]
    ) = "none"
    """Factor on the loss of a pixel by its class, or of the class itself in a mean over classes.
    balanced: valid pixels / (classes x pixels of the class), counted on the training scenes. Or one
    number a class, in the order of codes."""
    shuffle: bool = True
    """A new order of the tiles in each epoch."""
    monitor: Literal["mean_iou", "accuracy", "loss"] = "mean_iou"
    """Validation score whose best epoch is kept; the training loss where nothing validates."""
    early_stopping: Positive | None = None
    """Epochs without a better score after which training ends; null: never."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the layers; weights, loss and optimizer are always float32. float16 scales the
    loss up, so that small gradients don't vanish."""
    jit: bool = False
    """Compile forward and backward pass with XLA; the exchange between ranks stays outside."""
    horovod: HorovodOptions = HorovodOptions()
    checkpoints: CheckpointOptions = CheckpointOptions()
    augment: AugmentOptions = AugmentOptions()
    input: InputOptions = InputOptions()

    @field_serializer("schedule")
    def _plain_schedules_go_by_their_name(self, value: Any) -> Any:
        """As recipes had them before schedules had keys, which their digests know."""
        return value.name if value == type(value)() else value.model_dump()

    @property
    def plateau(self) -> tuple[int, float] | None:
        """Epochs without a better score and the factor after them; None for other schedules."""
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
    def _losses_of_batches_add_up(self) -> TrainingOptions:
        if self.accumulate > 1 and not self.loss.adds_up:
            raise RecipeError(
                f"The recipe key 'training.accumulate' is {self.accumulate}, but the loss"
                f" '{self.loss.name}' of 'training.loss' is no mean over pixels or tiles, so the"
                " gradients of several batches don't add up to its own; set 'training.accumulate'"
                " to 1 and 'training.batch_size' to more, or take a loss that is such a mean:"
                " crossentropy, binary_crossentropy, focal, or dice or jaccard with"
                " 'per_image: true'."
            )
        return self
