"""State behind the page: scenes, their views, and what the page may ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock, Thread
from typing import Any, get_args

from pydantic import ValidationError

from autolabel.filters.registry import find_filter
from autolabel.thresholds.profiles import get_profile
from autolabel.tuner.pyramid import TILE, Pixels, Pyramid
from autolabel.tuner.saving import RecipeFile
from autolabel.tuner.suggest import (
    Suggestion,
    classes_by_brightness,
    suggest,
)
from autolabel.tuner.views import ORIGINAL, FilteredViews, original_view
from polynya.errors import PolynyaError, RecipeError
from polynya.names import printable
from polynya.recipe.label import FilterName
from polynya.recipe.messages import describe_errors
from polynya.recipe.recipe import Recipe
from polynya.recipe.thresholds import Profile
from polynya.scenes.scene import Scene

MOST_RANGES = 31
"""Greatest number of ranges that the page can show: it keeps a bit for each."""


class SceneViews:
    """A scene with the views that there are of it."""

    def __init__(self, scene: Scene) -> None:
        """Open a scene; raises SceneError."""
        self.scene = scene
        self.views: dict[str, Pyramid] = {ORIGINAL: original_view(scene)}
        self.run = 0
        """Number of the filter run that `views` has, so that the page asks for new tiles."""
        self.doing = ""
        """What is being done for the scene; "" for nothing."""
        self.problem = ""
        """Sentence about the last thing that failed."""

    def describe(self) -> dict[str, Any]:
        views = {name: pyramid.progress for name, pyramid in self.views.items()}
        return {"views": views, "run": self.run, "doing": self.doing, "problem": self.problem}


class Tuning:
    """What one page works on."""

    def __init__(
        self, scenes: Sequence[Scene], recipe: Recipe, file: RecipeFile, name: str
    ) -> None:
        """Prepare the views of some scenes.

        Args:
            scenes: Scenes in the order of the page.
            recipe: How they are read, and the thresholds that come first.
            file: Where the profile is saved.
            name: Name of the profile, until the page gives another.

        Raises:
            RecipeError: The recipe's profile is unknown or has too many ranges.
            SceneError: A scene can't be opened.
        """
        self.recipe, self.file, self.name = recipe, file, name
        self.profile = get_profile(recipe.label.profile)
        if len(self.profile.ranges) > MOST_RANGES:
            raise RecipeError(
                f"The profile '{self.profile.name}' has {len(self.profile.ranges)} ranges, and the"
                f" page shows at most {MOST_RANGES}; start from another 'label.profile'."
            )
        self.profile.check_classes(recipe.classes.names, recipe.classes.name)
        self.scenes = [SceneViews(scene) for scene in scenes]
        self._busy = Lock()  # One long task at a time: each uses all of a disk or a core.

    def start(self) -> None:
        """Begin to read the scenes that have no overviews."""
        for views in self.scenes:
            pyramid = views.views[ORIGINAL]
            if pyramid.progress < 1.0:
                self._in_background(views, "Reading the scene", pyramid.build)

    def _in_background(self, views: SceneViews, doing: str, work: Callable[[], None]) -> None:
        def run() -> None:
            with self._busy:
                try:
                    work()
                except PolynyaError as error:
                    views.problem = str(error)
                finally:
                    views.doing = ""

        views.doing, views.problem = doing, ""
        Thread(target=run, daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """What the page needs to know once."""
        classes = self.recipe.shown_classes
        return {
            "tile": TILE,
            "scenes": [
                {
                    "name": printable(views.scene.uri.rstrip("/").rpartition("/")[2]),
                    "height": views.scene.height,
                    "width": views.scene.width,
                    "coarsest": views.views[ORIGINAL].coarsest,
                }
                for views in self.scenes
            ],
            "classes": [
                {"code": one.code, "name": one.name, "title": one.title, "color": one.color}
                for one in classes.classes
            ],
            "nodata": classes.nodata,
            "profile": self.profile.model_dump(mode="json"),
            "method": self.recipe.label.method,
            "methods": [[name, find_filter(name).title] for name in get_args(FilterName)],
            "name": self.name,
            "file": self.file.path.name,
            "most": MOST_RANGES,
        }

    def progress(self) -> list[dict[str, Any]]:
        """What there is to see of each scene by now."""
        return [views.describe() for views in self.scenes]

    def tile(self, scene: int, view: str, level: int, row: int, col: int) -> Pixels | None:
        """Return a tile of a view; None if there is none. Raises SceneError."""
        if not 0 <= scene < len(self.scenes):
            return None
        pyramid = self.scenes[scene].views.get(view)
        return None if pyramid is None else pyramid.tile(level, row, col)

    def filter(self, method: str, content: Any) -> None:
        """Begin to filter all scenes from some thresholds.

        Raises:
            RecipeError: The filter is unknown or can't use the thresholds.
        """
        recipe = self._usable(method, content)
        if any(views.doing for views in self.scenes):
            raise RecipeError("The scenes are still being read or filtered; try again in a moment.")
        for views in self.scenes:
            self._in_background(views, "Filtering", partial(_filter, views, recipe))

    def _usable(self, method: str, content: Any) -> Recipe:
        """Return the recipe with a filter and a profile that go together."""
        if method not in get_args(FilterName):
            raise RecipeError(f"There is no filter '{method}'; reload the page.")
        profile = self.checked(content)
        changes = {"method": method, "profile": profile, "scope": "scene"}
        label = self.recipe.label.model_copy(update=changes)
        find_filter(label.method).check_profile(profile, self.recipe.classes)
        return self.recipe.model_copy(update={"label": label})

    def checked(self, content: Any) -> Profile:
        """Make a profile of what the page sends.

        Raises:
            RecipeError: Ranges overlap or leave gaps, or something else is wrong.
        """
        if not isinstance(content, dict):
            raise RecipeError("The profile is no mapping; reload the page.")
        try:
            profile = Profile.model_validate(content)
        except ValidationError as error:
            said = describe_errors(error, content, Profile)
            raise RecipeError(f"The profile {said}.") from None
        profile.check_classes(self.recipe.classes.names, self.recipe.classes.name)
        return get_profile(profile)

    def suggest(self, scenes: Sequence[int]) -> dict[str, Any]:
        """Suggest limits for some scenes, as a profile, and say how sure they are.

        Raises:
            RecipeError: The classes can't be told apart by brightness.
            SceneError: A scene can't be read.
        """
        names = classes_by_brightness(self.profile)
        chosen = [self.scenes[number] for number in scenes if 0 <= number < len(self.scenes)]
        if any(views.views[ORIGINAL].progress < 1.0 for views in chosen):
            raise RecipeError("The scene is still being read; try again in a moment.")
        found = suggest([views.views[ORIGINAL].whole() for views in chosen])
        return {
            "profile": found.profile(self.profile.name, names).model_dump(mode="json"),
            "said": told(found),
        }

    def save(self, content: Any, method: str) -> str:
        """Save a profile; returns a sentence. Raises RecipeError or OutputError."""
        label = self._usable(method, content).label
        self.file.save(get_profile(label.profile), method)
        return f"Saved the profile {label.profile_name} into {printable(self.file.path)}."


def told(found: Suggestion) -> str:
    """Say limits and how sure they are."""
    limits = found.limits
    say = f"Water up to {limits.water}, thick ice from {limits.thick}"
    sureness = f"{100 * found.sureness:.1f} % of the pixels"
    if found.is_sure:
        return f"{say}; sure for {sureness}."
    reasons = {
        f"other limits would move {100 * limits.doubt:.1f} %": limits.doubt,
        f"cloud or shadow seems to change {100 * found.under_sky:.1f} %": found.under_sky,
    }
    why = max(reasons, key=reasons.__getitem__)
    return f"{say}; unsure: sure for {sureness} only ({why}). Look at the scene."


def _filter(views: SceneViews, recipe: Recipe) -> None:
    if not find_filter(recipe.label.method).changes_images:
        views.views = {ORIGINAL: views.views[ORIGINAL]}
    else:
        filtered = FilteredViews(views.scene, recipe)
        pyramids = {name: filtered.pyramid(name) for name in filtered.names}
        views.views = {ORIGINAL: views.views[ORIGINAL]} | pyramids
        views.run += 1
        # Strip by strip in turn, because the views of a strip are made together.
        for _ in zip(*(pyramid.steps() for pyramid in pyramids.values()), strict=True):
            pass
    views.run += 1
