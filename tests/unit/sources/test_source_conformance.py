"""Every source that a recipe can name."""

from __future__ import annotations

import pytest

from polynya.recipe.acquire import AcquireOptions
from polynya.recipe.base import tags_of
from polynya.sources.source import Source, find_source


@pytest.mark.parametrize("name", tags_of(AcquireOptions, "source"))
def test_every_source_has_its_module_and_says_how_scenes_come(name: str) -> None:
    source = find_source(name)
    assert isinstance(source, Source)
    assert callable(source.list_items)
    # A scene either refers to files or is written of pixels that are asked for.
    assert source.has_files == (source.write_scene is None)
    assert source.scenes_at_once is None or source.scenes_at_once >= 1
