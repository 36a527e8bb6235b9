"""A running page of `polynya thresholds` in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from autolabel.tuner.saving import RecipeFile
from autolabel.tuner.server import TunerServer
from autolabel.tuner.tuning import Tuning
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene


@contextmanager
def tuner_of(
    files: Sequence[Path], out: Path, recipe: Recipe | None = None, *, update: bool = False
) -> Iterator[TunerServer]:
    """Serve a page with some scenes; it ends with the block."""
    recipe = recipe or Recipe()
    scenes = [open_scene(file, recipe.scene) for file in files]
    file = RecipeFile(out, update=update)
    with TunerServer(Tuning(scenes, recipe, file, "mine")) as server:
        server.tuning.start()
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)


def address_of(server: TunerServer) -> str:
    """Address to open, with the token."""
    return f"{server.address}?token={server.admission.token}"
