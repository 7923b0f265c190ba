"""Trials of a search: runs with values that a sampler chose, kept in a database on disk.

    FOLDER/study.db  <--values, results--  workers (processes), each: ask -> train -> tell

Any number of workers share a study, whoever started them. What a killed worker was at is taken up
again: its trial shows no sign of life, and is put into the queue with the same values.
"""

import math
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from host.devices.device import open_device
from host.experiment import Experiment
from host.run import prepare, train
from host.search.space import SearchFile

DATABASE = "study.db"
LOCK = "study.lock"
STUDY = "search"

HEARTBEAT, GRACE = 2, 10
"""Seconds between two signs of life of a trial, and after which it is taken for dead."""

STARTUP, WARM_UP = 4, 3
"""Trials that are never pruned, and epochs before which none is."""

BEGUN = "begun"
"""Attribute of a trial whose worker has shown a first sign of life."""

UNFIT = "unfit"
"""Attribute of a trial whose values make no run, with the reason."""


def open_study(search: SearchFile, folder: Path, *, worker: int = 0) -> optuna.Study:
    """The study in a folder, made where there is none; its first trial is the run as it is.

    Raises ValueError where the folder holds a search of something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Signs of life are what Optuna calls experimental; its version is pinned.
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    folder.mkdir(parents=True, exist_ok=True)
    # Not two at a time: the second is to find what the first has made.
    with FileLock(folder / LOCK):
        study = _study(search, folder, worker)
        _check_search(study, search, folder)
    return study


def _study(search: SearchFile, folder: Path, worker: int) -> optuna.Study:
    storage = RDBStorage(
        f"sqlite:///{folder / DATABASE}",
        engine_kwargs={"connect_args": {"timeout": 60}},
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
    )
    return optuna.create_study(
        storage=storage,
        study_name=STUDY,
        direction=search.direction,
        sampler=_sampler(search, worker),
        pruner=_pruner(search),
        load_if_exists=True,
    )


def _check_search(study: optuna.Study, search: SearchFile, folder: Path) -> None:
    """Note what a new study searches; ValueError where it is known to search something else."""
    described = search.model_dump(mode="json", exclude={"trials"}) | {
        "run": search.base.model_dump(mode="json", exclude_unset=True)
    }
    known = study.user_attrs.get("search")
    if known is None:
        study.set_user_attr("search", described)
        for values in _first(search):
            study.enqueue_trial(values)
    elif known != described:
        changed = sorted(key for key in described if described[key] != known.get(key))
        raise ValueError(
            f"{folder} holds a search with another {' and '.join(changed)}: choose another folder, "
            "or the file with which it began"
        )


def _first(search: SearchFile) -> list[dict[str, Any]]:
    """Values of trials that no sampler chooses: the points of a grid in a random order, otherwise
    those that the run's file has, as far as they lie in the space."""
    if search.method == "grid":
        grid = search.grid()
        points = [dict(zip(grid, point, strict=True)) for point in product(*grid.values())]
        return [points[k] for k in np.random.default_rng(search.seed).permutation(len(points))]
    own, spaces = search.own_values(), search.distributions()
    return [{key: own[key] for key, space in spaces.items() if _contains(space, own[key])}]


def _contains(space: Any, value: Any) -> bool:
    try:
        return bool(space._contains(space.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _sampler(search: SearchFile, worker: int) -> BaseSampler:
    """Each worker draws from a seed of its own; a grid's points are not drawn at all."""
    seed = search.seed + worker
    if search.method == "tpe":
        # A worker takes for bad what another is at, and tries something else.
        return TPESampler(seed=seed, constant_liar=True)
    return RandomSampler(seed=seed)


def _pruner(search: SearchFile) -> optuna.pruners.BasePruner:
    if not search.pruning:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARM_UP)


def trials_wanted(search: SearchFile) -> int:
    """Trials after which the search is over: as many as a grid has points, where it is one."""
    if search.method == "grid":
        return math.prod(len(values) for values in search.grid().values())
    return search.trials


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end: with a value, pruned, or with values that make no run."""
    done = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=done)
    return [t for t in trials if t.state != TrialState.FAIL or UNFIT in t.user_attrs]


def _give_up_stillborn(study: optuna.Study) -> None:
    """Fail trials whose worker was killed before they had begun; what was queued is queued again.

    Optuna takes for dead only what has shown a sign of life before. Whoever holds the lock knows
    that nobody else is about to begin.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if BEGUN not in trial.user_attrs:
            study.tell(trial.number, state=TrialState.FAIL)
            if queued := trial.system_attrs.get("fixed_params"):
                study.enqueue_trial(queued)


def work(search: SearchFile, folder: Path, device: str, worker: int) -> None:
    """Carry out trials until there are as many as wanted."""
    study = open_study(search, folder, worker=worker)
    wanted = trials_wanted(search)
    # Held from the count until the trial has begun, so that not two workers begin the last one.
    beginning = FileLock(folder / LOCK)
    while len(ended(study)) < wanted:
        with beginning:
            _give_up_stillborn(study)
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if len(ended(study)) + len(running) < wanted:
                value = objective(search, device, begun=lambda: beginning.release(force=True))
                study.optimize(value, n_trials=1, catch=(_Unfit,))
                continue
        # Others are at the last ones; what they leave undone comes back into the queue.
        time.sleep(HEARTBEAT)
        optuna.storages.fail_stale_trials(study)


class _Unfit(Exception):  # noqa: N818 -- named after what happened
    """Values that make no run."""


def objective(
    search: SearchFile, device: str, begun: Callable[[], object]
) -> Callable[[optuna.Trial], float]:
    """What a trial's values are worth, see `worth`; `begun` is called when it has begun."""

    def value(trial: optuna.Trial) -> float:
        # Optuna's own thread may not have come to its first sign yet, and a trial that has begun
        # without one would never be taken for dead.
        assert isinstance(trial.storage, BaseHeartbeat)
        trial.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(BEGUN, True)
        begun()
        values = {key: _draw(trial, key, space) for key, space in search.distributions().items()}
        try:
            experiment = prepare(search.config(values))
        except ValueError as error:
            trial.set_user_attr(UNFIT, str(error))
            raise _Unfit(str(error)) from None
        results = _carried_out(experiment, device, trial, search.monitor)
        trial.set_user_attr("test_accuracy", results.get("test_accuracy"))
        trial.set_user_attr("epochs", results["epochs"])
        return worth(results, search.monitor, experiment.averaged_epochs)

    return value


def _draw(trial: optuna.Trial, key: str, space: Any) -> Any:
    if isinstance(space, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(key, space.choices)
    if isinstance(space, optuna.distributions.IntDistribution):
        return trial.suggest_int(key, space.low, space.high, step=space.step, log=space.log)
    return trial.suggest_float(key, space.low, space.high, step=space.step, log=space.log)


def _carried_out(
    experiment: Experiment, device: str, trial: optuna.Trial, monitor: str
) -> dict[str, Any]:
    """The run's results; TrialPruned where it falls behind, KeyboardInterrupt at a Ctrl-C."""

    def report(epoch: Any) -> None:
        reached = getattr(epoch, monitor)
        if reached is None:
            return
        trial.report(reached, epoch.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    with open_device(device, experiment.device_config) as opened:
        outcome = train(experiment, opened, report=report)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return experiment.results(outcome)


def worth(results: dict[str, Any], monitor: str, averaged: int) -> float:
    """The monitor at the epoch whose weights were kept, or else its mean over the last epochs.

    Epochs of a spiking run that were not evaluated have None in their place, and do not count.
    """
    curve = results[monitor]
    kept = results.get("best_epoch")
    if kept:
        return float(curve[kept - 1])
    last = [reached for reached in curve if reached is not None][-averaged:]
    return sum(last) / len(last)
