"""The recipe's key `training.start_from`: weights to start from, and encoders that are frozen."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from polynya.errors import RecipeError
from polynya.recipe.base import Options

_WEB = ("http://", "https://")


class WeightsOptions(Options):
    """Weights to start from; a name alone is `source`."""

    source: Annotated[str, Field(min_length=1)]
    """Keras file (.keras, .weights.h5 or .h5), URL of one, or folder of a model. Layers fit by name
    and shape; the layers of an encoder may also come from a file of the encoder alone."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 of the file; a URL needs it."""
    bands: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Bands and indices of this recipe that the file's first layers know, in the order of their
    channels. Default: those of the same name for a folder; else all, if there are as many; else
    red, green and blue for three channels."""

    @model_validator(mode="before")
    @classmethod
    def _name_is_source(cls, content: Any) -> Any:
        return {"source": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _web_has_checksum(self) -> WeightsOptions:
        if self.is_url and self.sha256 is None:
            raise RecipeError(
                "The recipe key 'training.start_from.source' is a URL, and what servers send is"
                " used only if its checksum is known; set 'training.start_from.sha256' to what"
                " 'sha256sum' says of the file."
            )
        if "://" in self.source and not self.is_url:
            raise RecipeError(
                f"The recipe key 'training.start_from.source' is {self.source:.99}, and weights"
                " come from files, http and https; copy the file to a disk and give its path."
            )
        return self

    @property
    def is_url(self) -> bool:
        """Whether the weights are on a web server."""
        return self.source.startswith(_WEB)


def check_frozen(model: Any, epochs: int) -> None:
    """Raise RecipeError if an encoder is to be frozen that the model doesn't have.

    Args:
        model: Options of a model family.
        epochs: The recipe's key `training.freeze_encoder_epochs`.
    """
    if epochs and not getattr(model, "has_encoder", False):
        raise RecipeError(
            f"The recipe key 'training.freeze_encoder_epochs' is {epochs}, and the model"
            f" '{model.name}' has no encoder; set it to 0, or take a model with an encoder, such as"
            " encoder_unet."
        )
