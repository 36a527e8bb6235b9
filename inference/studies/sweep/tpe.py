"""A search that learns from its trials, by Optuna: on SQLite in the sweep's folder, or a server.

The folder says which trials there are and how they ended; Optuna's storage only has what the search
learns from. Everything that chooses or takes a trial happens while the sweep's folder is locked, so
no trial is given twice and no combination is tried twice, by any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.studies.sweep.parameters import ParameterOptions
from inference.studies.sweep.planning import Plan
from inference.studies.sweep.scores import read_result
from inference.studies.sweep.study import TpeOptions
from inference.studies.sweep.trials import Level, Training, Trial, rounded
from inference.studies.sweep.worker import Job
from polynya.environment import install_command
from polynya.errors import InUseError, MissingDependencyError, OutputError, RecipeError, reason_of
from polynya.storage.uris import public_uri

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna import Trial as OptunaTrial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_NUMBER = "polynya_trial"
"""User attribute of Optuna's trials: the number of the trial. Optuna's own numbers count
combinations that were tried already, too."""
_DRAWS = 20
"""Combinations that are asked for until one is new; then any new one is taken."""
_RANDOM_DRAWS = 100_000


class TpeSupply:
    """Hands out trials, each chosen when it is taken.

    Args:
        plan: The sweep.
        search: Options of the search.
        storage: URL of a database, as SQLAlchemy takes it; None for SQLite in the sweep's folder.

    Raises:
        MissingDependencyError: Optuna is missing.
        OutputError: The storage can't be used.
    """

    def __init__(self, plan: Plan, search: TpeOptions, storage: str | None = None) -> None:
        self._plan = plan
        self._search = search
        self._space = {n: _distribution(n, one) for n, one in plan.options.parameters.items()}
        self._study = _open(plan, search, storage)
        self._lock = Lock()
        self._seen: set[int] = set()
        """Trials that this worker has had."""

    @contextmanager
    def taken(self) -> Iterator[Job | None]:
        with ExitStack() as held:
            with self._lock, self._plan.folder.in_turn():
                job = self._next(held)
            yield job
            if job is not None:
                with self._lock, self._plan.folder.in_turn():
                    self._tell(self._known()[job.trainings[0].trial.number])

    def _next(self, held: ExitStack) -> Job | None:
        known = self._known()
        for number, frozen in sorted(known.items()):
            if self._tell(frozen) or number in self._seen:
                continue
            try:
                # It was left by a worker that was stopped or killed.
                return self._job(self._again(frozen), number, held)
            except InUseError:
                continue
        number = max(known, default=-1) + 1
        while number < self._search.trials:
            trial = self._new(number, {self._key(frozen.params) for frozen in known.values()})
            trial.set_user_attr(_NUMBER, number)
            job = self._job(trial, number, held)
            if job is not None:
                return job
            known = self._known()
            number += 1
        return None

    def _known(self) -> dict[int, FrozenTrial]:
        """Find Optuna's latest trial of each trial, and end those that never got a number."""
        from optuna.trial import TrialState

        found = {}
        for frozen in self._study.get_trials(deepcopy=False):
            if _NUMBER in frozen.user_attrs:
                found[int(frozen.user_attrs[_NUMBER])] = frozen
            elif not frozen.state.is_finished():
                # Its worker was killed in between, as the folder is ours.
                self._study.tell(frozen.number, state=TrialState.FAIL)
        return found

    def _again(self, frozen: FrozenTrial) -> OptunaTrial:
        """Ask for the same combination once more, because only its worker could go on with it."""
        from optuna.trial import TrialState

        if not self._plan.folder.is_taken(self._trainings(frozen)[0]):
            if not frozen.state.is_finished():
                self._study.tell(frozen.number, state=TrialState.FAIL)
            self._study.enqueue_trial(frozen.params, frozen.user_attrs)
            return self._study.ask(self._space)
        raise InUseError(f"Trial {frozen.user_attrs[_NUMBER]} is in training.")

    def _new(self, number: int, tried: set[tuple[Level, ...]]) -> OptunaTrial:
        """Ask for a combination that wasn't tried yet."""
        from optuna.samplers import RandomSampler, TPESampler
        from optuna.trial import TrialState

        seeds = np.random.default_rng([self._search.seed, number])
        for draw in range(_RANDOM_DRAWS):
            # Seeded anew, so that a search that was cut goes on as if it had not been.
            seed = int(seeds.integers(2**31))
            sampler = TPESampler(seed=seed) if draw < _DRAWS else RandomSampler(seed=seed)
            self._study.sampler = sampler
            trial = self._study.ask(self._space)
            if self._key(trial.params) not in tried:
                return trial
            self._study.tell(trial, state=TrialState.FAIL)
        raise OutputError("No new combination was found; set the study's 'search.trials' to less.")

    def _key(self, params: Mapping[str, Any]) -> tuple[Level, ...]:
        return tuple(_level(params[name]) for name in self._space)

    def _trainings(self, frozen: FrozenTrial | OptunaTrial) -> list[Training]:
        number = int(frozen.user_attrs[_NUMBER])
        levels = dict(zip(self._space, self._key(frozen.params), strict=True))
        trial = Trial(number, levels)
        return [Training(trial, repeat) for repeat in range(self._plan.options.seeds)]

    def _job(self, trial: OptunaTrial, number: int, held: ExitStack) -> Job | None:
        """Take a trial; None if its recipe can't be used, which is noted."""
        self._seen.add(number)
        folder, trainings = self._plan.folder, self._trainings(trial)
        folder.note(trainings[0])
        held.enter_context(folder.claimed(trainings[0]))
        try:
            for training in trainings:
                folder.add(training, self._plan.recipe(training))
        except RecipeError as error:
            folder.end(trainings[0], "failed", str(error))
            held.close()
            self._tell(self._known()[number])
            return None

        def wants_end(epoch: int, value: float) -> bool:
            if value != value:
                return False
            trial.report(value, epoch)
            return trial.should_prune()

        return Job(tuple(trainings), wants_end if self._search.pruning else _never)

    def _tell(self, frozen: FrozenTrial) -> bool:
        """Tell Optuna how a trial ended; return whether it has."""
        from optuna.trial import TrialState

        plan, states, values = self._plan, [], []
        for training in self._trainings(frozen):
            over = plan.folder.over(training)
            if over is None:
                return False
            states.append(over[0])
            if over[0] != "finished":
                break
            values.append(read_result(plan.folder, training, plan.scores[:1]).scores[0])
        if frozen.state.is_finished():
            return True
        mean = float(np.mean(values)) if values else np.nan
        if states[-1] == "pruned":
            self._study.tell(frozen.number, state=TrialState.PRUNED)
        elif states[-1] == "failed" or mean != mean:
            self._study.tell(frozen.number, state=TrialState.FAIL)
        else:
            self._study.tell(frozen.number, mean)
        return True


def _never(epoch: int, value: float) -> bool:
    return False


def _level(value: Any) -> Level:
    level: Level = rounded(value) if isinstance(value, float) else value
    return level


def _distribution(name: str, parameter: ParameterOptions) -> BaseDistribution:
    optuna = _optuna()
    if parameter.ends is None:
        return optuna.distributions.CategoricalDistribution(list(parameter.levels(name)))
    low, high = parameter.ends
    is_log = parameter.log_range is not None
    if parameter.is_whole:
        return optuna.distributions.IntDistribution(int(low), int(high), log=is_log)
    return optuna.distributions.FloatDistribution(float(low), float(high), log=is_log)


def _open(plan: Plan, search: TpeOptions, storage: str | None) -> OptunaStudy:
    optuna = _optuna()
    from optuna.pruners import MedianPruner
    from sqlalchemy.exc import SQLAlchemyError

    url = storage or f"sqlite:///{plan.folder.path.absolute()}/optuna.db"
    pruning = search.pruning
    try:
        return optuna.create_study(
            storage=url,
            study_name=plan.name,
            direction="minimize" if plan.scores[0].less_is_better else "maximize",
            load_if_exists=True,
            pruner=pruning
            and MedianPruner(
                n_startup_trials=pruning.startup_trials, n_warmup_steps=pruning.warmup_epochs
            ),
        )
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise OutputError(
            f"The storage {public_uri(url)} can't be used ({reason_of(error)}); give the URL of a"
            " database as --storage, and install its driver."
        ) from None


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError(
            "Searches that learn from their trials need Optuna; install it with:"
            f" {install_command('sweep')}"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
