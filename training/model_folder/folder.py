"""A model on disk: a folder with everything about the model, but without code.

model.keras       best weights and architecture; opens in Keras' safe mode
trees.json        in its place for decision trees: XGBoost's own file
importances.csv   and for them: what bands and indices are worth
importances.png
recipe.yaml       everything the training depended on
classes.json      codes, names and colours of the output channels
split.json        scenes that trained and scenes that validated
metrics.json      scores of the best epoch, with its confusion matrix
history.csv       one row per epoch
steps.csv         one row per step
network.svg       a drawing of the network
provenance.json   versions, digests, ranks
tracking.json     key of the run in experiment trackers, if the recipe names one
README.md         model card; written last, so it exists only if the training is finished
_checkpoints/     until then: all that it needs to go on (training/model_folder/checkpoints.py)
decision.yaml     the result of `polynya tune` (inference/predict/decision.py)
tuning.csv        the scores that led to decision.yaml
_polynya.csv      the files that Polynya wrote; it replaces and deletes no others
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polynya.errors import ModelError, OutputError, SceneError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.model import PIXEL_MODELS
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.scenes.identity import scene_digest, without_labels
from polynya.scenes.scene import Scene
from polynya.storage.files import whole_file, write_text
from polynya.storage.output_folder import make_folder, open_output
from polynya.storage.ownership import check_free, is_ours, remove_ours
from training.input.split import Split
from training.model_folder import checkpoints
from training.model_folder.checkpoints import Checkpoint
from training.model_folder.model_file import open_keras_file
from training.trees.pixel_model import PixelModel

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"
TREES_FILE = "trees.json"
RECIPE_FILE = "recipe.yaml"
CLASSES_FILE = "classes.json"
SPLIT_FILE = "split.json"
METRICS_FILE = "metrics.json"
HISTORY_FILE = "history.csv"
STEPS_FILE = "steps.csv"
PROVENANCE_FILE = "provenance.json"
TRACKING_FILE = "tracking.json"
CARD_FILE = "README.md"
DECISION_FILE = "decision.yaml"
TUNING_FILE = "tuning.csv"
NETWORK_PICTURE = "network.svg"
IMPORTANCES_FILE = "importances.csv"
IMPORTANCES_PICTURE = "importances.png"

_FILES = (
    MODEL_FILE,
    TREES_FILE,
    RECIPE_FILE,
    CLASSES_FILE,
    SPLIT_FILE,
    METRICS_FILE,
    HISTORY_FILE,
    STEPS_FILE,
    PROVENANCE_FILE,
    TRACKING_FILE,
    CARD_FILE,
    DECISION_FILE,
    TUNING_FILE,
    NETWORK_PICTURE,
    IMPORTANCES_FILE,
    IMPORTANCES_PICTURE,
)


@dataclass(frozen=True)
class TrainedModel:
    """A model that was read from its folder."""

    predictor: keras.Model | PixelModel
    """Model from images (B, H, W, bands), colours in 0..255 or values with NaN where missing, to
    probabilities (B, H, W, classes)."""
    recipe: Recipe
    """Recipe of the training; scenes must be read and filtered for the model in the same way."""
    folder: Path

    @property
    def classes(self) -> ClassScheme:
        return self.recipe.classes

    @property
    def keras_model(self) -> keras.Model:
        """The network; ModelError if the model is none."""
        if isinstance(self.predictor, PixelModel):
            raise ModelError(
                f"The model in {self.folder} is of decision trees, and this needs a network; give a"
                " model that was trained with another 'model.name' than 'xgboost'."
            )
        return self.predictor


@contextmanager
def claimed(
    folder: str | Path, *, overwrite: bool = False, resume: bool = False
) -> Iterator[Checkpoint | None]:
    """Lock the folder of a model for one run; nothing in the folder is changed yet.

    Args:
        folder: Folder of the model.
        overwrite: Replace the model in the folder.
        resume: Go on from the last complete checkpoint, if there is one.

    Yields:
        This checkpoint; or None for a start at the beginning. Then the caller calls `clear` first.

    Raises:
        OutputError: The folder holds something else; or a finished model or checkpoints, and
            neither argument says what to do with them; or a file of a model that isn't ours or was
            changed; or another run uses the folder; or it can't be written.
        ModelError: None of the checkpoints is complete.
    """
    with open_output(folder, "model") as place:
        checkpoints.checkpoint_folder(place)
        checkpoint = None if overwrite else _unfinished(place, resume)
        files = [place / name for name in _FILES]
        check_free(files)
        if checkpoint is None:
            _check_unchanged(files)
        yield checkpoint


def _check_unchanged(paths: Sequence[Path]) -> None:
    """Raise OutputError if `clear` would leave a changed file; called before any deletion."""
    for path in paths:
        if os.path.lexists(path) and not is_ours(path):
            raise OutputError(
                f"{path} was changed since Polynya wrote it; move it away, or choose another --out"
                " folder."
            )


def _unfinished(folder: Path, resume: bool) -> Checkpoint | None:
    """Find the checkpoint to go on from; OutputError if a start would lose a model or training."""
    if (folder / CARD_FILE).is_file():
        raise OutputError(f"{folder} holds a finished model; add --overwrite to replace it.")
    if checkpoints.any_in(folder):
        if not resume:
            raise OutputError(
                f"{folder} holds a training that isn't finished; add --resume to go on with it, or"
                " --overwrite to begin again."
            )
        return checkpoints.latest(folder)
    if (folder / MODEL_FILE).is_file():
        raise OutputError(
            f"{folder} holds a model but no checkpoint to go on from; give another --out, and this"
            " folder as --start-from to begin with its weights, or add --overwrite to replace it."
        )
    return None


def clear(folder: Path) -> None:
    """Delete what Polynya wrote into the folder of a model; all other files stay.

    Raises:
        OutputError: A file can't be deleted.
    """
    remove_ours(folder)


def save_model(folder: str | Path, model: keras.Model | PixelModel, recipe: Recipe) -> None:
    """Write what `load_model` needs: weights and architecture, recipe and classes.

    Each file appears complete or not at all. The model comes last, so if a reader finds the model,
    the other files are there.
    """
    folder = make_folder(Path(folder))
    write_recipe(folder, recipe)
    if isinstance(model, PixelModel):
        from training.trees.tree_file import save_trees

        save_trees(folder / TREES_FILE, model)
        return
    with whole_file(folder / MODEL_FILE) as partial:
        model.save(partial)


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Write recipe and classes."""
    write_text(folder / RECIPE_FILE, recipe.text())
    write_json(folder / CLASSES_FILE, recipe.classes.model_dump(mode="json"))


def write_split(folder: Path, split: Split, digests: Mapping[str, str]) -> None:
    """Write the scenes of a training, with the digests of those that train."""
    content = {
        "training": split.training,
        "validation": split.validation,
        "training_digests": digests,
    }
    write_json(folder / SPLIT_FILE, content)


def training_digests(folder: Path) -> dict[str, str]:
    """Read the digests of the scenes that trained, by id; empty if there are none."""
    try:
        content = json.loads((folder / SPLIT_FILE).read_text(encoding="utf-8"))
        return dict(content["training_digests"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def described_files(folder: Path) -> list[Path]:
    """Paths of the files that describe a model: all but the model itself and the run's key."""
    left_out = {MODEL_FILE, TREES_FILE, TRACKING_FILE, DECISION_FILE, TUNING_FILE}
    return [folder / name for name in _FILES if name not in left_out]


def model_path(folder: Path) -> Path:
    """Path of the model's own file in a folder; that of a network if there is none."""
    trees = folder / TREES_FILE
    return trees if trees.is_file() else folder / MODEL_FILE


def load_model(folder: str | Path) -> TrainedModel:
    """Open a model folder.

    Raises:
        ModelError: There is no such folder, no model in it, or none that can be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"There is no model folder {folder}; make one with: polynya train.")
    path = model_path(folder)
    for name in (path.name, RECIPE_FILE, CLASSES_FILE):
        if not (folder / name).is_file():
            raise ModelError(
                f"The folder {folder} holds no model ({name} is missing); give the folder that"
                " 'polynya train' wrote."
            )
    recipe = load_recipe(folder / RECIPE_FILE)
    has_trees = path.name == TREES_FILE
    if has_trees != (recipe.model.name in PIXEL_MODELS):
        raise ModelError(
            f"{path} is no model '{recipe.model.name}', which the recipe in {folder} names; restore"
            " the recipe.yaml it was trained with."
        )
    if not has_trees:
        return TrainedModel(open_keras_file(path, recipe), recipe, folder)
    # It needs Keras, for indices and scaling. `folder` doesn't.
    from training.trees.tree_file import open_trees

    return TrainedModel(open_trees(path, recipe), recipe, folder)


def trained_on(folder: Path, scenes: Iterable[Scene]) -> set[str]:
    """Find the ids of the given scenes that a model was trained on.

    A scene matches by its name, or by its content if the name differs. The result is empty if the
    model's folder has no list, as in ensembles. A scene that can't be read matches only by name.

    Raises:
        ModelError: The list of training scenes (split.json) is damaged.
    """
    ids, digests = _read_split(folder)
    return {
        scene.id for scene in scenes if scene.id in ids or (digests and _digest(scene) in digests)
    }


def training_scenes(folder: Path) -> set[str]:
    """Ids of the scenes that a model was trained on; empty if its folder has no list.

    Raises:
        ModelError: The list of training scenes (split.json) is damaged.
    """
    return _read_split(folder)[0]


def _digest(scene: Scene) -> str | None:
    try:
        return scene_digest(scene)
    except SceneError:
        return None


def _read_split(folder: Path) -> tuple[set[str], set[str]]:
    """Read ids and digests of the training scenes; folders of older versions have no digests."""
    path = folder / SPLIT_FILE
    if not path.is_file():
        return set(), set()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digests = content.get("training_digests", {}).values()
        seen = {without_labels(str(digest)) for digest in digests}
        return set(map(str, content["training"])), seen
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{path} is damaged; train the model again, or remove it.") from None


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read the provenance of a model; empty if there is none or it is damaged."""
    try:
        content = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, complete or not at all; numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclasses of one kind as a table, complete or not at all."""
    records = [asdict(row) for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, table.getvalue())


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
