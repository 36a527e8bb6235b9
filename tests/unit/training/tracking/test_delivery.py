"""What a tracker gets: everything once, however slow it is or how often it is away."""

from __future__ import annotations

import re
from collections import Counter
from threading import Event
from typing import Any

import numpy as np
import pytest

from training.model_folder.checkpoints import Position
from training.model_folder.training_log import EpochRecord, StepRecord
from training.tracking.delivery import Delivery, Log, flat_scores
from training.tracking.sink import LARGEST_BATCH, Picture, Sent, Sink

EPOCH_STEPS = 1200


class Store(Sink):
    """Keeps what it is given; away as often as it is told, and it can be held up."""

    place = "The store"

    def __init__(self, away: int = 0) -> None:
        self.points: list[Any] = []
        self.pictures: list[Picture] = []
        self.ended: list[str] = []
        self.sent = Sent()
        self.away = away
        self.let_go, self.was_away = Event(), Event()
        self.let_go.set()

    def open(self) -> Sent:
        self.let_go.wait()
        if self.away:
            self.away -= 1
            self.was_away.set()
            try:
                raise ConnectionRefusedError(111, "Connection refused")
            except OSError as error:
                raise ValueError("Much text.") from error
        return self.sent

    def write(self, points, sent=None):
        assert len(points) <= LARGEST_BATCH
        self.points += points
        self.sent = sent or self.sent

    def draw(self, picture):
        self.pictures.append(picture)

    def attach(self, paths):
        self.ended += [path.name for path in paths]

    def take_model(self, folder):
        self.ended.append("model")

    def close(self, state):
        self.ended.append(state)


def train(position: Position, log: Log, steps: int = EPOCH_STEPS) -> None:
    """One more epoch."""
    epoch = position.epoch = position.epoch + 1
    for _ in range(steps):
        position.steps.append(StepRecord(len(position.steps) + 1, epoch, 0.5, 9))
        log.add_step()
    numbers = dict.fromkeys(("loss", "val_loss", "val_accuracy", "val_mean_iou"), 0.5)
    position.history.append(
        EpochRecord(epoch, 0.1, images_per_second=3, waiting_share=0, reduced_bytes=0, seconds=2,
                    **numbers)
    )  # fmt: skip
    log.add_epoch(epoch, {"validation": {"loss": 0.5, "classes": {"ice": {"iou": 0.25}}}})


def counts(store: Store) -> Counter[tuple[str, int]]:
    return Counter((point.name, point.step) for point in store.points)


def test_everything_is_there_once_in_pieces_that_a_server_takes() -> None:
    position = Position()
    log, store = Log(position), Store()
    delivery = Delivery(store, log)
    train(position, log)
    log.keep(position)
    delivery.wake()
    train(position, log)
    log.keep(position)
    delivery.end("finished", 60)
    found = counts(store)
    assert set(found.values()) == {1}
    assert [step for name, step in found if name == "step/loss"] == [*range(1, 2401)]
    assert {("validation/ice/iou", 2), ("epoch/learning_rate", 1)} <= set(found)
    assert ("validation/mean_f1", 1) not in found  # It is not a number.
    assert store.sent == Sent(2400, 2)
    assert store.ended == ["finished"]


def test_what_no_checkpoint_holds_is_not_sent_and_a_later_start_goes_on() -> None:
    position = Position()
    log, store = Log(position), Store()
    delivery = Delivery(store, log)
    train(position, log, 5)
    log.keep(position)
    train(position, log, 5)
    delivery.end("stopped", 60)
    assert store.sent == Sent(5, 1)
    del position.steps[5:], position.history[1:]
    position.epoch = 1
    log = Log(position)
    delivery = Delivery(store, log)
    train(position, log, 5)
    log.keep(position)
    delivery.end("finished", 60)
    assert set(counts(store).values()) == {1}
    assert store.sent == Sent(10, 2)


def test_a_tracker_that_was_away_gets_all_of_it_and_there_is_one_warning(capsys) -> None:
    position = Position()
    log, store = Log(position), Store(away=2)
    delivery = Delivery(store, log)
    for _ in range(2):
        train(position, log, 3)
        log.keep(position)
        delivery.wake()
        assert store.was_away.wait(60)
        store.was_away.clear()
    delivery.end("finished", 60)
    assert store.sent == Sent(6, 2)
    assert set(counts(store).values()) == {1}
    said = capsys.readouterr().err
    assert said.count("Warning") == 1
    assert re.match(r"Warning: The store can't be used \(Connection refused\); the training", said)


def test_a_slow_tracker_holds_up_nothing_and_few_pictures_wait(capsys) -> None:
    position = Position()
    log, store = Log(position), Store()
    store.let_go.clear()
    delivery = Delivery(store, log)
    delivery.wake()
    for epoch in range(200):
        train(position, log, 1)
        log.keep(position)
        delivery.show(Picture("tile", epoch + 1, np.zeros((2, 2, 3), np.uint8)))
        delivery.wake()
    delivery.end("finished", 0.0)
    assert capsys.readouterr().err.count("has not taken everything within 0 s") == 1
    store.let_go.set()
    delivery.end("finished", 60)
    assert [one.epoch for one in store.pictures] == [*range(137, 201)]
    assert store.sent == Sent(200, 200)


def test_the_loss_of_steps_is_no_score_of_training_tiles() -> None:
    assert flat_scores({"training": {"loss": 0.5}, "validation": {}}) == {}
    both = {"training": {"loss": 0.5, "accuracy": 0.25, "confusion": [[1]], "per_image": {}}}
    assert flat_scores(both) == {"training/accuracy": 0.25, "training/loss": 0.5}


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_ends_early_says_so(state: Any) -> None:
    store = Store()
    Delivery(store, Log(Position())).end(state, 60)
    assert store.ended == [state]
