"""Print covered lines and branches separately (`coverage report` mixes them); check the lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ENOUGH_LINES = 85.0
"""Least coverage of lines, in percent."""


def main() -> None:
    """Print one line for the JSON report on the command line; exit 1 if coverage is too low."""
    totals = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["totals"]
    lines = 100 * totals["covered_lines"] / totals["num_statements"]
    branches = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"Coverage: {lines:.1f} % of lines, {branches:.1f} % of branches")
    if lines < ENOUGH_LINES:
        raise SystemExit(f"Error: fewer than {ENOUGH_LINES:.0f} % of lines are covered by tests.")


if __name__ == "__main__":
    main()
