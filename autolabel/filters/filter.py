"""Interface of filters for thin cloud and shadow: a `Filter` describes one filter completely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from autolabel.thresholds.profiles import Profile
    from polynya.recipe.classes import ClassScheme
    from polynya.recipe.label import FilterName
    from polynya.recipe.recipe import Recipe
    from polynya.scenes.scene import Scene, SceneLayers

Image = NDArray[np.uint8]
"""(H, W, 3), RGB, 0 where nodata."""
Mask = NDArray[np.bool_]
"""(H, W)."""
Stretch = tuple[float, float]
"""Reflectances of grey levels 0 and 255."""

LayerName = Literal["nir", "swir", "cirrus", "clouds", "sun"]
"""Layers that a scene may have in addition to its colours (`polynya.scenes.beside.layers`)."""
Knowledge = Literal["veiled", "thick_cloud", "confidence"]


class Light(Protocol):
    """The cloud and shadow that a filter found over some rows of a scene."""

    def gain(self) -> NDArray[np.float32]:
        """Share of light that a shadow lets through, (H, W), 0..1; 1 without shadow."""
        ...

    def haze(self) -> NDArray[np.float32]:
        """Opacity of thin cloud, (H, W), 0..1: 0 in clear air."""
        ...

    def veiled(self) -> Mask:
        """Where there is cloud or shadow: bool (H, W)."""
        ...

    def hidden(self, most_haze: float) -> Mask:
        """Where cloud hides the ground, for example haze above `most_haze`: bool (H, W)."""
        ...


@dataclass(frozen=True)
class Labelled:
    """An image with its labels and the cloud and shadow that the filter found."""

    label: NDArray[np.uint8]
    """(H, W), class codes; the scheme's nodata code where there is no data or no threshold fits."""
    filtered: Image | None
    """(H, W, 3); None unless the caller asked for it."""
    sky: Light | None
    """Cloud and shadow; None for filters that don't find them."""


_Light = TypeVar("_Light", bound=Light)


@dataclass(frozen=True)
class LightSteps(Generic[_Light]):
    """Steps of a filter that first finds the light over a whole scene.

    When the light is known, the filter can work on some rows of the scene alone.
    """

    find: Callable[[Scene, Recipe], _Light]
    """Finds the light over a scene. Reads it strip by strip, so memory depends on its width."""
    over_rows: Callable[[_Light, int, Image, SceneLayers | None, Stretch], _Light]
    """Gives the light over some rows. Arguments: light over the whole scene, number of the first
    row, image, layers and stretch of the rows."""
    pack: Callable[[_Light], bytes]
    """Turns the light over a whole scene into bytes for other workers."""
    unpack: Callable[[bytes], _Light]
    """Reads the bytes that `pack` made."""
    label: Callable[
        [Image, Mask, Profile, ClassScheme, SceneLayers | None, Stretch, bool, _Light | None],
        Labelled,
    ]
    """Labels an image by a profile of thresholds. The flag asks for the filtered image. If the
    light is None, it is found in the image."""
    confidence: Callable[[Image, Mask, _Light], NDArray[np.float32]]
    """Estimates the chance that the label of each pixel is correct, (H, W), 0.5..1."""


def any_profile(profile: Profile, classes: ClassScheme) -> None:
    """Accept all thresholds."""


@dataclass(frozen=True)
class Filter:
    """A filter that runs before the colour thresholds."""

    name: FilterName
    title: str
    """Name in tables and sentences."""
    clear: Callable[[Image, Mask, SceneLayers | None, Stretch], Image]
    """Returns the image without thin cloud and shadow. Arguments: the image, its valid pixels, its
    layers and the stretch. The given image stays unchanged."""
    changes_images: bool = True
    needs_whole: bool = False
    """Whether the filter needs all pixels of a scene at once. If this is false and `light` is None,
    the filter looks at each pixel alone."""
    light: LightSteps[Any] | None = None
    """Steps that filter a scene in parts, with the same result as for the whole scene; None if the
    filter finds no light."""
    layers: frozenset[LayerName] = frozenset()
    """Layers that the filter can use in addition to the colours."""
    knows: frozenset[Knowledge] = frozenset()
    """What the filter can tell about a pixel; this needs `light`."""
    least_size: int = 1
    """Least length of a scene's longer side, in pixels; in smaller scenes the filter may err."""
    check_profile: Callable[[Profile, ClassScheme], object] = any_profile
    """Raises RecipeError for thresholds that the filter can't use."""
