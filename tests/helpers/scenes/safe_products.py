"""Synthetic Sentinel-2 SAFE products: the files and metadata elements that real ones have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

EDGE = 120
"""Pixels of 10 m along a side; 20 m and 60 m bands have fewer."""
CRS = "EPSG:32758"
ORIGIN = (399_960.0, 1_900_020.0)
RESOLUTIONS = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B10": 60}
BAND_IDS = {"B02": 1, "B03": 2, "B04": 3, "B08": 7, "B10": 10, "B11": 11}
SHORT = {name: name.replace("B0", "B") for name in RESOLUTIONS}


def ground(seed: int = 0) -> dict[str, np.ndarray]:
    """Reflectance times 10,000 of each band at its resolution; 0 in a corner without data."""
    rng = np.random.default_rng(seed)
    bands = {}
    for name, resolution in RESOLUTIONS.items():
        edge = EDGE * 10 // resolution
        bands[name] = rng.integers(1, 9000, (edge, edge)).astype(np.int32)
        bands[name][: edge // 4, : edge // 4] = 0
    return bands


def safe_name(level: str, baseline: str, tile: str = "T58CDU") -> str:
    """Name of a product, without .SAFE."""
    number = baseline.replace(".", "")
    return f"S2A_MSI{level}_20191103T190931_N{number}_R056_{tile}_20191103T203000"


def write_safe(
    folder: Path,
    level: str = "L1C",
    baseline: str = "05.10",
    seed: int = 0,
    zipped: bool = False,
    tile: str = "T58CDU",
    cloud: float = 12.5,
    start: str = "2019-11-03T19:09:31.024Z",
) -> Path:
    """Write one product.

    Args:
        folder: Where it goes.
        level: 'L1C' or 'L2A'.
        baseline: Processing baseline; from 04.00 on the numbers are shifted by 1000.
        seed: Of the ground.
        zipped: As a zip file.
        tile: MGRS tile in the names.
        cloud: Percent.
        start: Sensing time.

    Returns:
        X.SAFE or X.zip.
    """
    name = safe_name(level, baseline, tile)
    product = folder / f"{name}.SAFE"
    granule = f"GRANULE/{level}_{tile}_A022822_20191103T190931"
    shifted = baseline >= "04.00"
    images = []
    for band, pixels in ground(seed).items():
        if level == "L2A" and band == "B10":
            continue
        numbers = np.where(pixels > 0, pixels + 1000 * shifted, 0).astype(np.uint16)
        resolution = RESOLUTIONS[band]
        in_level = f"R{resolution}m/{tile}_{band}_{resolution}m"
        path = f"{granule}/IMG_DATA/" + (in_level if level == "L2A" else f"{tile}_{band}")
        _write_jp2(product / f"{path}.jp2", numbers, resolution)
        images.append(path)
    if level == "L2A":
        classes = np.full((EDGE // 2, EDGE // 2), 11, np.uint8)
        classes[:5] = 9
        path = f"{granule}/IMG_DATA/R20m/{tile}_SCL_20m"
        _write_jp2(product / f"{path}.jp2", classes, 20)
        images.append(path)
        coarse = ground(seed)["B02"][::2, ::2].astype(np.uint16)
        path = f"{granule}/IMG_DATA/R20m/{tile}_B02_20m"
        _write_jp2(product / f"{path}.jp2", coarse, 20)
        images.insert(0, path)
    text = _product_xml(name, level, baseline, images, shifted, cloud, start)
    (product / f"MTD_MSI{level}.xml").write_text(text)
    (product / granule / "MTD_TL.xml").write_text(_tile_xml(level))
    if not zipped:
        return product
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(product.rglob("*")):
            target.write(path, path.relative_to(folder))
    for path in sorted(product.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    product.rmdir()
    return archive


def _write_jp2(path: Path, numbers: np.ndarray, resolution: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, dtype=numbers.dtype, crs=CRS,
        height=numbers.shape[0], width=numbers.shape[1],
        transform=from_origin(*ORIGIN, resolution, resolution), QUALITY=100, REVERSIBLE="YES",
    ) as target:  # fmt: skip
        target.write(numbers, 1)
    Path(f"{path}.aux.xml").unlink(missing_ok=True)


def _product_xml(
    name: str,
    level: str,
    baseline: str,
    images: list[str],
    shifted: bool,
    cloud: float,
    start: str,
) -> str:
    files = "".join(f"<IMAGE_FILE>{path}</IMAGE_FILE>" for path in images)
    tag, parent = {
        "L1C": ("RADIO_ADD_OFFSET", "Radiometric_Offset_List"),
        "L2A": ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST"),
    }[level]
    each = "".join(f'<{tag} band_id="{i}">-1000</{tag}>' for i in range(13))
    offsets = f"<{parent}>{each}</{parent}>" if shifted else ""
    if level == "L1C":
        quantification = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
    else:
        quantification = (
            "<QUANTIFICATION_VALUES_LIST>"
            '<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
            '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
            "</QUANTIFICATION_VALUES_LIST>"
        )
    spectral = "".join(
        f'<Spectral_Information bandId="{BAND_IDS[band]}" physicalBand="{short}"/>'
        for band, short in SHORT.items()
    )
    corners = "-72.9 162.0 -72.9 165.3 -73.9 165.4 -73.9 162.0 -72.9 162.0"
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level[1:]}.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_User_Product xmlns:n1="{schema}">
<n1:General_Info><Product_Info><PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
<PRODUCT_URI>{name}.SAFE</PRODUCT_URI><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<Product_Organisation><Granule_List><Granule imageFormat="JPEG2000">{files}</Granule></Granule_List>
</Product_Organisation></Product_Info>
<Product_Image_Characteristics>{quantification}{offsets}
<Spectral_Information_List>{spectral}</Spectral_Information_List></Product_Image_Characteristics>
</n1:General_Info>
<n1:Geometric_Info><Product_Footprint><Product_Footprint><Global_Footprint>
<EXT_POS_LIST>{corners}</EXT_POS_LIST>
</Global_Footprint></Product_Footprint></Product_Footprint></n1:Geometric_Info>
<n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>{cloud}</Cloud_Coverage_Assessment>
</n1:Quality_Indicators_Info></n1:Level-{level[1:]}_User_Product>
"""


def _tile_xml(level: str) -> str:
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level[1:]}_Tile_Metadata.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_Tile_ID xmlns:n1="{schema}"><n1:Geometric_Info><Tile_Angles>
<Sun_Angles_Grid><Zenith><Values_List><VALUES>60 61</VALUES></Values_List></Zenith>
</Sun_Angles_Grid>
<Mean_Sun_Angle><ZENITH_ANGLE unit="deg">62.5</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">48.25</AZIMUTH_ANGLE></Mean_Sun_Angle>
</Tile_Angles></n1:Geometric_Info></n1:Level-{level[1:]}_Tile_ID>
"""
