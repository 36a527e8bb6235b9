"""Learning rate by rank and step."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from polynya.recipe.recipe import parse_recipe
from training.optimisation.registry import build_schedule
from training.optimisation.schedules import (
    OneCycleSchedule,
    RampSchedule,
    RestartSchedule,
    Schedule,
    StepSchedule,
    WarmupSchedule,
    epochs_since_best,
    plateau_drops,
    scaled_learning_rate,
)


def test_scaling_rules() -> None:
    assert scaled_learning_rate(0.001, 4, "linear") == pytest.approx(0.004)
    assert scaled_learning_rate(0.001, 4, "sqrt") == pytest.approx(0.002)
    assert scaled_learning_rate(0.001, 4, "none") == pytest.approx(0.001)
    with pytest.raises(ValueError, match="`rule` must be one of"):
        scaled_learning_rate(0.001, 4, "cubic")


def _rates(schedule: Schedule, steps: int) -> list[float]:
    return [float(schedule(step)) for step in range(steps)]


def test_warm_up_rises_to_the_peak_and_stays() -> None:
    schedule = WarmupSchedule(0.4, warmup_steps=4, total_steps=8)
    assert _rates(schedule, 8) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4])


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert _rates(WarmupSchedule(0.4, warmup_steps=0, total_steps=3), 2) == pytest.approx(
        [0.4, 0.4]
    )


def test_cosine_falls_to_zero_at_the_end() -> None:
    rates = _rates(WarmupSchedule(1.0, warmup_steps=2, total_steps=10, shape="cosine"), 12)
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert np.all(np.diff(rates[2:11]) < 0)
    assert rates[10:] == pytest.approx([0.0, 0.0], abs=1e-7)


def test_steps_fall_after_every_so_many() -> None:
    schedule = StepSchedule(1.0, warmup_steps=2, total_steps=9, drop_steps=3, drop=0.1)
    expected = [0.5, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    assert _rates(schedule, 9) == pytest.approx(expected)


def test_one_cycle_has_the_published_values_of_the_kelp_competition() -> None:
    schedule = OneCycleSchedule(3e-4, start=0.5, end=0.005, rise=0.1, total_steps=200)
    rates = _rates(schedule, 202)
    assert rates[0] == pytest.approx(1.5e-4)
    assert rates[19] == pytest.approx(3e-4)
    assert rates[199:] == pytest.approx([1.5e-6] * 3, rel=1e-4)
    assert np.all(np.diff(rates[:20]) > 0)
    assert np.all(np.diff(rates[19:200]) < 0)
    assert rates[109] == pytest.approx((3e-4 + 1.5e-6) / 2, rel=1e-3)


def test_rates_in_double_precision_are_the_published_ones() -> None:
    cycle = OneCycleSchedule(3e-4, start=0.5, end=0.005, rise=0.1, total_steps=200)
    for step, rate in ((0, 1.5e-4), (19, 3e-4), (199, 1.5e-6)):
        assert cycle.rate(step) == pytest.approx(rate, abs=1e-12, rel=0)
    ramp = RampSchedule(
        1e-4, epoch_steps=7, start=1e-3, end=1e-3, ramp=20, sustain=0, decay=0.9, total_steps=700
    )
    for epoch, rate in ((0, 1e-7), (1, 1e-7 + 9.99e-5 / 20), (20, 1e-4), (21, 9.001e-5)):
        for step in (7 * epoch, 7 * epoch + 6):
            assert ramp.rate(step) == pytest.approx(rate, abs=1e-12, rel=0)
    assert ramp.rate(7 * 40) == pytest.approx(1e-7 + 9.99e-5 * 0.9**20, abs=1e-12, rel=0)
    assert float(ramp(7 * 21)) == pytest.approx(ramp.rate(7 * 21), rel=1e-6)


def test_a_ramp_may_sustain_and_may_begin_at_the_peak() -> None:
    keys = {"epoch_steps": 1, "start": 0.1, "end": 0.5, "decay": 0.5, "total_steps": 9}
    rates = _rates(RampSchedule(1.0, ramp=2, sustain=3, **keys), 8)
    assert rates == pytest.approx([0.1, 0.55, 1, 1, 1, 1, 0.75, 0.625])
    assert _rates(RampSchedule(1.0, ramp=0, sustain=1, **keys), 3) == pytest.approx([1, 1, 0.75])
    # A training that goes on with other weights leaves out what is done.
    later = RampSchedule(1.0, ramp=2, sustain=3, initial_epoch=5, **keys)
    assert _rates(later, 3) == pytest.approx(rates[5:8])
    assert RampSchedule.from_config(later.get_config()).rate(1) == later.rate(1)


def test_warm_restarts_begin_again_at_the_peak_and_take_longer() -> None:
    schedule = RestartSchedule(1.0, warmup_steps=0, period=4, longer=2.0, total_steps=28)
    rates = _rates(schedule, 28)
    for start, length in ((0, 4), (4, 8), (12, 16)):
        own = [0.5 * (1 + np.cos(np.pi * i / length)) for i in range(length)]
        assert rates[start : start + length] == pytest.approx(own, abs=1e-6)
    rising = RestartSchedule(1.0, warmup_steps=2, period=4, end=0.1, total_steps=10)
    assert _rates(rising, 3) == pytest.approx([0.5, 1.0, 1.0])
    assert _rates(rising, 7)[6] == pytest.approx(1.0)
    assert rising.rate(4) == pytest.approx(0.55, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_short_cycle_is_finite(steps: int) -> None:
    rates = _rates(OneCycleSchedule(1.0, start=0.1, end=0.0, rise=0.3, total_steps=steps), steps)
    assert np.isfinite(rates).all()
    assert max(rates) <= 1


@pytest.mark.parametrize(
    "schedule",
    [
        WarmupSchedule(0.4, warmup_steps=4, total_steps=8, shape="cosine"),
        StepSchedule(0.4, warmup_steps=4, total_steps=8, drop_steps=3, drop=0.1),
        OneCycleSchedule(0.4, start=0.25, end=0.0, rise=0.5, total_steps=8),
        RampSchedule(
            0.4, epoch_steps=1, start=0.25, end=0, ramp=3, sustain=0, decay=0.9, total_steps=8
        ),
        RestartSchedule(0.4, warmup_steps=4, period=2, total_steps=8),
    ],
)
def test_an_optimizer_uses_it_and_keeps_it_in_its_configuration(schedule: Schedule) -> None:
    optimizer = keras.optimizers.Adam(schedule)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    again = keras.optimizers.Adam.from_config(optimizer.get_config())
    assert float(again.learning_rate) == pytest.approx(0.1)


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="`shape` must be"):
        WarmupSchedule(0.4, warmup_steps=4, total_steps=8, shape="saw")


def test_it_goes_on_where_a_training_with_steps_of_another_size_was() -> None:
    whole = WarmupSchedule(1.0, warmup_steps=2, total_steps=10, shape="cosine")
    same = WarmupSchedule(
        1.0, warmup_steps=2, total_steps=10, shape="cosine", done_steps=5, done_share=0.5
    )
    assert _rates(same, 10) == _rates(whole, 10)
    # 5 of 10 steps are done, and the other half takes 10 smaller ones now.
    finer = WarmupSchedule(
        1.0, warmup_steps=4, total_steps=20, shape="cosine", done_steps=5, done_share=0.5
    )
    assert float(finer(5)) == pytest.approx(float(whole(5)))
    assert float(finer(15)) == pytest.approx(0.0, abs=1e-7)
    finer.scale.assign(0.5)
    assert float(finer(5)) == pytest.approx(0.5 * float(whole(5)))


def test_the_best_epoch_is_the_first_of_equals() -> None:
    nan = float("nan")
    assert epochs_since_best([]) == 0
    assert epochs_since_best([0.5, 0.7, 0.7, 0.6]) == 2
    assert epochs_since_best([nan, 0.1]) == 0
    assert epochs_since_best([nan, nan]) == 1


def test_a_plateau_is_some_epochs_without_a_better_one() -> None:
    assert plateau_drops([0.1, 0.2, 0.2, 0.2], patience=2) == 1
    assert plateau_drops([0.1, 0.1, 0.1, 0.1, 0.1], patience=2) == 2
    assert plateau_drops([0.1, 0.1, 0.2, 0.1], patience=2) == 0


def _cosine(step: float, begin: float, length: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min((step - begin) / length, 1)))


def _one_cycle(step: int) -> float:
    if step < 29:  # 30 % of 100 steps.
        return 0.04 + (1 - 0.04) * (1 - _cosine(step, 0, 29))
    return 4e-6 + (1 - 4e-6) * _cosine(step, 29, 70)


def _ramp(step: int) -> float:
    epoch = step // 5
    if epoch < 4:
        return 0.001 + epoch * (1 - 0.001) / 4
    return 1.0 if epoch < 6 else 0.001 + (1 - 0.001) * 0.9 ** (epoch - 6)


def _restarts(step: int) -> float:
    begins = [(3, 20), (23, 40), (63, 80)]  # After the rise; each twice as long.
    begin, length = max(pair for pair in begins if pair[0] <= max(step, 3))
    return 0.1 + 0.9 * _cosine(max(step, 3), begin, length)


def _risen(step: int) -> float:
    return min((step + 1) / 3, 1)


@pytest.mark.parametrize(
    ("spelling", "factor"),
    [
        ("constant", _risen),
        ("plateau", _risen),
        ("cosine", lambda s: _risen(s) * _cosine(max(s, 3), 3, 97)),
        ({"name": "step", "epochs": 2, "factor": 0.3}, lambda s: _risen(s) * 0.3 ** (s // 10)),
        ("one_cycle", _one_cycle),
        ({"name": "ramp", "ramp": 4, "sustain": 2}, _ramp),
        (
            {"name": "restarts", "epochs": 4, "longer": 2, "end": 0.1},
            lambda s: _risen(s) * _restarts(s),
        ),
    ],
    ids=["constant", "plateau", "cosine", "step", "one_cycle", "ramp", "restarts"],
)
def test_every_schedule_is_its_formula_at_every_step(spelling: Any, factor: Any) -> None:
    options = parse_recipe({"training": {"schedule": spelling}}, "test").training.schedule
    schedule = build_schedule(options, 1e-2, warmup_steps=3, epoch_steps=5, epochs=20)
    for step in range(100):
        assert schedule.rate(step) == pytest.approx(1e-2 * factor(step), abs=1e-12, rel=0), step
        # What the optimizer gets is that in float32.
        assert float(schedule(step)) == pytest.approx(schedule.rate(step), rel=1e-5, abs=1e-9)
