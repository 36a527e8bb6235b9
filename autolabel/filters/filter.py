"""What a filter for thin cloud and shadow is: a `Filter` says all of itself."""

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
"""What a scene may have beside its colours (`polynya.scenes.beside.layers`)."""
Knowledge = Literal["veiled", "thick_cloud", "confidence"]


class Light(Protocol):
    """What a filter found over some rows of a scene."""

    def gain(self) -> NDArray[np.float32]:
        """What shadow leaves of the light, (H, W), 0..1: 1 in clear light."""
        ...

    def haze(self) -> NDArray[np.float32]:
        """Opacity of thin cloud, (H, W), 0..1: 0 in clear air."""
        ...

    def veiled(self) -> Mask:
        """Where there is cloud or shadow: bool (H, W)."""
        ...

    def hidden(self, most_haze: float) -> Mask:
        """Where cloud hides the ground, as haze above a limit does: bool (H, W)."""
        ...


@dataclass(frozen=True)
class Labelled:
    """An image with its labels and what the filter found."""

    label: NDArray[np.uint8]
    """(H, W), class codes; the scheme's nodata where there is no data or no threshold holds."""
    filtered: Image | None
    """(H, W, 3), if asked for."""
    sky: Light | None
    """Cloud and shadow, by filters that find them."""


_Light = TypeVar("_Light", bound=Light)


@dataclass(frozen=True)
class LightSteps(Generic[_Light]):
    """Steps of a filter that finds the light over a whole scene; then rows of it are enough."""

    find: Callable[[Scene, Recipe], _Light]
    """Over a scene that is read strip by strip; memory depends on its width."""
    over_rows: Callable[[_Light, int, Image, SceneLayers | None, Stretch], _Light]
    """Over some rows: the whole scene's light, number of the first row, image and layers there."""
    pack: Callable[[_Light], bytes]
    """The light over a whole scene as bytes for other workers."""
    unpack: Callable[[bytes], _Light]
    """What `pack` made."""
    label: Callable[
        [Image, Mask, Profile, ClassScheme, SceneLayers | None, Stretch, bool, _Light | None],
        Labelled,
    ]
    """Labels of an image by a profile of thresholds; the flag asks for the filtered image, and
    where the light is None it is found in the image."""
    confidence: Callable[[Image, Mask, _Light], NDArray[np.float32]]
    """Estimated chance that the label of each pixel is right, (H, W), 0.5..1."""


def any_profile(profile: Profile, classes: ClassScheme) -> None:
    """Accept all thresholds."""


@dataclass(frozen=True)
class Filter:
    """A filter before the colour thresholds."""

    name: FilterName
    title: str
    """In tables and sentences."""
    clear: Callable[[Image, Mask, SceneLayers | None, Stretch], Image]
    """The image without thin cloud and shadow, from the image, where it is valid, and what may
    help; the image given stays as it is."""
    changes_images: bool = True
    needs_whole: bool = False
    """Whether it must have all pixels of a scene at once. Where this is false and `light` is None,
    it sees each pixel alone."""
    light: LightSteps[Any] | None = None
    """Steps by which a scene is filtered in parts that look like the whole; None where it finds no
    light."""
    layers: frozenset[LayerName] = frozenset()
    """What it can use beside the colours."""
    knows: frozenset[Knowledge] = frozenset()
    """What it can say of a pixel; it has a `light` for that."""
    least_size: int = 1
    """Pixels along the longer side of a scene below which it may be wrong."""
    check_profile: Callable[[Profile, ClassScheme], object] = any_profile
    """Raises RecipeError for thresholds that it can't use."""
