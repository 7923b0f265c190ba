"""Writes a run's checkpoints while it goes on, and lets a run go on from one.

    trainer, device --state--> document --Store--> file        after an epoch, where it is due
    trainer, device <--restore-- document <--Store-- file      before the first one
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from host.checkpoints.cadence import Cadence
from host.checkpoints.continued import ContinuedDevice
from host.checkpoints.device_state import DeviceState, Stretch
from host.checkpoints.document import Plain, build, split
from host.checkpoints.file import CheckpointError
from host.checkpoints.store import FOLDER, Store, documents
from host.experiment import Experiment, Outcome, Trainer
from hw.isa import Region


class Keeper:
    """Keeps the checkpoints of a run in a folder.

    Files are written beside the training, one after the other; leaving the context waits for the
    last one.

    Parameters
    ----------
    folder: of the run
    experiment: what runs
    cadence: when
    """

    def __init__(self, folder: Path, experiment: Experiment, cadence: Cadence | None = None):
        self._experiment = experiment
        self._cadence = cadence or Cadence()
        self.store = Store(folder / FOLDER, keep=self._cadence.keep)
        self._last = time.monotonic()
        self._best: float | None = None
        self._reports: list[Any] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None

    def find(self, device: ContinuedDevice) -> tuple[dict[str, Any] | None, list[str]]:
        """The latest good checkpoint of this run, None without one, and what is wrong with others.

        Raises CheckpointError where it is of another run, saying what differs.
        """
        found: dict[str, Any] | None = None
        wrong = []
        for path, document in documents(self.store.folder):
            if isinstance(document, CheckpointError):
                wrong.append(str(document))
                continue
            if found is None:
                _check_same(path, document["run"], run_identity(self._experiment, device))
                found = document
            self.store.note(document, path)
        best = self.store.best
        self._best = best.score if best else None
        return found, wrong

    def resume(
        self,
        document: Mapping[str, Any],
        trainer: Trainer,
        device: ContinuedDevice,
        outcome: Outcome,
    ) -> None:
        """Bring trainer, device and reports to where a checkpoint was written; load() came before.
        """
        _device_state(document["device"]).restore(device)
        trainer.restore(document["trainer"])
        kind = self._experiment.report_type
        outcome.epochs += [build(kind, report) for report in document["reports"]]
        self._reports = list(document["reports"])

    def after_epoch(self, trainer: Trainer, device: ContinuedDevice, outcome: Outcome) -> None:
        """Write a checkpoint where one is due; CheckpointError where one could not be written."""
        report = outcome.epochs[-1]
        self._reports.append(split(report, None))
        score = self._experiment.score(report)
        better = score is not None and (self._best is None or score > self._best)
        if better:
            self._best = score
        due = report.epoch % self._cadence.every == 0 or report.epoch == self._experiment.epochs
        late = time.monotonic() - self._last >= self._cadence.seconds
        if not (better or due or late):
            return
        self.wait()
        document = {
            "run": run_identity(self._experiment, device),
            "trainer": trainer.state(),
            "device": _device_document(DeviceState.read(device, self._experiment.stretches())),
            "reports": Plain(list(self._reports)),
        }
        self._writing = self._writer.submit(self.store.write, report.epoch, score, document)
        self._last = time.monotonic()

    def wait(self) -> None:
        """Return when what was to be written is on the disk."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._writer.shutdown()


def run_identity(experiment: Experiment, device: ContinuedDevice) -> dict[str, Any]:
    """What two runs must have in common for one to go on with what the other did."""
    # With everything that was left out, so that whether it was makes no difference.
    config = experiment.config.model_dump()
    for table in ("checkpoints", "monitoring", "device"):
        config.pop(table, None)
    for name in ("seed", "epochs"):
        config["training"].pop(name, None)
    return {
        "device": device.name.partition(":")[0],
        "configuration": experiment.device_config.name,
        "build": device.identity.hex(),
        "seed": experiment.seed,
        "epochs": experiment.epochs,
        "samples": experiment.samples_digest(),
        "config": split(_without_paths(config), None),
    }


def _without_paths(value: Any) -> Any:
    """Tables without the names of files, which may be written in several ways."""
    if isinstance(value, Mapping):
        return {
            key: _without_paths(each) for key, each in value.items() if not isinstance(each, Path)
        }
    return value


def _check_same(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a checkpoint is of this run."""
    known, wanted = _flat(theirs), _flat(ours)
    differing = [
        f"{name} is {known.get(name, 'left out')!r} there, {wanted.get(name, 'left out')!r} here"
        for name in dict.fromkeys([*wanted, *known])
        if known.get(name) != wanted.get(name)
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another run: {'; '.join(differing)}. Take what that run had, or another "
            "folder, or --overwrite to forget it"
        )


def _flat(values: Any, place: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping):
        return {place: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{place}.{key}" if place else key)
    return found


def _device_document(state: DeviceState) -> dict[str, Any]:
    return {
        "memories": {
            f"{Region(region).name} {start}": words
            for (region, start, _), words in state.memories.items()
        },
        "lfsr": state.lfsr,
        "registers": state.registers,
        "counters": state.counters,
        "front": state.front,
    }


def _device_state(document: Mapping[str, Any]) -> DeviceState:
    memories: dict[Stretch, Any] = {}
    for place, words in document["memories"].items():
        region, start = place.split()
        memories[Region[region], int(start), len(words)] = words
    return DeviceState(
        memories=memories,
        **{name: document[name] for name in ("lfsr", "registers", "counters", "front")},
    )
