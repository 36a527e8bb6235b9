"""What a shard is: its columns, its version, its size."""

from __future__ import annotations

import pyarrow as pa

FORMAT = 4
"""Of the data sets that are written."""
READABLE_FORMATS = (2, 3, 4)
"""2 has no digests of scenes and files in its manifest; before 4 there were 8-bit colours only."""

FILE_BYTES = 128 * 2**20
"""Pixels and labels of one file before compression: large enough for object stores, small enough
for a worker to hold."""

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
"""One row a tile. `image` is (height, width, bands) of the type `dtype` and `label` uint8 (height,
width), both in C order; `transform` the affine coefficients of the tile; `veiled_share` the share
of valid pixels under cloud or shadow, null where the label source can't tell.

8-bit colours are 0 where nodata, and the columns after `label_crc32c` are null. Of other bands
value = number * scale + offset; `valid` has a bit for each number, in the order of `image` (NumPy's
packbits), null where all are there; `band_..` are statistics of the values that are there, null for
a band without any.

`soft_label` is null or uint8 (height, width, C), see `polynya.shards.soft_labels`; `label` is then
the most probable one."""
