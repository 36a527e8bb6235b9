"""Several models as one model; it returns the mean of their probabilities or of their votes.

The result is an ordinary model folder, so prediction, evaluation, tuning and export need no special
code for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inference.predict.predict import open_model
from polynya.errors import ModelError
from polynya.provenance import file_digest, provenance
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text
from training.ballots import HALF, TIE_SHARE
from training.trees.pixel_model import PixelModel, mean_of, vote_of

if TYPE_CHECKING:
    import keras

    from training.model_folder.folder import TrainedModel


Merging = Literal["mean", "vote"]


def ensemble(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Folders of trained models.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the new model.")],
    weights: Annotated[
        str, typer.Option(help="Weights of the models, separated by commas; default: equal.")
    ] = "",
    merge: Annotated[
        Merging,
        typer.Option(help="Mean of the probabilities, or of votes on class or masks."),
    ] = "mean",
    overwrite: Annotated[bool, typer.Option(help="Replace a finished model.")] = False,
) -> None:
    """Combine models into one model: the weighted mean of their probabilities, or of votes."""
    try:
        numbers = [float(word) for word in weights.split(",")] if weights else [1.0] * len(models)
    except ValueError:
        raise ModelError(
            f"--weights {weights!r} are not numbers separated by commas; give one for each model,"
            " such as --weights 2,1."
        ) from None
    combine(models, numbers, out, overwrite, merge)
    typer.echo(f"Model: {out}")


def combine(
    folders: Sequence[Path],
    weights: Sequence[float],
    out: Path,
    overwrite: bool = False,
    merge: Merging = "mean",
) -> None:
    """Write the folder of an ensemble.

    Args:
        folders: Folders of models with the same images and the same classes.
        weights: One weight per model, not negative; their sum need not be 1.
        out: Folder to write.
        overwrite: Replace a finished model.
        merge: Mean of the probabilities or of votes (`training.ballots`).

    Raises:
        ModelError: A model can't be opened, or the models don't fit together, or the weights are
            wrong.
        OutputError: The folder can't be written.
    """
    from training.model_folder import folder as model_folder

    total_weight = sum(weights)
    if (
        len(weights) != len(folders)
        or min(weights) < 0
        or not (total_weight > 0 and math.isfinite(total_weight))
    ):
        raise ModelError(
            f"{len(folders)} models need as many weights, all of them finite, none negative and not"
            f" all 0; given: {', '.join(f'{weight:g}' for weight in weights)}."
        )
    members = [open_model(folder) for folder in folders]
    first = members[0]
    for member in members[1:]:
        for section in ("classes", "scene", "tiles", "label"):
            if _seen(member.recipe, section) != _seen(first.recipe, section):
                raise ModelError(
                    f"{member.folder} has another section '{section}' in its recipe than"
                    f" {first.folder}, so they don't see the same images; combine models of the"
                    " same shards."
                )
        if member.recipe.inference.filter != first.recipe.inference.filter:
            raise ModelError(
                f"{member.folder} has another key 'inference.filter' in its recipe than"
                f" {first.folder}, so they don't see the same images; combine models that do."
            )
    model = _joined(members, [weight / total_weight for weight in weights], merge)

    # Read the files before `out` is emptied, because `out` may be the folder of a member.
    facts = _facts(folders, weights, merge)
    digests = facts["members"].split(", ")
    # Multiples are powers of two, so images that fit the greatest multiple fit all models.
    most = max((member.recipe.model for member in members), key=lambda options: options.multiple)
    recipe = first.recipe.model_copy(update={"model": most})
    about = provenance(recipe, **facts)
    members_text = "\n".join(
        f"- {folder.name} ({digest}), weight {weight:g}"
        for folder, digest, weight in zip(folders, digests, weights, strict=True)
    )
    title = f"# Ensemble of {len(members)} models"
    what = "the weighted mean of those" if merge == "mean" else "shares of the weighted votes"
    text = f"{title}\n\nProbabilities are {what} of\n\n{members_text}\n"
    with model_folder.claimed(out, overwrite=overwrite):
        model_folder.clear(out)
        model_folder.save_model(out, model, recipe)
        model_folder.write_json(out / model_folder.PROVENANCE_FILE, about)
        write_text(out / model_folder.CARD_FILE, text)


def is_ensemble_of(folder: Path, folders: Sequence[Path], weights: Sequence[float]) -> bool:
    """Whether a folder has the finished mean of these models with these weights."""
    from training.model_folder import folder as model_folder

    facts = _facts(folders, weights, "mean")
    found = {"merge": "mean"} | model_folder.read_provenance(folder)
    is_finished = (folder / model_folder.CARD_FILE).is_file()
    return is_finished and all(found.get(key) == fact for key, fact in facts.items())


def _facts(folders: Sequence[Path], weights: Sequence[float], merge: Merging) -> dict[str, str]:
    """Entries of an ensemble's provenance: digests and weights of its members."""
    from training.model_folder.folder import model_path

    return {
        "members": ", ".join(file_digest(model_path(folder)) for folder in folders),
        "weights": ", ".join(f"{weight:g}" for weight in weights),
        "merge": merge,
    }


def _joined(
    members: Sequence[TrainedModel], shares: Sequence[float], merge: Merging
) -> keras.Model | PixelModel:
    """Make the weighted mean: of networks one network, of decision trees one model of trees.

    Raises:
        ModelError: They are of both kinds, or of different features or sizes; or trees are to vote
            that are an ensemble, or are a vote already.
    """
    trees = [m.predictor for m in members if isinstance(m.predictor, PixelModel)]
    if len(trees) == len(members):
        for member in members[1:]:
            if member.recipe.features != members[0].recipe.features:
                raise ModelError(
                    f"{member.folder} has another section 'features' in its recipe than"
                    f" {members[0].folder}; combine decision trees of the same bands and indices."
                )
        for member, model in zip(members, trees, strict=True):
            if model.votes_of_masks is not None or (merge == "vote" and len(model.members) > 1):
                raise ModelError(
                    f"{member.folder} is an ensemble of decision trees, whose votes can't be taken"
                    " as one; combine its members instead."
                )
        if merge == "vote":
            return vote_of(trees, shares, has_masks=members[0].classes.has_masks)
        return mean_of(trees, shares)
    # Import Keras after `open_model`, which sets it up for Polynya and without messages.
    import keras

    networks = [member.keras_model for member in members]
    inputs = keras.Input((*_one_size(members), networks[0].input_shape[-1]), name="image")
    parts = []
    for index, (network, share) in enumerate(zip(networks, shares, strict=True)):
        network.name = f"member{index}"
        scaled = keras.layers.Rescaling(share, name=f"share{index}", dtype="float32")
        answer = network(inputs)
        if merge == "vote":
            answer = _ballots(answer, members[0].classes.has_masks)
        parts.append(scaled(answer))
    total = keras.layers.Add(name="mean", dtype="float32")(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, total, name="ensemble")


def _ballots(answer: Any, has_masks: bool) -> Any:
    """`training.ballots.ballots` as a part of a network."""
    from keras import ops

    if has_masks:
        votes = ops.cast(ops.greater_equal(answer, HALF), "float32")
    else:
        # OpenVINO has no `ops.argmax`.
        best = ops.greater_equal(answer, ops.max(answer, axis=-1, keepdims=True))
        votes = ops.cast(best, "float32")
        votes = votes / ops.sum(votes, axis=-1, keepdims=True)
    return (votes + TIE_SHARE * answer) / (1 + TIE_SHARE)


def _seen(recipe: Recipe, section: str) -> object:
    """A section of the recipe, as far as it decides what images a model sees."""
    if section == "label" and recipe.label.images == "original":
        return "original"
    return getattr(recipe, section)


def _one_size(members: Sequence[TrainedModel]) -> tuple[int | None, int | None]:
    """Height and width of the images that all members accept; None for any."""
    sizes = {member.keras_model.inputs[0].shape[1:3] for member in members} - {(None, None)}
    if len(sizes) > 1:
        raise ModelError(
            "The models need images of different sizes"
            f" ({', '.join(f'{height} x {width}' for height, width in sorted(sizes))}); combine"
            " models of one size, or of any."
        )
    return sizes.pop() if sizes else (None, None)
