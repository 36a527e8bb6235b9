"""What differs between trials, and what is noise.

Trials share seeds and split, so two trials are compared by their differences with the same seed
(paired Student's t, 95 %; `inference.studies.gains`). Two values of a parameter are compared by the
trials that differ in nothing else: the mean over seeds of each pair is one difference. With a
single parameter, the seeds are the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.studies.gains import NOISE, UNKNOWN, points, verdict
from inference.studies.sweep.scores import Result, Score
from inference.studies.sweep.study import StudyOptions
from inference.studies.sweep.trials import Level, Trial, shown
from polynya.report.tables import Table

BEST = "best"
_WORDS = {"gain": "better", "loss": "worse", NOISE: NOISE}


@dataclass(frozen=True)
class Compared:
    """A trial with the scores of its trainings."""

    trial: Trial
    values: NDArray[np.float64]
    """float64 (seeds, scores); NaN where a training isn't finished or a score is undefined."""
    parameters: int | None = None
    """Parameters of the model."""
    pass_mb: float | None = None
    """Memory of a forward and backward pass of an image, MB."""
    epoch_s: tuple[float, ...] = ()
    """Mean time of an epoch of each training, seconds."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean over seeds of each score, float64 (scores,); NaN without any."""
        return np.array([_mean(column) for column in self.values.T])


def compared(results: Sequence[Result], scores: Sequence[Score], seeds: int) -> list[Compared]:
    """Put the trainings of each trial together, best trial first; trials without a score last.

    Args:
        results: Trainings.
        scores: Scores that the results have.
        seeds: Trainings of a trial.
    """
    found: dict[int, Compared] = {}
    for result in results:
        trial = result.training.trial
        nothing = Compared(trial, np.full((seeds, len(scores)), np.nan))
        before = found.get(trial.number, nothing)
        before.values[result.training.repeat] = result.scores
        own = () if not result.stop_epoch else ((result.seconds or 0) / result.stop_epoch,)
        found[trial.number] = Compared(
            trial,
            before.values,
            before.parameters if result.parameters is None else result.parameters,
            before.pass_mb if result.pass_mb is None else result.pass_mb,
            (*before.epoch_s, *own),
        )

    def rank(one: Compared) -> tuple[bool, float, int]:
        mean = scores[0].gain(one.means[0])
        return bool(np.isnan(mean)), 0.0 if np.isnan(mean) else -mean, one.trial.number

    return sorted(found.values(), key=rank)


def trainings_table(results: Sequence[Result], scores: Sequence[Score]) -> Table:
    """One row for each training, in the order of trials and seeds."""
    names = _names([result.training.trial for result in results])
    rows = [
        (
            result.training.name,
            *(shown(result.training.trial.levels[name]) for name in names),
            str(result.training.repeat),
            result.state,
            *(score.text(value) for score, value in zip(scores, result.scores, strict=True)),
            _text(result.best_epoch),
            _text(result.stop_epoch),
            _text(result.parameters),
            "" if result.seconds is None else f"{result.seconds:.1f}",
        )
        for result in results
    ]
    columns = (
        *("trial", *names, "seed", "state"),
        *(score.heading for score in scores),
        *("best epoch", "stop epoch", "model parameters", "seconds"),
    )
    return Table("Trainings", columns, tuple(rows))


def trials_table(trials: Sequence[Compared], scores: Sequence[Score]) -> Table:
    """One row for each trial, best first, with its difference to the best one.

    Args:
        trials: See `compared`.
        scores: Their scores; differences are of the first one.
    """
    names = _names([one.trial for one in trials])
    score = scores[0]
    rows = []
    for one in trials:
        difference, word = _difference(one, trials[0], score)
        rows.append(
            (
                f"{one.trial.number:04d}",
                *(shown(one.trial.levels[name]) for name in names),
                str(int(np.isfinite(one.values[:, 0]).sum())),
                *(_spread(s, one.values[:, n]) for n, s in enumerate(scores)),
                difference,
                word,
                _text(one.parameters),
                "" if one.pass_mb is None else f"{one.pass_mb:.2f}",
                f"{np.median(one.epoch_s):.2f}" if one.epoch_s else "",
            )
        )
    columns = (
        *("trial", *names, "seeds", *(s.heading for s in scores)),
        *("against the best", "verdict", "model parameters", "pass size, MB", "epoch, s"),
    )
    return Table(f"Trials by {score.heading}", columns, tuple(rows))


def effects_table(
    trials: Sequence[Compared], score: Score, options: StudyOptions | None = None
) -> Table:
    """One row for each value of each parameter: its mean, and its difference to the best value.

    The steps of a ladder are compared with the step before, and what a paper found stands beside.
    Parameters with a range have no rows.

    Args:
        trials: See `compared`.
        score: Their first score.
        options: The study, which says what is a ladder and what a paper found.
    """
    rows = []
    for name in _names([one.trial for one in trials]):
        by_level = values_by_level(trials, name)
        if len(by_level) < 2 or not all(isinstance(level, str) for level in by_level):
            continue  # Numbers of a range are hardly there twice.
        means = {level: _mean(np.array(values)) for level, values in by_level.items()}
        known = [level for level, mean in means.items() if mean == mean]
        best = max(known, key=lambda level: score.gain(means[level]), default=None)
        ladder = options is not None and options.parameters[name].steps is not None
        for place, (level, values) in enumerate(by_level.items()):
            other = best if not ladder else known[place - 1] if place else level
            gains = [] if other is None else _pairs(trials, name, level, other)
            told, word = ("", BEST) if level == other else _verdict(gains, score)
            rows.append(
                (
                    name,
                    shown(level),
                    str(len(values)),
                    score.text(means[level]),
                    "" if level == other else str(len(gains)),
                    told,
                    "first step" if ladder and not place else word,
                    *(_published(options, name, title, level) for title in _titles(options)),
                )
            )
    ladders = options is not None and [one for one in options.parameters.values() if one.steps]
    only_ladders = ladders and options is not None and len(ladders) == len(options.parameters)
    against = "the step before" if only_ladders else "the best"
    columns = (
        *("parameter", "value", "trials", score.heading),
        *("pairs", f"against {against}", "verdict"),
        *(f"published: {title}" for title in _titles(options)),
    )
    return Table("Values of parameters", columns, tuple(rows))


def evaluations_table(trials: Sequence[Compared], scores: Sequence[Score]) -> Table | None:
    """One row for each trial and score that several tiles have: what differs with the tiles.

    Each is compared with the same score of the same models on the first of these tiles, and with
    the best trial on the same tiles.

    Args:
        trials: See `compared`.
        scores: Their scores, also of evaluations.

    Returns:
        None without evaluations.
    """
    if not any(score.evaluation for score in scores):
        return None
    names, rows = _names([one.trial for one in trials]), []
    for one in trials:
        for number, score in enumerate(scores):
            first = next(n for n, other in enumerate(scores) if other.name == score.name)
            told, word = "", "first"
            if first != number:
                told, word = _verdict(list(one.values[:, number] - one.values[:, first]), score)
            best = max(trials, key=lambda t: _rank(score, t.means[number]))
            against, verdict_ = "", BEST
            if best is not one:
                differences = one.values[:, number] - best.values[:, number]
                against, verdict_ = _verdict(list(differences), score)
            rows.append(
                (
                    f"{one.trial.number:04d}",
                    score.heading,
                    _spread(score, one.values[:, number]),
                    *(told, word, against, verdict_),
                    *(shown(one.trial.levels[name]) for name in names),
                )
            )
    columns = (
        *("trial", "score", "value", "against the first tiles", "verdict"),
        *("against the best trial", "verdict of that", *names),
    )
    return Table("Scores on all tiles", columns, tuple(rows))


def _rank(score: Score, mean: float) -> float:
    return -np.inf if mean != mean else score.gain(mean)


def _titles(options: StudyOptions | None) -> list[str]:
    tables = [] if options is None else options.published.values()
    return list(dict.fromkeys(title for table in tables for title in table))


def _published(options: StudyOptions | None, name: str, title: str, level: Level) -> str:
    tables = {} if options is None else options.published.get(name, {})
    number = tables.get(title, {}).get(str(level))
    return "" if number is None else f"{number:g}"


def values_by_level(trials: Sequence[Compared], name: str) -> dict[Level, list[float]]:
    """Mean first score of each trial by its value of a parameter, in the order of the trials."""
    found: dict[Level, list[float]] = {}
    for one in sorted(trials, key=lambda one: one.trial.number):
        if one.means[0] == one.means[0]:
            found.setdefault(one.trial.levels[name], []).append(float(one.means[0]))
    return found


def answer(trials: Sequence[Compared], score: Score) -> str:
    """Say in a sentence which trial is the best, and how many of the others are as good.

    Args:
        trials: See `compared`.
        score: Their first score.
    """
    known = [one for one in trials if one.means[0] == one.means[0]]
    if not known:
        return "No trial has a score on the validation tiles yet."
    best = known[0]
    told = f"Best: trial {best.trial.number:04d} ({best.trial.text}), {score.title} "
    told += f"{_spread(score, best.values[:, 0])}{'' if score.less_is_better else ' %'}"
    if len(known) == 1:
        return f"{told}."
    words = [_difference(one, best, score)[1] for one in known[1:]]
    if all(word == UNKNOWN for word in words):
        return (
            f"{told}. Every trial has one seed, so nobody can tell which of the differences are"
            " noise; the same command with --seeds 3 adds the others."
        )
    if len(words) == 1:
        said = {NOISE: f"the other trial is {NOISE}", _WORDS["loss"]: "the other trial is worse"}
        return f"{told}; {said.get(words[0], 'of the other trial nobody can tell')}."
    noise, worse = words.count(NOISE), words.count(_WORDS["loss"])
    told += f"; {noise} of the other {len(words)} trials are inside the noise, {worse} are worse"
    if noise + worse < len(words):
        told += f", of {len(words) - noise - worse} nobody can tell"
    return f"{told}."


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(trials[0].levels) if trials else []


def _difference(one: Compared, best: Compared, score: Score) -> tuple[str, str]:
    if one is best:
        return "", BEST
    return _verdict(list(one.values[:, 0] - best.values[:, 0]), score)


def _verdict(differences: Sequence[float], score: Score) -> tuple[str, str]:
    """Text of differences with their interval, and what they show."""
    known = [value for value in differences if np.isfinite(value)]
    if len(known) < 2:
        return "", UNKNOWN
    told = points(known, "+", factor=score.factor, digits=score.digits)
    return told, _WORDS[verdict([score.gain(value) for value in known])]


def _pairs(trials: Sequence[Compared], name: str, level: Level, best: Level) -> list[float]:
    """Differences of trials that differ in one parameter only."""

    def others(one: Compared) -> tuple[Level, ...]:
        return tuple(value for key, value in one.trial.levels.items() if key != name)

    first = {others(one): one for one in trials if one.trial.levels[name] == level}
    second = {others(one): one for one in trials if one.trial.levels[name] == best}
    differences = [
        first[key].values[:, 0] - second[key].values[:, 0] for key in first if key in second
    ]
    if len(differences) == 1:
        return [float(value) for value in differences[0] if np.isfinite(value)]
    means = (_mean(of_seeds) for of_seeds in differences)
    return [mean for mean in means if mean == mean]


def _spread(score: Score, values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return score.text(_mean(values))
    return points(known, factor=score.factor, digits=score.digits)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
