"""Notes down how a run goes: metrics.jsonl, status.json and, where asked for, TensorBoard's events.

    batches, epochs --Monitor--> metrics.jsonl | status.json | tensorboard/

What it writes of the device it only reads, so that a watched run computes the same bits.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.checkpoints.continued import ContinuedDevice
from host.checkpoints.file import CheckpointError
from host.devices.forwarding import ForwardingDevice
from host.experiment import Experiment, Outcome
from host.fixed_point import decode
from host.monitoring.events import EventsFile
from host.monitoring.metrics_file import MetricsFile
from host.monitoring.monitored import MonitoredDevice
from host.monitoring.status import RunState, StatusFile
from host.statistics import Counts
from hw.numbers import Format

METRICS = "metrics.jsonl"

SNAPSHOTS = 50
"""At most so many times in a run the spread of the weights is noted down."""

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of the weights of a matrix; the first is their minimum, the last their maximum."""


class Monitor:
    """Watches a run.

    Parameters
    ----------
    folder: of the run; it exists
    experiment: what runs
    device: on what
    events: TensorBoard's, or None

    Attributes
    ----------
    device: the same, watched: the run must use this one
    """

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        device: ContinuedDevice,
        *,
        events: EventsFile | None = None,
    ):
        self._experiment, self._plain = experiment, device
        self._events = events
        table = experiment.config.monitoring
        self.device: ForwardingDevice = device
        self._watched: MonitoredDevice | None = None
        if experiment.counts_batches:
            self._watched = MonitoredDevice(
                device,
                every=table.batches,
                batches=experiment.training_batches,
                note=self._batches,
            )
            self.device = self._watched
        self._metrics = MetricsFile(folder / METRICS)
        constant = {
            "device": device.name,
            "configuration": experiment.device_config.name,
            "epochs": experiment.epochs,
            "started": time.time(),
        }
        self._status = StatusFile(folder, constant)
        self._plots = table.plots
        self._every = -(-experiment.epochs // SNAPSHOTS)
        self._epoch = self._plotted = 0
        self._now: dict[str, Any] = {}
        self._best: tuple[float, int] | None = None
        self._started = time.monotonic()
        self._before, self._resumed = 0.0, 0

    @contextmanager
    def watching(self) -> Iterator["Monitor"]:
        """Write the last word about the run when the context ends."""
        try:
            yield self
        except KeyboardInterrupt:
            self._end(RunState.INTERRUPTED)
            raise
        except BaseException as error:
            # Where the last word cannot be written either, what went wrong first is told.
            with suppress(CheckpointError):
                self._end(RunState.FAILED, error=str(error) or type(error).__name__)
            raise

    def begin(self, outcome: Outcome) -> None:
        """The run begins, or goes on behind the epochs of `outcome`."""
        done = outcome.epochs
        if done:
            self._metrics.write("resumed", {"epoch": done[-1].epoch, "time": time.time()})
        else:
            formats = self._experiment.weight_formats
            self._metrics.write(
                "start",
                {
                    "time": time.time(),
                    "epochs": self._experiment.epochs,
                    "training_batches": self._experiment.training_batches,
                    "fractions": {name: fmt.fraction for name, fmt in formats.items()},
                    "quantiles": QUANTILES,
                },
            )
        for report in done:
            self._note_best(report)
            self._now = plain_metrics(report)
            self._epoch = report.epoch
        self._before = sum(report.seconds for report in done)
        self._started, self._resumed = time.monotonic(), self._epoch
        if self._events is not None:
            self._events.begin(self._step)
        if not done:
            self._weights()
        self._write_status(RunState.RUNNING)
        self._begin_epoch()

    def epoch(self, report: Any) -> None:
        """An epoch has ended."""
        self._epoch = report.epoch
        self._now = plain_metrics(report)
        self._note_best(report)
        self._metrics.write("epoch", {**self._now, "time": time.time()})
        if self._events is not None:
            self._events.scalars(self._now, self._step)
            if report.epoch % self._plots == 0:
                self._plot(self._events)
            self._events.flush()
        if report.epoch % self._every == 0 or report.epoch == self._experiment.epochs:
            self._weights()
        self._write_status(RunState.RUNNING)
        self._begin_epoch()

    def trained(self) -> None:
        """No epoch follows, and the device holds what training ends with."""
        if self._events is not None and self._plotted != self._epoch:
            self._plot(self._events)

    def end(self, outcome: Outcome) -> None:
        """The run has ended, and its results are written."""
        self._end(RunState.INTERRUPTED if outcome.interrupted else RunState.FINISHED)

    @property
    def _step(self) -> int:
        """TensorBoard's step: training batches since the run began."""
        return self._epoch * self._experiment.training_batches

    def _begin_epoch(self) -> None:
        if self._watched is not None:
            self._watched.begin_epoch()

    def _batches(self, batch: int, counts: Counts) -> None:
        found = self._experiment.batch_metrics(counts)
        if not found:
            return
        place = {"epoch": self._epoch + 1, "batch": batch}
        self._metrics.write("batches", {**place, **found})
        if self._events is not None:
            named = {f"batch/{name}": value for name, value in found.items()}
            self._events.scalars(named, self._step + batch)

    def _weights(self) -> None:
        """Note the spread of the weights, which are read from the device."""
        words = self._experiment.weights(self._plain)
        formats = self._experiment.weight_formats
        quantiles = {name: spread(words[name], fmt) for name, fmt in formats.items()}
        self._metrics.write("weights", {"epoch": self._epoch, "quantiles": quantiles})

    def _plot(self, events: EventsFile) -> None:
        """Histograms of weights and firing rates, and a raster."""
        self._plotted = self._epoch
        for name, values in self._real_weights().items():
            events.histogram(f"weights/{name}", values, self._step)
        activity = self._experiment.activity(self._plain)
        if activity is None:
            return
        events.histogram(f"spikes/{activity.cells}", activity.counts.mean(axis=0), self._step)
        from host.spiking.drawing import draw_activity

        with tempfile.TemporaryDirectory() as folder:
            *_, raster = draw_activity(activity, Path(folder))
            events.image("raster", raster.read_bytes(), self._step)

    def _real_weights(self) -> dict[str, NDArray[np.float64]]:
        words = self._experiment.weights(self._plain)
        formats = self._experiment.weight_formats
        return {name: decode(words[name], fmt) for name, fmt in formats.items()}

    def _note_best(self, report: Any) -> None:
        score = self._experiment.score(report)
        if score is not None and (self._best is None or score > self._best[0]):
            self._best = score, report.epoch

    def _write_status(self, state: RunState, **others: Any) -> None:
        elapsed = time.monotonic() - self._started
        done = self._epoch - self._resumed
        left = self._experiment.epochs - self._epoch
        best: dict[str, Any] = {}
        if self._best is not None:
            name = self._experiment.score_name
            value = abs(self._best[0])
            best = {"best": value, "best_of": name, "best_epoch": self._best[1]}
        self._status.write(
            state,
            {
                **self._now,
                "epoch": self._epoch,
                **best,
                "elapsed": self._before + elapsed,
                "remaining": elapsed / done * left if done else None,
                **others,
            },
        )

    def _end(self, state: RunState, **others: Any) -> None:
        try:
            self._write_status(state, **others)
            self._metrics.write("end", {"state": state, "time": time.time(), **others})
        finally:
            self._metrics.close()
            if self._events is not None:
                self._events.close()


def spread(words: NDArray[np.int16], fmt: Format) -> list[float]:
    """The weights that stand at QUANTILES of the way from the least to the largest one."""
    ordered = np.sort(words, axis=None)
    places = [round(share * (len(ordered) - 1)) for share in QUANTILES]
    found: list[float] = decode(ordered[places], fmt).tolist()
    return found


def plain_metrics(report: Any) -> dict[str, int | float]:
    """The numbers of an epoch's report, by name; what the device counted of training as sums."""
    found: dict[str, int | float] = {}
    for field in fields(report):
        value = getattr(report, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[field.name] = value
    found["samples"] = report.samples
    found["saturations"] = int(report.train.saturations.sum())
    return found
