"""Spike trains as JSON: a file is a sample, and the folder in which it lies its class.

    FOLDER/CLASS/*.json
    {"spike_trains": [{"neuron_id", "layer", "spike_times" in ms, "duration" in ms}]}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from host.data.json_file import Document, parsed_document, read_document
from host.data.table import Table
from host.spiking.network import Encoding
from host.spiking.spike_events import sample_of_events

MAX_NEURONS = 1 << 16
"""Largest neuron number: more inputs than any device has."""

Time = Annotated[float, Field(ge=0)]


class Train(Document):
    """An element of `spike_trains`."""

    neuron_id: Annotated[int, Field(ge=0, lt=MAX_NEURONS)]
    layer: int | str
    spike_times: list[Time]
    duration: Annotated[float, Field(gt=0)]


class Trains(Document):
    """The file."""

    spike_trains: Annotated[list[Train], Field(min_length=1)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """The spikes of a layer during a sample.

    Attributes
    ----------
    neurons, times: of each spike, (E,) both, times in ms and ascending
    inputs: the largest number of a neuron and one, whether or not it spiked
    duration: in ms
    """

    neurons: NDArray[np.int64]
    times: NDArray[np.float64]
    inputs: int
    duration: float

    def sample(self, encoding: Encoding, inputs: int) -> NDArray[np.float64]:
        """The steps of a level encoding, `inputs` values a step; see `sample_of_events`."""
        return sample_of_events(self.neurons, self.times, inputs=inputs, encoding=encoding)


def read_recording(path: Path, *, layer: str | None = None, limit: int = 1 << 28) -> Recording:
    """The spikes of a file; of one layer where it has several.

    Raises ValueError naming train and key of what is wrong, on times that do not ascend or lie
    outside the duration, and on neurons that come twice.
    """
    text = read_document(path, limit=limit)
    trains = parsed_document(str(path), text, Trains).spike_trains
    layers = sorted({str(train.layer) for train in trains})
    if layer is None and len(layers) > 1:
        raise ValueError(f"{path}: data.layer must name one of the layers {', '.join(layers)}")
    if layer is not None and layer not in layers:
        raise ValueError(f"{path}: data.layer must be one of {', '.join(layers)}, not {layer!r}")
    chosen = [(i, t) for i, t in enumerate(trains) if layer is None or str(t.layer) == layer]
    duration = chosen[0][1].duration
    seen: set[int] = set()
    for index, train in chosen:
        _check(f"{path}, spike_trains[{index}]", train, duration, seen)
    neurons = np.repeat(
        np.array([train.neuron_id for _, train in chosen], np.int64),
        [len(train.spike_times) for _, train in chosen],
    )
    times = np.array([time for _, train in chosen for time in train.spike_times], np.float64)
    order = np.argsort(times, kind="stable")
    return Recording(
        neurons=neurons[order], times=times[order], inputs=max(seen) + 1, duration=duration
    )


def read_spike_folder(
    folder: Path, encoding: Encoding | None, *, layer: str | None, limit: int
) -> Table:
    """All recordings of a folder, as samples of a level encoding; errors as of `read_recording`."""
    if encoding is None or encoding.kind != "level":
        raise ValueError(
            f"{folder} holds spike trains, which must go to a spiking network with kind = 'level' "
            "in [spiking.encoding]"
        )
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    paths = [(k, path) for k, name in enumerate(names) for path in _files(folder / name)]
    if len(names) < 2:
        raise ValueError(
            f"{folder} must have a folder of JSON files for each of two classes or more, not "
            f"{len(names)}"
        )
    if sum(path.stat().st_size for _, path in paths) > limit:
        raise ValueError(
            f"{folder} must have at most {limit:,} bytes, as spike trains are read as a whole: "
            "raise data.memory, or take fewer"
        )
    recordings = [read_recording(path, layer=layer, limit=limit) for _, path in paths]
    inputs = max(recording.inputs for recording in recordings)
    samples = []
    for (_, path), recording in zip(paths, recordings, strict=True):
        if recording.duration > encoding.duration:
            raise ValueError(
                f"{path}: a duration must be at most the encoding's {encoding.duration:g} ms, not "
                f"{recording.duration:g}; raise steps or dt in [spiking.encoding]"
            )
        try:
            samples.append(recording.sample(encoding, inputs))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    steps = encoding.steps
    return Table(
        inputs=np.array(samples),
        targets=np.array([k for k, _ in paths]),
        classes=tuple(names),
        shape=(steps, inputs),
    )


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.json"))
    if not found:
        raise ValueError(f"{folder} must have a JSON file for each sample of its class, not none")
    return found


def _check(place: str, train: Train, duration: float, seen: set[int]) -> None:
    if train.neuron_id in seen:
        raise ValueError(
            f"{place}.neuron_id: must be a neuron that has no train yet, not {train.neuron_id} "
            "again; put its spikes into one train"
        )
    seen.add(train.neuron_id)
    if train.duration != duration:
        raise ValueError(
            f"{place}.duration: must be {duration:g} ms as in the first train, not "
            f"{train.duration:g}"
        )
    times = np.array(train.spike_times, np.float64)
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        at = int(falls[0]) + 1
        raise ValueError(
            f"{place}.spike_times[{at}]: must be after {times[at - 1]:g} ms, not {times[at]:g}; "
            "sort the times, each once"
        )
    if len(times) and times[-1] >= duration:
        raise ValueError(
            f"{place}.spike_times[{len(times) - 1}]: must be below the duration of {duration:g} "
            f"ms, not {times[-1]:g}"
        )
