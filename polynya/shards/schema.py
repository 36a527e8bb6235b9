"""Columns, format version and size of shards."""

from __future__ import annotations

import pyarrow as pa

FORMAT = 4
"""Format version of data sets that are written."""
READABLE_FORMATS = (2, 3, 4)
"""Format versions that can be read. Manifests of version 2 have no digests of scenes and files.
Versions 2 and 3 have 8-bit colours only."""

FILE_BYTES = 128 * 2**20
"""Bytes of pixels and labels in one file before compression: large enough for object stores, small
enough for a worker's memory."""

ROWS_PER_GROUP = 64

SCHEMA = pa.schema(
    [
        ("scene_id", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("bands", pa.list_(pa.string())),
        ("dtype", pa.string()),
        ("image", pa.binary()),
        ("label", pa.binary()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("valid_share", pa.float64()),
        ("class_counts", pa.list_(pa.int64())),
        ("veiled_share", pa.float64()),
        ("label_source", pa.string()),
        ("recipe_digest", pa.string()),
        ("image_crc32c", pa.uint32()),
        ("label_crc32c", pa.uint32()),
        ("valid", pa.binary()),
        ("valid_crc32c", pa.uint32()),
        ("scales", pa.list_(pa.float64())),
        ("offsets", pa.list_(pa.float64())),
        ("band_pixels", pa.list_(pa.int64())),
        ("band_minima", pa.list_(pa.float64())),
        ("band_maxima", pa.list_(pa.float64())),
        ("band_means", pa.list_(pa.float64())),
        ("band_deviations", pa.list_(pa.float64())),
        ("soft_label", pa.binary()),
        ("soft_label_crc32c", pa.uint32()),
    ]
)
"""One row per tile. `image` is (height, width, bands) of the data type `dtype`; `label` is uint8
(height, width). Both are in C order. `transform` has the affine coefficients of the tile.
`veiled_share` is the share of valid pixels under cloud or shadow, null if the label source doesn't
know it.

8-bit colours are 0 for nodata, and the columns after `label_crc32c` are null. For other bands,
value = number * scale + offset. `valid` has one bit per number, in the order of `image` (NumPy's
packbits); it is null if no value is missing. The columns `band_...` are statistics of the values
that are not missing; they are null for a band without values.

`soft_label` is null or uint8 (height, width, C), see `polynya.shards.soft_labels`. With soft
labels, `label` is the most probable label."""
