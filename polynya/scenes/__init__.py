"""Scenes: found, described and read, with their bands, place, validity, land and layers."""

from typing import TYPE_CHECKING

from polynya.lazy import lazy_names

if TYPE_CHECKING:
    from polynya.names import scene_id
    from polynya.scenes.finding import SceneRef, find_scenes
    from polynya.scenes.reading import open_scene, read_scene
    from polynya.scenes.scene import Scene

__all__ = ["Scene", "SceneRef", "find_scenes", "open_scene", "read_scene", "scene_id"]

# Modules of this package import each other, so the package itself imports none of them at once.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Scene": "polynya.scenes.scene:Scene",
        "SceneRef": "polynya.scenes.finding:SceneRef",
        "find_scenes": "polynya.scenes.finding:find_scenes",
        "open_scene": "polynya.scenes.reading:open_scene",
        "read_scene": "polynya.scenes.reading:read_scene",
        "scene_id": "polynya.names:scene_id",
    },
)
