"""Sections of the recipe about a training that many ranks share and that may be cut short."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polynya.options import Options, Positive


class HorovodOptions(Options):
    """What goes between ranks, and what Horovod notes of it. Nothing of it matters to one rank."""

    reduction: Literal["sum", "adasum"] = "sum"
    """sum: the gradient of the global batch, exact for any number of ranks. adasum: the ranks' own
    mean gradients, added where they differ and averaged where they agree; needs MPI and 2, 4, 8 ..
    ranks (S. Maleki et al., "Scaling distributed training with adaptive summation", 2020)."""
    compression: Literal["none", "fp16", "bf16"] = "none"
    """Gradients on their way between ranks; half the bytes, eight or eleven bits of each number."""
    fusion_mb: Annotated[float, Field(ge=0.0)] | None = None
    """Greatest size of small gradients that travel as one, MB; default: Horovod's own. With 0 each
    travels alone, and three or more ranks too give the same bits each time."""
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
