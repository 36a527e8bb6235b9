"""Tables of the comparison of networks, each beside what the study found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.common.report import percent, table_of
from benchmarks.networks.results import TABLE_4, Trained
from benchmarks.networks.timing import NetworkCosts
from inference.studies.gains import NOISE, interval, points, verdict
from polynya.report.tables import Table

Found = Mapping[str, Sequence[Trained]]


def mean_iou(trained: Sequence[Trained]) -> np.ndarray:
    """Mean over the classes of the IoU of each training: float64 (seeds,)."""
    return np.array([np.nanmean(one.iou) for one in trained])


def iou_table(found: Found, titles: Sequence[str]) -> Table:
    """One row per network: mean IoU, of each class too, beside the mean IoU of the study."""
    columns: dict[str, Callable[[Any], str]] = {
        "network": lambda row: row[0],
        "mean IoU": lambda row: points(mean_iou(row[1])),
    }
    for code, title in enumerate(titles):
        columns[title] = lambda row, code=code: points([one.iou[code] for one in row[1]])  # type: ignore[misc]
    columns["epochs"] = lambda row: ", ".join(str(one.epochs) for one in row[1])
    columns["study: mean IoU"] = lambda row: percent(TABLE_4[row[0]].mean_iou)
    return table_of("Mean over tiles of the IoU, %", list(found.items()), columns)


def speed_table(found: Found, costs: Mapping[str, NetworkCosts]) -> Table:
    """One row per network: size, and times as ratios to `unet_base`, beside those of the study."""
    epochs = {name: float(np.median([t.epoch_s for t in each])) for name, each in found.items()}
    base = costs["unet_base"]
    return table_of(
        "Size and time of the networks; ratios are to unet_base",
        list(found),
        {
            "network": lambda name: name,
            "parameters": lambda name: f"{costs[name].parameters:,}",
            "pass size, MB": lambda name: f"{costs[name].pass_mb:.2f}",
            "study: pass size, MB": lambda name: f"{TABLE_4[name].pass_mb:g}",
            "step, s": lambda name: f"{costs[name].step_s:.2f}",
            "step, ratio": lambda name: f"{costs[name].step_s / base.step_s:.2f}",
            "inference, s": lambda name: f"{costs[name].inference_s:.3f}",
            "inference, ratio": lambda name: f"{costs[name].inference_s / base.inference_s:.2f}",
            "epoch as trained, s": lambda name: f"{epochs[name]:.2f}",
            "epoch as trained, ratio": lambda name: f"{epochs[name] / epochs['unet_base']:.2f}",
            "study: epoch, ratio": lambda name: (
                f"{TABLE_4[name].epoch_s / TABLE_4['unet_base'].epoch_s:.2f}"
            ),
        },
    )


def pairs_table(found: Found) -> Table:
    """One row per pair of networks: which has the greater mean IoU here and in the study."""
    return table_of(
        "Pairs of networks: gain in mean IoU of the first over the second, points",
        list(combinations(found, 2)),
        {
            "networks": lambda pair: " - ".join(pair),
            "here": lambda pair: points(_gains(found, pair), "+"),
            "study": lambda pair: f"{100 * _published_gain(pair):+.2f}",
            "verdict": lambda pair: _agreement(found, pair),
        },
    )


def claims_table(found: Found, costs: Mapping[str, NetworkCosts]) -> Table:
    """What the study says of its networks, and what came back here."""
    names = list(found)
    here = {name: interval(mean_iou(found[name]))[0] for name in names}
    agreement = [_agreement(found, pair) for pair in combinations(names, 2)]
    sizes = [costs[name].pass_mb for name in names]
    by_size = {
        "step of the published networks": [costs[name].step_s for name in names],
        "epoch in the study": [TABLE_4[name].epoch_s for name in names],
    }
    rows = [
        (f"a larger pass size takes longer: {what}", f"Kendall's tau {_tau(sizes, times):+.2f}")
        for what, times in by_size.items()
    ]
    times = [_tau([TABLE_4[n].epoch_s for n in names], [costs[n].step_s for n in names])]
    rows += [
        ("order of times: epoch in the study, step here", f"Kendall's tau {times[0]:+.2f}"),
        (
            "order of mean IoU: study, here",
            "Kendall's tau "
            f"{_tau([TABLE_4[n].mean_iou for n in names], [here[n] for n in names]):+.2f}",
        ),
        (
            f"{len(agreement)} pairs by mean IoU",
            f"{agreement.count('as in the study')} as in the study, {agreement.count(NOISE)}"
            f" {NOISE}, {agreement.count('against the study')} against the study",
        ),
        (
            "unet_skinny has the best mean IoU (study); best here",
            max(here, key=lambda name: here[name]),
        ),
        (
            "unet_short has the worst mean IoU (study); worst here",
            min(here, key=lambda name: here[name]),
        ),
    ]
    return Table("What came back of the study", ("claim", "found"), tuple(rows))


def _gains(found: Found, pair: tuple[str, str]) -> np.ndarray:
    first, second = pair
    return mean_iou(found[first]) - mean_iou(found[second])


def _published_gain(pair: tuple[str, str]) -> float:
    return TABLE_4[pair[0]].mean_iou - TABLE_4[pair[1]].mean_iou


def _agreement(found: Found, pair: tuple[str, str]) -> str:
    """Say whether a difference is noise, or which side the study is on."""
    here = verdict(_gains(found, pair))
    if here == NOISE:
        return NOISE
    same = (here == "gain") == (_published_gain(pair) > 0)
    return "as in the study" if same else "against the study"


def _tau(first: Sequence[float], second: Sequence[float]) -> float:
    return float(kendalltau(first, second).statistic)
