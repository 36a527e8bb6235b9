"""Features on disk: the same table as GeoPackage and as GeoParquet.

GeoPackage is written by GDAL (pyogrio), GeoParquet is Parquet with one key of metadata:
https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyproj import CRS

from polynya.errors import OutputError, reason_of
from polynya.native import import_apart
from polynya.quiet import ignore_warnings
from polynya.storage.files import whole_file

# TensorFlow exports a SQLite library without R*Trees. If GDAL used this library, GeoPackages would
# have no spatial index, without any error.
pyogrio = import_apart("pyogrio")
_PYOGRIO_ERRORS = (pyogrio.errors.DataLayerError, pyogrio.errors.DataSourceError)

_GEOMETRY = "geometry"
_LAYER = "polygons"
_TABLE = re.compile(
    r"(?!gpkg|sqlite_|ogr_|rtree_|idx_)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.IGNORECASE
)
"""Allowed table names: not reserved by GDAL or SQLite, and possible in quotes in queries."""
_LEAST_ROOM = 16 * 2**20
"""Free bytes below which a full disk is the probable reason of an error."""
# A GeoPackage contains the time of its last change. The real time would make its bytes differ.
_NO_TIME = "1970-01-01T00:00:00.000Z"


Batch = tuple[pa.RecordBatch, NDArray[np.float64]]
"""Part of a table, and least x, least y, greatest x, greatest y of its geometries."""


@dataclass(frozen=True)
class VectorFiles:
    """The two files of polygons, with CRS and tags."""

    geopackage: Path
    geoparquet: Path
    crs: str | None
    """'EPSG:n' or WKT; None for coordinates in pixels."""
    tags: Mapping[str, str]
    """Provenance."""

    def write(self, schema: pa.Schema, batches: Iterator[Batch]) -> None:
        """Write both files in one pass.

        Args:
            schema: Columns of the batches; `geometry` is WKB of polygons with counterclockwise
                outer rings.
            batches: Parts of the table.

        Raises:
            OutputError: A file can't be written.
        """
        count = 0

        def counted() -> Iterator[Batch]:
            nonlocal count
            for batch, bounds in batches:
                count += len(batch)
                yield batch, bounds

        with whole_file(self.geoparquet) as parquet, whole_file(self.geopackage) as package:
            with pq.ParquetWriter(parquet, schema, compression="zstd") as writer:
                passed = self._to_parquet(writer, schema, counted())
                with _untimed(self.geopackage):
                    pyogrio.write_arrow(
                        pa.RecordBatchReader.from_batches(schema, passed),
                        package,
                        layer=layer_name(self.geopackage.stem),
                        driver="GPKG",
                        geometry_name=_GEOMETRY,
                        geometry_type="Polygon",
                        crs=self.crs,
                        layer_metadata=dict(self.tags),
                        # -1 means unknown coordinates; GDAL would assume degrees.
                        **({} if self.crs else {"SRID": -1}),
                    )
            self._check_package(package, count)
            self._check_count(self.geoparquet, _rows(parquet), count)

    def _check_package(self, package: Path, count: int) -> None:
        with _untimed(self.geopackage):
            info = pyogrio.read_info(package, force_feature_count=True)
        self._check_count(self.geopackage, info["features"], count)
        if not info["capabilities"]["fast_spatial_filter"]:
            raise OutputError(
                f"{self.geopackage} can't get a spatial index: TensorFlow was loaded before pyogrio"
                " in this program; import inference.products.polygons.vectors before both."
            )

    @staticmethod
    def _check_count(path: Path, found: int, count: int) -> None:
        """Raise OutputError if polygons are missing: GDAL may lose the error of a full disk."""
        if found != count:
            raise OutputError(
                f"{path} can't be written: it has {found} of {count} polygons; is there space left"
                " on the disk?"
            )

    def _to_parquet(
        self, writer: pq.ParquetWriter, schema: pa.Schema, batches: Iterator[Batch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches and write each as a row group; write the metadata after the last."""
        bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        for batch, of_batch in batches:
            writer.write_batch(batch)
            bounds = np.append(
                np.minimum(bounds[:2], of_batch[:2]), np.maximum(bounds[2:], of_batch[2:])
            )
            yield batch
        geo = json.dumps(self._geo_metadata(bounds), separators=(",", ":"))
        writer.add_key_value_metadata({"geo": geo, **self.tags})

    def _geo_metadata(self, bounds: Any) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": ["Polygon"],
            # Null means "unknown"; without the key, the default is longitude and latitude.
            "crs": CRS.from_user_input(self.crs).to_json_dict() if self.crs else None,
            "orientation": "counterclockwise",
        }
        if np.isfinite(bounds).all():
            column["bbox"] = bounds.tolist()
        return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}


def layer_name(stem: str) -> str:
    """Name of the table in a GeoPackage: the file's name, if this name is allowed for a table."""
    return stem if _TABLE.fullmatch(stem) else _LAYER


def _rows(parquet: Path) -> int:
    """Number of rows of a file; 0 if the file is damaged."""
    try:
        return int(pq.read_metadata(parquet).num_rows)
    except pa.ArrowException:
        return 0


@contextmanager
def _untimed(path: Path) -> Iterator[None]:
    # Polygons of a photograph have no CRS on purpose, so no warning is needed.
    ignore_warnings(UserWarning, "'crs' was not provided")
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_TIME})
    try:
        yield
    except _PYOGRIO_ERRORS as error:
        room = shutil.disk_usage(path.parent).free > _LEAST_ROOM
        remedy = "choose another --out folder" if room else "make room on the disk"
        raise OutputError(f"{path} can't be written ({reason_of(error)}); {remedy}.") from None
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
