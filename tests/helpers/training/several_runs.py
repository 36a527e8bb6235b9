"""One rank of a test: trains one model after another with the recipes of their shards.

python tests/helpers/training/several_runs.py FOLDER...
"""

from __future__ import annotations

import sys
from pathlib import Path

from training.run.session import open_session


def main(*folders: str) -> None:
    """Train on FOLDER/shards into FOLDER/model, for each folder."""
    session = open_session(f"{folders[0]}/shards", None, trains_often=True)
    for folder in folders:
        session.train(f"{folder}/shards", Path(folder, "model"), None)


if __name__ == "__main__":
    main(*sys.argv[1:])
