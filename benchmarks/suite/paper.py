"""Figures of the sea-ice paper's Tables I and II, and of its labels.

"A Parallel Workflow for Polar Sea-Ice Classification using Auto-labeling of Sentinel-2 Imagery"
(Iqrah et al., 2024). Table III is `PAPER_RUNS` in `benchmarks/training/predict.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

TILES = 4224
"""Images of 256 x 256 pixels that Table I labels."""


@dataclass(frozen=True)
class SparkRow:
    """Seconds of a row of Table II."""

    load: float
    reduce: float


TABLE_1 = {1: 17.40, 2: 8.89, 4: 4.69, 6: 4.10, 8: 3.89}
"""Seconds by number of processes, on one machine."""
TABLE_1_SPEED_UP = {1: 1.0, 2: 2.0, 4: 3.7, 6: 4.2, 8: 4.5}
TABLE_2 = {
    (1, 1): SparkRow(108, 390),
    (1, 2): SparkRow(58, 174),
    (1, 4): SparkRow(33, 72),
    (2, 1): SparkRow(56, 156),
    (2, 2): SparkRow(31, 84),
    (2, 4): SparkRow(19, 41),
    (4, 1): SparkRow(31, 78),
    (4, 2): SparkRow(17, 39),
    (4, 4): SparkRow(12, 24),
}
"""Seconds by executors and cores of each, on Google Cloud Dataproc."""
SSIM_ORIGINAL, SSIM_FILTERED = 89.0, 99.64
"""Structural similarity of automatic and manual labels, percent (IV-B2)."""
