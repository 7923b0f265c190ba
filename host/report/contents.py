"""What a run's folder tells, gathered for its report; what is not there yet is left out.

    metrics.jsonl | result.json | weights.npz | activity.npz --> Contents --> pictures/*.png
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host import pictures
from host.fixed_point import decode
from host.monitoring.metrics_file import read_metrics
from host.monitoring.monitor import METRICS
from host.monitoring.status import read_status
from host.report import curves
from host.spiking.activity import Activity
from host.spiking.drawing import draw_activity
from hw.numbers import WORD_BITS, Format

SPLITS = ("train", "val", "test")
"""Of samples, in the order in which their lines are drawn."""


@dataclass(frozen=True)
class Picture:
    """A picture of a report: where it lies, and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True, eq=False)
class Contents:
    """A run's folder, read.

    Attributes
    ----------
    folder: which
    status: see `host.monitoring.status`
    config: the text of config.toml
    epochs: metrics of each epoch
    start: what was noted down at the beginning
    snapshots: (epochs, quantiles by name) of the weights
    results: result.json, None while the run goes on
    weights: real values by name, at the end
    activity: of a spiking network
    """

    folder: Path
    status: dict[str, Any]
    config: str
    epochs: list[dict[str, Any]]
    start: dict[str, Any]
    snapshots: tuple[list[int], dict[str, NDArray[np.float64]]]
    results: dict[str, Any] | None
    weights: dict[str, NDArray[np.float64]]
    activity: Activity | None

    @classmethod
    def read(cls, folder: Path) -> "Contents":
        """Read a folder; ValueError where it is no run's."""
        status = read_status(folder)
        metrics = read_metrics(folder / METRICS)
        starts = [event for event in metrics if event["event"] == "start"]
        if not starts:
            raise ValueError(
                f"{folder} must have a {METRICS} that tells how the run began; train it again, or "
                "wait until it has begun"
            )
        done = (folder / "result.json").exists() and status["state"] in ("finished", "interrupted")
        results = json.loads((folder / "result.json").read_text("utf-8")) if done else None
        drawn = folder / "activity.npz"
        return cls(
            folder=folder,
            status=status,
            config=(folder / "config.toml").read_text("utf-8"),
            epochs=[event for event in metrics if event["event"] == "epoch"],
            start=starts[-1],
            snapshots=_snapshots([event for event in metrics if event["event"] == "weights"]),
            results=results,
            weights=_weights(folder, starts[-1]["fractions"]) if done else {},
            activity=Activity.load(drawn) if done and drawn.exists() else None,
        )

    def draw(self) -> list[Picture]:
        """Draw everything that there is, into pictures/."""
        folder = self.folder / "pictures"
        return [*self._curves(folder), *self._drawn_weights(folder), *self._drawn_activity(folder)]

    def _curves(self, folder: Path) -> Iterator[Picture]:
        losses, shares = self._lines("loss"), self._lines("accuracy")
        if losses:
            path = curves.curves(
                folder / "loss.png", losses, title="loss", label="mean loss", logarithmic=True
            )
            yield Picture(path, "Loss of every epoch; of training while it went on.")
        if shares:
            path = curves.curves(
                folder / "accuracy.png", shares, title="accuracy", label="right answers, %",
                percent=True,
            )  # fmt: skip
            yield Picture(path, "Right answers of every epoch; of training while it went on.")
        rates = [(event["epoch"], event["rate"]) for event in self.epochs if "rate" in event]
        if rates:
            spiking = self.activity is not None or "phases" in (self.results or {})
            label = "factor of the learning rate" if spiking else "learning rate"
            epochs, values = zip(*rates, strict=True)
            path = curves.rate_schedule(folder / "rate.png", epochs, values, label=label)
            yield Picture(path, "The learning rate's schedule.")

    def _lines(self, quantity: str) -> dict[str, tuple[list[int], list[float]]]:
        found = {}
        for split in SPLITS:
            name = f"{split}_{quantity}"
            points = [(event["epoch"], event[name]) for event in self.epochs if name in event]
            if points:
                found[split] = ([epoch for epoch, _ in points], [value for _, value in points])
        return found

    def _drawn_weights(self, folder: Path) -> Iterator[Picture]:
        epochs, quantiles = self.snapshots
        if len(epochs) > 1:
            path = curves.weight_evolution(folder / "evolution.png", epochs, quantiles)
            yield Picture(path, "How the weights of each matrix spread, epoch after epoch.")
        if self.weights:
            path = curves.connectivity_matrix(folder / "connectivity.png", self.weights)
            yield Picture(path, "Every weight at the end; a dense layer's last column is the bias.")

    def _drawn_activity(self, folder: Path) -> Iterator[Picture]:
        if self.activity is None:
            return
        rates, raster = draw_activity(self.activity, folder)
        yield Picture(raster, "Who fires when: the first test sample.")
        yield Picture(rates, f"How active the {self.activity.cells} are over test samples.")
        for name, values in self.weights.items():
            path = pictures.weight_maps(
                folder / f"weights_{name}.png", values, title=f"weights of the {name}"
            )
            yield Picture(path, f"What each of the {name} has learned, a square each.")


def _snapshots(events: list[dict[str, Any]]) -> tuple[list[int], dict[str, NDArray[np.float64]]]:
    epochs = [event["epoch"] for event in events]
    names = events[0]["quantiles"] if events else {}
    return epochs, {name: np.array([e["quantiles"][name] for e in events]) for name in names}


def _weights(folder: Path, fractions: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    with np.load(folder / "weights.npz", allow_pickle=False) as held:
        return {
            name: decode(held[name], Format(WORD_BITS - 1 - fraction, fraction))
            for name, fraction in fractions.items()
            if name in held.files
        }
