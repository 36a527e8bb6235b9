"""Initial weights of a training: from a model's folder as a whole, or as far as they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from polynya.errors import ModelError
from polynya.progress import console
from polynya.provenance import file_digest
from polynya.recipe.recipe import Recipe
from polynya.recipe.weights import WeightsOptions
from training.model_folder import folder as model_folder
from training.model_folder.checkpoints import Arrays
from training.model_folder.weights_file import StartWeights, read_weights
from training.models.transfer import Transfer, transfer

_NAMES = 4
"""Greatest number of layers that a message names."""


@dataclass(frozen=True)
class InitialWeights:
    """Weights that a training starts from.

    They are read before `--out` is emptied, because they may be in the same folder.
    """

    digest: str
    """Digest of the file."""
    whole: Arrays | None = None
    """Weights of a whole model of the same structure."""
    parts: StartWeights | None = None
    """Weights of single layers."""

    def apply(self, model: keras.Model, recipe: Recipe) -> str:
        """Give a model these weights.

        Returns:
            What it got, in words, if the weights are of single layers; else "".

        Raises:
            ModelError: Not one layer fits, or it isn't known which bands the weights are for.
        """
        if self.whole is not None:
            model.set_weights(self.whole)
            return ""
        assert self.parts is not None  # Either of the two is there.
        options = recipe.training.start_from
        found = transfer(
            model,
            self.parts.arrays,
            lambda channels: _places(recipe, options, self.parts, channels),
        )
        if not found.taken:
            raise ModelError(
                f"Not one layer of the model '{recipe.model.name}' has the name and shape of a"
                f" layer in {self.parts.source} (there: {_some(found.unused)}; wanted:"
                f" {_some(found.left)}); take weights of the same encoder or family, or leave the"
                " recipe's key 'training.start_from' out."
            )
        return _told(self.parts.source, found)


def read_initial(recipe: Recipe, start_from: Path | None) -> InitialWeights | None:
    """Read the weights that a command or, without, the recipe names; None for random weights.

    Args:
        recipe: Recipe of the training.
        start_from: Folder of a model of the same structure.

    Raises:
        ModelError: They can't be read, or the model in the folder has another structure.
    """
    if start_from is not None:
        return _whole_model(start_from, recipe)
    options = recipe.training.start_from
    if options is None:
        return None
    parts = read_weights(options)
    return InitialWeights(parts.digest, parts=parts)


def _whole_model(folder: Path, recipe: Recipe) -> InitialWeights:
    """Open the model for the initial weights; ModelError if they don't fit the recipe's model."""
    first = model_folder.load_model(folder)
    for section in ("model", "classes"):
        if getattr(first.recipe, section) != getattr(recipe, section):
            raise ModelError(
                f"The model in {folder} has another section '{section}' than the recipe, so its"
                " weights don't fit; copy that section from its recipe.yaml, or leave --start-from"
                " out and name the folder in the recipe's key 'training.start_from', which takes"
                " what fits."
            )
    seen, wanted = ((*r.scene.seen_bands, *r.features.indices) for r in (first.recipe, recipe))
    if seen != wanted:
        raise ModelError(
            f"The model in {folder} sees {', '.join(seen)} and the recipe's {', '.join(wanted)}, so"
            " its weights don't fit; name the same in 'scene.inputs' and 'features.indices', or"
            " leave --start-from out and name the folder in the recipe's key 'training.start_from'."
        )
    digest = file_digest(folder / model_folder.MODEL_FILE)
    return InitialWeights(digest, whole=first.keras_model.get_weights())


def _places(
    recipe: Recipe, options: WeightsOptions | None, parts: StartWeights | None, channels: int
) -> Sequence[int | None]:
    """Find the channel of the source for each band and index of the recipe; None for a new one."""
    wanted = (*recipe.scene.seen_bands, *recipe.features.indices)
    known = options.bands if options is not None and options.bands is not None else None
    if known is None and parts is not None:
        known = parts.features
    if known is None and channels == len(wanted):
        known = wanted
    if known is None and channels == 3:
        known = ("red", "green", "blue")
        if not set(known) <= set(wanted):
            known = None
    source = "the file" if parts is None else parts.source
    if known is None:
        raise ModelError(
            f"The first layer in {source} has {channels} channels, and the recipe's model sees"
            f" {', '.join(wanted)}; name the bands of these channels in the recipe's key"
            " 'training.start_from.bands'."
        )
    if len(known) != channels or (options and options.bands and not set(known) <= set(wanted)):
        raise ModelError(
            f"The first layer in {source} has {channels} channels, which the bands"
            f" {', '.join(known)} don't describe; name as many bands and indices of the recipe"
            f" ({', '.join(wanted)}) in its key 'training.start_from.bands'."
        )
    return [known.index(name) if name in known else None for name in wanted]


def _told(source: str, found: Transfer) -> str:
    total = len(found.taken) + len(found.left)
    text = f"{len(found.taken)} of {total} layers from {source}"
    if found.left:
        text += f"; begin at random: {_some(found.left)}"
    if found.unused:
        text += f"; not used: {_some(found.unused)}"
    console.print(f"Weights to start from: {text}", markup=False, soft_wrap=True)
    return text


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return f"{shown} and {len(names) - _NAMES} more" if len(names) > _NAMES else shown or "none"
