"""Planning of labelling: what becomes one unit of work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.plan import needs_sky, plan_units
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene
from polynya.shards.schema import FILE_BYTES


def scene(name, height, width):
    return Scene(
        id=name, uri=f"/{name}.tif", height=height, width=width, crs=None, transform=None,
        dtype="uint8", band_indexes=(1, 2, 3), scale=1.0, offset=0.0, stretch=(0.0, 1.0),
        zero_is_nodata=True,
    )  # fmt: skip


def pixels(unit):
    return sum(part.height * part.scene.width for part in unit.parts)


def recipe(size=256, **label):
    return Recipe.model_validate({"tiles": {"size": size}, "label": label})


@given(
    st.lists(st.tuples(st.integers(1, 12_000), st.integers(1, 12_000)), min_size=1, max_size=30),
    st.integers(32, 512),
)
def test_every_row_of_every_scene_is_in_one_unit_once(sizes, size):
    scenes = [scene(f"s{i}", *shape) for i, shape in enumerate(sizes)]
    units = plan_units(scenes, recipe(size))
    assert len({unit.name for unit in units}) == len(units)
    rows = {}
    for unit in units:
        assert len(unit.parts) == 1 or all(part.is_whole for part in unit.parts)
        for part in unit.parts:
            assert part.row % size == 0
            rows.setdefault(part.scene.id, []).append((part.row, part.row + part.height))
    for one in scenes:
        spans = sorted(rows[one.id])
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
        assert spans[-1][1] == one.height


def test_the_plan_does_not_depend_on_the_order_of_the_scenes():
    scenes = [scene(f"s{i}", 900 + i, 1000) for i in range(50)]
    assert plan_units(scenes, recipe()) == plan_units(scenes[::-1], recipe())


def test_a_large_scene_becomes_bands_of_even_cost():
    units = plan_units([scene("a", 10980, 10980)], recipe())
    assert len(units) >= 8
    assert max(map(pixels, units)) < 1.6 * min(map(pixels, units))
    assert all(needs_sky(unit, recipe().label) for unit in units)
    assert not any(needs_sky(unit, recipe(method="none").label) for unit in units)


def test_many_large_scenes_get_files_of_the_usual_size():
    units = plan_units([scene(f"s{i}", 10980, 10980) for i in range(100)], recipe())
    sizes = [4 * pixels(unit) for unit in units]
    assert 0.7 * FILE_BYTES < min(sizes) <= max(sizes) < 1.3 * FILE_BYTES


def test_a_thousand_small_scenes_share_files():
    units = plan_units([scene(f"s{i:04d}", 1000, 1000) for i in range(10_000)], recipe())
    sizes = [4 * pixels(unit) for unit in units[:-1]]
    assert len(units) < 320
    assert 0.9 * FILE_BYTES < min(sizes) <= max(sizes) <= FILE_BYTES


@pytest.mark.parametrize("method", ["none", "published", "illumination"])
def test_few_scenes_give_work_to_several_workers(method):
    units = plan_units([scene(f"s{i}", 1000, 1000) for i in range(12)], recipe(method=method))
    assert [len(unit.parts) for unit in units] == [1] * 12


def test_the_published_filter_sees_the_whole_scene_or_tiles():
    large = [scene("a", 10980, 10980)]
    assert len(plan_units(large, recipe(method="published"))) == 1
    assert len(plan_units(large, recipe(method="published", scope="tile"))) > 8


def test_another_recipe_gives_other_names():
    names = [plan_units([scene("a", 9, 9)], r)[0].name for r in (recipe(), recipe(method="none"))]
    assert names[0] != names[1]
