"""What `import polynya` offers to programs and notebooks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
from affine import Affine
from conftest import ice_image

import polynya
from polynya.recipe.classes import SEA_ICE

HEAVY = ("tensorflow", "keras", "pyspark", "rasterio", "numpy", "cv2", "numba", "pydantic")


def stub() -> ast.Module:
    return ast.parse(Path(polynya.__file__).with_suffix(".pyi").read_text())


def public_names() -> list[str]:
    (names,) = [node.value for node in stub().body if isinstance(node, ast.Assign)]
    return ast.literal_eval(names)


def loaded_after(code: str) -> list[str]:
    """Which of the heavy packages a program has loaded at its end."""
    program = f"import sys\n{code}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def test_importing_it_loads_nothing_heavy():
    assert loaded_after("import polynya") == []


def test_scenes_and_labels_load_neither_keras_nor_spark():
    loaded = loaded_after("import polynya; polynya.open_scene, polynya.label_image")
    assert not {"tensorflow", "keras", "pyspark"} & set(loaded)


def test_the_list_of_commands_imports_none_of_them():
    code = "from polynya.cli import build_app; build_app(['--help'])"
    assert not {"tensorflow", "keras", "pyspark", "rasterio", "cv2"} & set(loaded_after(code))


@pytest.mark.parametrize("name", public_names())
def test_each_name_is_what_its_types_say(name):
    (module, original) = next(
        (node.module, alias.name)
        for node in stub().body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == name
    )
    expected = getattr(__import__(module, fromlist=[original]), original)
    assert getattr(polynya, name) is expected
    assert name in dir(polynya)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'polynya' has no attribute 'open_sesame'"):
        polynya.open_sesame  # noqa: B018


def test_a_name_whose_package_is_missing_says_what_to_do():
    # In a Python of its own: what other tests have imported would hide what is missing.
    # None in sys.modules is how Python spells "not installed".
    program = (
        "import sys; sys.modules['keras'] = None\n"
        "import polynya\n"
        "from polynya.errors import MissingDependencyError\n"
        "try: polynya.losses\n"
        "except MissingDependencyError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "polynya doctor" in done.stdout


def test_a_scene_and_its_labels_keep_their_place_in_xarray(write_scene, tmp_path):
    image = ice_image(40, 30)
    image[:5] = 0
    scene = polynya.open_scene(write_scene("a.tif", image, nodata=0))
    colours = scene.to_xarray()
    assert colours.dims == ("band", "y", "x")
    assert list(colours.band.values) == ["red", "green", "blue"]
    assert (np.moveaxis(colours.values, 0, -1) == image).all()
    # The upper left corner is at -300 km, -1200 km; pixels have 10 m.
    assert (colours.x.values[:2] == (-299_995, -299_985)).all()
    assert (colours.y.values[:2] == (-1_200_005, -1_200_015)).all()

    labels = polynya.to_xarray(polynya.label_image(image), scene, classes=SEA_ICE)
    assert labels.attrs["flag_meanings"] == "open_water thin_ice thick_ice"
    assert labels.attrs["flag_values"] == [0, 1, 2]
    labels.rio.to_raster(tmp_path / "labels.tif")
    with rioxarray.open_rasterio(tmp_path / "labels.tif") as again:
        assert again.rio.crs == "EPSG:3031"
        assert again.rio.nodata == 255
        assert tuple(again.rio.transform())[:6] == scene.transform
        assert (again.values[0] == labels.values).all()
        assert (again.values[0, :5] == 255).all()


def test_a_rotated_scene_has_its_transform_and_no_axes(write_scene):
    turned = Affine(6, 8, 1000, 8, -6, 2000)
    path = write_scene("a.tif", ice_image(9, 9))
    with rasterio.open(path, "r+") as file:
        file.transform = turned
    scene = polynya.open_scene(path)
    array = scene.to_xarray()
    assert "x" not in array.coords
    assert array.rio.transform() == turned


def test_a_scene_without_a_place_has_no_coordinates(write_scene):
    scene = polynya.open_scene(write_scene("a.tif", ice_image(9, 9), crs=None))
    array = scene.to_xarray()
    assert set(array.coords) == {"band"}
    assert array.rio.crs is None


def test_pixels_of_another_size_are_refused(write_scene):
    scene = polynya.open_scene(write_scene("a.tif", ice_image(9, 9)))
    with pytest.raises(ValueError, match="not of 9 x 9 pixels"):
        polynya.to_xarray(np.zeros((8, 9), np.uint8), scene)
