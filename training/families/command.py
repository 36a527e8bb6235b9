"""`polynya model`: facts of a network, from its family, a recipe or a model folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polynya.errors import ModelError
from polynya.names import printable
from polynya.recipe.base import tags_of
from polynya.recipe.classes import ClassScheme, LabelClass
from polynya.recipe.model import PIXEL_MODELS, ModelOptions
from polynya.recipe.overrides import with_settings
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.shipped import shipped_as, shipped_recipes
from polynya.report.tables import Table
from polynya.storage.files import write_text
from polynya.storage.ownership import check_free

if TYPE_CHECKING:
    import keras

    from training.families.measured import Measured

_FAMILIES = tuple(name for name in tags_of(ModelOptions, "name") if name not in PIXEL_MODELS)
_USUAL = 3
"""Bands and classes if nothing says others."""


def model(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Family of networks (`model.name` of a recipe), a recipe or a model folder;"
            " without one, all families.",
        ),
    ] = None,
    bands: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Of a family; default: 3.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, max=250, help="Of a family; 1: a mask. Default: 3.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Give a key of the section `model` another value, such as filters=8; may be"
            " repeated.",
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=1, max=16384, help="Edge of the images; rounded up to the multiple."),
    ] = 512,
    is_list: Annotated[bool, typer.Option("--list", help="Table of all families.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure time and memory on this machine.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images at once, for --measure.")] = 1,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the network's structure.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table.")
    ] = False,
) -> None:
    """Say the facts of a network: parameters, memory, work, what a pixel sees; or list all."""
    if name is None or is_list:
        if name is not None:
            raise ModelError("--list is for all families; leave it out, or the name.")
        _print(_families(), None, as_json=as_json, as_markdown=as_markdown)
        return
    subject = _subject(name, bands, classes, settings or [])
    if draw is not None:
        if draw.suffix != ".svg":
            raise ModelError(f"--draw {draw} is no name of a drawing; give one that ends in .svg.")
        check_free([draw])
    # TensorFlow takes seconds to import, and a wrong call needs none.
    from training.ranks.devices import configure_devices, import_tensorflow
    from training.ranks.port import SingleProcess

    import_tensorflow()
    if measure:
        configure_devices(SingleProcess())
    network = subject.network(size)
    from training.model_facts.drawing import draw_network
    from training.model_facts.facts import fact_rows, facts_of

    facts = facts_of(network)
    if draw is not None:
        write_text(draw, draw_network(network, subject.title))
    measured = None
    if measure:
        from training.families.measured import measure as measure_network

        measured = measure_network(network, subject.recipe, batch)
    content = subject.about() | asdict(facts)
    if measured is not None:
        content["measured"] = asdict(measured)
    table = Table(
        f"{subject.title}, images of {facts.height} x {facts.width} pixels",
        ("fact", "value"),
        tuple(fact_rows(facts) + (measured_rows(measured) if measured else [])),
    )
    _print(table, content, as_json=as_json, as_markdown=as_markdown)
    if draw is not None:
        typer.echo(f"Drawing: {draw}", err=as_json)


@dataclass(frozen=True)
class _Subject:
    """The network whose facts are asked for."""

    name: str
    recipe: Recipe
    bands: int
    folder: Path | None = None
    of_family: bool = False

    @property
    def title(self) -> str:
        family = self.recipe.model.name
        whose = family if self.of_family else f"{self.name} ({family})"
        return f"{whose}, bands {self.bands}, classes {self.recipe.classes.n_classes}"

    def about(self) -> dict[str, Any]:
        options = self.recipe.model
        return {
            **options.model_dump(mode="json"),
            "multiple": options.multiple,
            "bands": self.bands,
            "classes": self.recipe.classes.n_classes,
        }

    def network(self, size: int) -> keras.Model:
        """Build the network for images of this size, rounded up to the multiple."""
        options = self.recipe.model
        edge = -(-size // options.multiple) * options.multiple
        shape = (edge, edge, self.bands)
        if self.folder is not None:
            from training.model_facts.graph import at_size
            from training.model_folder.folder import load_model

            return at_size(load_model(self.folder).keras_model, [shape])
        from training.models import build_from
        from training.run.build import MIXED_POLICY

        return build_from(
            options,
            input_shape=shape,
            n_classes=self.recipe.classes.n_classes,
            activation="sigmoid" if self.recipe.classes.has_masks else "softmax",
            features=None if self.of_family else _features(self.recipe),
            dtype=MIXED_POLICY[self.recipe.training.precision],
        )


def _subject(name: str, bands: int | None, classes: int | None, settings: list[str]) -> _Subject:
    """Find what a name stands for.

    Raises:
        PolynyaError: For nothing, or options don't suit it.
    """
    keys = [text if text.startswith("model.") else f"model.{text}" for text in settings]
    if name in _FAMILIES:
        n_classes = _USUAL if classes is None else classes
        plain = parse_recipe({"model": name, "classes": _scheme(n_classes)}, source=name)
        recipe = with_settings(plain, keys)
        return _Subject(name, recipe, _USUAL if bands is None else bands, of_family=True)
    if name in PIXEL_MODELS:
        raise ModelError(
            f"'{name}' is of decision trees, and these facts are of networks; give one of:"
            f" {', '.join(_FAMILIES)}."
        )
    folder = Path(name) if os.path.isdir(name) else None
    if folder is None and not os.path.isfile(name) and shipped_as(name) is None:
        near = get_close_matches(name, (*_FAMILIES, *shipped_recipes()), n=1)
        meant = f"perhaps '{near[0]}' is meant; " if near else ""
        raise ModelError(
            f"There is no family of networks, recipe or model folder '{printable(name)}'; {meant}"
            "'polynya model' lists all families."
        )
    if (bands, classes) != (None, None):
        raise ModelError(
            f"--bands and --classes are for a family, and {printable(name)} says its own; leave"
            " them out."
        )
    if folder is not None:
        if keys:
            raise ModelError(
                f"--set is for a family or recipe, and the model in {printable(name)} is trained;"
                " leave it out."
            )
        from training.model_folder.folder import RECIPE_FILE

        recipe = load_recipe(folder / RECIPE_FILE)
    else:
        recipe = with_settings(load_recipe(name), keys)
    if recipe.model.name in PIXEL_MODELS:
        raise ModelError(
            f"The model of {printable(name)} is '{recipe.model.name}', which is of decision trees,"
            " and these facts are of networks."
        )
    return _Subject(name, recipe, len(recipe.scene.seen_bands), folder)


def _scheme(n_classes: int) -> dict[str, Any]:
    """Classes without meaning; one alone is a mask."""
    each = [
        LabelClass(code=code, name=f"class_{code}", title=f"Class {code}", color=(0, 0, code))
        for code in range(n_classes)
    ]
    scheme = ClassScheme(
        name="classes", kind="masks" if n_classes == 1 else "exclusive", classes=tuple(each)
    )
    return scheme.model_dump(mode="json")


def _features(recipe: Recipe) -> Any:
    """Features of a recipe; their statistics come from data, and change no fact."""
    import numpy as np

    from training.models.features import FeaturePlan, FeatureStatistics, make_features

    plan = FeaturePlan.of(recipe)
    none, one = np.zeros(len(plan.names)), np.ones(len(plan.names))
    return make_features(plan, FeatureStatistics(none, one, none, one, none, one))


def measured_rows(measured: Measured) -> list[tuple[str, str]]:
    """Measured times and memory in words."""
    images = f"{measured.batch} image{'s'[: measured.batch != 1]}"
    rows = [("measured on", measured.device)]
    for what, seconds, memory in (
        ("training step", measured.step_s, measured.step_mb),
        ("prediction", measured.inference_s, measured.inference_mb),
    ):
        told = "memory unknown" if memory is None else f"{memory:,.0f} MB"
        rows.append((f"{what} with {images}", f"{seconds:.4g} s, {told}"))
    return rows


def _families() -> Table:
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.families.listing import families_table

    return families_table()


def _print(
    table: Table, content: dict[str, Any] | None, *, as_json: bool, as_markdown: bool
) -> None:
    if as_json:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        typer.echo(json.dumps(rows if content is None else content, indent=2))
    elif as_markdown:
        typer.echo(table.markdown())
    else:
        table.print()
