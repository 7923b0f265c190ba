"""The folder of a run: what is in it, and whether another run may have it.

    config.toml           the run as it was carried out, to be run again
    result.json           what came of it              weights.npz    what was learned, words
    metrics.jsonl         how it went                  status.json    what it does now
    checkpoints/          to go on from                tensorboard/   events, where asked for
    pictures/, report.html
"""

from pathlib import Path
from typing import Any

import tomli_w

from host.checkpoints.file import write_whole
from host.checkpoints.store import FOLDER, paths
from host.experiment import Experiment
from host.monitoring.status import RunState, read_status
from host.run_tables import RunTables


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise ValueError unless a run may have the folder; nothing is changed.

    One that goes on in another process is not disturbed; one that has not ended is not lost unless
    `overwrite`.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite must not stand together: one keeps, one forgets")
    refuse_file(folder)
    state, epoch = _state(folder)
    if state == RunState.RUNNING:
        raise ValueError(
            f"{folder} must be no other run's, and one goes on there: see `synaptile status "
            f"{folder}`, or choose another folder"
        )
    unfinished = state not in (None, RunState.FINISHED) and paths(folder / FOLDER)
    if unfinished and not (resume or overwrite):
        raise ValueError(
            f"{folder} holds a run that has not ended, {epoch} epochs in: --resume goes on with "
            "it, --overwrite forgets it"
        )


def refuse_file(folder: Path) -> None:
    """Raise ValueError where a file has the name of a folder."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out must be a folder, and {folder} is a file")


def _state(folder: Path) -> tuple[RunState | None, int]:
    try:
        status = read_status(folder)
    except ValueError:
        return None, 0
    return status["state"], status.get("epoch", 0)


def write_config(folder: Path, experiment: Experiment) -> None:
    """Write config.toml, the run with its options, which trains the same again."""
    text = tomli_w.dumps(resolved(experiment.config, experiment))
    write_whole(folder / "config.toml", text.encode())


def resolved(config: RunTables, experiment: Experiment) -> dict[str, Any]:
    """The tables as a file that stands alone: options and absolute paths put in."""
    values = config.model_dump(exclude_unset=True, exclude_none=True)
    training = values.setdefault("training", {})
    training.setdefault("seed", experiment.seed)
    training.setdefault("epochs", experiment.epochs)
    values.setdefault("device", {}).setdefault("configuration", experiment.device_config.name)
    stands_alone: dict[str, Any] = absolute(values)
    return stands_alone


def absolute(value: Any) -> Any:
    """Tables with every path as a text that holds wherever the file lies."""
    match value:
        case Path():
            return str(value.resolve())
        case dict():
            return {key: absolute(each) for key, each in value.items()}
        case list() | tuple():
            return [absolute(each) for each in value]
    return value
