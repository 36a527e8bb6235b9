"""A model of training on many GPUs: the time of a step from its parts and the links between GPUs.

The model is arithmetic; it was not measured on such machines. docs/scaling.md describes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from benchmarks.training.flops import LayerCost

BACKWARD = 2 / 3
"""Share of the backward pass in a step's computing: two of three convolutions."""
_BENT = 0.9
"""Efficiency below which the curve counts as bent."""


@dataclass(frozen=True)
class Link:
    """Link between two GPUs, or between two hosts."""

    name: str
    bytes_s: float
    """Speed in one direction, by the link's standard."""
    hop_s: float
    """Seconds until the first byte of a message arrives, including software; example values."""


# NVLink 3 of an A100, PCIe 4 x16, InfiniBand, Ethernet.
NVLINK = Link("NVLink", 300e9, 2e-6)
PCIE = Link("PCIe", 32e9, 4e-6)
INFINIBAND_HDR = Link("HDR", 25e9, 5e-6)
INFINIBAND_NDR = Link("NDR", 50e9, 5e-6)
ETHERNET_100 = Link("100 GbE", 12.5e9, 25e-6)
ETHERNET_25 = Link("25 GbE", 3.125e9, 25e-6)


@dataclass(frozen=True)
class Cluster:
    """Hosts with GPUs."""

    inside: Link
    """Link between the GPUs of a host."""
    between: Link
    """Link between hosts."""
    ports: int = 1
    """Ports of a host; the rings of all its GPUs share them."""
    gpus: int = 8
    """GPUs of a host."""
    link_share: float = 0.8
    """Share of a link's speed that an allreduce gets."""

    @property
    def name(self) -> str:
        return f"{self.inside.name}, {self.ports} x {self.between.name}"


CLUSTERS = (
    Cluster(NVLINK, INFINIBAND_NDR, ports=8),
    Cluster(NVLINK, INFINIBAND_HDR, ports=8),
    Cluster(NVLINK, INFINIBAND_HDR),
    Cluster(PCIE, ETHERNET_100),
    Cluster(PCIE, ETHERNET_25),
)


@dataclass(frozen=True)
class Training:
    """Work of one GPU, and settings of Horovod."""

    image_s: float
    """Seconds per image, in addition to the fixed part of a step."""
    fixed_s: float
    """Seconds of a step that don't depend on the batch: starting kernels, updating weights; an
    example value."""
    batch: int
    """Batch of one GPU."""
    layers: tuple[LayerCost, ...]
    gradient_bytes_each: int = 4
    """Bytes of a parameter's gradient: 4, or 2 with compression."""
    cycle_s: float = 1e-3
    """HOROVOD_CYCLE_TIME: gradients that are ready at the end of a cycle are reduced together."""
    fusion_bytes: float = 128 * 2**20
    """HOROVOD_FUSION_THRESHOLD: most bytes that are reduced together."""
    agree_hop_s: float = 25e-6
    """Seconds of a message with which ranks agree on the ready gradients; an example value."""

    @property
    def gradient_bytes(self) -> int:
        return self.gradient_bytes_each * sum(layer.parameters for layer in self.layers)

    @property
    def compute_s(self) -> float:
        """Seconds of a step without any exchange."""
        return self.fixed_s + self.batch * self.image_s


def from_throughput(
    images_per_second: float, batch: int, layers: Sequence[LayerCost], fixed_s: float = 5e-3
) -> Training:
    """Describe the training of a GPU, if only its images per second at one batch are known."""
    image_s = 1 / images_per_second - fixed_s / batch
    if image_s <= 0:
        raise ValueError(
            f"`fixed_s` must be less than a step of {batch / images_per_second:.4f} s. Received:"
            f" fixed_s={fixed_s}"
        )
    return Training(image_s, fixed_s, batch, tuple(layers))


def ring_traffic(ranks: int, size: float) -> float:
    """Return the bytes that every rank sends in a ring allreduce: 2 (N - 1) / N of the size.

    P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
    workstations", 2009.
    """
    return 2 * (ranks - 1) / ranks * size


def allreduce_s(cluster: Cluster, ranks: int, size: float) -> float:
    """Return the seconds of one allreduce, by a ring or a double binary tree: the faster one.

    A ring of N has 2 (N - 1) hops one after the other. In one round of the ring, H hosts have H - 1
    hops between hosts. A tree has as many hops as its depth, up and down, and moves all bytes
    twice. NCCL also chooses by size
    (https://developer.nvidia.com/blog/massively-scale-deep-learning-training-nccl-2-4).

    Args:
        cluster: Links.
        ranks: Number of GPUs; hosts are filled one after the other.
        size: Bytes of each rank.
    """
    if ranks == 1:
        return 0.0
    hosts = ceil(ranks / cluster.gpus)
    speed = cluster.inside.bytes_s
    if hosts > 1:
        speed = min(speed, cluster.ports * cluster.between.bytes_s)
    speed *= cluster.link_share
    inside, between = cluster.inside.hop_s, cluster.between.hop_s
    ring = (
        2 * ((ranks - hosts) * inside + (hosts - 1) * between) + ring_traffic(ranks, size) / speed
    )
    of_host = min(ranks, cluster.gpus)
    depth = (of_host - 1) * inside + ceil(log2(hosts)) * between
    tree = 2 * depth + 2 * size / speed
    return min(ring, tree)


def gradients_ready(training: Training) -> list[tuple[float, int]]:
    """Return when each layer's gradient is ready, in seconds from the step's begin, and its bytes.

    The backward pass goes through the layers from the last to the first. The time of a layer is
    proportional to its operations.
    """
    compute = training.compute_s
    total = sum(layer.forward_flops for layer in training.layers)
    ready, time = [], compute * (1 - BACKWARD)
    for layer in reversed(training.layers):
        time += compute * BACKWARD * layer.forward_flops / total
        ready.append((time, training.gradient_bytes_each * layer.parameters))
    return ready


def reduced_s(
    ready: Sequence[tuple[float, int]],
    reduce_s: Callable[[float], float],
    cycle_s: float,
    fusion_bytes: float,
    agree_s: float,
) -> float:
    """Return the time when the last gradient is reduced, by Horovod's rules.

    Once per cycle, the ranks agree on the gradients that all ranks have. These gradients are
    packed, up to the fusion threshold, and the packs are reduced one after the other. The backward
    pass continues meanwhile.

    Args:
        ready: Time and bytes of each gradient, in the order of time.
        reduce_s: Function from bytes to the seconds of an allreduce.
        cycle_s: Seconds from the begin of one agreement to the begin of the next.
        fusion_bytes: Most bytes of a pack, unless one gradient alone has more.
        agree_s: Seconds of an agreement.
    """
    now = free = 0.0
    left = list(ready)
    while left:
        now += ceil(max(left[0][0] - now, 0.0) / cycle_s) * cycle_s
        packs = [0]
        while left and left[0][0] <= now + 1e-12:
            size = left.pop(0)[1]
            if packs[-1] and packs[-1] + size > fusion_bytes:
                packs.append(0)
            packs[-1] += size
        free = max(free, now + agree_s)
        for size in packs:
            free += reduce_s(size)
        now += max(cycle_s, agree_s)
    return free


@dataclass(frozen=True)
class Prediction:
    """Predicted training on a number of GPUs."""

    ranks: int
    batch: int
    """Batch of one GPU."""
    step_s: float
    reduce_s: float
    """Seconds of an allreduce of the whole gradient at once."""
    images_per_second: float
    """Images per second of all GPUs."""
    efficiency: float
    """Speed divided by the speed of as many GPUs that train alone, with the base's batch."""
    host_tiles_per_second: float
    """Tiles per second that the input of each host must deliver."""


def predict(training: Training, cluster: Cluster, ranks: int) -> Prediction:
    """Predict a step on a number of GPUs, with the training's batch on each."""
    alone = training.batch / training.compute_s
    if ranks == 1:
        step = training.compute_s
    else:
        end = reduced_s(
            gradients_ready(training),
            lambda size: allreduce_s(cluster, ranks, size),
            training.cycle_s,
            training.fusion_bytes,
            ceil(log2(ranks)) * training.agree_hop_s,
        )
        step = max(training.compute_s, end)
    images = ranks * training.batch / step
    return Prediction(
        ranks=ranks,
        batch=training.batch,
        step_s=step,
        reduce_s=allreduce_s(cluster, ranks, training.gradient_bytes),
        images_per_second=images,
        efficiency=images / (ranks * alone),
        host_tiles_per_second=images / ceil(ranks / cluster.gpus),
    )


def predict_global(
    training: Training, cluster: Cluster, ranks: int, global_batch: int
) -> Prediction:
    """Predict a step on GPUs that share a global batch; efficiency is against the full batch."""
    if global_batch % ranks:
        raise ValueError(
            "`global_batch` must be a multiple of the ranks. Received:"
            f" global_batch={global_batch}, ranks={ranks}"
        )
    alone = training.batch / training.compute_s
    shared = predict(replace(training, batch=global_batch // ranks), cluster, ranks)
    return replace(shared, efficiency=shared.images_per_second / (ranks * alone))


def bend(predictions: Sequence[Prediction], below: float = _BENT) -> int | None:
    """Return the first number of GPUs with an efficiency below a limit; None if there is none."""
    return next((p.ranks for p in predictions if p.efficiency < below), None)


@dataclass(frozen=True)
class PaperRun:
    """A row of Table III of the sea-ice workflow paper: DGX A100, batch 32, 50 epochs."""

    ranks: int
    seconds: float
    epoch_s: float
    images_per_second: float
    speed_up: float


PAPER_RUNS = (
    PaperRun(1, 280.72, 5.5, 585.88, 1.00),
    PaperRun(2, 142.98, 2.778, 1160.81, 1.96),
    PaperRun(4, 74.09, 1.45, 2229.56, 3.79),
    PaperRun(6, 51.56, 0.97, 3330.03, 5.44),
    PaperRun(8, 38.91, 0.79, 4248.56, 7.21),
)
PAPER_BATCH = 32
PAPER_EPOCHS = 50


def undivided_s(runs: Sequence[PaperRun]) -> float:
    """Fit the seconds of a run that more GPUs don't shorten, by least squares.

    T(N) = (T(1) - s) / N + s, the law of Amdahl, with s fitted to all rows.
    """
    alone = next(run.seconds for run in runs if run.ranks == 1)
    pairs = [(run.seconds - alone / run.ranks, 1 - 1 / run.ranks) for run in runs]
    return sum(extra * share for extra, share in pairs) / sum(share**2 for _, share in pairs)
