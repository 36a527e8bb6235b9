"""Weights to start from: a Keras file, a URL of one, or the folder of a model.

Only the arrays are read, with the names of their layers. The structure in a file, which might name
code, is never used.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from polynya.environment import cache_folder
from polynya.errors import ModelError, reason_of
from polynya.recipe.recipe import load_recipe
from polynya.recipe.weights import WeightsOptions
from polynya.sources.access.web import Web
from polynya.storage.files import whole_file
from polynya.storage.uris import public_uri
from training.model_folder.folder import MODEL_FILE, RECIPE_FILE, TREES_FILE
from training.model_folder.model_file import WEIGHTS_MEMBER, check_sizes

LARGEST_DOWNLOAD = 4 * 2**30
"""Greatest size of a file on a server in bytes."""
_TIMEOUT = 60.0
_RETRIES = 3
_NOT_LAYERS = ("optimizer", "seed_generator")


@dataclass(frozen=True)
class StartWeights:
    """Arrays of a file."""

    source: str
    """File, folder or URL, without secrets."""
    digest: str
    """SHA-256 of the file (first 16 hex digits)."""
    arrays: dict[str, list[NDArray[Any]]]
    """Arrays of each layer, by its name."""
    features: tuple[str, ...] | None
    """Bands and indices that the network in a model's folder sees; None for other files."""


def read_weights(options: WeightsOptions) -> StartWeights:
    """Read the weights that a recipe names.

    Raises:
        ModelError: The file can't be fetched, is damaged, has another checksum, has no weights, or
            has a weight that is not a finite number.
    """
    features = None
    if options.is_url:
        source, path = public_uri(options.source), _fetched(options)
    else:
        source, path = options.source, Path(options.source)
        if path.is_dir():
            path, features = _of_folder(path)
    if not path.is_file():
        raise ModelError(
            f"There is no file {path}, which the recipe's key 'training.start_from' names; correct"
            " the key."
        )
    digest = _sha256(path)
    if options.sha256 is not None and digest != options.sha256.lower():
        raise ModelError(
            f"{source} has the SHA-256 {digest}, and the recipe's key 'training.start_from.sha256'"
            f" says {options.sha256.lower()}; get the file again, or correct the key if this file"
            " is meant."
        )
    return StartWeights(source, digest[:16], _read(path, source), features)


def _of_folder(folder: Path) -> tuple[Path, tuple[str, ...]]:
    if (folder / TREES_FILE).is_file():
        raise ModelError(
            f"The model in {folder} is of decision trees, which have no weights; name a network in"
            " the recipe's key 'training.start_from'."
        )
    for name in (MODEL_FILE, RECIPE_FILE):
        if not (folder / name).is_file():
            raise ModelError(
                f"The folder {folder} holds no model ({name} is missing); name the folder that"
                " 'polynya train' wrote in the recipe's key 'training.start_from'."
            )
    recipe = load_recipe(folder / RECIPE_FILE)
    return folder / MODEL_FILE, (*recipe.scene.seen_bands, *recipe.features.indices)


def _fetched(options: WeightsOptions) -> Path:
    """Fetch a file into the cache, if it isn't there; its name there is its checksum."""
    assert options.sha256 is not None  # `WeightsOptions` refuses a URL without.
    wanted, shown = options.sha256.lower(), public_uri(options.source)
    cache = cache_folder("weights")
    if cache is None:
        raise ModelError(
            f"There is no folder for {shown}; name one that can be written in the variable"
            " POLYNYA_CACHE."
        )
    path = cache / wanted
    if path.is_file():
        if _sha256(path) == wanted:
            return path
        raise ModelError(
            f"{path} was changed since {shown} was fetched; remove it and start again."
        )
    try:
        answer = Web(_TIMEOUT, _RETRIES).request("GET", options.source, most=LARGEST_DOWNLOAD)
    except OSError as error:
        raise ModelError(
            f"{shown} can't be fetched ({reason_of(error)}); try again, or fetch it by other means"
            " and name the file in the recipe's key 'training.start_from'."
        ) from None
    if answer.status != 200:
        raise ModelError(
            f"{shown} can't be fetched (the server answers with status {answer.status}); correct"
            " the recipe's key 'training.start_from'."
        )
    digest = hashlib.sha256(answer.content).hexdigest()
    if digest != wanted:
        raise ModelError(
            f"{shown} sends a file of {len(answer.content)} bytes with the SHA-256 {digest}, and"
            f" the recipe's key 'training.start_from.sha256' says {wanted}; correct the key if this"
            " file is meant."
        )
    with whole_file(path) as partial:
        Path(partial).write_bytes(answer.content)
    return path


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, source: str) -> dict[str, list[NDArray[Any]]]:
    try:
        check_sizes(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # Reading the whole member checks its checksum.
                content: Any = io.BytesIO(archive.read(WEIGHTS_MEMBER))
        else:
            content = path
        with h5py.File(content, "r") as file:
            arrays = _arrays(file)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{source} can't be read as weights of Keras ({reason_of(error)}); get it again, or"
            " name another file in the recipe's key 'training.start_from'."
        ) from None
    if not arrays:
        raise ModelError(
            f"{source} has no weights with the names of their layers; save them again with Keras'"
            " save() or save_weights()."
        )
    for name, values in arrays.items():
        if not all(np.isfinite(value.astype(np.float32, copy=False)).all() for value in values):
            raise ModelError(
                f"The layer '{name}' in {source} has values that are not finite numbers; name"
                " another file in the recipe's key 'training.start_from'."
            )
    return arrays


def _arrays(file: h5py.File) -> dict[str, list[NDArray[Any]]]:
    """Collect the arrays of each layer; links to other files are not followed."""
    found: dict[str, list[tuple[int, h5py.Dataset]]] = {}

    def visit(path: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual:
            raise ValueError("it refers to other files")
        parts = path.split("/")
        if parts[0] in _NOT_LAYERS or _NOT_LAYERS[1] in parts:
            return
        place = _place(file, parts)
        if place is not None:
            found.setdefault(place[0], []).append((place[1], item))

    file.visititems(visit)
    return {
        name: [np.asarray(item[()]) for _, item in sorted(items, key=lambda pair: pair[0])]
        for name, items in found.items()
    }


def _place(file: h5py.File, parts: Sequence[str]) -> tuple[str, int] | None:
    """Find the layer of an array and its number there; None if the file doesn't say."""
    if "vars" in parts:
        # Keras 3: layers/conv2d_1/vars/0, with the layer's own name at the group "vars". Of parts
        # of a layer, as in attention, both names count.
        names = _layer_name(file, parts[:-2])
        outer = parts[:-3]
        if names is not None and outer and outer[-1] != "layers":
            above = _layer_name(file, outer)
            names = names if above is None else f"{above}/{names}"
        return None if names is None else (names, int(parts[-1]))
    # Keras 2, as the files of keras.applications: a group for each layer lists its arrays.
    for depth in range(1, len(parts)):
        listed = file["/".join(parts[:depth])].attrs.get("weight_names")
        if listed is not None:
            names_of = [n.decode() if isinstance(n, bytes) else str(n) for n in listed]
            own = "/".join(parts[depth:])
            return (parts[-2], names_of.index(own)) if own in names_of else None
    return None


def _layer_name(file: h5py.File, parts: Sequence[str]) -> str | None:
    group = file.get("/".join((*parts, "vars")))
    name = None if group is None else group.attrs.get("name")
    return name if isinstance(name, str) else None
