"""The products of a scene beside its class map: which there are, and all that follows from that.

The names are those of `polynya.recipe.inference.ProductName`. The product `some-name` is `PRODUCT`
of the module `inference.products.some_name`, which is imported when it is asked for
(docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import get_args

from inference.predict.windows import Band
from inference.products.paths import MAP, OVERVIEW, ProductFile, ProductPaths
from inference.products.product import Codes, Product, Target, Writer
from polynya.errors import RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions, ProductName
from polynya.scenes.scene import Scene

PRODUCT_NAMES: tuple[ProductName, ...] = get_args(ProductName)
ALL, NONE = "all", "none"


def find_product(name: ProductName) -> Product:
    """The product of a name."""
    product: Product = import_module(f"inference.products.{name.replace('-', '_')}").PRODUCT
    return product


def products_of(names: Iterable[ProductName]) -> list[Product]:
    """The products of some names, in the order of `PRODUCT_NAMES`."""
    wanted = set(names)
    return [find_product(name) for name in PRODUCT_NAMES if name in wanted]


def parse_products(text: str | None) -> tuple[ProductName, ...] | None:
    """Names of products from the command line.

    Args:
        text: Names with commas between, "all" or "none"; None if the option wasn't given.

    Raises:
        RecipeError: A name that is no product's.
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
                f" {', '.join(PRODUCT_NAMES)} with commas between, or {ALL} or {NONE}."
            )
    return tuple(name for name in PRODUCT_NAMES if name in names)


def products_help() -> str:
    """Names of all products with a few words on each, for `--help`."""
    known = [f"{product.name} ({product.about})" for product in products_of(PRODUCT_NAMES)]
    return f"{'; '.join(known)}; {ALL}; {NONE}"


def listed_files(products: Iterable[ProductName]) -> list[ProductFile]:
    """Files of a scene that its STAC item lists: map, overview and those of the products.

    They come in the order in which the products are named.
    """
    return [MAP, OVERVIEW, *(file for name in products for file in find_product(name).files)]


def product_paths(paths: ProductPaths, products: Iterable[ProductName]) -> list[Path]:
    """Where the files of a scene are: map, STAC item, overview and those of the products."""
    files = (file for name in products for file in find_product(name).files)
    return [paths.map, paths.item, paths.picture, *(paths.named(file.ending) for file in files)]


def product_columns() -> list[str]:
    """Columns of the summary that not every run fills; empty where it doesn't."""
    return [column for product in products_of(PRODUCT_NAMES) for column in product.columns]


def needs_probabilities(products: Iterable[ProductName]) -> bool:
    """Whether one of the products needs more than class codes."""
    return any(find_product(name).needs_probabilities for name in products)


def product_tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    """What decides the content of the chosen products, as metadata; empty for the map alone.

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
    """Open the products that `options` asks for; they are all there when the block ends.

    Nothing is left of them if the block raises.

    Args:
        paths: Their files.
        scene: What is predicted.
        classes: Scheme of the codes.
        options: Which products, and how.
        tags: Provenance.

    Yields:
        A writer that hands what it gets to each product.

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
