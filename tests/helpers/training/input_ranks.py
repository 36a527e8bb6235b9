"""One rank of a test: opens the tiles of shards and tells which it sees in an epoch.

python tests/helpers/training/input_ranks.py SHARDS FOLDER CACHE...
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

from polynya.errors import PolynyaError
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import open_shards
from training.ranks.collective import open_collective
from training.ranks.devices import configure_devices, import_tensorflow


def main(shards_folder: str, folder: str, *caches: str) -> None:
    import_tensorflow()
    collective = open_collective()
    threads = configure_devices(collective)
    from training.run.build import open_sources

    shards = open_shards(shards_folder)
    told: dict[str, object] = {}
    for cache in caches:
        options = {"cache": cache, "folder": f"{folder}/cache", "shuffle_buffer": 8}
        recipe = Recipe.model_validate({"tiles": {"size": 32}, "training": {"input": options}})
        try:
            parts = [shards.scene_ids]
            (source,) = open_sources(shards, parts, recipe, collective, threads)
            indices = source.epoch_indices(
                epoch=1,
                seed=3,
                shuffle=True,
                batch_size=5,
                rank=collective.rank,
                size=collective.size,
            )
            told[cache] = [
                [zlib.crc32(image.tobytes()), zlib.crc32(label.tobytes())]
                for images, labels in source.batches(indices)
                for image, label in zip(images.numpy(), labels.numpy(), strict=True)
            ]
        except PolynyaError as error:
            told[cache] = str(error)
    Path(folder, f"rank{collective.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
