"""The picture of a search: how good its trials were, and what each key has to do with it."""

from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from host.pictures import BLUE, ORANGE, new_figure, plain, save
from host.search.space import Range, SearchFile

COLUMNS = 3


def draw_search(path: Path, search: SearchFile, trials: list[FrozenTrial]) -> Path:
    """Values of the trials that have one: in their order with the best so far, and by each key."""
    keys = list(search.space)
    rows = -(-len(keys) // COLUMNS)
    drawn = new_figure(7.2, 2.6 + 2.2 * rows)
    history, grid = drawn.subfigures(2, 1, height_ratios=[2.6, 2.2 * rows])
    label = search.monitor.replace("val_", "validation ")
    values = np.array([trial.value for trial in trials])
    _history(history.add_subplot(), trials, values, search.direction, label)
    for place, key in enumerate(keys, start=1):
        _by_key(grid.add_subplot(rows, COLUMNS, place), search, key, trials, values)
    return save(drawn, path)


def _history(
    axes: Any, trials: list[FrozenTrial], values: np.ndarray, direction: str, label: str
) -> None:
    numbers = [trial.number for trial in trials]
    best = np.maximum if direction == "maximize" else np.minimum
    axes.plot(numbers, values, ".", color=BLUE, label="trial")
    axes.step(numbers, best.accumulate(values), where="post", color=ORANGE, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(label)
    axes.legend(frameon=False, loc="lower right")
    plain(axes)


def _by_key(
    axes: Any, search: SearchFile, key: str, trials: list[FrozenTrial], values: np.ndarray
) -> None:
    drawn = [trial.params[key] for trial in trials]
    space = search.space[key]
    if isinstance(space, Range):
        axes.plot(drawn, values, ".", color=BLUE)
        if space.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter("")
        axes.set_xlim(space.low, space.high)
    else:
        places = [space.index(each) for each in drawn]
        axes.plot(places, values, ".", color=BLUE)
        axes.set_xticks(range(len(space)), [str(choice) for choice in space])
        axes.set_xlim(-0.5, len(space) - 0.5)
    axes.set_xlabel(key, fontsize=8)
    axes.tick_params(labelsize=8)
    plain(axes)
