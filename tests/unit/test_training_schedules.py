"""Learning rate by rank and step."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.schedules import WarmupSchedule, scaled_learning_rate


def test_scaling_rules() -> None:
    assert scaled_learning_rate(0.001, 4, "linear") == pytest.approx(0.004)
    assert scaled_learning_rate(0.001, 4, "sqrt") == pytest.approx(0.002)
    assert scaled_learning_rate(0.001, 4, "none") == pytest.approx(0.001)
    with pytest.raises(ValueError, match="`rule` must be one of"):
        scaled_learning_rate(0.001, 4, "cubic")


def _rates(schedule: WarmupSchedule, steps: int) -> list[float]:
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


def test_an_optimizer_uses_it_and_keeps_it_in_its_configuration() -> None:
    schedule = WarmupSchedule(0.4, warmup_steps=4, total_steps=8, shape="cosine")
    optimizer = keras.optimizers.Adam(schedule)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    again = keras.optimizers.Adam.from_config(optimizer.get_config())
    assert float(again.learning_rate) == pytest.approx(0.1)


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="`shape` must be"):
        WarmupSchedule(0.4, warmup_steps=4, total_steps=8, shape="saw")
