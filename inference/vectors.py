"""Features on disk: the same table as GeoPackage and as GeoParquet.

GeoPackage is written by GDAL (pyogrio), GeoParquet is Parquet with one key of metadata:
https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
import warnings
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

from polynya.errors import OutputError
from polynya.files import whole_file
from polynya.native import import_apart

# TensorFlow exports a SQLite without R*Trees, which GDAL would take for its own: the GeoPackages
# would silently have no spatial index.
pyogrio = import_apart("pyogrio")

_GEOMETRY = "geometry"
# A GeoPackage says when it was changed; the time of writing would change its bytes.
_NO_TIME = "1970-01-01T00:00:00.000Z"


Batch = tuple[pa.RecordBatch, NDArray[np.float64]]
"""Part of a table, and least x, least y, greatest x, greatest y of its geometries."""


@dataclass(frozen=True)
class VectorFiles:
    """Where polygons go, and what is said of all of them."""

    geopackage: Path
    geoparquet: Path
    crs: str | None
    """'EPSG:n' or WKT; None for coordinates in pixels."""
    tags: Mapping[str, str]
    """Provenance."""

    def write(self, schema: pa.Schema, batches: Iterator[Batch]) -> None:
        """Write both files in one pass.

        Args:
            schema: Columns of the batches; `geometry` is WKB of polygons whose outer rings run
                counterclockwise.
            batches: Parts of the table.

        Raises:
            OutputError: A file can't be written.
        """
        with (
            whole_file(self.geoparquet) as parquet,
            whole_file(self.geopackage) as package,
            pq.ParquetWriter(parquet, schema, compression="zstd") as writer,
        ):
            passed = self._to_parquet(writer, schema, batches)
            with _untimed(self.geopackage):
                pyogrio.write_arrow(
                    pa.RecordBatchReader.from_batches(schema, passed),
                    package,
                    layer=self.geopackage.stem,
                    driver="GPKG",
                    geometry_name=_GEOMETRY,
                    geometry_type="Polygon",
                    crs=self.crs,
                    layer_metadata=dict(self.tags),
                    # For coordinates of which nothing is known, not GDAL's guess of degrees.
                    **({} if self.crs else {"SRID": -1}),
                )
            self._check_index(package)

    def _check_index(self, package: Path) -> None:
        if not pyogrio.read_info(package)["capabilities"]["fast_spatial_filter"]:
            raise OutputError(
                f"{self.geopackage} can't get a spatial index: TensorFlow was loaded before pyogrio"
                " in this program; import inference.vectors before both."
            )

    def _to_parquet(
        self, writer: pq.ParquetWriter, schema: pa.Schema, batches: Iterator[Batch]
    ) -> Iterator[pa.RecordBatch]:
        """Pass the batches on and keep each as a row group; the metadata come with the last."""
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
            # Null says "unknown"; without the key it would be longitude and latitude.
            "crs": CRS.from_user_input(self.crs).to_json_dict() if self.crs else None,
            "orientation": "counterclockwise",
        }
        if np.isfinite(bounds).all():
            column["bbox"] = bounds.tolist()
        return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}


@contextmanager
def _untimed(path: Path) -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_TIME})
    try:
        with warnings.catch_warnings():
            # Polygons of a photograph have no CRS, and say so.
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            yield
    except (pyogrio.errors.DataLayerError, pyogrio.errors.DataSourceError) as error:
        raise OutputError(
            f"{path} can't be written ({error}); is there space left on the disk?"
        ) from None
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
