"""Command line of the comparison of networks: `python -m benchmarks.networks --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.networks.faster_unet import faster_unet

app = make_app("networks", faster_unet, default=faster_unet)

if __name__ == "__main__":
    app()
