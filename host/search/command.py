"""`synaptile sweep`: trials side by side, a line for each that ends, then the best of them."""

import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from host.commands.figures import number, percent
from host.commands.terminal import errors, out
from host.run_folder import absolute, write_whole
from host.search.drawing import draw_search
from host.search.space import SearchFile
from host.search.trials import UNFIT, ended, open_study, trials_wanted, work

SHOWN = 10
"""Trials of the table."""

LOOK = 0.5
"""Seconds between two looks at what has ended."""


def sweep(search: SearchFile, folder: Path, device: str, workers: int) -> None:
    """Search, or go on with the search in the folder; what is found is shown and written there."""
    study = open_study(search, folder)
    known = {trial.number for trial in ended(study)}
    out.print(Text(_opening(search, len(known))))
    _carry_out(search, folder, device, workers, study, known)
    valued = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not valued:
        reasons = [t.user_attrs[UNFIT] for t in ended(study) if UNFIT in t.user_attrs]
        raise ValueError(f"no trial has a value: {reasons[0] if reasons else 'all were pruned'}")
    best = study.best_trial
    out.print()
    out.print(_table(search, valued))
    out.print(Text(_verdict(search, valued, best)))
    tables = search.config(best.params).model_dump(exclude_unset=True, exclude_none=True)
    write_whole(folder / "best.toml", tomli_w.dumps(absolute(tables)).encode())
    picture = draw_search(folder / "search.png", search, valued)
    out.print(f"\nbest run in {folder / 'best.toml'}\npicture in {picture}", soft_wrap=True)


def _opening(search: SearchFile, there: int) -> str:
    wanted = trials_wanted(search)
    done = f", {there} of them done already" if there else ""
    return (
        f"{search.run}: {wanted} trials by {search.method}{done}, judged by "
        f"{_words(search.monitor)}; varied: {', '.join(search.space)}"
    )


def _words(monitor: str) -> str:
    return monitor.replace("val_", "validation ")


def _carry_out(
    search: SearchFile,
    folder: Path,
    device: str,
    workers: int,
    study: optuna.Study,
    known: set[int],
) -> None:
    """Let workers do the trials, and tell of each that ends; a worker's error ends the search."""
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [
        context.Process(target=_worker, args=(search, folder, device, len(known) + k), daemon=True)
        for k in range(1, workers + 1)
    ]
    for process in processes:
        process.start()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as display:
        task = display.add_task("trials", total=trials_wanted(search), completed=len(known))
        try:
            while any(process.is_alive() for process in processes):
                _tell(search, study, known)
                display.update(task, completed=len(known))
                time.sleep(LOOK)
        finally:
            for process in processes:
                process.terminate()
                process.join()
    _tell(search, study, known)
    if any(process.exitcode for process in processes):
        raise ValueError("a worker ended before its time; what it said stands above")


def _worker(search: SearchFile, folder: Path, device: str, number: int) -> None:
    """What a process does; an interruption of all of them is the parent's to tell."""
    try:
        work(search, folder, device, number)
    except KeyboardInterrupt:
        pass
    except (ValueError, RuntimeError, OSError) as error:
        errors.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise SystemExit(1) from None


def _tell(search: SearchFile, study: optuna.Study, known: set[int]) -> None:
    """A line for each trial that has ended and is not known yet."""
    for trial in ended(study):
        if trial.number not in known:
            known.add(trial.number)
            line = f"trial {trial.number:>4}  {_figure(search, trial)}  {_texts(trial)}"
            out.print(Text(line), soft_wrap=True)


def _figure(search: SearchFile, trial: FrozenTrial) -> str:
    if trial.state == TrialState.PRUNED:
        return f"{'pruned':>9}"
    if UNFIT in trial.user_attrs:
        return f"{'unfit':>9}"
    return f"{_value(search, trial.value):>9}"


def _value(search: SearchFile, value: float | None) -> str:
    return percent(value) if search.monitor == "val_accuracy" else number(value)


def _texts(trial: FrozenTrial) -> str:
    return ", ".join(f"{_name(key)} {_short(value)}" for key, value in trial.params.items())


def _name(key: str) -> str:
    """The end of a key's path, for a reader: 'learning_rate', 'layers.0.units'."""
    *way, last = key.split(".")
    return f"{'.'.join(way[-2:])}.{last}" if way[-1:] and way[-1].isdecimal() else last


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(search: SearchFile, trials: list[FrozenTrial]) -> Table:
    """The best trials, the best one first."""
    table = Table(
        "trial", _words(search.monitor), *map(_name, search.space), box=None, header_style="bold"
    )
    better = sorted(trials, key=lambda t: t.value or 0, reverse=search.direction == "maximize")
    for trial in better[:SHOWN]:
        values = [_short(trial.params.get(key, "")) for key in search.space]
        table.add_row(str(trial.number), _value(search, trial.value), *values)
    return table


def _verdict(search: SearchFile, trials: list[FrozenTrial], best: FrozenTrial) -> str:
    """The best beside the run as its file has it; test samples are told of, never judged by."""
    own = next((t for t in trials if t.number == 0 and search.method != "grid"), None)
    beside = "" if own is None else f"; the file's own values: {_value(search, own.value)}"
    test = best.user_attrs.get("test_accuracy")
    found = f"\nbest: trial {best.number} with {_value(search, best.value)}{beside}"
    if test is None:
        return found
    return f"{found}\ntest accuracy, by which nothing was chosen: {percent(test)}"
