"""Images per second of the paper's U-Net on one device, and the share of the device's limits.

    KERAS_BACKEND=jax python -m benchmarks.training.gpu
    python -m benchmarks.training.gpu --batches 32,64,128 --dtype mixed_bfloat16 --peak-tflops 312

It needs a clone, Keras, and JAX, TensorFlow or PyTorch; no other packages of Polynya.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import keras
import numpy as np

from benchmarks.common.models import N_CLASSES, plain_unet
from benchmarks.training.flops import layer_costs, training_bytes, training_flops
from benchmarks.training.one_device import Step, device_name, training_step

PAPER_IMAGES_PER_SECOND = 585.88
"""Images per second of one A100, from Table III of the sea-ice workflow paper."""


@dataclass(frozen=True)
class Device:
    """Limits of a device, from its maker's data sheet, without sparsity."""

    name: str
    """Part of the name that the driver reports."""
    tflops: float
    """10^12 operations per second in bfloat16, or in float16 if the device lacks bfloat16."""
    terabytes_s: float
    """Speed of the device's memory."""


DEVICES = (
    Device("H200", 989.0, 4.8),
    Device("H100 PCIe", 756.0, 2.0),
    Device("H100", 989.0, 3.35),
    Device("A100-PCIE-40GB", 312.0, 1.555),
    Device("A100-SXM4-40GB", 312.0, 1.555),
    Device("A100", 312.0, 2.0),
    Device("L40S", 362.0, 0.864),
    Device("L4", 121.0, 0.3),
    Device("A10", 125.0, 0.6),
    Device("V100", 125.0, 0.9),
    Device("T4", 65.0, 0.32),
)
"""Known devices; the first with a matching name counts. Data sheets:
https://www.nvidia.com/en-us/data-center/."""


@dataclass(frozen=True)
class Speed:
    """Measurement at one batch size."""

    batch: int
    step_s: float
    """Median of the repetitions."""

    @property
    def images_per_second(self) -> float:
        return self.batch / self.step_s


@dataclass(frozen=True)
class Line:
    """Seconds of a step: fixed_s + batch x image_s."""

    fixed_s: float
    image_s: float


def known_device(name: str) -> Device | None:
    """Return the limits of a device by the driver's name for it; None if it isn't known."""
    return next((device for device in DEVICES if device.name.lower() in name.lower()), None)


def measure(step: Step, batch: int, seconds: float, repetitions: int) -> Speed:
    """Time steps that follow each other without waiting for the host.

    The median of the repetitions counts; three steps and the first repetition are dropped.
    """
    for _ in range(3):
        loss = float(step())
    if not math.isfinite(loss):
        raise ArithmeticError(f"The loss at batch {batch} is {loss}.")
    start = time.perf_counter()
    float(step())
    count = max(1, round(seconds / (time.perf_counter() - start)))
    times = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        for _ in range(count):
            loss_to_come = step()
        float(loss_to_come)
        times.append((time.perf_counter() - start) / count)
    return Speed(batch, median(times[1:]))


def search(
    speed_at: Callable[[int], Speed], batches: Sequence[int], enough: float = 1.02
) -> list[Speed]:
    """Measure growing batches until the gain is less than `enough`, or there is no memory."""
    speeds: list[Speed] = []
    for batch in batches:
        try:
            speed = speed_at(batch)
        except Exception as error:
            if not speeds or not _out_of_memory(error):
                raise
            print(f"batch {batch}: no memory")  # noqa: T201
            break
        print(f"batch {batch}: {speed.images_per_second:.1f} images/s")  # noqa: T201
        best = max((s.images_per_second for s in speeds), default=0.0)
        speeds.append(speed)
        if speed.images_per_second < enough * best:
            break
    return speeds


def _out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}".lower()
    return any(
        words in text
        for words in ("out of memory", "resource_exhausted", "oom", "resourceexhausted")
    )


def line_through(speeds: Sequence[Speed]) -> Line | None:
    """Fit fixed and growing part of a step by least squares; None for fewer than two batches."""
    if len(speeds) < 2:
        return None
    image_s, fixed_s = np.polyfit([s.batch for s in speeds], [s.step_s for s in speeds], 1)
    return Line(float(fixed_s), float(image_s))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write gpu.md, gpu.csv and gpu.json."""
    options = _parser().parse_args(arguments)
    filters = [int(word) for word in options.filters.split(",")]
    model = plain_unet(filters, options.tile, options.dtype)
    rng = np.random.default_rng(0)

    def speed_at(batch: int) -> Speed:
        shape = (batch, options.tile, options.tile)
        images = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        labels = rng.integers(0, N_CLASSES, shape, dtype=np.uint8)
        step = training_step(model, images, labels)
        return measure(step, batch, options.seconds, options.repetitions)

    speeds = search(speed_at, [int(word) for word in options.batches.split(",")])
    _report(model, speeds, options)


def _report(model: keras.Model, speeds: Sequence[Speed], options: argparse.Namespace) -> None:
    costs = layer_costs(model)
    flops = training_flops(costs)
    moved = training_bytes(costs, 2 if "16" in options.dtype else 4)
    device = known_device(device_name())
    tflops = options.peak_tflops or (device.tflops if device else None)
    terabytes = options.terabytes or (device.terabytes_s if device else None)
    best = max(speeds, key=lambda s: s.images_per_second)
    rate = best.images_per_second
    lines = [
        "# One device",
        "",
        f"Device: {device_name()}; Keras {keras.__version__} on {keras.backend.backend()},"
        f" {options.dtype}, tiles of {options.tile} px, {model.count_params():,} parameters.",
        "",
        "| batch | ms a step | images/s | of the paper's A100 |",
        "|--:|--:|--:|--:|",
    ]
    for s in speeds:
        ratio = s.images_per_second / PAPER_IMAGES_PER_SECOND
        lines.append(
            f"| {s.batch} | {1e3 * s.step_s:.2f} | {s.images_per_second:.1f} | {ratio:.2f} |"
        )
    lines += ["", f"Best: {rate:.1f} images/s at batch {best.batch}.", ""]
    lines.append(
        f"A step does {flops / 1e9:.2f} GFLOP and moves at least {moved / 1e6:.0f} MB an image:"
        f" {flops * rate / 1e12:.2f} TFLOP/s, {moved * rate / 1e12:.3f} TB/s."
    )
    if tflops:
        share = flops * rate / (tflops * 1e12)
        lines.append(f"Of {tflops:g} TFLOP/s: {100 * share:.1f} %.")
    if terabytes:
        share = moved * rate / (terabytes * 1e12)
        lines.append(f"Of {terabytes:g} TB/s of memory: {100 * share:.1f} %.")
    if tflops and terabytes:
        limit = min(tflops * 1e12 / flops, terabytes * 1e12 / moved)
        lines.append(
            f"The lower limit of the two allows {limit:.0f} images/s; this is"
            f" {100 * rate / limit:.1f} % of it."
        )
    line = line_through(speeds)
    if line:
        lines.append(
            f"A step takes {1e3 * line.fixed_s:.2f} ms + batch x {1e6 * line.image_s:.1f} us."
        )
    text = "\n".join(lines) + "\n"
    print(text)  # noqa: T201
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.md").write_text(text, encoding="utf-8")
    rows = ["batch,step_s,images_per_second"]
    rows += [f"{s.batch},{s.step_s:.6f},{s.images_per_second:.2f}" for s in speeds]
    (options.out / "gpu.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    record = {
        "device": device_name(),
        "flops": flops,
        "bytes": moved,
        "speeds": [asdict(s) for s in speeds],
        "line": asdict(line) if line else None,
    }
    (options.out / "gpu.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.gpu",
        description="Images a second of the paper's U-Net on one device.",
    )
    parser.add_argument("--batches", default="16,32,64,128,256,512,1024", help="in growing order")
    parser.add_argument("--tile", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--filters", default="16,32,64,128,256,512", help="filters of each level")
    parser.add_argument("--dtype", default="mixed_bfloat16", help="Keras dtype policy")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--peak-tflops", type=float, help="of the device; default: by its name")
    parser.add_argument("--terabytes", type=float, help="memory speed, TB/s; default: by its name")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/training"))
    return parser


if __name__ == "__main__":
    main()
