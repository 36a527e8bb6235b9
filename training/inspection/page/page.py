"""Put the parts of the report together."""

from __future__ import annotations

from polynya import __version__
from polynya.report.html import Html, document, element, joined
from polynya.report.parts import cards
from polynya.shards.dropped import Dropped
from training.inspection.page.bands import bands_section
from training.inspection.page.classes import classes_section
from training.inspection.page.findings import dropped_section, findings_section, fixes_section
from training.inspection.page.places import places_section
from training.inspection.page.samples import SHOWN, choose, read_tiles, samples_section
from training.inspection.survey import Survey

_LINKS = (
    ("samples", "Samples"),
    ("classes", "Classes"),
    ("bands", "Bands"),
    ("places", "Scenes"),
    ("findings", "Findings"),
    ("fix", "What to fix"),
)


def make_page(survey: Survey, dropped: Dropped, samples: int, *, is_new: bool = False) -> str:
    """Make the report of a data set as HTML.

    Args:
        survey: What was found.
        dropped: The tiles that are left out of trainings.
        samples: Number of tiles to show; their choice depends on the recipe's seed.
        is_new: Whether they were dropped just now, so the rest of the page still has them.
    """
    chosen = choose(survey, samples, survey.shards.recipe.seed)
    shown = {tile for finding in survey.findings for tile in finding.tiles[:SHOWN]}
    places = survey.facts.places
    pixels = read_tiles(survey.shards, [(n, places[n]) for n in sorted(shown.union(chosen))])
    when = "from now on; all other parts of this page still have them" if is_new else "already"
    name = survey.shards.folder.place.rpartition("/")[2]
    return document(
        f"{name}: labelled tiles",
        _head(name, survey, dropped),
        samples_section(survey, chosen, pixels),
        classes_section(survey),
        bands_section(survey),
        places_section(survey),
        findings_section(survey, pixels),
        dropped_section(dropped, f"are left out of trainings {when}"),
        fixes_section(survey),
    )


def _head(name: str, survey: Survey, dropped: Dropped) -> Html:
    recipe = survey.shards.recipe
    bad = {tile for finding in survey.findings for tile in finding.tiles}
    shown = [
        ("tiles", len(survey.facts.places), False),
        ("scenes", len({place.scene_id for place in survey.facts.places}), False),
        ("findings", len(survey.findings), bool(survey.findings)),
        ("tiles with findings", len(bad), bool(bad)),
        *([("tiles left out", len(dropped), False)] if dropped else []),
    ]
    bands = ", ".join(survey.facts.bands)
    told = (
        f"Tiles of {recipe.tiles.size} pixels with {bands}; labels of '{recipe.classes.name}'"
        f" ({', '.join(recipe.classes.titles)}). Recipe {recipe.labels_digest()}, Polynya"
        f" {__version__}."
    )
    summary = [
        element("li", element("a", f"{f.check.title}: {len(f.found):,}", href=f"#{f.check.name}"))
        for f in survey.findings
    ]
    links = [element("a", title, href=f"#{place}") for place, title in _LINKS]
    return joined(
        element("h1", name),
        element("p", told, _class="quiet"),
        element("nav", *links),
        cards((f"{number:,}", title, is_bad) for title, number, is_bad in shown),
        element("ul", *summary, _class="legend") if summary else "",
    )
