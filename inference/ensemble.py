"""Several models as one: a Keras model whose probabilities are the mean of theirs.

What comes out is a model folder like any other, so prediction, evaluation, tuning and export need
know nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from inference.predict import open_model
from polynya.errors import ModelError
from polynya.files import write_text
from polynya.provenance import file_digest, provenance


def ensemble(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Folders of trained models.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the new model.")],
    weights: Annotated[
        str, typer.Option(help="Weights of the models, separated by commas; default: equal.")
    ] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace a finished model.")] = False,
) -> None:
    """Combine models into one whose probabilities are their weighted mean."""
    try:
        numbers = [float(word) for word in weights.split(",")] if weights else [1.0] * len(models)
    except ValueError:
        raise ModelError(
            f"--weights {weights!r} are not numbers separated by commas; give one a model, such as"
            " --weights 2,1."
        ) from None
    combine(models, numbers, out, overwrite)
    typer.echo(f"Model: {out}")


def combine(
    folders: Sequence[Path], weights: Sequence[float], out: Path, overwrite: bool = False
) -> None:
    """Write the folder of an ensemble.

    Args:
        folders: Of models that see the same images and know the same classes.
        weights: One a model, not negative; their sum needn't be 1.
        out: Folder to write.
        overwrite: Replace a finished model.

    Raises:
        ModelError: A model can't be opened, or they don't go together, or the weights are wrong.
        OutputError: The folder can't be written.
    """
    import keras

    from training import model_folder

    if len(weights) != len(folders) or min(weights) < 0 or not sum(weights) > 0:
        raise ModelError(
            f"{len(folders)} models need as many weights, none negative and not all 0; given:"
            f" {', '.join(f'{weight:g}' for weight in weights)}."
        )
    members = [open_model(folder) for folder in folders]
    first = members[0]
    for member in members[1:]:
        for section in ("classes", "scene", "tiles", "label"):
            if getattr(member.recipe, section) != getattr(first.recipe, section):
                raise ModelError(
                    f"{member.folder} has another section '{section}' in its recipe than"
                    f" {first.folder}, so they don't see the same images; combine models of the"
                    " same shards."
                )
    inputs = keras.Input((None, None, 3), name="image")
    parts = []
    for index, (member, weight) in enumerate(zip(members, weights, strict=True)):
        member.keras_model.name = f"member{index}"
        share = keras.layers.Rescaling(weight / sum(weights), name=f"share{index}", dtype="float32")
        parts.append(share(member.keras_model(inputs)))
    total = keras.layers.Add(name="mean", dtype="float32")(parts) if len(parts) > 1 else parts[0]
    model = keras.Model(inputs, total, name="ensemble")

    model_folder.start_folder(out, overwrite)
    model_folder.save_model(out, model, first.recipe)
    digests = [file_digest(folder / model_folder.MODEL_FILE) for folder in folders]
    about = provenance(
        first.recipe,
        members=", ".join(digests),
        weights=", ".join(f"{weight:g}" for weight in weights),
    )
    model_folder.write_json(out / model_folder.PROVENANCE_FILE, about)
    members_text = "\n".join(
        f"- {folder.name} ({digest}), weight {weight:g}"
        for folder, digest, weight in zip(folders, digests, weights, strict=True)
    )
    title = f"# Ensemble of {len(members)} models"
    text = f"{title}\n\nProbabilities are the weighted mean of those of\n\n{members_text}\n"
    write_text(out / model_folder.CARD_FILE, text)
