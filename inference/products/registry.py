"""The list of products beside the class map, with their files, columns and tags.

The names are in `polynya.recipe.inference.ProductName`. The product `some-name` is `PRODUCT` in the
module `inference.products.some_name`, which is imported when the product is needed
(docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import get_args

from inference.predict.windows import Band
from inference.products.paths import COG, MAP, OVERVIEW, QML, ProductFile, ProductPaths
from inference.products.product import Codes, Product, Target, Writer
from polynya.errors import RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions, ProductName
from polynya.scenes.scene import Scene

PRODUCT_NAMES: tuple[ProductName, ...] = get_args(ProductName)
ALL, NONE = "all", "none"


def find_product(name: ProductName) -> Product:
    """Find the product with a name."""
    product: Product = import_module(f"inference.products.{name.replace('-', '_')}").PRODUCT
    return product


def products_of(names: Iterable[ProductName]) -> list[Product]:
    """Find the products with some names, in the order of `PRODUCT_NAMES`."""
    wanted = set(names)
    return [find_product(name) for name in PRODUCT_NAMES if name in wanted]


def parse_products(text: str | None) -> tuple[ProductName, ...] | None:
    """Read the names of products from the command line.

    Args:
        text: Names separated by commas, "all" or "none"; None if the option wasn't given.

    Raises:
        RecipeError: There is no product with one of the names.
    """
    if text is None:
        return None
    if text in (ALL, NONE):
        return PRODUCT_NAMES if text == ALL else ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PRODUCT_NAMES:
            raise RecipeError(
                f"--products has '{name}', which is no product; take some of"
                f" {', '.join(PRODUCT_NAMES)}, separated by commas, or {ALL} or {NONE}."
            )
    return tuple(name for name in PRODUCT_NAMES if name in names)


def products_help() -> str:
    """List the names of all products with short descriptions, for `--help`."""
    known = [f"{product.name} ({product.about})" for product in products_of(PRODUCT_NAMES)]
    return f"{'; '.join(known)}; {ALL}; {NONE}"


def listed_files(products: Iterable[ProductName]) -> list[ProductFile]:
    """List the files of a scene for its STAC item: map, overview, the products' files, styles.

    The files are in the order in which the products are named.
    """
    files = [MAP, OVERVIEW, *(file for name in products for file in find_product(name).files)]
    return [*files, *(style_of(file) for file in files if file.media_type == COG)]


def style_of(file: ProductFile) -> ProductFile:
    """Describe the style for QGIS of a raster: the same name with another extension."""
    ending = f"{file.ending.removesuffix('.tif')}.qml"
    title = f"Style for QGIS: {file.title}"
    return ProductFile(ending, f"{file.asset}-style", title, QML, role="metadata")


def product_paths(paths: ProductPaths, products: Iterable[ProductName]) -> list[Path]:
    """List the paths of a scene's files: map, STAC item, overview, products' files, styles."""
    files = (paths.named(file.ending) for file in listed_files(products))
    return [next(files), paths.item, *files]


def product_columns() -> list[str]:
    """List the columns of the summary that come from products; a run may leave them empty."""
    return [column for product in products_of(PRODUCT_NAMES) for column in product.columns]


def needs_probabilities(products: Iterable[ProductName]) -> bool:
    """Whether one of the products needs probabilities."""
    return any(find_product(name).needs_probabilities for name in products)


def product_tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    """List all that decides the content of the chosen products, as metadata; empty for the map.

    Raises:
        RecipeError: A product doesn't fit the classes.
    """
    tags = {} if options.palette == "standard" else {"palette": str(options.palette)}
    for product in products_of(options.products):
        tags |= product.tags(options, classes)
    return tags


@contextmanager
def open_writers(
    paths: ProductPaths,
    scene: Scene,
    classes: ClassScheme,
    options: InferenceOptions,
    tags: dict[str, str],
) -> Iterator[Writer]:
    """Open the products that `options` asks for; all of them are complete when the block ends.

    If the block raises an error, no product is left.

    Args:
        paths: Files of the scene.
        scene: Scene of the prediction.
        classes: Scheme of the codes.
        options: Products and their options.
        tags: Provenance.

    Yields:
        A writer that passes everything to each product.

    Raises:
        RecipeError: A product doesn't fit the classes.
        OutputError: A file can't be written.
    """
    target = Target(paths, scene, classes, options, tags)
    with ExitStack() as stack:
        wanted = products_of(options.products)
        yield _Writers([stack.enter_context(product.open(target)) for product in wanted])


class _Writers(Writer):
    """All the wanted products of one scene."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    def add(self, band: Band) -> None:
        for writer in self._writers:
            writer.add(band)

    def finish(self, codes: Codes) -> dict[str, str]:
        columns: dict[str, str] = {}
        for writer in self._writers:
            columns |= writer.finish(codes)
        return columns
