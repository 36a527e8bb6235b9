"""The folder of a data set of shards: made, taken up, finished, with whose files are whose.

Removed or replaced is only what Polynya wrote. On a disk the folder's ledger knows it by its bytes
(`polynya.storage.ownership`). An object store has no ledger: there it is what the manifest names,
and what runs announce in `_work/_plan.json` before they write.
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
from polynya.shards.manifest import MANIFEST_FILE, SceneResult, manifest_text, read_manifest
from polynya.shards.schema import FORMAT
from polynya.storage.folder import Folder
from polynya.storage.ledger import folder_kinds
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free, is_cut
from polynya.storage.store_lock import LOCK_OBJECT, store_locked

WORK_FOLDER = "_work"
"""What tasks leave for each other, in the data set; gone when it is finished."""
PICTURES_FOLDER = "_pictures"
"""Overview pictures of scenes, in the data set."""
_PLAN_FILE = f"{WORK_FOLDER}/_plan.json"
_SHARD = re.compile(r"[^/]+-\d{3}\.parquet")
_FILES_AT_ONCE = 4


@contextmanager
def open_dataset(
    place: str | Path | Folder, recipe: Recipe, overwrite: bool = False
) -> Iterator[Folder]:
    """Take the folder of a data set for one run: make it, or take up what is there.

    A data set of the same labels, unfinished or finished, stays: what is missing can be added. Keys
    that labels don't depend on, such as those of the split, become those of the new recipe.

    Args:
        place: Path or URI.
        recipe: What the labels depend on.
        overwrite: Remove the data set that is there, and nothing else.

    Yields:
        The folder. No other run uses it: that holds on disks, and nearly in object stores
        (`polynya.storage.store_lock`).

    Raises:
        OutputError: It holds shards of another recipe and `overwrite` is False, or something else,
            another run uses it, or it can't be written.
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
    """Make or take up the folder of a data set for a single writer; see `open_dataset`."""
    with open_dataset(place, recipe, overwrite) as folder:
        return folder


def labelled_before(folder: Folder) -> dict[str, SceneResult]:
    """Rows of the manifest by scene; none if it was cut short, so all is done again.

    Raises:
        ShardError: It can't be read.
    """
    if folder.is_local and is_cut(Path(folder.place, MANIFEST_FILE)):
        return {}
    return {result.scene_id: result for result in read_manifest(folder)}


def finish_dataset(folder: Folder, results: Sequence[SceneResult]) -> None:
    """Write the manifest, which says what counts, and remove what of ours doesn't.

    Args:
        folder: From `open_dataset` or `start_dataset`.
        results: All scenes of the data set.

    Raises:
        OutputError: The manifest can't be written.
    """
    written = _written(folder)
    folder.write(MANIFEST_FILE, manifest_text(results).encode())
    kept = {DATASET_FILE, MANIFEST_FILE}
    kept.update(name for result in results for name in result.file_names)
    folder.remove(
        name for name in written if name not in kept and not name.startswith(f"{PICTURES_FOLDER}/")
    )


def announce(folder: Folder, stems: Iterable[str]) -> None:
    """Say which files are about to be written, so that they are known as ours after a kill.

    Args:
        folder: The data set; on a disk its ledger knows more, and nothing is done.
        stems: What the names of shards and notes begin with.
    """
    if not folder.is_local:
        known = sorted(set(stems) | _announced(folder))
        folder.write(_PLAN_FILE, json.dumps(known).encode())


def foreign_files(folder: Folder, stems: Iterable[str]) -> dict[str, str]:
    """Files that aren't ours and stand where shards are to be written, by the stem of these."""
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
    """Files that are not as they were written: "gone" or "changed".

    Args:
        folder: The data set.
        sums: 'bytes:checksum' of each file of the manifest.
        names: Those that are read, on a disk, to compare their checksums; of the others, and in an
            object store, the size tells.
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
            folder.write(DATASET_FILE, text)  # Refused unless what is left of it is of this recipe.
        if folder.has(DATASET_FILE) and not overwrite:
            if _has_same_labels(folder, recipe):
                # What labels don't depend on is as in the last recipe that was given.
                if recipe != Recipe() and folder.read(DATASET_FILE) != text:
                    folder.write(DATASET_FILE, text)
                    console.print(
                        f"{folder} has the split, model and training of this recipe now",
                        markup=False,
                        soft_wrap=True,
                    )
                return
            # Of runs in which every scene failed, nothing is left that is worth a question.
            if any(_SHARD.fullmatch(name) for name in folder.names()):
                raise OutputError(
                    f"{folder} holds shards of another recipe or version; add --overwrite to"
                    " replace them, or choose another --out."
                )
        # The recipe goes last, or a folder that is killed here holds "other files".
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
    """Files that runs wrote here, as far as they may be removed."""
    names = folder.names()
    if folder.is_local:
        # Others of these names are known by the ledger when they are removed.
        return {
            name
            for name in names
            if name in (DATASET_FILE, MANIFEST_FILE)
            or name.startswith((f"{WORK_FOLDER}/", f"{PICTURES_FOLDER}/"))
            or _SHARD.fullmatch(name)
        }
    stems = _announced(folder)
    try:
        named = {name for result in read_manifest(folder) for name in result.file_names}
    except ShardError:
        named = set()  # Of another version, or damaged: what it named stays.
    work = {f"{WORK_FOLDER}/{stem}{ending}" for stem in stems for ending in (".json", ".sky")}
    written = named | work | {DATASET_FILE, MANIFEST_FILE, _PLAN_FILE}
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
