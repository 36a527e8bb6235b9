"""`polynya scenes` and SAFE products that are hostile, damaged or delivered again."""

import io
import os
import shutil
import zipfile

import pytest
import rasterio

from helpers.scenes.acquire import get_scenes, run_scenes, write_recipe
from helpers.scenes.safe_products import write_safe
from polynya.sources.manifest import read_manifest


def spoil(product, name, change):
    path = next(product.glob(name))
    path.write_text(change(path.read_text()))


OUTSIDE = '<!DOCTYPE x [<!ENTITY i SYSTEM "/etc/hostname">]>'
BOMB = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{("&" + before + ";") * 50}">'
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
) + "]>"  # fmt: skip


def declare(doctype):
    def change(text):
        head, _, rest = text.partition("?>")
        return f"{head}?>{doctype}{rest}".replace(
            "<PROCESSING_BASELINE>", "<PROCESSING_BASELINE>&i;"
        )

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: spoil(p, "MTD_*.xml", declare(BOMB)),
        lambda p: spoil(p, "MTD_*.xml", declare(OUTSIDE)),
        lambda p: spoil(p, "GRANULE/*/MTD_TL.xml", declare(BOMB)),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text[: len(text) // 2]),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text + " " * 9_000_000),
        lambda p: spoil(p, "MTD_*.xml", lambda text: "<a>" * 100_000),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">GRANULE/", ">../GRANULE/")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">GRANULE/", ">/GRANULE/")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace("IMG_DATA/", "../../IMG/")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">GRANULE/", ">/vsizip/x/")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">10000<", ">0<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">10000<", ">-10000<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">10000<", ">nan<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">10000<", ">inf<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">10000<", ">1e-320<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">-1000<", ">inf<")),
        lambda p: spoil(p, "MTD_*.xml", lambda text: text.replace(">05.10<", ">new<")
                        .replace("RADIO_ADD_OFFSET", "X")),
        lambda p: link_out(p, next(p.glob("MTD_*.xml"))),
        lambda p: link_out(p, next(p.rglob("*_B03.jp2"))),
        lambda p: link_out(p, p / "GRANULE"),
        lambda p: pipe(next(p.glob("MTD_*.xml"))),
    ],
)  # fmt: skip
def test_a_hostile_product_fails_alone(tmp_path, damage):
    products = tmp_path / "products"
    good = write_safe(products, "L1C", "02.14")
    damage(write_safe(products, "L1C", "05.10"))
    recipe = write_recipe(tmp_path, source="safe", paths=str(products))
    result = run_scenes(recipe, tmp_path / "out")
    assert "2 items = 1 scenes done (0 were there) + 1 failed" in result.output
    rows = {row["item"]: row for row in read_manifest(tmp_path / "out")}
    assert rows[good.stem]["status"] == "done"
    assert not any("fault of Polynya" in row["reason"] for row in rows.values())


def link_out(product, path):
    outside = product.parent.parent / "outside" / path.name
    outside.parent.mkdir(exist_ok=True)
    shutil.move(path, outside)
    path.symlink_to(outside)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def test_a_product_that_is_a_link_itself_is_taken(tmp_path):
    product = write_safe(tmp_path / "elsewhere", "L1C", "02.14")
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / product.name).symlink_to(product)
    assert get_scenes(tmp_path, tmp_path / "out", source="safe", paths=str(tmp_path / "products"))


def zip_of(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_archives_that_are_bombs_or_damaged_fail_alone(tmp_path):
    products = tmp_path / "products"
    good = write_safe(products, "L1C", "02.14", zipped=True)
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("X.SAFE/MTD_MSIL1C.xml", "w", force_zip64=True) as member,
    ):
        for _ in range(100):
            member.write(b" " * 10_000_000)
    (products / "bomb.zip").write_bytes(bomb.getvalue())
    zip_of(products / "nested.zip", **{"X.SAFE/MTD_MSIL1C.xml": bomb.getvalue()})
    zip_of(products / "up.zip", **{"../MTD_MSIL1C.xml": "<a/>"})
    zip_of(products / "many.zip", **{f"f{n}": "" for n in range(30_000)})
    (products / "cut.zip").write_bytes(good.read_bytes()[:-5000])
    torn = bytearray(good.read_bytes())
    torn[200:2000] = bytes(1800)
    (products / "torn.zip").write_bytes(torn)
    (products / "empty.zip").write_bytes(b"")
    result = run_scenes(
        write_recipe(tmp_path, source="safe", paths=str(products)), tmp_path / "out"
    )
    assert "Traceback" not in result.output
    rows = {row["item"]: row for row in read_manifest(tmp_path / "out")}
    assert len(rows) == 8
    assert rows[good.stem]["status"] == "done"
    for name in ("bomb", "nested", "up", "many", "cut", "empty"):
        assert rows[name]["status"] == "failed"
    assert "more than the 8 MiB" in rows["bomb"]["reason"]
    assert not any("fault of Polynya" in row["reason"] for row in rows.values())


def test_a_product_that_is_delivered_again_is_fetched_again(tmp_path):
    product = write_safe(tmp_path / "products", "L1C", "02.14", seed=1)
    options = {"source": "safe", "paths": str(product)}
    (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        before = source.read()
    write_safe(tmp_path / "again", "L1C", "02.14", seed=2)
    for image in (tmp_path / "again").rglob("*.jp2"):
        target = next(product.rglob(image.name))
        stamp = target.stat()
        shutil.copy(image, target)
        os.utime(target, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        assert (source.read() != before).any()
    again = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
    assert "1 scenes done (1 were there)" in again.output
