"""The product `concentration`: share of ice in cells of a coarser grid, and its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ground.lengths import pixel_size
from inference.predict.windows import Band
from inference.products.cog import ROWS, RasterLayout, cog_rows
from inference.products.paths import COG, ProductFile
from inference.products.product import Codes, Product, Target, Writer
from polynya.errors import RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import ConcentrationOptions, InferenceOptions
from polynya.scenes.scene import Scene

_SEA_ICE = {
    "total": ("thin_ice", "thick_ice"),
    "thick": ("thick_ice",),
    "thin": ("thin_ice",),
}


@dataclass(frozen=True)
class Grid:
    """Grid of cells of whole pixels, from the upper left corner of a scene."""

    rows: int
    """Pixels of a cell from top to bottom."""
    columns: int
    """Pixels of a cell from left to right."""
    height: int
    """Cells from top to bottom; the last may reach beyond the scene."""
    width: int
    """Cells from left to right; the last may reach beyond the scene."""


def ice_groups(options: ConcentrationOptions, classes: ClassScheme) -> dict[str, tuple[int, ...]]:
    """Find the codes of the classes that are ice, by the name of the group.

    Raises:
        RecipeError: The recipe doesn't name the ice classes, and the scheme isn't that of sea ice.
    """
    groups = options.ice
    if groups is None:
        if not set(_SEA_ICE["total"]) <= set(classes.names):
            raise RecipeError(
                f"The product 'concentration' can't know which classes of '{classes.name}' are"
                " ice; set 'inference.concentration.ice' in the recipe.yaml of the model, such as"
                f" {{total: [{classes.names[-1]}]}}, or leave the product out."
            )
        groups = _SEA_ICE
    return {
        group: tuple(classes.names.index(name) for name in dict.fromkeys(names))
        for group, names in groups.items()
    }


def concentration_grid(scene: Scene, options: ConcentrationOptions) -> Grid:
    """Make the grid of cells: the wanted size, rounded to whole pixels, at least one pixel.

    The size of pixels is that on the ground at the centre of the scene.
    """
    rows = columns = options.cell_pixels
    size = pixel_size(scene)
    if size is not None:
        rows, columns = (max(1, round(options.cell / edge)) for edge in size)
    return Grid(rows, columns, -(-scene.height // rows), -(-scene.width // columns))


def concentration_layout(scene: Scene, grid: Grid, groups: Iterable[str]) -> RasterLayout:
    """Make the layout: three bands for each group of classes, and the share of valid pixels."""
    bands = [f"{group}{what}" for group in groups for what in ("", " expected", " uncertainty")]
    n, m = grid.columns, grid.rows
    # Without a transform, use the coordinates of QGIS, as for polygons.
    a, b, c, d, e, f = scene.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    control = scene.control.of_cells(m, n) if scene.control and scene.control.points else None
    return RasterLayout(
        height=grid.height,
        width=grid.width,
        bands=(*bands, "valid share"),
        dtype="float32",
        nodata=float("nan"),
        crs=scene.crs if scene.has_place else None,
        transform=None if control else (a * n, b * m, c, d * n, e * m, f),
        control=control,
        resampling="AVERAGE",
    )


class Concentration:
    """Sums over the cells of a grid, from the strips of a prediction."""

    def __init__(
        self, grid: Grid, groups: Mapping[str, tuple[int, ...]], classes: ClassScheme
    ) -> None:
        self._grid, self._groups, self._classes = grid, groups, classes
        shape = (len(groups), grid.height, grid.width)
        self._expected, self._deviations = np.zeros(shape), np.zeros(shape)

    def add(self, band: Band) -> None:
        """Add the probabilities of a strip."""
        for index, members in enumerate(self._groups.values()):
            of_members = band.probabilities[..., list(members)]
            # For masks that overlap, the probability of "any of several masks" is unknown. It is at
            # least the greatest single probability. This is exact where one mask contains the
            # other, as all ice contains ice of one kind.
            has_masks = self._classes.has_masks
            ice = of_members.max(axis=2, initial=0) if has_masks else of_members.sum(axis=2)
            ice = np.where(band.valid, np.clip(ice, 0, 1), 0)
            self._sum_cells(self._expected[index], band.row, ice)
            self._sum_cells(self._deviations[index], band.row, np.sqrt(ice * (1 - ice)))

    def finish(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the concentration in each cell.

        A cell has n valid pixels; k of them have an ice class or are under an ice mask; p is the
        probability of ice. The bands are k / n; the expected share, sum(p) / n; and the
        uncertainty, sum(sqrt(p (1 - p))) / n. If the probabilities are correct, the uncertainty is
        the largest possible standard deviation of the share, for any dependence between the errors
        of pixels: the deviation of a sum is at most the sum of deviations. (With independent
        errors, it would be about sqrt(n) times smaller. But one network sees neighbouring pixels
        together, so their errors are not independent.)

        Args:
            codes: uint8 (H, W), labels.

        Returns:
            float32 (cells down, cells across, bands), the bands of `concentration_layout`. NaN if a
            cell has no valid pixel, except in the share of valid pixels. This share is relative to
            all pixels of a cell, even those outside the scene.
        """
        grid = self._grid
        valid = np.zeros((grid.height, grid.width))
        counts = np.zeros_like(self._expected)
        for row in range(0, len(codes), ROWS):
            part = codes[row : row + ROWS]
            self._sum_cells(valid, row, part != self._classes.nodata)
            for index, members in enumerate(self._groups.values()):
                ice = np.zeros(part.shape, np.bool_)
                for code in members:
                    ice |= self._classes.where(part, code)
                self._sum_cells(counts[index], row, ice)
        known = np.where(valid > 0, valid, np.nan)
        shares = np.stack([counts, self._expected, self._deviations], axis=1) / known
        bands = [*shares.reshape(-1, *valid.shape), valid / (grid.rows * grid.columns)]
        return np.stack(bands, axis=-1).astype(np.float32)

    def _sum_cells(self, sums: NDArray[np.float64], row: int, values: NDArray[Any]) -> None:
        """Add values (n, W) of the rows from `row` on to the sums of their cells."""
        columns = np.arange(0, values.shape[1], self._grid.columns)
        across = np.add.reduceat(values, columns, axis=1, dtype=np.float64)
        cells = (row + np.arange(len(values))) // self._grid.rows
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        sums[cells[starts]] += np.add.reduceat(across, starts, axis=0)


class _ConcentrationWriter(Writer):
    def __init__(self, target: Target) -> None:
        options, scene = target.options.concentration, target.scene
        groups = ice_groups(options, target.classes)
        grid = concentration_grid(scene, options)
        self._path, self._layout = target.path(_FILE), concentration_layout(scene, grid, groups)
        self._tags = {**target.tags, "cell_pixels": f"{grid.columns} x {grid.rows}"}
        self._sums = Concentration(grid, groups, target.classes)

    def add(self, band: Band) -> None:
        self._sums.add(band)

    def finish(self, codes: Codes) -> dict[str, str]:
        with cog_rows(self._path, self._layout, self._tags) as rows:
            rows.write_all(self._sums.finish(codes))
        return {}


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    yield _ConcentrationWriter(target)


def _tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    concentration = options.concentration
    groups = ice_groups(concentration, classes)
    return {
        "concentration_cell": f"{concentration.cell:g}",
        "concentration_cell_pixels": str(concentration.cell_pixels),
        "concentration_ice": "; ".join(
            f"{group}: {', '.join(classes.names[code] for code in codes)}"
            for group, codes in groups.items()
        ),
    }


_FILE = ProductFile("_concentration.tif", "concentration", "Ice concentration", COG)
PRODUCT = Product(
    name="concentration",
    about="share of ice in the cells of a coarser grid",
    files=(_FILE,),
    open=_open,
    needs_probabilities=True,
    tags=_tags,
)
