"""Spikes that come as events, as samples of a level encoding: 0 or 1 for every step and input."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.spiking.network import Encoding


def sample_of_events(
    neurons: ArrayLike, times: ArrayLike, *, inputs: int, encoding: Encoding
) -> NDArray[np.float64]:
    """A sample, `inputs` values a step, from E spikes; one at `time` falls into step time // dt.

    Parameters
    ----------
    neurons: number of the input of each spike, (E,)
    times: in ms, in ascending order, from 0 to below the encoding's duration, (E,)
    inputs: how many there are
    encoding: of kind level

    Raises ValueError on unknown neurons, times out of order or beyond the duration, and two spikes
    of a neuron in one step.
    """
    if encoding.kind != "level":
        raise ValueError(f"spike events must have a level encoding, not {encoding.kind!r}")
    who, when = np.asarray(neurons), np.asarray(times, np.float64)
    if who.ndim != 1 or who.shape != when.shape:
        raise ValueError(
            f"neurons and times must be arrays of one length, not {who.shape} and {when.shape}"
        )
    if not len(who):
        return np.zeros(encoding.steps * inputs)
    _check(who, when, inputs, encoding.duration)
    step = np.floor(when / encoding.dt).astype(np.int64)
    raster = np.zeros((encoding.steps, inputs))
    np.add.at(raster, (step, who), 1)
    double = np.argwhere(raster > 1)
    if len(double):
        at, neuron = (int(place) for place in double[0])
        raise ValueError(
            f"a neuron must spike at most once in a step of {encoding.dt:g} ms, but neuron "
            f"{neuron} spikes {raster[at, neuron]:.0f} times in step {at}; take a smaller dt"
        )
    return raster.reshape(-1)


def _check(who: NDArray[np.generic], when: NDArray[np.float64], inputs: int, end: float) -> None:
    if who.dtype.kind not in "iu":
        raise ValueError(f"neurons must be whole numbers, not {who.dtype}")
    unknown = np.flatnonzero((who < 0) | (who >= inputs))  # type: ignore[operator]
    if len(unknown):
        raise ValueError(
            f"neurons must be from 0 to {inputs - 1}, not {who[unknown[0]]} (spike {unknown[0]})"
        )
    outside = np.flatnonzero(~((when >= 0) & (when < end)))
    if len(outside):
        raise ValueError(
            f"times must be from 0 to below the duration of {end:g} ms, not {when[outside[0]]:g} "
            f"(spike {outside[0]})"
        )
    falls = np.flatnonzero(np.diff(when) < 0)
    if len(falls):
        first = int(falls[0])
        raise ValueError(
            f"times must ascend, but {when[first + 1]:g} ms (spike {first + 1}) comes after "
            f"{when[first]:g} ms; sort the spikes by time"
        )
