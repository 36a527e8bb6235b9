"""Small data sets of the kinds of `polynya import`, made from the formats' documentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

from autolabel.importers.gym import npz_content, npz_name
from polynya.recipe.recipe import Recipe
from polynya.run_length import csv_text, encode

HEIGHT, WIDTH = 40, 56
WEST, NORTH, PIXEL = -300_000, -1_200_000, 10
"""Place of rasters that have one, EPSG:3031."""


def classes(*names: str, kind: str = "exclusive") -> dict[str, Any]:
    """Section `classes` of a recipe."""
    return {
        "name": "made",
        "kind": kind,
        "classes": [
            {"code": n, "name": name, "title": name.title(), "color": [30 * n + 30, 9, 200 - n]}
            for n, name in enumerate(names)
        ],
    }


@dataclass
class MadeSet:
    """A data set on the disk, and what shards of it must hold."""

    source: Path
    recipe: dict[str, Any]
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    """Labels by scene id, uint8 (H, W)."""
    images: dict[str, np.ndarray] = field(default_factory=dict)
    """Images by scene id, (H, W, B)."""
    first: Path | None = None
    """File of the first image."""

    def checked(self) -> Recipe:
        return Recipe.model_validate(self.recipe)

    def save(self, path: Path) -> Path:
        path.write_text(json.dumps(self.recipe))  # JSON is YAML.
        return path


def image(seed: int, bands: int = 3, dtype: str = "uint8", top: int = 255) -> np.ndarray:
    """Random numbers without 0: (HEIGHT, WIDTH, bands)."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, top, (HEIGHT, WIDTH, bands)).astype(dtype)


def labels(seed: int, count: int) -> np.ndarray:
    """Random blocks of 0 to count - 1: uint8 (HEIGHT, WIDTH)."""
    rng = np.random.default_rng(100 + seed)
    blocks = rng.integers(0, count, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))


def write_raster(path: Path, pixels: np.ndarray, place: bool = False, **profile: Any) -> Path:
    """Write (H, W) or (H, W, B) as GeoTIFF, PNG or JPEG, by the file's name."""
    pixels = np.atleast_3d(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG"}[path.suffix]
    if place:
        transform = from_origin(WEST, NORTH, PIXEL, PIXEL)
        profile = {"crs": "EPSG:3031", "transform": transform} | profile
    if driver == "JPEG":
        profile = {"quality": 100} | profile
    height, width, count = pixels.shape
    with rasterio.open(
        path, "w", driver=driver, height=height, width=width, count=count, dtype=pixels.dtype,
        **profile,
    ) as target:  # fmt: skip
        target.write(np.moveaxis(pixels, -1, 0))
    return path


def write_shapes(path: Path, shapes: list[Any], values: list[Any], crs: str = "EPSG:3031") -> Path:
    """Write shapely geometries with the attribute `class`."""
    import shapely

    from polynya.native import import_apart

    kinds = {shape.geom_type for shape in shapes}
    import_apart("pyogrio").raw.write(
        str(path), geometry=shapely.to_wkb(np.array(shapes)), field_data=[np.array(values)],
        fields=["class"], geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown", crs=crs,
    )  # fmt: skip
    return path


def box(row: int, col: int, height: int, width: int) -> Any:
    """Rectangle of pixels of a raster with a place, as a polygon."""
    import shapely

    left, top = WEST + PIXEL * col, NORTH - PIXEL * row
    return shapely.box(left, top - PIXEL * height, left + PIXEL * width, top)


def folder(place: Path) -> MadeSet:
    made = MadeSet(
        place, {"classes": classes("water", "ice", "land"), "imports": {"kind": "folder"}}
    )
    for n, name in enumerate(("a", "b")):
        made.images[name], made.labels[name] = image(n), labels(n, 3)
        write_raster(place / "images" / f"{name}.png", made.images[name])
        write_raster(place / "masks" / f"{name}.png", made.labels[name])
    made.first = place / "images" / "a.png"
    return made


def rle(place: Path) -> MadeSet:
    names = ("fish", "flower", "sugar")
    made = MadeSet(
        place / "train.csv",
        {"classes": classes(*names, kind="masks"), "imports": {"kind": "rle"}},
    )
    rows = []
    for n, name in enumerate(("a", "b")):
        planes = [labels(10 * n + k, 2) == 1 for k in range(3)]  # They overlap.
        write_raster(place / "train_images" / f"{name}.png", image(n))
        made.images[name] = image(n)
        made.labels[name] = sum(plane.astype(np.uint8) << k for k, plane in enumerate(planes))
        rows += [(f"{name}.png", names[k].title(), encode(plane)) for k, plane in enumerate(planes)]
    made.source.write_text(csv_text(rows))
    made.first = place / "train_images" / "a.png"
    return made


def gym(place: Path) -> MadeSet:
    scheme = classes("water", "sand", "other")
    made = MadeSet(
        place,
        {"classes": scheme, "scene": {"inputs": [1, 2, 3, 4, 5]}, "imports": {"kind": "gym"}},
    )
    parts = (("train_data/train_npzs", ""), ("val_data/val_npzs", "val-"))
    for n, (part, prefix) in enumerate(parts):
        name = npz_name("coast", n)
        path = place / part / name
        path.parent.mkdir(parents=True)
        key = prefix + name.removesuffix(".npz")
        made.images[key], made.labels[key] = image(n, 5), labels(n, 3)
        content = npz_content(image(n, 5), labels(n, 3), made.checked().classes, ["x.jpg"])
        path.write_bytes(content)
        (path.parent / npz_name("coast", n, is_copy=True)).write_bytes(content)
        made.first = made.first or path
    return made


class _Opened:
    """Says that it was unpickled, by a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def doodler(place: Path) -> MadeSet:
    made = MadeSet(place, {"classes": classes("water", "land"), "imports": {"kind": "doodler"}})
    place.mkdir(parents=True, exist_ok=True)
    for n, name in enumerate(("a", "b")):
        made.images[name], made.labels[name] = image(n), labels(n, 2)
        hot = np.stack([labels(n, 2) == k for k in range(2)], axis=-1).astype(np.uint8)
        settings = np.array([_Opened(place / "the_pickle_was_opened")], object)
        np.savez(
            place / f"{name}.npz", image=image(n) // 2, orig_image=image(n), label=hot,
            doodles=labels(n, 2), color_doodles=image(n), classes=np.array(["water", "land"]),
            settings=settings,
        )  # fmt: skip
    made.first = place / "a.npz"
    return made


def kelp(place: Path) -> MadeSet:
    bands = ["swir16", "nir", "red", "green", "blue", "qa", "elevation"]
    made = MadeSet(
        place,
        {
            "classes": classes("kelp", kind="masks"),
            "scene": {"inputs": bands},
            "imports": {"kind": "kelp"},
        },
    )
    for n, name in enumerate(("AA498489", "AB123456")):
        pixels = image(n, 7, "int16", 20_000)
        pixels[:3, :, :5] = -32768
        made.images[name], made.labels[name] = pixels, labels(n, 2)
        write_raster(place / "train_satellite" / f"{name}_satellite.tif", pixels)
        write_raster(place / "train_kelp" / f"{name}_kelp.tif", labels(n, 2))
    made.first = place / "train_satellite" / "AA498489_satellite.tif"
    return made


def loveda(place: Path) -> MadeSet:
    names = ("background", "building", "road", "water", "barren", "forest", "agriculture")
    made = MadeSet(place, {"classes": classes(*names), "imports": {"kind": "loveda"}})
    for n, (part, key) in enumerate((("Train/Rural", "0"), ("Val/Urban", "val-1"))):
        numbers = labels(n, 8)  # 0 is no data.
        made.images[key] = image(n)
        made.labels[key] = np.where(numbers == 0, 255, numbers.astype(int) - 1).astype(np.uint8)
        write_raster(place / part / "images_png" / f"{n}.png", image(n))
        write_raster(place / part / "masks_png" / f"{n}.png", numbers)
    write_raster(place / "Test" / "Rural" / "images_png" / "9.png", image(9))
    made.first = place / "Train" / "Rural" / "images_png" / "0.png"
    return made


def landcover(place: Path) -> MadeSet:
    names = ("background", "building", "woodland", "water", "road")
    made = MadeSet(place, {"classes": classes(*names), "imports": {"kind": "landcover"}})
    for n, (name, subset) in enumerate(
        (("M-33_0", "train"), ("N-34_7", "val"), ("N-34_9", "test"))
    ):
        write_raster(place / "output" / f"{name}.jpg", image(n))
        write_raster(place / "output" / f"{name}_m.png", labels(n, 5))
        (place / f"{subset}.txt").write_text(f"{name}\n")
        if subset != "test":
            made.labels[name if subset == "train" else f"val-{name}"] = labels(n, 5)
    made.first = place / "output" / "M-33_0.jpg"
    return made


def vector(place: Path) -> MadeSet:
    recipe = {
        "classes": classes("water", "ice"),
        "imports": {"kind": "vector", "labels": "{stem}.gpkg", "background": "water"},
    }
    made = MadeSet(place, recipe)
    for n, name in enumerate(("a", "b")):
        made.images[name] = image(n)
        write_raster(place / f"{name}.tif", image(n), place=True)
        write_shapes(place / f"{name}.gpkg", [box(4, 8, 16, 24), box(30, 0, 5, 9)], ["ice", "Ice"])
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[4:20, 8:32] = expected[30:35, :9] = 1
        made.labels[name] = expected
    made.first = place / "a.tif"
    return made


def columns_code(mask: np.ndarray) -> list[int]:
    """Run lengths of a mask down the columns, outside first, as COCO has them."""
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    return np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)), [mask.size]])).tolist()


def compressed_code(counts: list[int]) -> str:
    """The text of run lengths, as COCO's API compresses them."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != -1 if bits & 16 else value != 0
            text += chr((bits | 32 * more) + 48)
    return text


def coco(place: Path) -> MadeSet:
    recipe = {
        "classes": classes("water", "ice", "land"),
        "imports": {"kind": "coco", "images": "../train", "background": "water",
                    "values": {"sea ice": "ice"}},
    }  # fmt: skip
    made = MadeSet(place / "annotations" / "instances_train.json", recipe)
    names = ("sea ice", "land")
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 7 + n, "name": name} for n, name in enumerate(names)]
    for n, name in enumerate(("a", "b")):
        made.images[name] = image(n)
        write_raster(place / "train" / f"{name}.png", image(n))
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[4:20, 8:32], expected[2, 50:] = 1, 1
        rest = (labels(n, 2) == 1) & (expected == 0)
        land, more = rest & (np.arange(WIDTH) < 30), rest & (np.arange(WIDTH) >= 30)
        expected[rest] = 2
        made.labels[name] = expected
        content["images"].append(
            {"id": n, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}
        )
        size, other = [HEIGHT, WIDTH], columns_code(more)
        polygons = [[8, 4, 32, 4, 32, 20, 8, 20], [50, 2, 56, 2, 56, 3, 50, 3]]
        for number, (category, segmentation) in enumerate(
            (
                (7, polygons),
                (8, {"size": size, "counts": columns_code(land)}),
                (8, {"size": size, "counts": compressed_code(other)}),
            )
        ):
            content["annotations"].append(
                {"id": 10 * n + number, "image_id": n, "category_id": category,
                 "segmentation": segmentation, "iscrowd": int(number > 0)}
            )  # fmt: skip
    made.source.parent.mkdir(parents=True)
    made.source.write_text(json.dumps(content))
    made.first = place / "train" / "a.png"
    return made


def brush_code(mask: np.ndarray) -> list[int]:
    """The code of Label Studio's brush for a mask: RGBA, runs of equal bytes and one of others."""
    pixels = np.repeat(mask[..., None], 4, axis=-1).astype(np.uint8).reshape(-1) * 255
    bits = f"{pixels.size:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    first = pixels[:5]  # Byte after byte.
    bits += f"000{len(first) - 1:03b}" + "".join(f"{value:08b}" for value in first)
    rest = pixels[5:]
    edges = np.flatnonzero(np.diff(rest)) + 1
    for run in np.split(rest, edges):
        bits += f"111{run.size - 1:016b}{run[0]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def labelstudio(place: Path) -> MadeSet:
    recipe = {
        "classes": classes("water", "ice", "land"),
        "imports": {"kind": "labelstudio", "background": "water", "overlap": "last"},
    }
    made = MadeSet(place / "export.json", recipe)
    tasks = []
    for n, name in enumerate(("a", "b")):
        made.images[name] = image(n)
        write_raster(place / f"{name}.png", image(n))
        brush = labels(n, 2) == 1
        expected = np.where(brush, 2, 0).astype(np.uint8)
        expected[10:20, 14:28] = expected[30:40, :14] = 1
        made.labels[name] = expected
        size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
        rle = {"format": "rle", "rle": brush_code(brush), "brushlabels": ["Land"]}
        points = [[25, 25], [50, 25], [50, 50], [25, 50]]
        box_value = {"x": 0, "y": 75, "width": 25, "height": 25, "rotation": 0}
        results = [
            {"id": "r1", "type": "brushlabels", "value": rle, **size},
            {"id": "r2", "type": "polygonlabels", **size,
             "value": {"points": points, "closed": True, "polygonlabels": ["Ice"]}},
            {"id": "r3", "type": "rectanglelabels", **size,
             "value": {**box_value, "rectanglelabels": ["ice"]}},
            {"id": "r4", "type": "choices", "value": {"choices": ["cloudy"]}},
        ]  # fmt: skip
        tasks.append(
            {
                "id": n,
                "data": {"image": f"/data/upload/1/0123abcd-{name}.png"},
                "annotations": [
                    {"id": 1, "was_cancelled": False, "result": results,
                     "updated_at": "2024-05-02T10:00:00Z"},
                    {"id": 2, "was_cancelled": False, "result": [],
                     "updated_at": "2024-05-01T10:00:00Z"},
                    {"id": 3, "was_cancelled": True, "result": [],
                     "updated_at": "2024-05-03T10:00:00Z"},
                ],
            }
        )  # fmt: skip
    made.source.write_text(json.dumps(tasks))
    made.first = place / "a.png"
    return made


def bands(place: Path) -> MadeSet:
    recipe = {
        "classes": classes("water", "ice"),
        "scene": {"inputs": ["red", "green", "blue", "nir", "swir16"]},
        "imports": {
            "kind": "bands",
            "files": ["{stem}_rgb.tif", "{stem}_nir.tif", "{stem}_swir.tif"],
            "bands": ["red", "green", "blue", "nir", "swir16"],
        },
    }
    made = MadeSet(place, recipe)
    for n, name in enumerate(("a", "b")):
        pixels = image(n, 5)
        made.images[name], made.labels[name] = pixels, labels(n, 2)
        write_raster(place / f"{name}_rgb.tif", pixels[..., :3])
        write_raster(place / f"{name}_nir.tif", pixels[..., 3])
        write_raster(place / f"{name}_swir.tif", pixels[..., 4])
        write_raster(place / f"{name}_labels.tif", labels(n, 2))
    made.first = place / "a_rgb.tif"
    return made


SETS: dict[str, Callable[[Path], MadeSet]] = {
    "folder": folder, "rle": rle, "gym": gym, "doodler": doodler, "kelp": kelp, "loveda": loveda,
    "landcover": landcover, "vector": vector, "bands": bands, "coco": coco,
    "labelstudio": labelstudio,
}  # fmt: skip
