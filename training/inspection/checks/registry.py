"""All checks, in the order of the report.

A check is a module of this folder with a `CHECK`, and its name in `CHECKS`. The report, its list of
what to fix, and `--drop` follow from that.
"""

from __future__ import annotations

from collections.abc import Sequence

from polynya.errors import ShardError
from training.inspection.checks import (
    constant,
    copies,
    corrupt,
    empty,
    failed,
    image_without_label,
    label_without_image,
    misaligned,
    near_duplicates,
    saturated,
    split,
    striped,
    unknown_labels,
    unseen_class,
)
from training.inspection.checks.base import Check

CHECKS: tuple[Check, ...] = (
    corrupt.CHECK,
    failed.CHECK,
    empty.CHECK,
    constant.CHECK,
    striped.CHECK,
    saturated.CHECK,
    label_without_image.CHECK,
    image_without_label.CHECK,
    unknown_labels.CHECK,
    misaligned.CHECK,
    copies.CHECK,
    near_duplicates.CHECK,
    unseen_class.CHECK,
    split.CHECK,
)


def find_checks(names: Sequence[str]) -> list[Check]:
    """Find checks by the names of their findings.

    Raises:
        ShardError: There is no such finding.
    """
    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            raise ShardError(
                f"--drop {name}: there is no such finding; the findings are {', '.join(known)}."
            )
    return [known[name] for name in dict.fromkeys(names)]
