"""A run in its folder, from its first word to its last: checkpoints, metrics, status, results.

    Session(folder, experiment, device) --train--> Outcome --finish--> result.json, weights.npz
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from host.checkpoints.continued import ContinuedDevice
from host.checkpoints.keeper import Keeper
from host.devices.device import Device
from host.experiment import Experiment, Outcome, Trainer
from host.monitoring.events import EventsFile
from host.monitoring.monitor import Monitor
from host.run import train, write_results
from host.run_folder import write_config


class Session:
    """Carries a run out; see `host.run_folder` for what it writes.

    Within the context the folder is the run's. The context ends the run's status, whatever happens.

    Parameters
    ----------
    folder: see `check_folder`, which comes before
    experiment: what runs
    device: on what; it is not closed
    resume: go on from the latest good checkpoint; without one, begin
    events: write events for TensorBoard, even where the configuration does not say so
    say: is told what the user should know

    Attributes
    ----------
    device: whose state is the run's, counters included

    Raises CheckpointError where the folder cannot be written, or its checkpoints are another run's.
    """

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        device: Device,
        *,
        resume: bool = False,
        events: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ):
        self.folder, self._experiment, self._say = folder, experiment, say
        self.device = ContinuedDevice(device)
        self._resume = resume
        self._with_events = events or experiment.config.monitoring.tensorboard

    def __enter__(self) -> Self:
        experiment, folder = self._experiment, self.folder
        with ExitStack() as stack:
            cadence = experiment.config.checkpoints.cadence()
            self._keeper = stack.enter_context(Keeper(folder, experiment, cadence))
            self._document = self._found()
            events = EventsFile(folder / "tensorboard") if self._with_events else None
            write_config(folder, experiment)
            if self._document is None:
                self._keeper.store.clear()
            self._monitor = Monitor(folder, experiment, self.device, events=events)
            stack.enter_context(self._monitor.watching())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _found(self) -> dict[str, Any] | None:
        if not self._resume:
            return None
        document, wrong = self._keeper.find(self.device)
        for line in wrong:
            self._say(f"left out: {line}")
        if document is None:
            self._say(f"{self.folder} has no checkpoint to go on with: the run begins anew")
        else:
            self._say(f"goes on behind epoch {document['epoch']}")
        return document

    def train(self, report: Callable[[Any], None]) -> Outcome:
        """The epochs that are left; `report` is called after each of them."""

        def begin(trainer: Trainer, outcome: Outcome) -> None:
            if self._document is not None:
                self._keeper.resume(self._document, trainer, self.device, outcome)
            self._monitor.begin(outcome)

        def after(trainer: Trainer, outcome: Outcome) -> None:
            self._keeper.after_epoch(trainer, self.device, outcome)
            self._monitor.epoch(outcome.epochs[-1])

        watched = self._monitor.device
        outcome = train(self._experiment, watched, report=report, begin=begin, after=after)
        self._keeper.wait()
        self._monitor.trained()
        if not outcome.interrupted:
            self._examine(outcome)
        return outcome

    def _examine(self, outcome: Outcome) -> None:
        """Find out what the neurons do, of a network that has some; the device stays as it is."""
        activity = self._experiment.activity(self.device)
        if activity is not None:
            activity.save(self.folder / "activity.npz")
            outcome.biology = self._experiment.biology(activity, outcome.weights)

    def finish(self, outcome: Outcome) -> None:
        """Write the results, and that the run has ended."""
        write_results(self.folder, self._experiment, outcome)
        self._monitor.end(outcome)
