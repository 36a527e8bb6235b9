"""The sets of scenes: the varied property, and the seeds of development and held-out sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

import typer

from benchmarks.common.cli import names_of
from data_samples import SKY_KINDS, SkyOptions
from polynya.errors import PolynyaError


class Split(StrEnum):
    """Purpose of sites."""

    DEV = "dev"
    """Sites to tune methods on."""
    HELDOUT = "heldout"
    """Sites for results only; methods must not be tuned on them."""


SplitOption = Annotated[
    Split, typer.Option(help="Sites: heldout, or dev, on which methods may be tuned.")
]
SitesOption = Annotated[
    int | None, typer.Option(min=1, help="Sites of each set; default: the set's own number.")
]

FIRST_SEEDS = {Split.DEV: 501, Split.HELDOUT: 9001}
"""Seed of the first site of the first set."""

SITES_PER_SET = 100
"""Number of seeds reserved for each set, so that no two sets share a site."""

CONTAMINATED = ("shadow", "cloud", "both")
"""Skies other than a clear one."""

QUICK_SITES, QUICK_SIZE = 2, 256


@dataclass(frozen=True)
class SceneSet:
    """Scenes with one common property; each site is seen under all four skies."""

    name: str
    about: str
    """The special property, for tables."""
    size: int = 1024
    """Height and width in pixels."""
    sites: int = 6
    """Default number of sites."""
    generator: Literal["samples", "blobs", "spectral", "overcast"] = "samples"
    """`data_samples.make_scene`, or the module of `data_samples` of this name."""
    sky: SkyOptions = field(default_factory=SkyOptions)
    """Ranges of cloudiness; for the generator "samples"."""
    texture: float | None = None
    """Texture relative to brightness; None draws it at random; for the generator "samples"."""
    blur: float = 0.0
    """Standard deviation of a Gaussian blur of the observed image, in pixels."""
    noise: float = 0.0
    """Standard deviation of noise added to each band of the observed image, in grey levels."""
    structure: str | None = None
    """Kind of ground; None draws it for each site; for the generator "spectral", as all below."""
    pixel: tuple[float, float] = (1.0, 1.0)
    """Least and greatest size of a pixel, relative to 10 m."""
    gamma: tuple[float, float] = (1.0, 1.0)
    """Least and greatest exponent of the stretch to 8 bits."""
    contrast: tuple[float, float] = (1.0, 1.0)
    """Least and greatest factor of grey about the middle."""
    jpeg: tuple[int, int] | None = None
    """Least and greatest quality of a JPEG file through which the image goes; None: no file."""


SETS: dict[str, SceneSet] = {
    scene_set.name: scene_set
    for scene_set in (
        SceneSet("standard", "default sky", sites=12),
        SceneSet("blurred", "image blurred, sigma 1.5 px", blur=1.5),
        SceneSet("noisy", "noise of sigma 4 in each band", noise=4.0),
        SceneSet(
            "cloud-205", "grey cloud: brightness 205", sky=SkyOptions(cloud_brightness=(205, 205))
        ),
        SceneSet(
            "cloud-255", "white cloud: brightness 255", sky=SkyOptions(cloud_brightness=(255, 255))
        ),
        SceneSet("size-256", "small scenes, 256 px", size=256, sites=12),
        SceneSet("size-512", "fairly small scenes, 512 px", size=512, sites=12),
        SceneSet("size-4096", "large scenes, 4096 px", size=4096, sites=3),
        SceneSet(
            "heavy",
            "dense cloud and deep shadow: opacity to 0.6, gain to 0.35",
            sky=SkyOptions(coverage=(0.25, 0.6), opacity=(0.35, 0.6), gain=(0.35, 0.6)),
        ),
        SceneSet(
            "faint",
            "faint cloud and shadow: opacity to 0.15, gain from 0.88",
            sky=SkyOptions(opacity=(0.03, 0.15), gain=(0.88, 0.97)),
        ),
        SceneSet(
            "broad",
            "broad cloud and shadow: structures of 600 to 1500 px",
            sky=SkyOptions(scale=(600.0, 1500.0)),
        ),
        SceneSet(
            "fine",
            "small cloud and shadow: structures of 40 to 120 px",
            sky=SkyOptions(scale=(40.0, 120.0)),
        ),
        SceneSet(
            "low-sun",
            "sun 5 to 12 degrees high: shadows far from their clouds",
            sky=SkyOptions(sun_elevation=(5.0, 12.0)),
        ),
        SceneSet("blobs", "another generator", sites=12, generator="blobs"),
        SceneSet("smooth", "no texture: nothing but brightness tells classes apart", texture=0.0),
        *(
            SceneSet(f"spectral-{name}", about, generator="spectral", structure=name)
            for name, about in (
                ("young", "young ice that thickens smoothly over kilometres"),
                ("polynya", "polynya along an ice shelf, with frazil and icebergs"),
                ("ponds", "floes with melt ponds with soft shores"),
                ("ridges", "thick ice with ridges, relief shading and drifting snow"),
                ("brash", "brash finer than a pixel: smooth mixtures of water and white"),
                ("nilas", "broad nilas with rafting and leads"),
                ("pack", "floes and leads of several ages, sharp borders, real spectra"),
            )
        ),
        SceneSet(
            "spectral-scaled",
            "all spectral structures, pixels of 2.5 to 40 m",
            size=512,
            sites=14,
            generator="spectral",
            pixel=(0.25, 4.0),
        ),
        SceneSet(
            "spectral-stretched",
            "all spectral structures, gamma and contrast 0.7 to 1.4",
            size=512,
            sites=14,
            generator="spectral",
            gamma=(0.7, 1.4),
            contrast=(0.7, 1.4),
        ),
        SceneSet(
            "spectral-jpeg",
            "all spectral structures, JPEG of quality 40 to 95",
            size=512,
            sites=14,
            generator="spectral",
            jpeg=(40, 95),
        ),
        SceneSet(
            "overcast", "tops of dense cloud; below, labels can't be known", generator="overcast"
        ),
    )
}
"""All sets, in the order of the tables. Seeds depend on this order, so add new sets at the end."""


@dataclass(frozen=True)
class SceneSpec:
    """Description of one scene of a set; small enough to send to the worker that makes it."""

    set_name: str
    """Key of `SETS`."""
    seed: int
    """Seed of the site; no other set uses it."""
    sky: str
    """One of `SKY_KINDS`."""
    size: int
    """Height and width in pixels."""

    @property
    def name(self) -> str:
        """Name for tables: set, seed and sky."""
        return f"{self.set_name}-{self.seed}-{self.sky}"


def choose_sets(names: str) -> list[SceneSet]:
    """Find sets by their names, separated by commas; "" is all of them."""
    return [SETS[name] for name in names_of(names, "set", list(SETS))]


def list_scenes(
    sets: Sequence[SceneSet],
    split: Split,
    *,
    sites: int | None = None,
    size: int | None = None,
    skies: Sequence[str] = SKY_KINDS,
) -> list[SceneSpec]:
    """Return every scene of some sets; `sites` and `size` replace the sets' own values."""
    return [
        SceneSpec(scene_set.name, seed, sky, size or scene_set.size)
        for scene_set in sets
        for seed in _seeds(scene_set, split, sites or scene_set.sites)
        for sky in skies
    ]


def _seeds(scene_set: SceneSet, split: Split, sites: int) -> range:
    if sites > SITES_PER_SET:
        raise PolynyaError(f"--sites {sites} is more than a set has: use at most {SITES_PER_SET}")
    first = FIRST_SEEDS[split] + SITES_PER_SET * list(SETS).index(scene_set.name)
    return range(first, first + sites)
