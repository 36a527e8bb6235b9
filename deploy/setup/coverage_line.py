"""Print lines and branches apart, from coverage's JSON report: `coverage report` mixes the two."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Print one line for the report named on the command line."""
    totals = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["totals"]
    lines = 100 * totals["covered_lines"] / totals["num_statements"]
    branches = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"Coverage: {lines:.1f} % of lines, {branches:.1f} % of branches")


if __name__ == "__main__":
    main()
