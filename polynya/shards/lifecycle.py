"""The folder of a data set of shards: how it is created, continued and finished.

Only files that Polynya wrote are removed or replaced. On a disk, the folder's ledger identifies
them by their bytes (`polynya.storage.ownership`). An object store has no ledger. There, the files
of Polynya are the files in the manifest, and the files that runs announce in `_work/_plan.json`
before they write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from polynya import __version__
from polynya.errors import OutputError, ShardError
from polynya.progress import console
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import DATASET_FILE
from polynya.shards.dropped import DROPPED_FILE
from polynya.shards.manifest import MANIFEST_FILE, SceneResult, manifest_text, read_manifest
from polynya.shards.schema import FORMAT
from polynya.storage.folder import Folder
from polynya.storage.ledger import folder_kinds
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free, is_cut
from polynya.storage.store_lock import LOCK_OBJECT, store_locked

WORK_FOLDER = "_work"
"""Folder in the data set for files between tasks; a finished data set doesn't have it."""
PICTURES_FOLDER = "_pictures"
"""Folder in the data set for overview pictures of scenes."""
_PLAN_FILE = f"{WORK_FOLDER}/_plan.json"
_SHARD = re.compile(r"[^/]+-\d{3}\.parquet")
_FILES_AT_ONCE = 4


@contextmanager
def open_dataset(
    place: str | Path | Folder, recipe: Recipe, overwrite: bool = False
) -> Iterator[Folder]:
    """Open the folder of a data set for one run: create the data set, or continue an existing one.

    A data set with the same labels stays, finished or not, and missing scenes can be added. Recipe
    keys that don't change labels, such as the keys of the split, are updated to the new recipe.

    Args:
        place: Path or URI of the folder.
        recipe: Recipe of the labels.
        overwrite: Remove the existing data set, and no other files.

    Yields:
        The folder. No other run uses it at the same time; in object stores this can't be guaranteed
        completely (`polynya.storage.store_lock`).

    Raises:
        OutputError: The folder holds shards of another recipe and `overwrite` is False, it holds
            other files, another run uses it, or it can't be written.
    """
    folder = Folder.at(place)
    _check_content(folder)
    if folder.is_local:
        with open_output(folder.place, "shards"):
            _prepare(folder, recipe, overwrite)
            yield folder
    else:
        with store_locked(folder):
            _prepare(folder, recipe, overwrite)
            yield folder


def start_dataset(place: str | Path | Folder, recipe: Recipe, overwrite: bool = False) -> Folder:
    """Create or continue a data set for a single writer; see `open_dataset`."""
    with open_dataset(place, recipe, overwrite) as folder:
        return folder


def labelled_before(folder: Folder) -> dict[str, SceneResult]:
    """Rows of the manifest by scene id; {} if the manifest is cut short, so all is done again.

    Raises:
        ShardError: The manifest can't be read.
    """
    if folder.is_local and is_cut(Path(folder.place, MANIFEST_FILE)):
        return {}
    return {result.scene_id: result for result in read_manifest(folder)}


def finish_dataset(folder: Folder, results: Sequence[SceneResult]) -> None:
    """Write the manifest, and remove files of Polynya that the manifest doesn't name.

    Args:
        folder: From `open_dataset` or `start_dataset`.
        results: Results of all scenes in the data set.

    Raises:
        OutputError: The manifest can't be written.
    """
    written = _written(folder)
    folder.write(MANIFEST_FILE, manifest_text(results).encode())
    kept = {DATASET_FILE, MANIFEST_FILE, DROPPED_FILE}
    kept.update(name for result in results for name in result.file_names)
    folder.remove(
        name for name in written if name not in kept and not name.startswith(f"{PICTURES_FOLDER}/")
    )


def announce(folder: Folder, stems: Iterable[str]) -> None:
    """Announce files before they are written, so that they are known as ours after a kill.

    Args:
        folder: Folder of the data set. On a disk nothing is done, because the ledger is enough.
        stems: Beginnings of the names of shards and notes.
    """
    if not folder.is_local:
        known = sorted(set(stems) | _announced(folder))
        folder.write(_PLAN_FILE, json.dumps(known).encode())


def foreign_files(folder: Folder, stems: Iterable[str]) -> dict[str, str]:
    """Files of other people that have the name of a planned shard, by the stem of the shard."""
    wanted = set(stems)
    found = {name: name.rpartition("-")[0] for name in folder.names() if _SHARD.fullmatch(name)}
    in_the_way = {name: stem for name, stem in found.items() if stem in wanted}
    ours = set() if folder.is_local else _written(folder)
    return {
        stem: name
        for name, stem in in_the_way.items()
        if not (folder.is_ours(name) if folder.is_local else name in ours)
    }


def damaged_files(folder: Folder, sums: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Find files that are "gone" or "changed" since they were written.

    Args:
        folder: Folder of the data set.
        sums: 'bytes:checksum' of each file in the manifest.
        names: Files on a disk that are read to compare checksums. For other files, and in an
            object store, only the size is compared.
    """
    there = folder.versions()
    found = {}
    for name, known in sums.items():
        if name not in there:
            found[name] = "gone"
        elif str(there[name][0]) != known.partition(":")[0]:
            found[name] = "changed"
    if folder.is_local:
        read = [name for name in dict.fromkeys(names) if name in sums and name not in found]
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            same = pool.map(lambda name: _has_sum(folder, name, sums[name]), read)
            found |= {name: "changed" for name, so in zip(read, same, strict=True) if not so}
    return found


def _has_sum(folder: Folder, name: str, known: str) -> bool:
    try:
        found = folder.fingerprint(name)
    except OSError:
        return False
    return f"{found.size}:{found.crc32c:08x}" == known


def _check_content(folder: Folder) -> None:
    """Refuse a folder that is no data set, before anything is written into it."""
    if folder.is_local and Path(folder.place).exists() and not Path(folder.place).is_dir():
        raise OutputError(f"{folder} is a file; choose another --out.")
    if not folder.is_local:
        names = folder.names()
        if names and DATASET_FILE not in names and set(names) != {LOCK_OBJECT}:
            raise OutputError(f"{folder} holds other files; give an empty or new folder as --out.")
    elif folder.has(DATASET_FILE) and not folder_kinds(Path(folder.place)):
        raise OutputError(
            f"{folder} holds shards of an earlier version of Polynya, or a copy without their list"
            " of files; choose another --out."
        )


def _prepare(folder: Folder, recipe: Recipe, overwrite: bool) -> None:
    try:
        if folder.is_local:
            check_free(Path(folder.place, name) for name in (DATASET_FILE, MANIFEST_FILE))
        content = {
            "format": FORMAT,
            "polynya_version": __version__,
            "recipe_digest": recipe.labels_digest(),
            "recipe": recipe.model_dump(mode="json"),
        }
        text = (json.dumps(content, indent=2) + "\n").encode()
        if folder.is_local and is_cut(Path(folder.place, DATASET_FILE)):
            folder.write(DATASET_FILE, text)  # Refused if the rest is of another recipe.
        if folder.has(DATASET_FILE) and not overwrite:
            if _has_same_labels(folder, recipe):
                # Keys that don't change labels are updated to the latest recipe.
                if recipe != Recipe() and folder.read(DATASET_FILE) != text:
                    folder.write(DATASET_FILE, text)
                    console.print(
                        f"{folder} has the split, model and training of this recipe now",
                        markup=False,
                        soft_wrap=True,
                    )
                return
            # After runs in which every scene failed, there is nothing to protect.
            if any(_SHARD.fullmatch(name) for name in folder.names()):
                raise OutputError(
                    f"{folder} holds shards of another recipe or version; add --overwrite to"
                    " replace them, or choose another --out."
                )
        # The recipe is replaced last: after a kill here, a folder without it would count as "other
        # files".
        folder.remove(name for name in _written(folder) if name != DATASET_FILE)
        folder.write(DATASET_FILE, text)
    except OSError as error:
        raise OutputError(
            f"Can't write to {folder}: {error.strerror or error}; choose another --out."
        ) from None


def _has_same_labels(folder: Folder, recipe: Recipe) -> bool:
    try:
        content = json.loads(folder.read(DATASET_FILE))
        return bool(
            content["format"] == FORMAT and content["recipe_digest"] == recipe.labels_digest()
        )
    except (ValueError, KeyError, TypeError):
        return False


def _written(folder: Folder) -> set[str]:
    """Files that runs of Polynya wrote here and that may be removed."""
    names = folder.names()
    if folder.is_local:
        # If a file of another person has one of these names, the ledger prevents its removal.
        return {
            name
            for name in names
            if name in (DATASET_FILE, MANIFEST_FILE, DROPPED_FILE)
            or name.startswith((f"{WORK_FOLDER}/", f"{PICTURES_FOLDER}/"))
            or _SHARD.fullmatch(name)
        }
    stems = _announced(folder)
    try:
        named = {name for result in read_manifest(folder) for name in result.file_names}
    except ShardError:
        named = set()  # The manifest is damaged or of another version: its files stay.
    work = {f"{WORK_FOLDER}/{stem}{ending}" for stem in stems for ending in (".json", ".sky")}
    written = named | work | {DATASET_FILE, MANIFEST_FILE, DROPPED_FILE, _PLAN_FILE}
    return {
        name
        for name in names
        if name in written or (_SHARD.fullmatch(name) and name.rpartition("-")[0] in stems)
    }


def _announced(folder: Folder) -> set[str]:
    try:
        return set(json.loads(folder.read(_PLAN_FILE)))
    except (OSError, ValueError, TypeError):
        return set()
